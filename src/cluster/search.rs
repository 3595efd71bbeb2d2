//! Finding what runs have left in a cluster: by label, and pods by their annotation.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use k8s_openapi::api::{
    coordination::v1::Lease,
    core::v1::{ConfigMap, Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Resource,
    api::{DynamicObject, ListParams},
    core::discovery::ApiResource,
};

use super::{
    Cluster, Error, ErrorKind, ObjectRef,
    kinds::{Kind, Kinds},
    marks,
    removal::Item,
};
use crate::model::RunId;

/// Lists in flight.
const PARALLEL: usize = 8;

/// Kinds that only ever go with something else.
const DERIVED: [&str; 4] = ["EndpointSlice", "Endpoints", "Event", "ControllerRevision"];

/// What was found of all runs.
#[derive(Default)]
pub(super) struct Remains {
    pub(super) runs: BTreeMap<RunId, Vec<Item>>,
    /// What could not be looked at.
    pub(super) unseen: Vec<String>,
    /// What may not be looked at.
    pub(super) forbidden: Vec<String>,
    /// The namespaces that hold the runs' Leases, as far as the runs have noted it.
    pub(super) lease_namespaces: BTreeMap<RunId, String>,
}

impl Remains {
    fn add(&mut self, other: Self) {
        for (run, items) in other.runs {
            self.runs.entry(run).or_default().extend(items);
        }
        self.unseen.extend(other.unseen);
        self.forbidden.extend(other.forbidden);
        self.lease_namespaces.extend(other.lease_namespaces);
    }
}

/// An object that belongs to a run.
struct Found {
    run: RunId,
    item: Item,
    lease_namespace: Option<String>,
}

/// Looks for objects of every kind, through the whole cluster or in these namespaces only.
pub(super) async fn everything(
    cluster: &Cluster,
    namespaces: Option<&BTreeSet<String>>,
) -> Result<Remains, Error> {
    let (kinds, unseen) = Kinds::new(cluster.client.clone()).all().await?;
    let kinds: Vec<Kind> = kinds
        .into_iter()
        .filter(|kind| kind.removable && !DERIVED.contains(&kind.resource.kind.as_str()))
        .filter(|kind| kind.namespaced || namespaces.is_none())
        .collect();
    let mut remains = match namespaces {
        None => look(cluster, kinds, None, None).await,
        Some(namespaces) => {
            let mut remains = Remains::default();
            for namespace in namespaces {
                remains.add(look(cluster, kinds.clone(), Some(namespace), None).await);
            }
            remains
        }
    };
    remains.unseen.extend(unseen);
    remains.runs.values_mut().for_each(without_mirrors);
    Ok(remains)
}

/// Leaves out what an aggregated API shows once more under another kind, as OpenShift's
/// Projects are Namespaces: one object has one uid, and the core's kind is its own.
fn without_mirrors(items: &mut Vec<Item>) {
    items.sort_by(|one, other| one.kind.resource.group.cmp(&other.kind.resource.group));
    let mut seen = BTreeSet::new();
    items.retain(|item| item.uid.as_ref().is_none_or(|uid| seen.insert(uid.clone())));
}

/// Looks for one run's objects of the kinds that netproof itself makes, in some namespaces.
pub(super) async fn in_namespaces(
    cluster: &Cluster,
    run: &RunId,
    namespaces: &BTreeSet<String>,
) -> Remains {
    let kinds = [
        builtin::<Pod>(true),
        builtin::<ConfigMap>(true),
        builtin::<Lease>(true),
        builtin::<NetworkPolicy>(true),
    ];
    let mut remains = Remains::default();
    let looks = namespaces
        .iter()
        .map(|namespace| look(cluster, kinds.to_vec(), Some(namespace), Some(run)));
    let found: Vec<Remains> = stream::iter(looks).buffer_unordered(PARALLEL).collect().await;
    for one in found {
        remains.add(one);
    }
    remains
}

/// Looks for namespaces that one run has made.
pub(super) async fn namespaces(cluster: &Cluster, run: &RunId) -> Remains {
    look(cluster, vec![builtin::<Namespace>(false)], None, Some(run)).await
}

