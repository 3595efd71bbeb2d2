//! What a round asks for one case: its own question, and those of its controls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    dial::{Dial, Whom},
    live::Live,
    marker::control_dial,
    once::Once,
    script::{script, wanted},
};
use crate::{
    cluster::ServiceView,
    model::{Family, IpProtocol, Port},
    plan::{CONTROL_PORT, Destination, Moment, PlannedCase, PodIndex},
    verdict::{AnsweredBy, Claim, Intended, Observation},
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
        self.but_for_number() == other.but_for_number()
    }

    fn but_for_number(&self) -> (&str, &str, IpProtocol, Family) {
        (&self.from, &self.to, self.port.protocol.transport(), self.family)
    }
}

/// The way between the nodes of a case, and who else can try it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// What many cases of a round have in common.
#[derive(Default)]
pub(super) struct InCommon {
    ways: Once<Arc<Way>>,
    agents: Once<Arc<BTreeSet<String>>>,
}

/// A case with everything that this round asks for it.
pub(super) struct Asked<'a> {
    pub case: &'a PlannedCase,
    /// The port that is dialled: a backend's is its own.
    pub port: Port,
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
    /// The destination, asked from inside.
    pub listener: Option<Dial>,
    /// The way between the nodes of two pods.
    pub way: Option<Arc<Way>>,
    /// The same question from others.
    pub witnesses: Vec<Dial>,
    /// Who was dialled, for the report.
    pub described: Arc<str>,
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
        let mut asked = Self::of_nobody(live, case, case.port);
        match &case.destination {
            Destination::Pod(pod) => asked.towards_pod(live, *pod),
            Destination::Service { namespace, name } => {
                let key = (namespace.clone(), name.clone());
                asked.towards_service(live, namespace, name, services.get(&key));
            }
            Destination::Address(address) => {
                asked.described = address.to_string().into();
                asked.towards_foreign(live, Whom::Address(*address));
            }
            Destination::Host(name) => {
                asked.described = name.as_str().into();
                asked.towards_host(live, name, services);
            }
        }
        asked
    }

    pub(super) fn of_nobody(live: &Live<'_>, case: &'a PlannedCase, port: Port) -> Self {
        Self {
            case,
            port,
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
            listener: None,
            way: None,
            witnesses: Vec::new(),
            described: case.to.as_str().into(),
        }
    }

    /// Lets go of what it knows as others do.
    pub fn share(&mut self, common: &mut InCommon) {
        if let Some(way) = &mut self.way {
            common.ways.put(way);
        }
        if let Intended::Agents(agents) = &mut self.claim.intended {
            common.agents.put(agents);
        }
        self.behind.iter_mut().for_each(|behind| behind.share(common));
    }

    /// Nodes on which the destination's ingress isolation could block.
    pub fn destination_nodes<'l>(&self, live: &Live<'l>) -> BTreeSet<&'l str> {
        let ends = self.destination.iter().chain(&self.backends);
        ends.map(|pod| live.plan.pod(*pod).node.as_str()).collect()
    }

    /// The launched pods that its claim is about, as far as they are known.
    pub fn ends(&self) -> impl Iterator<Item = PodIndex> {
        let behind = self.destination.iter().chain(&self.backends);
        std::iter::once(self.case.source).chain(behind.copied())
    }

    pub(super) fn towards_pod(&mut self, live: &Live<'_>, pod: PodIndex) {
        let case = self.case;
        let planned = live.plan.pod(pod);
        self.claim.intended = Intended::Agents(Arc::new([planned.name.clone()].into()));
        self.claim.meshed |= live.state(pod).is_some_and(|state| state.meshed());
        self.destination = Some(pod);
        let Some(address) = live.address(pod, case.family) else {
            let message = format!("pod {} has no {} address", planned.name, case.family);
            self.dial = Err(Observation::NoDestination { message });
            return;
        };
        self.described = live.place(pod, case.family).into();
        if case.ask.is_foreign() {
            self.dial = Err(not_for_agents(&self.described));
            return;
        }
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
            port: self.port,
            script,
            timeout: case.timeout,
            keyed: true,
        };
        self.listener = Some(Dial { source: pod, ..dial.clone() });
        self.dial = Ok(dial);
        let path = NodePath {
            from: live.plan.pod(case.source).node.clone(),
            to: planned.node.clone(),
            port: self.port.bare(),
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
            self.way = Some(Arc::new(Way { path, dial, usual, pod: other }));
        }
    }

    pub(super) fn towards_foreign(&mut self, live: &Live<'_>, whom: Whom) {
        self.ask_with_witnesses(live, whom, false);
    }

    pub(super) fn ask_with_witnesses(&mut self, live: &Live<'_>, whom: Whom, keyed: bool) {
        let case = self.case;
        if keyed && case.ask.is_foreign() {
            self.dial = Err(not_for_agents(&self.described));
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
            port: self.port,
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
        self.with_behind().filter_map(|asked| asked.listener.as_ref())
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

/// Where a probe pod is asked what only an application answers.
fn not_for_agents(described: &str) -> Observation {
    let message = format!(
        "{described} is netproof's own or leads to its probe pods, which answer its own questions \
         only, and show a certificate that nobody has signed (`tls: {{verify: false}}`)"
    );
    Observation::NoDestination { message }
}
