//! Plans one suite: its cases, the pods that these need, and who bears witness.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    CaseId, Destination, Moment, PlannedCase, PlannedNamespace, PlannedPod, PodIndex, Role,
    StepPlan, SuitePlan,
    build::{Inputs, PlanError},
    change::Changes,
    families,
    identity::Identities,
    names::Names,
    objects, services,
};
use crate::{
    model::{Connectivity, Family, Port},
    suite::{
        Case, Peer, ServicePeer, Suite, Survival, addressed_peers, replace_namespace_references,
    },
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
#[derive(Clone)]
struct Kept<'a> {
    id: CaseId,
    /// Its step's place in the suite; none for the cases before any.
    step: Option<usize>,
    case: &'a Case,
    /// Its name; an endpoint's has that of the endpoint, too.
    name: String,
    moment: Moment,
    expect: Connectivity,
    /// Who is dialled, as the suite calls it.
    to: String,
    port: Port,
    family: Family,
    source: usize,
    end: End<'a>,
    reached_by: Option<usize>,
    /// Sources of allow cases to the same Service and port.
    backers: Vec<usize>,
}

#[derive(Clone, Copy)]
pub(super) enum End<'a> {
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
    let mut newcomers = BTreeMap::new();
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
        let mut case = planned(kept, suite, &index, namespaces, witnesses);
        if let Some(of) = case.newcomer() {
            let newcomer =
                *newcomers.entry((kept.step, of)).or_insert_with(|| add_newcomer(of, &mut *shared));
            case.be_about(newcomer);
        }
        cases.push((kept.step, case));
    }
    let setup = suite.setup.namespaces.iter().filter_map(|(alias, namespace)| {
        Some(PlannedNamespace {
            alias: alias.clone(),
            name: namespaces.get(alias)?.clone(),
            labels: namespace.labels.clone(),
            annotations: namespace.annotations.clone(),
        })
    });
    let peers = index.iter().flat_map(|(identity, pod)| {
        let name = &shared.pods[pod.0].name;
        let peers = identities.all[*identity].names.iter();
        peers.map(move |peer| ((*peer).to_owned(), name.clone()))
    });
    let peers = peers.collect();
    let (objects, names) =
        objects::plan(suite, &shared.inputs.run, namespaces, peers, &mut shared.objects);
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

/// The suite's cases, one per family, that pass the filter; those of a Service each with
/// one for every pod that is known to stand behind it.
fn keep<'a>(
    suite: &'a Suite,
    identities: &Identities<'a>,
    shared: &mut Shared<'_>,
) -> Result<Vec<Kept<'a>>, PlanError> {
    let mut all = Vec::new();
    let mut left_out = 0;
    let keeps = |kept: &Kept<'_>| shared.inputs.filter.keeps(&kept.id);
    for (step, step_name, case) in claims(suite) {
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
        let source = pod(&case.from)?;
        let families = case
            .family
            .map_or_else(|| families::of(suite, peer, shared.inputs, step), |family| vec![family]);
        let endpoints = services::endpoints(suite, identities, step, case, source);
        for family in families {
            let id =
                format!("{}/{step_name}/{}/{}/{family}", suite.name, case.name, case.port.label);
            let whole = Kept {
                id: CaseId(id.clone()),
                step,
                case,
                name: case.name.clone(),
                moment: Moment::Fresh,
                expect: case.expect,
                to: case.to.clone(),
                port: case.port.port,
                family,
                source,
                end,
                reached_by: case.reached_by.as_deref().map(pod).transpose()?,
                backers: services::backers(suite, step, identities, case, end),
            };
            let each = endpoints.iter().map(|endpoint| Kept {
                id: CaseId(format!("{id}/endpoint-{}", endpoint.peer)),
                name: format!("{}/endpoint-{}", case.name, endpoint.peer),
                to: endpoint.peer.clone(),
                port: endpoint.port,
                end: End::Pod(endpoint.identity),
                reached_by: None,
                backers: Vec::new(),
                ..whole.clone()
            });
            let each: Vec<Kept<'a>> = each.collect();
            let established = case.established.map(|claim| Kept {
                id: CaseId(format!("{id}/established")),
                name: format!("{}/established", case.name),
                moment: Moment::Established { claim },
                expect: match claim {
                    Survival::Survives => Connectivity::Allowed,
                    Survival::Cut => Connectivity::Blocked,
                    Survival::Report => case.expect,
                },
                ..whole.clone()
            });
            let startup = case.startup.map(|startup| Kept {
                id: CaseId(format!("{id}/startup")),
                name: format!("{}/startup", case.name),
                moment: Moment::Startup { fresh: startup.fresh },
                expect: startup.expect,
                ..whole.clone()
            });
            // What a pod's first instants mean is told by the claim at rest.
            let at_rest = startup.as_ref().filter(|kept| keeps(kept)).map(|_| whole.id.clone());
            let all_of_it = std::iter::once(whole).chain(each).chain(established).chain(startup);
            for kept in all_of_it {
                if keeps(&kept) || at_rest.as_ref() == Some(&kept.id) {
                    all.push(kept);
                } else {
                    left_out += 1;
                }
            }
        }
    }
    shared.filtered_out += left_out;
    Ok(all)
}

/// All claims with their step's place and name.
pub(super) fn claims(suite: &Suite) -> impl Iterator<Item = (Option<usize>, &str, &Case)> {
    let base = suite.cases.iter().map(|case| (None, BASE, case));
    let steps = suite.steps.iter().enumerate();
    base.chain(steps.flat_map(|(place, step)| {
        step.cases.iter().map(move |case| (Some(place), step.name.as_str(), case))
    }))
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
            End::Service(service) => {
                needed.extend(services::backends(suite, identities, service));
            }
            End::Host(name) => needed.extend(services::behind_name(suite, identities, name)),
            End::Address(_) => {}
        }
    }
    // Objects that hold a pod's address can't be sent without it.
    let addressed = addressed_peers(suite);
    needed.extend(addressed.iter().filter_map(|peer| identities.of(peer)));
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
            pings: false,
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
    add_copy(of, "stand-in", node, Role::StandIn { of }, shared)
}

/// Adds a copy of a pod that is launched later.
fn add_newcomer(of: PodIndex, shared: &mut Shared<'_>) -> PodIndex {
    let node = shared.pods[of.0].node.clone();
    add_copy(of, "newcomer", &node, Role::Newcomer { of }, shared)
}

fn add_copy(of: PodIndex, word: &str, node: &str, role: Role, shared: &mut Shared<'_>) -> PodIndex {
    let original = &shared.pods[of.0];
    let first = match &original.role {
        Role::Peer { names } => names.first().map_or("peer", String::as_str),
        _ => "peer",
    };
    let name = shared.names.give(&format!("{first}-{word}"), "-0");
    let pod = PlannedPod { name, node: node.to_owned(), role, ..original.clone() };
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
        name: kept.name.clone(),
        from: case.from.clone(),
        to: kept.to.clone(),
        port_label: case.port.label.clone(),
        port: kept.port,
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
        expect: kept.expect,
        within: case.within.unwrap_or(suite.within),
        timeout: case.timeout,
        because: case.because.clone(),
        evidence: case.evidence,
        denial: case.denial,
        witnesses,
        ask: case.ask.clone(),
        moment: kept.moment,
        location: case.location.clone(),
    }
}

fn cluster_name(namespace: &str, namespaces: &BTreeMap<String, String>) -> String {
    namespaces.get(namespace).map_or(namespace, String::as_str).to_owned()
}