async fn look(
    cluster: &Cluster,
    kinds: Vec<Kind>,
    namespace: Option<&str>,
    run: Option<&RunId>,
) -> Remains {
    let lists: Vec<(Kind, Result<Vec<Found>, Error>)> = stream::iter(kinds)
        .map(async |kind| {
            let found = list(cluster, &kind, namespace, run).await;
            (kind, found)
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let mut remains = Remains::default();
    let mut forbidden = Vec::new();
    for (kind, found) in lists {
        match found {
            Ok(found) => {
                for Found { run, item, lease_namespace } in found {
                    if let Some(namespace) = lease_namespace {
                        remains.lease_namespaces.insert(run.clone(), namespace);
                    }
                    remains.runs.entry(run).or_default().push(item);
                }
            }
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                forbidden.push(kind.resource.plural);
            }
            // A kind that went away since it was listed has no objects either.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => remains.unseen.push(error.to_string()),
        }
    }
    if !forbidden.is_empty() {
        forbidden.sort();
        let place = namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
        remains.forbidden.push(format!("no permission to list {}{place}", forbidden.join(", ")));
    }
    remains
}

async fn list(
    cluster: &Cluster,
    kind: &Kind,
    namespace: Option<&str>,
    run: Option<&RunId>,
) -> Result<Vec<Found>, Error> {
    let is_pod = kind.resource.kind == "Pod" && kind.resource.group.is_empty();
    let selector = match run {
        _ if is_pod => marks::PROBE.to_owned(),
        Some(run) => marks::selector(run),
        None => marks::RUN.to_owned(),
    };
    let api = kind.api(cluster.client.clone(), namespace);
    let mut page = ListParams::default().labels(&selector).limit(500);
    let mut found = Vec::new();
    loop {
        let what = format!("list {}", kind.resource.plural);
        let listed = Cluster::call(what, api.list(&page)).await?;
        for object in listed.items {
            let Some(of) = marks::run_of(&object.metadata) else { continue };
            let is_derived = object.metadata.owner_references.iter().flatten().any(|owner| {
                owner.controller == Some(true) && owner.name != marks::run_object(&of)
            });
            if run.is_none_or(|run| *run == of) && !is_derived {
                let notes = object.metadata.annotations.as_ref();
                let lease_namespace =
                    notes.and_then(|notes| notes.get(marks::LEASE_NAMESPACE)).cloned();
                let item = item(kind, object, selector.clone());
                found.push(Found { run: of, item, lease_namespace });
            }
        }
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => return Ok(found),
        }
    }
}

fn item(kind: &Kind, object: DynamicObject, selector: String) -> Item {
    Item {
        reference: ObjectRef {
            api_version: kind.resource.api_version.clone(),
            kind: kind.resource.kind.clone(),
            namespace: object.metadata.namespace,
            name: object.metadata.name.unwrap_or_default(),
        },
        kind: kind.clone(),
        uid: object.metadata.uid,
        found_by: Some(selector),
    }
}

/// A kind that every cluster has.
pub(super) fn builtin<K: Resource<DynamicType = ()>>(namespaced: bool) -> Kind {
    Kind { resource: ApiResource::erase::<K>(&()), namespaced, removable: true }
}

/// Leaves out what goes with a namespace that is among the items itself.
pub(super) fn without_contents(items: Vec<Item>) -> Vec<Item> {
    let namespaces: BTreeSet<String> = items
        .iter()
        .filter(|item| item.reference.kind == "Namespace")
        .map(|item| item.reference.name.clone())
        .collect();
    items
        .into_iter()
        .filter(|item| {
            item.reference.namespace.as_ref().is_none_or(|name| !namespaces.contains(name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_that_two_kinds_show_is_one() {
        let item = |group: &str, kind: &str, uid: Option<&str>| Item {
            reference: ObjectRef {
                api_version: "v1".into(),
                kind: kind.into(),
                namespace: None,
                name: "np-abcdef-shop".into(),
            },
            kind: Kind {
                resource: ApiResource {
                    group: group.into(),
                    ..ApiResource::erase::<Namespace>(&())
                },
                namespaced: false,
                removable: true,
            },
            uid: uid.map(str::to_owned),
            found_by: None,
        };
        let mut items = vec![
            item("project.openshift.io", "Project", Some("1")),
            item("", "Namespace", Some("1")),
            item("", "Namespace", Some("2")),
            item("example.com", "Thing", None),
        ];
        without_mirrors(&mut items);
        let kinds: Vec<&str> = items.iter().map(|item| item.reference.kind.as_str()).collect();
        assert_eq!(kinds, ["Namespace", "Namespace", "Thing"]);
    }
}
