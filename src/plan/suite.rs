//! Plans one suite: its cases, the pods that these need, and who bears witness.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    CaseId, Destination, PlannedCase, PlannedNamespace, PlannedPod, PodIndex, Role, StepPlan,
    SuitePlan,
    build::{Inputs, PlanError},
    change::Changes,
    identity::Identities,
    names::Names,
    objects,
};
use crate::{
    model::{Connectivity, Family},
    suite::{Case, Change, Peer, ServicePeer, Suite, replace_namespace_references},
};

/// The name of the step that the cases before any step make.
const BASE: &str = "base";

/// What the suites of a plan have in common.
pub(super) struct Shared<'i> {
    pub(super) inputs: &'i Inputs,
    pub(super) names: Names,
    pub(super) pods: Vec<PlannedPod>,
    /// Kinds and names of cluster-scoped objects.
    pub(super) objects: BTreeSet<(String, String)>,
    pub(super) filtered_out: usize,
}

/// A claim that passed the filter, its ends found.
struct Kept<'a> {
    id: CaseId,
    /// Its step's place in the suite; none for the cases before any.
    step: Option<usize>,
    case: &'a Case,
    family: Family,
    source: usize,
    end: End<'a>,
    reached_by: Option<usize>,
    /// Sources of allow cases to the same Service and port.
    backers: Vec<usize>,
}

#[derive(Clone, Copy)]
enum End<'a> {
    Pod(usize),
    Service(&'a ServicePeer),
    Address(std::net::IpAddr),
    Host(&'a str),
}

/// Plans a suite; `None` where the filter leaves no case of it.
pub(super) fn plan(
    suite: &Suite,
    namespaces: &BTreeMap<String, String>,
    shared: &mut Shared<'_>,
) -> Result<Option<SuitePlan>, PlanError> {
    let identities = Identities::find(suite, shared.inputs)?;
    let kept = keep(suite, &identities, shared)?;
    if kept.is_empty() {
        return Ok(None);
    }
    let first_pod = shared.pods.len();
    let needed = needed(suite, &identities, &kept);
    let index = add_pods(&identities, &needed, suite, namespaces, shared);
    let mut stand_ins = BTreeMap::new();
    let mut cases: Vec<(Option<usize>, PlannedCase)> = Vec::new();
    for kept in &kept {
        let node = &identities.all[kept.source].node;
        let mut witnesses: Vec<PodIndex> = kept
            .backers
            .iter()
            .filter(|backer| identities.all[**backer].node == *node && **backer != kept.source)
            .filter_map(|backer| index.get(backer).copied())
            .collect();
        if witnesses.is_empty()
            && !kept.backers.contains(&kept.source)
            && let Some(backer) = kept.backers.iter().find(|backer| index.contains_key(backer))
        {
            let key = (*backer, node.as_str());
            let stand_in = stand_ins
                .entry(key)
                .or_insert_with(|| add_stand_in(index[backer], node, &mut *shared));
            witnesses.push(*stand_in);
        }
        witnesses.extend(kept.reached_by.and_then(|pod| index.get(&pod).copied()));
        cases.push((kept.step, planned(kept, suite, &index, namespaces, witnesses)));
    }
    let setup = suite.setup.namespaces.iter().filter_map(|(alias, namespace)| {
        Some(PlannedNamespace {
            alias: alias.clone(),
            name: namespaces.get(alias)?.clone(),
            labels: namespace.labels.clone(),
            annotations: namespace.annotations.clone(),
        })
    });
    let (objects, names) =
        objects::plan(suite, &shared.inputs.run, namespaces, &mut shared.objects);
    let mut pods: BTreeMap<usize, Vec<PodIndex>> =
        index.iter().map(|(identity, pod)| (*identity, vec![*pod])).collect();
    for ((identity, _), stand_in) in stand_ins {
        pods.entry(identity).or_default().push(stand_in);
    }
    let changes = Changes { names: &names, namespaces, identities: &identities, pods: &pods };
    let last = cases.iter().filter_map(|(step, _)| *step).max().map_or(0, |last| last + 1);
    let mut of_step = |wanted: Option<usize>| -> Vec<PlannedCase> {
        cases.extract_if(.., |(step, _)| *step == wanted).map(|(_, case)| case).collect()
    };
    let base = of_step(None);
    let steps = suite.steps.iter().take(last).enumerate().map(|(place, step)| StepPlan {
        name: step.name.clone(),
        changes: changes.plan(step),
        cases: of_step(Some(place)),
    });
    let steps = steps.collect();
    Ok(Some(SuitePlan {
        name: suite.name.clone(),
        namespaces: setup.collect(),
        objects,
        pods: (first_pod..shared.pods.len()).map(PodIndex).collect(),
        cases: base,
        steps,
    }))
}

/// The suite's cases, one per family, that pass the filter.
fn keep<'a>(
    suite: &'a Suite,
    identities: &Identities<'a>,
    shared: &mut Shared<'_>,
) -> Result<Vec<Kept<'a>>, PlanError> {
    let mut all = Vec::new();
    for (step, name, case) in claims(suite) {
        let wrong = |peer: &str| PlanError::Peer {
            suite: suite.name.clone(),
            case: case.name.clone(),
            peer: peer.to_owned(),
        };
        let pod = |peer: &str| identities.of(peer).ok_or_else(|| wrong(peer));
        let peer = suite.peers.get(&case.to).ok_or_else(|| wrong(&case.to))?;
        let end = match peer {
            Peer::Pod(_) => End::Pod(pod(&case.to)?),
            Peer::Service(service) => End::Service(service),
            Peer::Ip(address) => End::Address(*address),
            Peer::Host(name) => End::Host(name),
        };
        let families = match (case.family, peer) {
            (Some(family), _) => vec![family],
            // Also one that the cluster's pods don't have: then the case is listed as not
            // run, in place of vanishing.
            (None, Peer::Ip(address)) => vec![Family::of(*address)],
            (None, _) => shared.inputs.families.clone(),
        };
        for family in families {
            let id =
                CaseId(format!("{}/{name}/{}/{}/{family}", suite.name, case.name, case.port.label));
            if !shared.inputs.filter.keeps(&id) {
                shared.filtered_out += 1;
                continue;
            }
            all.push(Kept {
                id,
                step,
                case,
                family,
                source: pod(&case.from)?,
                end,
                reached_by: case.reached_by.as_deref().map(pod).transpose()?,
                backers: backers(suite, step, identities, case, end),
            });
        }
    }
    Ok(all)
}

