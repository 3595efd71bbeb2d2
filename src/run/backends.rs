//! Who stands behind a Service, as its EndpointSlices have it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    asked::{Asked, Services},
    dial::Whom,
    live::Live,
};
use crate::{
    cluster::{Endpoint, ServiceView},
    model::{Family, IpProtocol, Port},
    plan::{PlannedCase, PodIndex},
    verdict::{Intended, Observation},
};

impl Asked<'_> {
    pub(super) fn towards_service(
        &mut self,
        live: &Live<'_>,
        namespace: &str,
        name: &str,
        view: Option<&Result<Option<ServiceView>, String>>,
    ) {
        let case = self.case;
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
            self.described = format!("Service {namespace}/{name} (headless)").into();
            self.behind = headless(live, case, ready(), port_name);
            if self.behind.is_empty() {
                let message =
                    format!("Service {namespace}/{name} has no endpoint but the source itself");
                self.dial = missing(message);
            }
            self.is_its_endpoints = !self.behind.is_empty();
            return;
        };
        self.described = format!("Service {namespace}/{name} ({address})").into();
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
            } else {
                strangers.insert(stranger(endpoint));
            }
        }
        if !ours.is_empty() {
            self.claim.intended = Intended::Agents(Arc::new(ours));
            self.claim.strangers = strangers;
        }
        if behind.len() > 1 {
            let each = behind.into_iter();
            self.behind = each.map(|(pod, number)| backend(live, case, pod, number)).collect();
        }
        let keyed = matches!(self.claim.intended, Intended::Agents(_));
        self.ask_with_witnesses(live, Whom::Address(address), keyed);
    }

    /// A name that may be a Service's with our own agents behind it: then one of them has
    /// to answer, and nobody else.
    pub(super) fn towards_host(&mut self, live: &Live<'_>, name: &str, services: &Services) {
        let own = &live.plan.pod(self.case.source).namespace;
        let view =
            service_of(name, own).and_then(|key| services.get(&key)?.as_ref().ok()?.as_ref());
        if let Some(view) = view {
            let (ours, strangers) = behind(live, view);
            if !ours.is_empty() {
                self.claim.intended = Intended::Agents(Arc::new(ours));
                self.claim.strangers = strangers;
            }
        }
        let keyed = matches!(self.claim.intended, Intended::Agents(_));
        let family = self.case.family;
        self.ask_with_witnesses(live, Whom::Name(name.to_owned(), family), keyed);
    }
}

/// The launched pod that an endpoint is, if it is one.
fn planned(live: &Live<'_>, endpoint: &Endpoint) -> Option<PodIndex> {
    let (namespace, name) = endpoint.pod.as_ref()?;
    let mut all = live.plan.pods.iter();
    all.position(|pod| pod.namespace == *namespace && pod.name == *name).map(PodIndex)
}

/// What an endpoint is called that is no launched pod.
fn stranger(endpoint: &Endpoint) -> String {
    match &endpoint.pod {
        Some((namespace, name)) => format!("{namespace}/{name}"),
        None => endpoint.address.to_string(),
    }
}

/// The number that a port of a Service has at an endpoint.
fn target(endpoint: &Endpoint, port_name: &str, transport: IpProtocol) -> Option<u16> {
    let mut ports = endpoint.ports.iter();
    let found = ports.find(|(name, _, over)| (name.as_str(), *over) == (port_name, transport));
    found.map(|(_, number, _)| *number)
}

/// A backend by its own address.
fn backend<'a>(live: &Live<'_>, case: &'a PlannedCase, pod: PodIndex, number: u16) -> Asked<'a> {
    let mut asked = Asked::of_nobody(live, case, Port { number, ..case.port });
    asked.towards_pod(live, pod);
    asked
}

/// The endpoints of a headless Service, ours and others', without the source itself.
fn headless<'a, 'e>(
    live: &Live<'_>,
    case: &'a PlannedCase,
    endpoints: impl Iterator<Item = &'e Endpoint>,
    port_name: &str,
) -> Vec<Asked<'a>> {
    let mut all = Vec::new();
    for endpoint in endpoints {
        let transport = case.port.protocol.transport();
        let Some(number) = target(endpoint, port_name, transport) else { continue };
        match planned(live, endpoint) {
            Some(pod) if pod == case.source => {}
            Some(pod) => all.push(backend(live, case, pod, number)),
            None => {
                let mut asked = Asked::of_nobody(live, case, Port { number, ..case.port });
                asked.described = match &endpoint.pod {
                    Some((namespace, name)) => {
                        format!("{namespace}/{name} ({})", endpoint.address).into()
                    }
                    None => endpoint.address.to_string().into(),
                };
                asked.towards_foreign(live, Whom::Address(endpoint.address));
                all.push(asked);
            }
        }
    }
    all
}

/// The agents of this run that are ready behind a Service, and who else is.
fn behind(live: &Live<'_>, view: &ServiceView) -> (BTreeSet<String>, BTreeSet<String>) {
    let mut ours = BTreeSet::new();
    let mut strangers = BTreeSet::new();
    for endpoint in view.endpoints.iter().filter(|endpoint| endpoint.ready) {
        match planned(live, endpoint) {
            Some(pod) => ours.insert(live.plan.pod(pod).name.clone()),
            None => strangers.insert(stranger(endpoint)),
        };
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
