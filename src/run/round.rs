//! One round: every case is asked once, between two looks at the listeners.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    controls::Evidence,
    dial::{Dial, Dialled, Seen, Whom},
    live::Live,
    marker::{Marker, control_dial},
};
use crate::{
    cluster::{RunContext, ServiceView},
    model::{Family, Transport},
    plan::{Destination, PlannedCase, PodIndex, SuitePlan},
    verdict::{AnsweredBy, Claim, Controls, Intended, Judgement, Observation, judge},
};

/// Which nodes a case's packets travel between, and as what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodePath {
    pub from: String,
    pub to: String,
    pub transport: Transport,
    pub family: Family,
}

/// A case with everything that this round asks for it.
pub(super) struct Asked<'a> {
    pub case: &'a PlannedCase,
    pub claim: Claim,
    /// The case's own question, or why there is none.
    pub dial: Result<Dial, Observation>,
    /// The destination, where it is one pod by its own address.
    pub destination: Option<PodIndex>,
    /// Nodes on which the destination's ingress isolation could block.
    pub destination_nodes: BTreeSet<String>,
    /// The destination, asked from inside.
    pub listener: Option<(Dial, PodIndex)>,
    /// The way between the nodes; the question is missing where no control pod can ask.
    pub node_path: Option<(NodePath, Option<Dial>, PodIndex)>,
    /// The same question from others.
    pub witnesses: Vec<Dial>,
    /// Who was dialled, for the report.
    pub described: String,
}

/// What a round saw, before anything is judged.
pub(super) struct Round<'a> {
    asked: Vec<Asked<'a>>,
    before: Dialled,
    window: Dialled,
    again: Dialled,
    after: Dialled,
    answered: BTreeMap<NodePath, String>,
}

/// What a round says of one case.
pub(super) struct CaseRound {
    pub claim: Claim,
    pub judgement: Judgement,
    pub seen: Seen,
    pub controls: Controls,
    pub described: String,
}

/// The Services of a suite's cases as they stand, or why they could not be read.
type Services = BTreeMap<(String, String), Result<Option<ServiceView>, String>>;

/// Asks everything once. `strange` holds pods that aren't what the plan says.
pub(super) async fn ask<'a>(
    context: &RunContext,
    live: &Live<'_>,
    suite: &'a SuitePlan,
    strange: &BTreeMap<PodIndex, String>,
    timing: netproof_probe::wire::Timing,
) -> Round<'a> {
    let services = services(context, suite).await;
    let asked: Vec<Asked<'a>> =
        suite.cases.iter().map(|case| Asked::new(live, case, &services, strange)).collect();
    let listeners =
        asked.iter().filter_map(|asked| Some(asked.listener.as_ref()?.0.clone())).collect();
    let questions = asked.iter().flat_map(Asked::questions).cloned().collect();

    let before = live.dial(&listeners, timing).await;
    let window = live.dial(&questions, timing).await;
    let again = live.dial(&addresses_missed(&asked, &window), timing).await;
    let after = live.dial(&listeners, timing).await;

    let mut answered = BTreeMap::new();
    for asked in &asked {
        if let (Some((path, ..)), Ok(dial)) = (&asked.node_path, &asked.dial)
            && window.of(dial).iter().any(|seen| asked.is_answered(&seen.observation))
        {
            answered.insert(path.clone(), asked.case.id.to_string());
        }
    }
    Round { asked, before, window, again, after, answered }
}