/// All claims with their step's place and name.
fn claims(suite: &Suite) -> impl Iterator<Item = (Option<usize>, &str, &Case)> {
    let base = suite.cases.iter().map(|case| (None, BASE, case));
    let steps = suite.steps.iter().enumerate();
    base.chain(steps.flat_map(|(place, step)| {
        step.cases.iter().map(move |case| (Some(place), step.name.as_str(), case))
    }))
}

/// Sources of the step's allow cases to the same Service and port, filtered out or not.
fn backers(
    suite: &Suite,
    step: Option<usize>,
    identities: &Identities<'_>,
    of: &Case,
    end: End<'_>,
) -> Vec<usize> {
    let End::Service(service) = end else { return Vec::new() };
    let mut backers = Vec::new();
    for (_, _, case) in claims(suite).filter(|(of, ..)| *of == step) {
        let same = matches!(suite.peers.get(&case.to), Some(Peer::Service(to)) if to == service)
            && case.port.port.number == of.port.port.number
            && case.port.port.protocol.transport() == of.port.port.protocol.transport()
            && case.expect == Connectivity::Allowed;
        if same
            && let Some(source) = identities.of(&case.from)
            && !backers.contains(&source)
        {
            backers.push(source);
        }
    }
    backers
}

/// The identities that the remaining cases can't do without.
fn needed(suite: &Suite, identities: &Identities<'_>, kept: &[Kept<'_>]) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    for kept in kept {
        needed.insert(kept.source);
        needed.extend(kept.reached_by);
        match kept.end {
            End::Pod(pod) => {
                needed.insert(pod);
            }
            End::Service(service) => needed.extend(backends(suite, identities, service)),
            End::Host(name) => needed.extend(behind_name(suite, identities, name)),
            End::Address(_) => {}
        }
    }
    // A Service's witness: on the source's node where the suite has one there, and one
    // that runs anyway before another.
    for kept in kept {
        let node = &identities.all[kept.source].node;
        let near: Vec<usize> = kept
            .backers
            .iter()
            .copied()
            .filter(|&backer| identities.all[backer].node == *node)
            .collect();
        let candidates = if near.is_empty() { &kept.backers } else { &near };
        if !candidates.iter().any(|candidate| needed.contains(candidate)) {
            needed.extend(candidates.first());
        }
    }
    needed
}

/// The identities that a Service of the suite may have as backends.
fn backends(suite: &Suite, identities: &Identities<'_>, service: &ServicePeer) -> Vec<usize> {
    let own = suite.setup.namespaces.get(&service.namespace);
    let found = services(suite).find(|object| {
        let namespace = objects::text(object, "/metadata/namespace");
        objects::text(object, "/metadata/name") == service.name
            && (namespace == service.namespace
                || own.is_some_and(|own| own.name.as_deref() == Some(namespace)))
    });
    match found {
        Some(object) => selected(object, identities, &service.namespace),
        // Somebody else makes it, in a namespace of ours: any pod there may be behind it.
        None if own.is_some() => in_namespace(identities, &service.namespace).collect(),
        None => Vec::new(),
    }
}

