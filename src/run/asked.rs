//! What a round asks for one case: its own question, and those of its controls.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use netproof_probe::wire::{DnsQuestion, HttpRequest, Script, Tls};

use super::{
    backends::{backend, headless, planned, target},
    dial::{Dial, Whom},
    live::Live,
    marker::control_dial,
};
use crate::{
    cluster::{Endpoint, ServiceView},
    model::{Family, Port},
    plan::{CONTROL_PORT, Destination, Moment, PlannedCase, PodIndex},
    suite::{Ask, Authority},
    verdict::{AnsweredBy, Claim, Intended, Observation, WantedAnswer},
};

/// Which nodes a case's packets travel between, and as what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodePath {
    pub from: String,
    pub to: String,
    /// The port without what is said over it.
    pub port: Port,
    pub family: Family,
}

impl NodePath {
    /// Whether the other is the same but for the port's number.
    pub fn is_beside(&self, other: &Self) -> bool {
        let of = |path: &Self| {
            (path.from.clone(), path.to.clone(), path.port.protocol.transport(), path.family)
        };
        of(self) == of(other)
    }
}

/// The way between the nodes of a case, and who else can try it.
pub(super) struct Way {
    pub path: NodePath,
    /// From a control pod of the one node to one of the other, on the case's own port where
    /// that one listens there. None where no control pod can ask.
    pub dial: Option<Dial>,
    /// The same on the port of all control pods, where that is another.
    pub usual: Option<Dial>,
    /// Who should answer both.
    pub pod: PodIndex,
}

/// A case with everything that this round asks for it.
pub(super) struct Asked<'a> {
    pub case: Cow<'a, PlannedCase>,
    pub claim: Claim,
    /// The case's own question, or why there is none.
    pub dial: Result<Dial, Observation>,
    /// The destination, where it is one pod by its own address.
    pub destination: Option<PodIndex>,
    /// The launched pods behind the destination, where it is a Service.
    pub backends: Vec<PodIndex>,
    /// Each of those by its own address, where there are several: which one a connection
    /// through the Service meets is chance.
    pub behind: Vec<Self>,
    /// True for a headless Service: it is its endpoints, and nothing else is dialled.
    pub is_its_endpoints: bool,
    /// Nodes on which the destination's ingress isolation could block.
    pub destination_nodes: BTreeSet<String>,
    /// The destination, asked from inside.
    pub listener: Option<(Dial, PodIndex)>,
    /// The way between the nodes of two pods.
    pub way: Option<Way>,
    /// The same question from others.
    pub witnesses: Vec<Dial>,
    /// Who was dialled, for the report.
    pub described: String,
}

/// The Services of a suite's cases as they stand, or why they could not be read.
pub(super) type Services = BTreeMap<(String, String), Result<Option<ServiceView>, String>>;

impl<'a> Asked<'a> {
    pub fn new(live: &Live<'_>, case: &'a PlannedCase, services: &Services) -> Self {
        let mut asked = Self::at_rest(live, case, services);
        if let Moment::Established { claim } = case.moment {
            asked.claim.established = Some(claim);
            asked.behind.clear();
            asked.dial = live.held(&case.id);
        }
        asked
    }

    /// The same of a fresh connection, whatever the case is about.
    pub fn at_rest(live: &Live<'_>, case: &'a PlannedCase, services: &Services) -> Self {
        let mut asked = Self::of_nobody(live, Cow::Borrowed(case));
        match &case.destination {
            Destination::Pod(pod) => asked.towards_pod(live, *pod),
            Destination::Service { namespace, name } => {
                let key = (namespace.clone(), name.clone());
                asked.towards_service(live, namespace, name, services.get(&key));
            }
            Destination::Address(address) => {
                asked.described = address.to_string();
                asked.towards_foreign(live, Whom::Address(*address));
            }
            Destination::Host(name) => {
                asked.described.clone_from(name);
                asked.towards_host(live, name, services);
            }
        }
        asked
    }