impl Round<'_> {
    /// When its first question was put.
    pub fn started(&self) -> Instant {
        self.window.started
    }

    /// When its last answer came.
    pub fn ended(&self) -> Instant {
        self.after.ended
    }

    /// Judges every case, in the suite's order.
    pub fn judge(&self, live: &Live<'_>, marker: &Marker) -> Vec<CaseRound> {
        let evidence = Evidence {
            live,
            marker,
            before: &self.before,
            window: &self.window,
            again: &self.again,
            after: &self.after,
            answered: &self.answered,
        };
        self.asked.iter().map(|asked| self.judge_case(asked, &evidence)).collect()
    }

    /// The gravest judgement over all addresses stands for the case.
    fn judge_case(&self, asked: &Asked<'_>, evidence: &Evidence<'_>) -> CaseRound {
        let seen = match &asked.dial {
            Ok(dial) => self.window.of(dial).to_vec(),
            Err(observation) => vec![Seen {
                address: None,
                observation: observation.clone(),
                at: self.window.started,
            }],
        };
        let gravest = seen
            .into_iter()
            .map(|seen| {
                let controls = evidence.controls(asked, seen.address);
                (judge(&asked.claim, &seen.observation, &controls), seen, controls)
            })
            .max_by_key(|(judgement, ..)| judgement.verdict);
        let (judgement, seen, controls) = gravest.unwrap_or_else(|| {
            let message = "the agent gave no result".to_owned();
            let observation = Observation::AgentFailed { message };
            let controls = Controls::default();
            let judgement = judge(&asked.claim, &observation, &controls);
            (judgement, Seen { address: None, observation, at: self.window.started }, controls)
        });
        let claim = asked.claim.clone();
        CaseRound { claim, judgement, seen, controls, described: asked.described.clone() }
    }
}

impl<'a> Asked<'a> {
    fn new(
        live: &Live<'_>,
        case: &'a PlannedCase,
        services: &Services,
        strange: &BTreeMap<PodIndex, String>,
    ) -> Self {
        let meshed = |pod| live.state(pod).is_some_and(|state| state.meshed());
        let mut asked = Self {
            case,
            claim: Claim {
                expect: case.expect,
                intended: Intended::Foreign,
                evidence: case.evidence,
                denial: case.denial,
                meshed: meshed(case.source),
            },
            dial: Err(Observation::NoDestination { message: "no destination".to_owned() }),
            destination: None,
            destination_nodes: BTreeSet::new(),
            listener: None,
            node_path: None,
            witnesses: Vec::new(),
            described: case.to.clone(),
        };
        match &case.destination {
            Destination::Pod(pod) => asked.towards_pod(live, *pod),
            Destination::Service { namespace, name } => {
                let key = (namespace.clone(), name.clone());
                asked.towards_service(live, namespace, name, services.get(&key));
            }
            Destination::Address(address) => {
                asked.described = address.to_string();
                asked.towards_foreign(Whom::Address(*address));
            }
            Destination::Host(name) => {
                asked.described.clone_from(name);
                asked.towards_foreign(Whom::Name(name.clone()));
            }
        }
        let ends = std::iter::once(case.source).chain(asked.destination);
        if let Some(message) = ends.filter_map(|pod| strange.get(&pod)).next() {
            asked.dial = Err(Observation::NotAsPlanned { message: message.clone() });
        }
        asked
    }

    fn towards_pod(&mut self, live: &Live<'_>, pod: PodIndex) {
        let case = self.case;
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
        let dial = Dial {
            source: case.source,
            whom: Whom::Address(address),
            port: case.port,
            keyed: true,
        };
        self.listener = Some((Dial { source: pod, ..dial.clone() }, pod));
        self.dial = Ok(dial);
        let path = NodePath {
            from: live.plan.pod(case.source).node.clone(),
            to: planned.node.clone(),
            transport: case.port.protocol.transport(),
            family: case.family,
        };
        let controls = &live.plan.controls;
        if let (Some(from), Some(to)) = (controls.get(&path.from), controls.get(&path.to)) {
            // On one node the witness needs somebody else who may be reached.
            let other = if path.from == path.to { to.canary_egress } else { to.witness };
            let dial = control_dial(live, from.witness, other, path.transport, path.family);
            self.node_path = Some((path, dial, other));
        }
    }

