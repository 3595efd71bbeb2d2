//! Removing what a run created.

use std::{collections::BTreeSet, time::Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use super::{
    Cluster, Error, ErrorKind, ObjectRef, RunContext, marks,
    removal::{self, Item},
    search,
};

/// What became of a run's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// How many were removed; those inside a removed namespace don't count.
    pub removed: usize,
    /// What is left, with the reason.
    pub left: Vec<String>,
}

/// Removes what the run has in these namespaces and all that it applied elsewhere, and
/// waits until it is gone.
///
/// `created` are namespaces that the run made: they go as a whole, if they carry its
/// label. `used` are namespaces in which it only put objects: what is its own there is
/// found by label, and pods by their annotation. Other namespaces stay as they are, so that
/// one suite can be swept before the next.
///
/// # Errors
/// The cluster gave no answer at all. What can't be removed is reported instead.
pub async fn sweep(
    context: &RunContext,
    created: &[String],
    used: &[String],
    deadline: Instant,
) -> Result<SweepReport, Error> {
    let (cluster, run) = (context.cluster(), context.run());
    let mut made: BTreeSet<String> = created.iter().cloned().collect();
    let mut used: BTreeSet<String> =
        used.iter().filter(|namespace| !made.contains(*namespace)).cloned().collect();
    // What tells how things were stays until they are so again.
    let records: BTreeSet<(String, String)> = context
        .memory()
        .undo
        .iter()
        .map(|written| (written.namespace.clone(), written.name.clone()))
        .collect();
    for (namespace, _) in &records {
        if made.remove(namespace) {
            used.insert(namespace.clone());
        }
    }

    let mut items = namespaces(context, &made).await?;
    let mut found = search::in_namespaces(cluster, run, &used).await;
    items.extend(found.runs.remove(run).unwrap_or_default());
    let applied = context.memory().applied.clone();
    // Where nothing may be listed, what this run itself has noted has to do.
    let own: Vec<Item> = context.memory().made.clone();
    let own = own.iter().filter(|item| {
        !found.forbidden.is_empty()
            && item.reference.namespace.as_ref().is_some_and(|name| used.contains(name))
    });
    for object in applied.iter().chain(own) {
        let inside = object.reference.namespace.as_ref().is_some_and(|name| made.contains(name));
        if !inside && !items.iter().any(|item| item.reference == object.reference) {
            items.push(object.clone());
        }
    }
    items.retain(|item| {
        let reference = &item.reference;
        let place = reference.namespace.clone().map(|place| (place, reference.name.clone()));
        place.is_none_or(|place| !records.contains(&place))
    });
    let mut report = removal::remove(cluster, items, deadline).await;
    report.left.extend(found.unseen);
    let mut memory = context.memory();
    memory.applied.retain(|object| !applied.iter().any(|old| old.reference == object.reference));
    memory.made.retain(|item| {
        item.reference
            .namespace
            .as_ref()
            .is_none_or(|name| !made.contains(name) && !used.contains(name))
    });
    memory.owners.retain(|namespace, _| !made.contains(namespace) && !used.contains(namespace));
    Ok(report)
}

/// The run's namespaces, by their label; where these can't be listed, by their names.
async fn namespaces(context: &RunContext, created: &BTreeSet<String>) -> Result<Vec<Item>, Error> {
    let mut found = search::namespaces(context.cluster(), context.run()).await;
    let mut items = found.runs.remove(context.run()).unwrap_or_default();
    items.retain(|item| created.contains(&item.reference.name));
    if found.unseen.is_empty() && found.forbidden.is_empty() {
        return Ok(items);
    }
    let api: Api<Namespace> = Api::all(context.client());
    for name in created {
        match Cluster::call(format!("get namespace {name}"), api.get(name)).await {
            Ok(namespace) if marks::run_of(&namespace.metadata).as_ref() == Some(context.run()) => {
                items.push(Item {
                    reference: ObjectRef {
                        api_version: "v1".into(),
                        kind: "Namespace".into(),
                        namespace: None,
                        name: name.clone(),
                    },
                    kind: search::builtin::<Namespace>(false),
                    uid: namespace.metadata.uid,
                    found_by: None,
                });
            }
            // It is somebody else's, or was never made.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(items)
}
