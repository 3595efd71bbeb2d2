//! Namespaces: those that every cluster has, what every namespace starts with, and how a
//! namespace ends.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::reconcile::reconcile;
use crate::sandbox::{
    api::{
        access, conditions, custom,
        delete::{self, DeleteOptions},
        object::Object,
        resource::{
            CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, PRIORITY_CLASSES, Resource,
            SERVICE_ACCOUNTS, SERVICE_CIDRS, SERVICES,
        },
        store::{Change, Event, Store, Writer},
        write::{self, Place},
    },
    layout::{self, IpFamily},
};

/// The namespaces that every cluster has.
const STANDARD: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes the standard namespaces in an empty store, and the Service that is the API.
pub fn set_up(store: &Store, family: IpFamily) {
    for name in STANDARD {
        create(store, &NAMESPACES, "", json!({"metadata": {"name": name}}));
    }
    let ranges = json!({
        "metadata": {"name": layout::SERVICE_CIDR},
        "spec": {"cidrs": layout::services(family)},
    });
    create(store, &SERVICE_CIDRS, "", ranges);
    store.write(|writer| {
        if let Some(object) = writer.get(&SERVICE_CIDRS, "", layout::SERVICE_CIDR) {
            let mut object = Value::clone(&object);
            let message = "Kubernetes Service CIDR is ready";
            conditions::set(&mut object, "Ready", true, "", message);
            writer.put(&SERVICE_CIDRS, object);
        }
    });
    let service = json!({
        "metadata": {"name": "kubernetes", "labels": {
            "component": "apiserver", "provider": "kubernetes",
        }},
        "spec": {
            "clusterIPs": layout::api(family),
            "ipFamilyPolicy": "PreferDualStack",
            "ports": [{"name": "https", "port": 443, "targetPort": layout::API_PORT}],
        },
    });
    create(store, &SERVICES, "default", service);
    access::bootstrap(store);
    create(store, &CUSTOM_RESOURCE_DEFINITIONS, "", custom::cluster_network_policy());
    for (name, value, what) in [
        ("system-cluster-critical", 2_000_000_000, "cluster"),
        ("system-node-critical", 2_000_001_000, "node"),
    ] {
        let description =
            format!("Used for system critical pods that the {what} can't do without.");
        let class = json!({
            "metadata": {"name": name}, "value": value, "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        });
        create(store, &PRIORITY_CLASSES, "", class);
    }
}

/// Creates an object of the system's own. That it exists already is fine.
pub(super) fn create(
    store: &Store,
    resource: &'static Resource,
    namespace: &str,
    object: Value,
) -> bool {
    let name = object.name().to_owned();
    match write::create(store, resource, namespace, object, &write::WriteOptions::default()) {
        Ok(_) => true,
        Err(failure) => {
            if failure.reason != "AlreadyExists" {
                tracing::warn!(%failure, resource = resource.plural, namespace, name, "create");
            }
            false
        }
    }
}

/// Furnishes new namespaces and empties those that are to go, until cancelled.
pub async fn empty_namespaces(store: Arc<Store>, authority: String, cancel: CancellationToken) {
    fn wanted(event: &Event) -> bool {
        event.resource == &NAMESPACES
            || (event.change == Change::Deleted && event.resource.namespaced)
    }
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || {
        let (namespaces, _) = store.list(&NAMESPACES, None);
        for namespace in namespaces {
            if namespace.is_deleting() {
                store.write(|writer| empty(writer, namespace.name()));
            } else {
                furnish(&store, namespace.name(), &authority);
            }
        }
    })
    .await;
}

/// What every namespace has: an account for its pods and the cluster's certificate.
fn furnish(store: &Store, namespace: &str, authority: &str) {
    if store.get(&SERVICE_ACCOUNTS, namespace, "default").is_none() {
        let account = json!({"metadata": {"name": "default"}});
        create(store, &SERVICE_ACCOUNTS, namespace, account);
    }
    if store.get(&CONFIG_MAPS, namespace, "kube-root-ca.crt").is_none() {
        let map = json!({
            "metadata": {"name": "kube-root-ca.crt"},
            "data": {"ca.crt": authority},
        });
        create(store, &CONFIG_MAPS, namespace, map);
    }
}

/// Deletes what is in a namespace, and lets the namespace go once nothing is.
fn empty(writer: &mut Writer<'_>, namespace: &str) {
    let mut left = 0;
    for resource in writer.resources().into_iter().filter(|resource| resource.namespaced) {
        for object in writer.list(resource, Some(namespace)) {
            if !object.is_deleting() {
                let place = Place { resource, namespace, name: object.name() };
                // It was there a line above, under the same lock.
                let _ = delete::delete_in(writer, place, &DeleteOptions::default());
            }
        }
        left += writer.list(resource, Some(namespace)).len();
    }
    if left > 0 {
        return;
    }
    if let Some(object) = writer.get(&NAMESPACES, "", namespace) {
        let mut object = Value::clone(&object);
        object.section_mut("spec").remove("finalizers");
        delete::put(writer, &NAMESPACES, object);
    }
}
