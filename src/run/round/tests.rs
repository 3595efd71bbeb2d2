//! What rounds make of networks that are made up: who answers whom is told by a function.

mod marks;
mod paths;
mod services;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::*;
use crate::{
    cluster::{AGENT_CONTAINER, Pods},
    event::CanaryState,
    model::{Family, IpProtocol, Labels, RunId},
    plan::{self, Plan},
    verdict::{AnsweredBy, ControlKind, Reason, Verdict},
};

/// A suite's plan on two nodes, by all that follows its first two lines.
pub(in crate::run) fn planned(text: &str) -> Plan {
    let text = format!("apiVersion: netproof.dev/v1alpha1\nkind: Suite\n{text}");
    let nowhere = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let (suites, mistakes) = crate::suite::parse("lab.yaml", &text, &nowhere);
    assert!(mistakes.is_empty(), "{mistakes:#?}");
    let node = |name: &str| plan::Node { name: name.to_owned(), labels: BTreeMap::new() };
    let inputs = plan::Inputs {
        run: RunId::from_random(0),
        nodes: vec![node("one"), node("two")],
        families: vec![Family::Ipv4],
        services: BTreeMap::new(),
        control_namespace: None,
        filter: plan::Filter::default(),
        max_nodes: 2,
    };
    plan::build(&suites, &inputs).expect("a plan")
}

/// The address of a pod of the plan.
pub(in crate::run) fn address(pod: PodIndex) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(pod.0 + 1).expect("few pods")])
}

/// The pods of a plan, ready, each with its own address.
pub(in crate::run) async fn live(plan: &Plan) -> Live<'_> {
    relabelled(plan, |_| Vec::new()).await
}

/// The same, where pods wear other labels, one after another.
pub(in crate::run) async fn relabelled(
    plan: &Plan,
    worn: impl Fn(PodIndex) -> Vec<Labels>,
) -> Live<'_> {
    let all = plan.pods.iter().enumerate().flat_map(|(index, pod)| {
        let worn = worn(PodIndex(index));
        let first = worn.is_empty().then(|| pod.labels.clone());
        first.into_iter().chain(worn).map(move |labels| (index, pod, labels))
    });
    let pods = all.map(|(index, pod, mut labels)| -> Pod {
        let ip = address(PodIndex(index)).to_string();
        labels.insert("netproof.dev/probe".to_owned(), String::new());
        serde_json::from_value(json!({
            "metadata": {
                "name": pod.name, "namespace": pod.namespace, "uid": pod.name, "labels": labels,
            },
            "spec": {
                "nodeName": pod.node, "containers": [{"name": AGENT_CONTAINER}],
                "serviceAccountName": pod.service_account,
            },
            "status": {
                "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
                "conditions": [{"type": "ContainersReady", "status": "True"}],
            },
        }))
        .expect("a pod")
    });
    let pods = Pods::standing(&plan.run, &pods.collect::<Vec<_>>()).await;
    Live::new(plan, pods, None)
}

/// Canaries that were all isolated.
pub(in crate::run) fn proven(live: &Live<'_>) -> Marker {
    let transports = [IpProtocol::Tcp, IpProtocol::Udp].into();
    let marker = Marker::new(live, &transports, &[Family::Ipv4].into());
    let state = CanaryState::Proven { latency: Duration::ZERO };
    marker.states().extend(marker.dials.keys().map(|key| (key.clone(), state.clone())));
    marker
}

pub(in crate::run) fn agent(name: &str) -> Observation {
    let saw = "10.0.0.1:20000".parse().expect("an address");
    Observation::Connected { by: AnsweredBy::Agent { identity: name.to_owned(), saw } }
}

fn application() -> Observation {
    let summary = "HTTP 200".to_owned();
    Observation::Connected { by: AnsweredBy::Application { status: Some(200), summary } }
}

/// How a made-up network answers: from whom, to whom (an address or a name), on which port, and
/// in which part of the round (0 before the window, 1 in it, 2 again, 3 after it). What it says
/// nothing of is answered by whose address it is.
pub(in crate::run) type Told<'t> =
    &'t (dyn Fn(&str, &str, u16, u8) -> Option<Vec<(Option<IpAddr>, Observation)>> + Sync);

/// A name without what a run adds to it.
pub(in crate::run) fn short(name: &str) -> &str {
    name.trim_start_matches("np-aaaaaa-").trim_end_matches("-0")
}

/// What a network answers.
pub(in crate::run) fn answered(
    plan: &Plan,
    dials: &BTreeSet<Dial>,
    part: u8,
    told: Told<'_>,
) -> Dialled {
    let started = Instant::now();
    let seen = dials.iter().map(|dial| {
        let to = match &dial.whom {
            Whom::Address(to) => to.to_string(),
            Whom::Name(name, _) => name.clone(),
        };
        let owner = (0..plan.pods.len())
            .map(PodIndex)
            .find(|pod| matches!(dial.whom, Whom::Address(to) if to == address(*pod)));
        let named = owner.map_or(to.as_str(), |pod| short(&plan.pod(pod).name));
        let from = short(&plan.pod(dial.source).name);
        let found = told(from, named, dial.port.number, part).unwrap_or_else(|| {
            let seen = owner.map_or(Observation::TimedOut, |pod| agent(&plan.pod(pod).name));
            vec![(to.parse().ok(), seen)]
        });
        let seen = found.into_iter().map(|(address, observation)| Seen {
            address,
            observation,
            at: started,
        });
        (dial.clone(), seen.collect())
    });
    let seen = seen.collect();
    Dialled { started, ended: Instant::now(), seen }
}

/// The judgement of each case, by its name.
async fn judged(
    live: &Live<'_>,
    marker: &Marker,
    services: &Services,
    told: Told<'_>,
) -> BTreeMap<String, (Judgement, Controls)> {
    let cases: Vec<&PlannedCase> = live.plan.cases().collect();
    let asked = cases.iter().map(|case| Asked::new(live, case, services)).collect();
    let part = Cell::new(0);
    let round = ask_by(asked, async |dials: BTreeSet<Dial>| {
        part.set(part.get() + 1);
        answered(live.plan, &dials, part.get() - 1, told)
    })
    .await;
    let judged = round.judge(live, marker, &BTreeMap::new());
    let each = cases.iter().zip(judged);
    each.map(|(case, judged)| (case.name.clone(), (judged.judgement, judged.controls))).collect()
}

/// Silence.
pub(in crate::run) fn silent() -> Option<Vec<(Option<IpAddr>, Observation)>> {
    Some(vec![(None, Observation::TimedOut)])
}

pub(in crate::run) fn answer(
    observation: Observation,
) -> Option<Vec<(Option<IpAddr>, Observation)>> {
    Some(vec![(None, observation)])
}
