//! A suite's manifests as they will be sent: namespaces by their names in the cluster,
//! cluster-scoped objects with the run's suffix, references to them adapted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::PlannedObject;
use crate::{
    model::RunId,
    suite::{Change, ObjectName, Suite, rename_addressed, rewrite_namespaces},
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

/// What the objects of a suite are called in the cluster.
pub(super) struct ObjectNames<'n> {
    namespaces: &'n BTreeMap<String, String>,
    /// Names of pods, by those of their peers.
    pods: BTreeMap<String, String>,
    renames: Renames,
}

/// The objects of a suite's setup. `taken` holds the kinds and names of all suites before it.
pub(super) fn plan<'n>(
    suite: &Suite,
    run: &RunId,
    namespaces: &'n BTreeMap<String, String>,
    pods: BTreeMap<String, String>,
    taken: &mut BTreeSet<(String, String)>,
) -> (Vec<PlannedObject>, ObjectNames<'n>) {
    let mut renames = Renames::new();
    let of_steps = suite.changes().flatten().filter_map(|change| match change {
        Change::Apply(manifest) => Some(manifest),
        _ => None,
    });
    let manifests = suite.setup.manifests.iter().chain(of_steps);
    for object in manifests.flat_map(|manifest| &manifest.objects) {
        let (kind, name) = (text(object, "/kind"), text(object, "/metadata/name"));
        let key = (kind.to_owned(), name.to_owned());
        if !RENAMED.contains(&kind) || renames.contains_key(&key) {
            continue;
        }
        let mut new = format!("{name}-{run}");
        if !taken.insert((kind.to_owned(), new.clone())) {
            new = format!("{name}-{}-{run}", suite.name);
            taken.insert((kind.to_owned(), new.clone()));
        }
        renames.insert(key, new);
    }
    let names = ObjectNames { namespaces, pods, renames };
    let mut planned = Vec::new();
    for manifest in &suite.setup.manifests {
        for object in &manifest.objects {
            planned.push(names.object(&manifest.source, object));
        }
    }
    (planned, names)
}

impl ObjectNames<'_> {
    /// An object of a manifest, as it will be sent.
    pub(super) fn object(&self, source: &str, object: &Value) -> PlannedObject {
        let mut object = object.clone();
        rewrite_namespaces(&mut object, self.namespaces);
        rename_addressed(&mut object, &self.pods);
        rename(&mut object, &self.renames);
        PlannedObject { source: source.to_owned(), object }
    }

    /// The name of an object in the cluster.
    pub(super) fn name(&self, of: &ObjectName) -> ObjectName {
        let alias = of.namespace.as_deref();
        let is_namespace = of.kind == "Namespace";
        let in_cluster =
            |alias: &str| self.namespaces.get(alias).map_or(alias, String::as_str).to_owned();
        let renamed = self.renames.get(&(of.kind.clone(), of.name.clone()));
        ObjectName {
            namespace: alias.map(in_cluster),
            name: match renamed {
                Some(name) => name.clone(),
                None if is_namespace => in_cluster(&of.name),
                None => of.name.clone(),
            },
            ..of.clone()
        }
    }

    /// The body of a patch, as it will be sent.
    pub(super) fn body(&self, body: &Value) -> Value {
        let mut body = body.clone();
        rewrite_namespaces(&mut body, self.namespaces);
        rename_addressed(&mut body, &self.pods);
        body
    }
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