    fn towards_service(
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
        if !view.ports.iter().any(|(_, port, over)| (*port, *over) == (number, transport)) {
            let message =
                format!("Service {namespace}/{name} has no port {number} over {transport}");
            self.dial = missing(message);
            return;
        }
        let ready = || view.endpoints.iter().filter(|endpoint| endpoint.ready);
        if ready().next().is_none() {
            self.dial = missing(format!("Service {namespace}/{name} has no ready endpoints"));
            return;
        }
        let of_family = |address: &&std::net::IpAddr| Family::of(**address) == case.family;
        let Some(address) = view.cluster_ips.iter().find(of_family).copied() else {
            let message = format!("Service {namespace}/{name} has no {} address", case.family);
            self.dial = missing(message);
            return;
        };
        self.described = format!("Service {namespace}/{name} ({address})");
        let mut ours = BTreeSet::new();
        for (backend_namespace, backend) in ready().filter_map(|endpoint| endpoint.pod.as_ref()) {
            let pod = live
                .plan
                .pods
                .iter()
                .find(|pod| pod.namespace == *backend_namespace && pod.name == *backend);
            if let Some(pod) = pod {
                ours.insert(pod.name.clone());
                self.destination_nodes.insert(pod.node.clone());
            }
        }
        if !ours.is_empty() {
            self.claim.intended = Intended::Agents(ours);
        }
        let keyed = matches!(self.claim.intended, Intended::Agents(_));
        self.ask_with_witnesses(Whom::Address(address), keyed);
    }

    fn towards_foreign(&mut self, whom: Whom) {
        self.ask_with_witnesses(whom, false);
    }

    fn ask_with_witnesses(&mut self, whom: Whom, keyed: bool) {
        let case = self.case;
        let from = |source| Dial { source, whom: whom.clone(), port: case.port, keyed };
        self.dial = Ok(from(case.source));
        // The source itself is no witness: what it sees is what is judged.
        let others = case.witnesses.iter().copied().filter(|witness| *witness != case.source);
        self.witnesses = others.map(from).collect();
    }

    fn questions(&self) -> impl Iterator<Item = &Dial> {
        let node_path = self.node_path.as_ref().and_then(|(_, dial, _)| dial.as_ref());
        self.dial.iter().chain(node_path).chain(&self.witnesses)
    }

    fn is_answered(&self, seen: &Observation) -> bool {
        match (seen, &self.claim.intended) {
            (
                Observation::Connected { by: AnsweredBy::Agent { identity, .. } },
                Intended::Agents(meant),
            ) => meant.contains(identity),
            _ => false,
        }
    }
}

async fn services(context: &RunContext, suite: &SuitePlan) -> Services {
    let names: BTreeSet<(String, String)> = suite
        .cases
        .iter()
        .filter_map(|case| match &case.destination {
            Destination::Service { namespace, name } => Some((namespace.clone(), name.clone())),
            _ => None,
        })
        .collect();
    let views = names.into_iter().map(|(namespace, name)| async move {
        let view = context.service(&namespace, &name).await.map_err(|error| error.to_string());
        ((namespace, name), view)
    });
    futures::future::join_all(views).await.into_iter().collect()
}

/// A witness resolves a name for itself; what only the source was told is dialled by
/// its address.
fn addresses_missed(asked: &[Asked<'_>], window: &Dialled) -> BTreeSet<Dial> {
    let mut missed = BTreeSet::new();
    for asked in asked {
        let Ok(dial) = &asked.dial else { continue };
        if !matches!(dial.whom, Whom::Name(_)) {
            continue;
        }
        for address in window.of(dial).iter().filter_map(|seen| seen.address) {
            for witness in &asked.witnesses {
                if !window.of(witness).iter().any(|seen| seen.address == Some(address)) {
                    missed.insert(Dial { whom: Whom::Address(address), ..witness.clone() });
                }
            }
        }
    }
    missed
}
