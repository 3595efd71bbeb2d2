//! Builds a plan from suites and what is known of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ControlNamespace, Destination, Filter, Plan, PlannedPod, SuitePlan, controls,
    names::Names,
    suite::{self, Shared},
};
use crate::{
    model::{Family, IpProtocol, Labels, Protocol, RunId},
    suite::Suite,
};

/// What a plan is made from, beside the suites.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The run that it is for.
    pub run: RunId,
    /// Nodes that pods may be placed on, sorted by name.
    pub nodes: Vec<Node>,
    /// The IP families that the cluster's pods have, the primary one first.
    pub families: Vec<Family>,
    /// Those of Services that exist, by namespace and name, as far as they could be read.
    pub services: BTreeMap<(String, String), Vec<Family>>,
    /// The namespace for the control pods, where one is given; else the run makes its own.
    pub control_namespace: Option<String>,
    /// Which cases to run.
    pub filter: Filter,
    /// How many nodes to use, unless a peer's `node` labels ask for more; at least 1.
    pub max_nodes: usize,
}

/// A node that pods may be placed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The cluster has no node for probe pods.
    #[error("no node takes probe pods: none is ready, Linux and free of taints")]
    NoNodes,
    /// No usable node has the labels that a peer asks for.
    #[error("suite {suite}: no usable node fits peer {peer}, which asks for {}", list(labels))]
    NoNodeFits {
        /// The suite.
        suite: String,
        /// The peer.
        peer: String,
        /// The labels that it asks for.
        labels: BTreeMap<String, String>,
    },
    /// Two namespaces that the run would create have the same name.
    #[error("suite {suite}: setup.namespaces.{alias} would be the second namespace {name}")]
    NamespaceTwice {
        /// The suite.
        suite: String,
        /// The namespace's alias.
        alias: String,
        /// The name.
        name: String,
    },
    /// A case names a peer that can't stand there; the loader lets no such suite through.
    #[error("suite {suite}, case {case}: peer {peer} is missing or of the wrong kind")]
    Peer {
        /// The suite.
        suite: String,
        /// The case.
        case: String,
        /// The peer.
        peer: String,
    },
}

fn list(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(", ")
}

/// Builds the plan for a run of these suites.
///
/// Pods are placed before cases are filtered, so that a single case runs between the
/// same nodes as it does among all others. Only pods that a remaining case needs are
/// planned: its ends, the backends of its Service, its witnesses.
///
/// # Errors
/// Where a pod finds no node, or two namespaces would get the same name.
pub fn build(suites: &[Suite], inputs: &Inputs) -> Result<Plan, PlanError> {
    let mut names = Names::new(&inputs.run);
    let control_namespace = match &inputs.control_namespace {
        Some(name) => ControlNamespace { name: name.clone(), created: false },
        None => ControlNamespace { name: names.give("control", ""), created: true },
    };
    let namespaces = name_namespaces(suites, &mut names)?;
    let mut shared =
        Shared { inputs, names, pods: Vec::new(), objects: BTreeSet::new(), filtered_out: 0 };
    let mut planned = Vec::new();
    for (suite, namespaces) in suites.iter().zip(&namespaces) {
        planned.extend(suite::plan(suite, namespaces, &mut shared)?);
    }
    let Shared { mut names, mut pods, filtered_out, .. } = shared;
    let used: BTreeSet<&str> = pods.iter().map(|pod| pod.node.as_str()).collect();
    let nodes: Vec<String> = inputs
        .nodes
        .iter()
        .filter(|node| used.contains(node.name.as_str()))
        .map(|node| node.name.clone())
        .collect();
    let transports: BTreeSet<IpProtocol> = planned
        .iter()
        .flat_map(SuitePlan::all_cases)
        .map(|case| case.port.protocol.transport())
        .collect();
    let controls =
        controls::add(&inputs.run, &nodes, &control_namespace, &transports, &mut names, &mut pods);
    let all_cases = planned.iter_mut().flat_map(|suite| {
        let of_steps = suite.steps.iter_mut().flat_map(|step| &mut step.cases);
        suite.cases.iter_mut().chain(of_steps)
    });
    for case in all_cases {
        let Some(controls) = controls.get(&pods[case.source.0].node) else { continue };
        match case.destination {
            Destination::Service { .. } => case.witnesses.push(controls.witness),
            Destination::Address(_) | Destination::Host(_) if case.witnesses.is_empty() => {
                case.witnesses.push(controls.witness);
            }
            Destination::Pod(_) | Destination::Address(_) | Destination::Host(_) => {}
        }
    }
    ping(&planned, &mut pods);
    Ok(Plan {
        run: inputs.run.clone(),
        nodes,
        control_namespace,
        controls,
        pods,
        suites: planned,
        filtered_out,
    })
}

/// Marks the pods that send ICMP: both ends, as a destination is also asked from inside, and
/// the witnesses.
fn ping(planned: &[SuitePlan], pods: &mut [PlannedPod]) {
    let all = planned.iter().flat_map(SuitePlan::all_cases);
    for case in all.filter(|case| case.port.protocol == Protocol::Icmp) {
        let destination = match case.destination {
            Destination::Pod(pod) => Some(pod),
            _ => None,
        };
        let ends = std::iter::once(case.source).chain(destination);
        for pod in ends.chain(case.witnesses.iter().copied()) {
            pods[pod.0].pings = true;
        }
    }
}

/// Names every namespace that a suite sets up, by alias; one map per suite.
fn name_namespaces(
    suites: &[Suite],
    names: &mut Names,
) -> Result<Vec<BTreeMap<String, String>>, PlanError> {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for suite in suites {
        for (alias, namespace) in &suite.setup.namespaces {
            *uses.entry(alias).or_default() += usize::from(namespace.name.is_none());
            if let Some(name) = &namespace.name
                && !names.reserve(name)
            {
                return Err(PlanError::NamespaceTwice {
                    suite: suite.name.clone(),
                    alias: alias.clone(),
                    name: name.clone(),
                });
            }
        }
    }
    let name = |suite: &Suite, names: &mut Names| {
        let setup = suite.setup.namespaces.iter();
        let named = setup.map(|(alias, namespace)| {
            let name = namespace.name.clone().unwrap_or_else(|| {
                let alone = uses.get(alias.as_str()) == Some(&1) && names.is_free(alias, "");
                if alone {
                    names.give(alias, "")
                } else {
                    names.give(&format!("{}-{alias}", suite.name), "")
                }
            });
            (alias.clone(), name)
        });
        named.collect()
    };
    Ok(suites.iter().map(|suite| name(suite, names)).collect())
}

#[cfg(test)]
mod tests;
