//! The roles and bindings that every cluster has, and roles that gather others.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        object::{Object, object_mut},
        resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, Resource},
        selector::Selector,
        store::{Event, Store},
        write::{self, WriteOptions},
    },
    rbac::GROUP,
};

/// A role a line: the labels by which others gather it, then its rules.
const ROLES: &str = include_str!("roles.yaml");

/// Makes the default roles and their bindings in an empty store.
pub fn bootstrap(store: &Store) {
    let parsed: Result<Value, _> = serde_yaml::from_str(ROLES);
    let Ok(defaults) = parsed else {
        tracing::error!("the default roles can't be read");
        return;
    };
    for role in defaults.items("/roles") {
        let mut labels = json!({"kubernetes.io/bootstrapping": "rbac-defaults"});
        for to in role.items("/into").iter().filter_map(Value::as_str) {
            labels[format!("{GROUP}/aggregate-to-{to}")] = "true".into();
        }
        let rules: Vec<Value> = role.items("/rules").iter().map(rule).collect();
        let mut object = json!({
            "metadata": {
                "name": role["name"], "labels": labels,
                "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
            },
            "rules": rules,
        });
        if let Some(from) = role["gathers"].as_str() {
            let key = format!("{GROUP}/aggregate-to-{from}");
            let selector = json!({"matchLabels": {key: "true"}});
            object["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
        }
        create(store, &CLUSTER_ROLES, object);
        let subjects: Vec<Value> = role
            .items("/bind")
            .iter()
            .filter_map(Value::as_str)
            .filter_map(|subject| subject.split_once(' '))
            .map(|(kind, name)| json!({"kind": kind, "name": name, "apiGroup": GROUP}))
            .collect();
        if !subjects.is_empty() {
            let object = json!({
                "metadata": {
                    "name": role["name"],
                    "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
                    "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
                },
                "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": role["name"]},
                "subjects": subjects,
            });
            create(store, &CLUSTER_ROLE_BINDINGS, object);
        }
    }
    gather(store);
}

/// `verbs | groups | resources`, `verbs | groups | resources | names` or `verbs | paths`.
fn rule(line: &Value) -> Value {
    let line = line.as_str().unwrap_or_default();
    let words = |text: &str| -> Vec<String> {
        text.split_whitespace()
            .map(|word| if word == "core" { "" } else { word }.to_owned())
            .collect()
    };
    let parts: Vec<_> = line.split('|').map(words).collect();
    match parts.as_slice() {
        [verbs, paths] => json!({"verbs": verbs, "nonResourceURLs": paths}),
        [verbs, groups, resources] => {
            json!({"verbs": verbs, "apiGroups": groups, "resources": resources})
        }
        [verbs, groups, resources, names] => json!({
            "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names,
        }),
        _ => Value::Null,
    }
}

fn create(store: &Store, resource: &'static Resource, object: Value) {
    let name = object.name().to_owned();
    if let Err(failure) = write::create(store, resource, "", object, &WriteOptions::default()) {
        tracing::warn!(%failure, name, "create a default role");
    }
}

/// Keeps the rules of roles that gather others up to date, until cancelled.
pub async fn aggregate(store: Arc<Store>, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        event.resource == &CLUSTER_ROLES
    }
    let signal = store.signal(wanted);
    loop {
        tokio::select! {
            () = signal.notified() => gather(&store),
            () = cancel.cancelled() => return,
        }
    }
}

/// Makes a pass over all gathering roles; again as long as one of them changes, because
/// one may gather another.
pub(super) fn gather(store: &Store) {
    // A chain is never longer than there are roles.
    for _ in 0..64 {
        let changed = store.write(|writer| {
            let roles = writer.list(&CLUSTER_ROLES, None);
            let mut changed = false;
            for role in &roles {
                let selectors = role.items("/aggregationRule/clusterRoleSelectors");
                if selectors.is_empty() {
                    continue;
                }
                let selectors: Vec<_> = selectors
                    .iter()
                    .filter_map(|selector| Selector::from_object(selector).ok())
                    .collect();
                let mut rules = Vec::new();
                for other in roles.iter().filter(|other| other.name() != role.name()) {
                    let labels = other.labels();
                    if selectors.iter().any(|selector| selector.matches(&labels)) {
                        for rule in other.items("/rules") {
                            if !rules.contains(rule) {
                                rules.push(rule.clone());
                            }
                        }
                    }
                }
                if role.items("/rules") != rules {
                    let mut role = Value::clone(role);
                    object_mut(&mut role).insert("rules".into(), rules.into());
                    writer.put(&CLUSTER_ROLES, role);
                    changed = true;
                }
            }
            changed
        });
        if !changed {
            return;
        }
    }
}