    pub(super) fn of_nobody(live: &Live<'_>, case: Cow<'a, PlannedCase>) -> Self {
        Self {
            claim: Claim {
                expect: case.expect,
                intended: Intended::Foreign,
                evidence: case.evidence,
                denial: case.denial,
                meshed: live.state(case.source).is_some_and(|state| state.meshed()),
                established: None,
                strangers: BTreeSet::new(),
                answer: wanted(&case.ask),
            },
            dial: Err(Observation::NoDestination { message: "no destination".to_owned() }),
            destination: None,
            backends: Vec::new(),
            behind: Vec::new(),
            is_its_endpoints: false,
            destination_nodes: BTreeSet::new(),
            listener: None,
            way: None,
            witnesses: Vec::new(),
            described: case.to.clone(),
            case,
        }
    }

    /// The launched pods that its claim is about, as far as they are known.
    pub fn ends(&self) -> impl Iterator<Item = PodIndex> {
        let behind = self.destination.iter().chain(&self.backends);
        std::iter::once(self.case.source).chain(behind.copied())
    }

    pub(super) fn towards_pod(&mut self, live: &Live<'_>, pod: PodIndex) {
        let case = self.case.clone();
        let planned = live.plan.pod(pod);
        self.claim.intended = Intended::Agents([planned.name.clone()].into());
        self.claim.meshed |= live.state(pod).is_some_and(|state| state.meshed());
        self.destination = Some(pod);
        self.destination_nodes = [planned.node.clone()].into();
        let Some(address) = live.address(pod, case.family) else {
            let message = format!("pod {} has no {} address", planned.name, case.family);
            self.dial = Err(Observation::NoDestination { message });
            return;
        };
        self.described =
            format!("{}/{} ({address}, {})", planned.namespace, planned.name, planned.node);
        let script = match script(live, &case.ask) {
            Ok(script) => script,
            Err(nothing) => {
                self.dial = Err(nothing);
                return;
            }
        };
        let dial = Dial {
            source: case.source,
            whom: Whom::Address(address),
            port: case.port,
            script,
            timeout: case.timeout,
            keyed: true,
        };
        self.listener = Some((Dial { source: pod, ..dial.clone() }, pod));
        self.dial = Ok(dial);
        let path = NodePath {
            from: live.plan.pod(case.source).node.clone(),
            to: planned.node.clone(),
            port: case.port.bare(),
            family: case.family,
        };
        let controls = &live.plan.controls;
        if let (Some(from), Some(to)) = (controls.get(&path.from), controls.get(&path.to)) {
            // On one node the witness needs somebody else who may be reached.
            let other = if path.from == path.to { to.canary_egress } else { to.witness };
            let usual = Port::over(path.port.protocol.transport(), CONTROL_PORT);
            let listens = live.plan.pod(other).ports.values().any(|port| *port == path.port);
            let on = |port| control_dial(live, from.witness, other, port, path.family);
            let dial = on(if listens { path.port } else { usual });
            let usual = if listens && usual != path.port { on(usual) } else { None };
            self.way = Some(Way { path, dial, usual, pod: other });
        }
    }