/// The identities that may answer for a name, which is most often a Service's.
fn behind_name(suite: &Suite, identities: &Identities<'_>, name: &str) -> Vec<usize> {
    let first = name.split('.').next().unwrap_or_default();
    let named = services(suite).filter(|object| objects::text(object, "/metadata/name") == first);
    named
        .flat_map(|object| {
            selected(object, identities, objects::text(object, "/metadata/namespace"))
        })
        .collect()
}

fn services(suite: &Suite) -> impl Iterator<Item = &Value> {
    let of_steps = suite.changes().flatten().filter_map(|change| match change {
        Change::Apply(manifest) => Some(manifest),
        _ => None,
    });
    let manifests = suite.setup.manifests.iter().chain(of_steps);
    manifests
        .flat_map(|manifest| &manifest.objects)
        .filter(|object| objects::text(object, "/kind") == "Service")
}

/// What a Service selects; all of its namespace where its endpoints are made by hand.
fn selected(service: &Value, identities: &Identities<'_>, namespace: &str) -> Vec<usize> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let has = |index: &usize| {
        identities.all[*index].worn.iter().any(|labels| {
            selector
                .into_iter()
                .flatten()
                .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        })
    };
    in_namespace(identities, namespace).filter(has).collect()
}

fn in_namespace(identities: &Identities<'_>, namespace: &str) -> impl Iterator<Item = usize> {
    let all = identities.all.iter().enumerate();
    all.filter(move |(_, identity)| identity.peer.namespace == namespace).map(|(index, _)| index)
}

/// Adds the needed pods; tells where each identity's pod stands in the plan.
fn add_pods(
    identities: &Identities<'_>,
    needed: &BTreeSet<usize>,
    suite: &Suite,
    namespaces: &BTreeMap<String, String>,
    shared: &mut Shared<'_>,
) -> BTreeMap<usize, PodIndex> {
    let mut index = BTreeMap::new();
    for &number in needed {
        let identity = &identities.all[number];
        let peer = identity.peer;
        let first = identity.names.first().copied().unwrap_or_default();
        index.insert(number, PodIndex(shared.pods.len()));
        shared.pods.push(PlannedPod {
            name: shared.names.give(first, "-0"),
            namespace: cluster_name(&peer.namespace, namespaces),
            namespace_created: suite.setup.namespaces.contains_key(&peer.namespace),
            labels: peer.labels.clone(),
            annotations: peer.annotations.clone(),
            service_account: peer.service_account.clone(),
            ports: identity.ports.clone(),
            node: identity.node.clone(),
            role: Role::Peer {
                names: identity.names.iter().map(|&name| name.to_owned()).collect(),
            },
        });
    }
    index
}

/// Adds a copy of a pod on another node.
fn add_stand_in(of: PodIndex, node: &str, shared: &mut Shared<'_>) -> PodIndex {
    let original = &shared.pods[of.0];
    let first = match &original.role {
        Role::Peer { names } => names.first().map_or("peer", String::as_str),
        _ => "peer",
    };
    let name = shared.names.give(&format!("{first}-stand-in"), "-0");
    let pod =
        PlannedPod { name, node: node.to_owned(), role: Role::StandIn { of }, ..original.clone() };
    shared.pods.push(pod);
    PodIndex(shared.pods.len() - 1)
}

fn planned(
    kept: &Kept<'_>,
    suite: &Suite,
    index: &BTreeMap<usize, PodIndex>,
    namespaces: &BTreeMap<String, String>,
    witnesses: Vec<PodIndex>,
) -> PlannedCase {
    let case = kept.case;
    // Both ends are among the needed identities, which all have their pods.
    PlannedCase {
        id: kept.id.clone(),
        step: kept.step.map_or(BASE, |step| suite.steps[step].name.as_str()).to_owned(),
        name: case.name.clone(),
        from: case.from.clone(),
        to: case.to.clone(),
        port_label: case.port.label.clone(),
        port: case.port.port,
        family: kept.family,
        source: index[&kept.source],
        destination: match kept.end {
            End::Pod(pod) => Destination::Pod(index[&pod]),
            End::Service(service) => Destination::Service {
                namespace: cluster_name(&service.namespace, namespaces),
                name: service.name.clone(),
            },
            End::Address(address) => Destination::Address(address),
            End::Host(name) => Destination::Host(replace_namespace_references(name, namespaces)),
        },
        expect: case.expect,
        within: case.within.unwrap_or(suite.within),
        because: case.because.clone(),
        evidence: case.evidence,
        denial: case.denial,
        witnesses,
        http: case.http.clone(),
        location: case.location.clone(),
    }
}

fn cluster_name(namespace: &str, namespaces: &BTreeMap<String, String>) -> String {
    namespaces.get(namespace).map_or(namespace, String::as_str).to_owned()
}
