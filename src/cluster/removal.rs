//! Deleting objects and waiting until they are gone.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Preconditions},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};

use super::{Cluster, Error, ErrorKind, ObjectRef, SweepReport, kinds::Kind, retry::Backoff};

/// Requests in flight.
const PARALLEL: usize = 16;

/// How long is left, after the deadline, to ask what keeps the rest.
const REASONS: Duration = Duration::from_secs(5);

/// An object to remove.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) reference: ObjectRef,
    pub(super) kind: Kind,
    /// Only this one: an object of the same name that somebody makes later is theirs.
    pub(super) uid: Option<String>,
    /// The label selector under which it was found, if it was.
    pub(super) found_by: Option<String>,
}

/// Objects of a kind that one watch can see.
type Group = (Kind, Option<String>, String);

/// Deletes these objects and waits until they are gone, at most until the deadline.
pub(super) async fn remove(cluster: &Cluster, items: Vec<Item>, deadline: Instant) -> SweepReport {
    let mut report = SweepReport::default();
    let deleted: Vec<(Item, Result<bool, Error>)> = stream::iter(items)
        .map(async |item| {
            let deleted = delete(cluster, &item).await;
            (item, deleted)
        })
        .buffer_unordered(PARALLEL)
        .collect()
        .await;
    let mut going: BTreeMap<String, (Group, Vec<Item>)> = BTreeMap::new();
    for (item, deleted) in deleted {
        match deleted {
            Ok(true) => {
                let group = item.group();
                let key = format!(
                    "{:?} {} {:?} {}",
                    group.1, group.0.resource.plural, group.0.resource.api_version, group.2
                );
                going.entry(key).or_insert_with(|| (group, Vec::new())).1.push(item);
            }
            Ok(false) => report.removed += 1,
            Err(error) => report.left.push(error.to_string()),
        }
    }
    let count = going.len().max(1);
    let waits = going.into_values().map(async |(group, items)| {
        let total = items.len();
        let left = wait(cluster, &group, items, deadline).await;
        (total - left.len(), left)
    });
    let waited: Vec<(usize, Vec<Item>)> =
        stream::iter(waits).buffer_unordered(count).collect().await;
    let mut left = Vec::new();
    for (gone, stuck) in waited {
        report.removed += gone;
        left.extend(stuck);
    }
    let reasons = stream::iter(left)
        .map(async |item| {
            let why = tokio::time::timeout(REASONS, why(cluster, &item)).await;
            match why {
                Ok(Some(why)) => Some(format!("{}: {why}", item.reference)),
                Ok(None) => None,
                Err(_) => Some(format!("{}: not seen to go", item.reference)),
            }
        })
        .buffer_unordered(PARALLEL)
        .collect::<Vec<_>>()
        .await;
    for reason in reasons {
        match reason {
            Some(reason) => report.left.push(reason),
            // It went between the wait's end and the question.
            None => report.removed += 1,
        }
    }
    report.left.sort();
    report
}

impl Item {
    fn group(&self) -> Group {
        let selector = match &self.found_by {
            Some(labels) => labels.clone(),
            None => format!("metadata.name={}", self.reference.name),
        };
        (self.kind.clone(), self.reference.namespace.clone(), selector)
    }

    fn api(&self, cluster: &Cluster) -> Api<DynamicObject> {
        self.kind.api(cluster.client.clone(), self.reference.namespace.as_deref())
    }
}

/// Asks for an object's end; false if it is gone already.
async fn delete(cluster: &Cluster, item: &Item) -> Result<bool, Error> {
    let parameters = DeleteParams {
        preconditions: item
            .uid
            .clone()
            .map(|uid| Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::background()
    };
    let api = item.api(cluster);
    let what = format!("delete {}", item.reference);
    match Cluster::call(what, api.delete(&item.reference.name, &parameters)).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        // Either its place is taken by another one, or it is on its way out already.
        Err(error) if error.kind() == ErrorKind::Conflict => Ok(true),
        Err(error) => Err(error),
    }
}

