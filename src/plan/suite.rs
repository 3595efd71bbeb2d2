//! Plans one suite: its cases, the pods that these need, and who bears witness.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Destination, PlannedCase, PlannedNamespace, PlannedPod, PodIndex, StepPlan, SuitePlan,
    build::{Inputs, PlanError},
    change::Changes,
    identity::Identities,
    kept::{End, Kept, keep, needed},
    names::Names,
    objects,
    suite_pods::{add_newcomer, add_pods, add_stand_in, cluster_name},
};
use crate::suite::{BASE, Suite, replace_namespace_references};

/// What the suites of a plan have in common.
pub(super) struct Shared<'i> {
    pub(super) inputs: &'i Inputs,
    pub(super) names: Names,
    pub(super) pods: Vec<PlannedPod>,
    /// Kinds and names of cluster-scoped objects.
    pub(super) objects: BTreeSet<(String, String)>,
    pub(super) filtered_out: usize,
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