    fn towards_service(
        &mut self,
        live: &Live<'_>,
        namespace: &str,
        name: &str,
        view: Option<&Result<Option<ServiceView>, String>>,
    ) {
        let case = self.case.clone();
        let missing = |message| Err(Observation::NoDestination { message });
        let view = match view {
            Some(Ok(Some(view))) => view,
            Some(Ok(None)) | None => {
                self.dial = missing(format!("there is no Service {namespace}/{name}"));
                return;
            }
            Some(Err(message)) => {
                self.dial = missing(format!("get Service {namespace}/{name}: {message}"));
                return;
            }
        };
        let transport = case.port.protocol.transport();
        let number = case.port.number;
        let exposed =
            view.ports.iter().find(|(_, port, over)| (*port, *over) == (number, transport));
        let Some((port_name, ..)) = exposed else {
            let message =
                format!("Service {namespace}/{name} has no port {number} over {transport}");
            self.dial = missing(message);
            return;
        };
        let of_family = |address: &std::net::IpAddr| Family::of(*address) == case.family;
        let address = view.cluster_ips.iter().copied().find(of_family);
        if address.is_none() && !view.cluster_ips.is_empty() {
            let message = format!("Service {namespace}/{name} has no {} address", case.family);
            self.dial = Err(Observation::NotThere { message });
            return;
        }
        let ready = || {
            let of_case = |endpoint: &&Endpoint| endpoint.ready && of_family(&endpoint.address);
            view.endpoints.iter().filter(of_case)
        };
        if ready().next().is_none() {
            self.dial = missing(format!("Service {namespace}/{name} has no ready endpoints"));
            return;
        }
        let Some(address) = address else {
            self.described = format!("Service {namespace}/{name} (headless)");
            self.behind = headless(live, &case, ready(), port_name);
            if self.behind.is_empty() {
                let message =
                    format!("Service {namespace}/{name} has no endpoint but the source itself");
                self.dial = missing(message);
            }
            self.is_its_endpoints = !self.behind.is_empty();
            return;
        };
        self.described = format!("Service {namespace}/{name} ({address})");
        let mut ours = BTreeSet::new();
        let mut strangers = BTreeSet::new();
        let mut behind = BTreeMap::new();
        for endpoint in ready() {
            if let Some(index) = planned(live, endpoint) {
                let pod = live.plan.pod(index);
                ours.insert(pod.name.clone());
                let target = target(endpoint, port_name, transport);
                if let Some(number) = target
                    && index != case.source
                {
                    behind.insert(index, number);
                }
                self.backends.push(index);
                self.destination_nodes.insert(pod.node.clone());
            } else {
                strangers.insert(match &endpoint.pod {
                    Some((namespace, name)) => format!("{namespace}/{name}"),
                    None => endpoint.address.to_string(),
                });
            }
        }
        if !ours.is_empty() {
            self.claim.intended = Intended::Agents(ours);
            self.claim.strangers = strangers;
        }
        if behind.len() > 1 {
            let each = behind.into_iter();
            self.behind = each.map(|(pod, number)| backend(live, &case, pod, number)).collect();
        }
        let keyed = matches!(self.claim.intended, Intended::Agents(_));
        self.ask_with_witnesses(live, Whom::Address(address), keyed);
    }

    /// A name that may be a Service's with our own agents behind it: then one of them has
    /// to answer, and nobody else.
    fn towards_host(&mut self, live: &Live<'_>, name: &str, services: &Services) {
        let own = &live.plan.pod(self.case.source).namespace;
        let view =
            service_of(name, own).and_then(|key| services.get(&key)?.as_ref().ok()?.as_ref());
        if let Some(view) = view {
            let (ours, strangers) = behind(live, view);
            if !ours.is_empty() {
                self.claim.intended = Intended::Agents(ours);
                self.claim.strangers = strangers;
            }
        }
        let keyed = matches!(self.claim.intended, Intended::Agents(_));
        let family = self.case.family;
        self.ask_with_witnesses(live, Whom::Name(name.to_owned(), family), keyed);
    }

    pub(super) fn towards_foreign(&mut self, live: &Live<'_>, whom: Whom) {
        self.ask_with_witnesses(live, whom, false);
    }

    fn ask_with_witnesses(&mut self, live: &Live<'_>, whom: Whom, keyed: bool) {
        let case = self.case.clone();
        if keyed && case.ask.is_foreign() {
            let message = format!(
                "behind {} stand netproof's own probe pods, which answer its own questions only",
                self.described
            );
            self.dial = Err(Observation::NoDestination { message });
            return;
        }
        let script = match script(live, &case.ask) {
            Ok(script) => script,
            Err(nothing) => {
                self.dial = Err(nothing);
                return;
            }
        };
        let from = |source| Dial {
            source,
            whom: whom.clone(),
            port: case.port,
            script: script.clone(),
            timeout: case.timeout,
            keyed,
        };
        self.dial = Ok(from(case.source));
        // The source itself is no witness: what it sees is what is judged.
        let others = case.witnesses.iter().copied().filter(|witness| *witness != case.source);
        self.witnesses = others.map(from).collect();
    }