/// Waits until all of a group are gone, and returns those that aren't at the deadline.
async fn wait(cluster: &Cluster, group: &Group, items: Vec<Item>, deadline: Instant) -> Vec<Item> {
    let (kind, namespace, selector) = group;
    let api = kind.api(cluster.client.clone(), namespace.as_deref());
    let by_label = items.iter().any(|item| item.found_by.is_some());
    let config = watcher::Config::default().timeout(30);
    let config = if by_label { config.labels(selector) } else { config.fields(selector) };
    let mut events =
        std::pin::pin!(watcher::watcher(api.clone(), config).backoff(Backoff::watch()));
    let mut left: HashMap<String, Item> =
        items.into_iter().map(|item| (item.reference.name.clone(), item)).collect();
    let mut listed = Vec::new();
    let is =
        |item: &Item, object: &DynamicObject| item.uid.is_none() || item.uid == object.metadata.uid;
    while !left.is_empty() {
        let Ok(Some(event)) = tokio::time::timeout_at(deadline.into(), events.next()).await else {
            break;
        };
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(object)) => listed.push(object),
            Ok(Event::InitDone) => left.retain(|name, item| {
                listed.iter().any(|object| object.name_any() == *name && is(item, object))
            }),
            // Another one has taken its place.
            Ok(Event::Apply(object)) => {
                let name = object.name_any();
                if left.get(&name).is_some_and(|item| !is(item, &object)) {
                    left.remove(&name);
                }
            }
            Ok(Event::Delete(object)) => {
                left.remove(&object.name_any());
            }
            // Where no watch is permitted, single questions have to do; the backoff
            // between errors paces them.
            Err(_) => {
                let names: Vec<String> = left.keys().cloned().collect();
                for name in names {
                    let asked = tokio::time::timeout_at(deadline.into(), api.get_opt(&name)).await;
                    let (Ok(asked), Some(item)) = (asked, left.get(&name)) else { continue };
                    let is_gone = match asked {
                        Ok(found) => found.is_none_or(|object| !is(item, &object)),
                        // Who may delete and not look has to believe the answer.
                        Err(error) => Error::from_kube("", error).kind() == ErrorKind::Forbidden,
                    };
                    if is_gone {
                        left.remove(&name);
                    }
                }
            }
        }
    }
    left.into_values().collect()
}

/// What keeps an object; none if it is gone after all.
async fn why(cluster: &Cluster, item: &Item) -> Option<String> {
    let object = match item.api(cluster).get_opt(&item.reference.name).await {
        Ok(None) => return None,
        Ok(Some(object)) if item.uid.is_some() && object.metadata.uid != item.uid => return None,
        Ok(Some(object)) => object,
        Err(error) => return Some(Error::from_kube("still there?", error).to_string()),
    };
    if item.reference.kind == "Namespace"
        && let Ok(namespace) = object.clone().try_parse::<Namespace>()
        && let Some(reason) = terminating(&namespace)
    {
        return Some(reason);
    }
    let finalizers = object.finalizers();
    Some(if !finalizers.is_empty() {
        format!("waits for its finalizers {}", finalizers.join(", "))
    } else if object.metadata.deletion_timestamp.is_some() {
        "is being deleted, and is not gone yet".to_owned()
    } else {
        "is not being deleted".to_owned()
    })
}

/// What a namespace's own conditions say about what keeps it.
fn terminating(namespace: &Namespace) -> Option<String> {
    let conditions = namespace.status.as_ref()?.conditions.as_ref()?;
    let telling: Vec<String> = conditions
        .iter()
        .filter(|condition| condition.status == "True")
        .filter_map(|condition| condition.message.clone())
        .filter(|message| !message.is_empty())
        .collect();
    (!telling.is_empty()).then(|| telling.join("; "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_says_what_keeps_it() {
        let namespace = json!({"status": {"phase": "Terminating", "conditions": [
            {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All well"},
            {"type": "NamespaceFinalizersRemaining", "status": "True",
             "message": "Some content in the namespace has finalizers remaining: x in 1 resource"},
        ]}});
        assert_eq!(
            terminating(&serde_json::from_value(namespace).unwrap()).as_deref(),
            Some("Some content in the namespace has finalizers remaining: x in 1 resource")
        );
        assert_eq!(terminating(&Namespace::default()), None, "nothing is known");
    }
}
