//! A suite's manifests as they will be sent: namespaces by their names in the cluster,
//! cluster-scoped objects with the run's suffix, references to them adapted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::PlannedObject;
use crate::{
    model::RunId,
    suite::{Suite, rewrite_namespaces},
};

/// Cluster-scoped kinds that a suite may bring and whose names are free to choose.
///
/// Whether a kind is namespaced isn't known without the cluster. Kinds whose name means
/// something stay as they are: a BaselineAdminNetworkPolicy is always called `default`,
/// a CustomResourceDefinition is called by what it defines.
const RENAMED: &[&str] = &[
    "AdminNetworkPolicy",
    "CiliumClusterwideNetworkPolicy",
    "ClusterNetworkPolicy",
    "ClusterRole",
    "ClusterRoleBinding",
    "ExternalHost",
    "Fault",
    "GlobalNetworkPolicy",
    "PriorityClass",
];

/// The names that cluster-scoped objects get, by kind and name in the suite.
type Renames = BTreeMap<(String, String), String>;

/// The objects of a suite. `taken` holds the kinds and names of all suites before it.
pub(super) fn plan(
    suite: &Suite,
    run: &RunId,
    namespaces: &BTreeMap<String, String>,
    taken: &mut BTreeSet<(String, String)>,
) -> Vec<PlannedObject> {
    let mut renames = Renames::new();
    for object in suite.setup.manifests.iter().flat_map(|manifest| &manifest.objects) {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        if !RENAMED.contains(&kind) {
            continue;
        }
        let mut new = format!("{name}-{run}");
        if !taken.insert((kind.to_owned(), new.clone())) {
            new = format!("{name}-{}-{run}", suite.name);
            taken.insert((kind.to_owned(), new.clone()));
        }
        renames.insert((kind.to_owned(), name.to_owned()), new);
    }
    let mut planned = Vec::new();
    for manifest in &suite.setup.manifests {
        for object in &manifest.objects {
            let mut object = object.clone();
            rewrite_namespaces(&mut object, namespaces);
            rename(&mut object, &renames);
            planned.push(PlannedObject { source: manifest.source.clone(), object });
        }
    }
    planned
}

fn rename(object: &mut Value, renames: &Renames) {
    let kind = text(object, "/kind").to_owned();
    swap(object, "/metadata/name", &kind, renames);
    if kind.ends_with("RoleBinding") {
        let role = text(object, "/roleRef/kind").to_owned();
        swap(object, "/roleRef/name", &role, renames);
    }
    // A pod by itself, in a workload's template, in a CronJob's.
    for at in ["/spec", "/spec/template/spec", "/spec/jobTemplate/spec/template/spec"] {
        swap(object, &format!("{at}/priorityClassName"), "PriorityClass", renames);
    }
}

fn swap(object: &mut Value, at: &str, kind: &str, renames: &Renames) {
    if let Some(name) = object.pointer_mut(at)
        && let Some(old) = name.as_str()
        && let Some(new) = renames.get(&(kind.to_owned(), old.to_owned()))
    {
        *name = Value::from(new.as_str());
    }
}

/// A text inside of an object; empty where there is none.
pub(super) fn text<'a>(object: &'a Value, at: &str) -> &'a str {
    object.pointer(at).and_then(Value::as_str).unwrap_or_default()
}