    /// It, and each backend by its own.
    fn with_behind(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.behind)
    }

    pub fn questions(&self) -> impl Iterator<Item = &Dial> {
        self.with_behind().flat_map(|asked| {
            let of_way = asked.way.iter().flat_map(|way| way.dial.iter().chain(&way.usual));
            asked.dial.iter().chain(of_way).chain(&asked.witnesses)
        })
    }

    pub fn listeners(&self) -> impl Iterator<Item = &Dial> {
        self.with_behind().filter_map(|asked| Some(&asked.listener.as_ref()?.0))
    }

    pub fn is_answered(&self, seen: &Observation) -> bool {
        match (seen, &self.claim.intended) {
            (
                Observation::Connected { by: AnsweredBy::Agent { identity, .. } },
                Intended::Agents(meant),
            ) => meant.contains(identity),
            (Observation::Connected { by: AnsweredBy::Echo }, Intended::Agents(_)) => true,
            _ => false,
        }
    }
}

/// What a case wants said.
fn script(live: &Live<'_>, ask: &Ask) -> Result<Script, Observation> {
    let http = ask.http.as_ref().map(|http| HttpRequest {
        method: http.method.clone(),
        path: http.path.clone(),
        host: http.host.clone(),
        headers: http.headers.clone().into_iter().collect(),
    });
    let tls = ask.tls.as_ref().map(|tls| {
        let ca = match &tls.ca {
            Authority::Public => None,
            Authority::Pem(text) => Some(text.clone()),
            Authority::Cluster => Some(live.authority.clone().ok_or_else(|| {
                let message =
                    "the kubeconfig names no certificate authority, as `ca: cluster` asks";
                Observation::NoDestination { message: message.to_owned() }
            })?),
        };
        Ok::<_, Observation>(Tls { server_name: tls.server_name.clone(), verify: tls.verify, ca })
    });
    Ok(Script {
        http,
        tls: tls.transpose()?,
        dns: ask
            .dns
            .as_ref()
            .map(|dns| DnsQuestion { name: dns.name.clone(), kind: dns.kind.clone() }),
        hold: None,
        payload: ask.udp.as_ref().map(|udp| netproof_probe::wire::hex::encode(&udp.payload)),
    })
}

/// What an allow wants to hear.
fn wanted(ask: &Ask) -> Option<WantedAnswer> {
    let status = ask.http.as_ref().map(|http| &http.status).filter(|status| !status.is_empty());
    if let Some(status) = status {
        return Some(WantedAnswer::Status(status.clone()));
    }
    if let Some(dns) = &ask.dns {
        return Some(WantedAnswer::Dns(dns.expect.clone()));
    }
    ask.udp.as_ref().map(|udp| WantedAnswer::Holds(udp.expect.clone()))
}

/// The agents of this run that are ready behind a Service, and who else is.
fn behind(live: &Live<'_>, view: &ServiceView) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut ours = BTreeSet::new();
    let mut strangers = BTreeSet::new();
    for endpoint in view.endpoints.iter().filter(|endpoint| endpoint.ready) {
        match &endpoint.pod {
            Some((namespace, name)) => {
                let mut pods = live.plan.pods.iter();
                if pods.any(|pod| pod.namespace == *namespace && pod.name == *name) {
                    ours.insert(name.clone());
                } else {
                    strangers.insert(format!("{namespace}/{name}"));
                }
            }
            None => {
                strangers.insert(endpoint.address.to_string());
            }
        }
    }
    (ours, strangers)
}

/// The Service that a name stands for in the cluster's DNS, from a pod of this namespace:
/// `api`, `api.shop`, `api.shop.svc`, `api.shop.svc.cluster.local`.
pub(super) fn service_of(name: &str, own: &str) -> Option<(String, String)> {
    let mut labels = name.trim_end_matches('.').split('.');
    let service = labels.next()?.to_owned();
    let namespace = labels.next().unwrap_or(own).to_owned();
    let is_service = labels.next().is_none_or(|label| label == "svc");
    is_service.then_some((namespace, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_cluster_s_dns_stands_for_a_service() {
        for (name, expected) in [
            ("api", Some(("lab", "api"))),
            ("api.shop", Some(("shop", "api"))),
            ("api.shop.svc", Some(("shop", "api"))),
            ("api.shop.svc.cluster.local.", Some(("shop", "api"))),
            ("www.example.org", None),
        ] {
            let expected = expected.map(|(place, name)| (place.to_owned(), name.to_owned()));
            assert_eq!(service_of(name, "lab"), expected, "{name}");
        }
    }
}
