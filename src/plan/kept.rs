//! Which claims of a suite are planned, and which pods these can't do without.

use std::collections::BTreeSet;

use super::{
    CaseId, Moment, build::PlanError, families, identity::Identities, services, suite::Shared,
};
use crate::{
    model::{Connectivity, Family, Port},
    suite::{BASE, Case, Peer, ServicePeer, Suite, Survival, addressed_peers},
};

/// A claim that passed the filter, its ends found.
#[derive(Clone)]
pub(super) struct Kept<'a> {
    pub(super) id: CaseId,
    /// Its step's place in the suite; none for the cases before any.
    pub(super) step: Option<usize>,
    pub(super) case: &'a Case,
    /// Its name; an endpoint's has that of the endpoint, too.
    pub(super) name: String,
    pub(super) moment: Moment,
    pub(super) expect: Connectivity,
    /// Who is dialled, as the suite calls it.
    pub(super) to: String,
    pub(super) port: Port,
    pub(super) family: Family,
    pub(super) source: usize,
    pub(super) end: End<'a>,
    pub(super) reached_by: Option<usize>,
    /// Sources of allow cases to the same Service and port.
    pub(super) backers: Vec<usize>,
}

#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    Pod(usize),
    Service(&'a ServicePeer),
    Address(std::net::IpAddr),
    Host(&'a str),
}

/// The suite's cases, one per family, that pass the filter; those of a Service each with
/// one for every pod that is known to stand behind it.
pub(super) fn keep<'a>(
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
pub(super) fn needed(
    suite: &Suite,
    identities: &Identities<'_>,
    kept: &[Kept<'_>],
) -> BTreeSet<usize> {
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
