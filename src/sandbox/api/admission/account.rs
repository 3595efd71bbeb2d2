//! The service account of a pod: it must be there, and its token comes with it.

use serde_json::{Value, json};

use super::super::{
    failure::Failure,
    names,
    object::Object,
    resource::{NAMESPACES, PODS, SERVICE_ACCOUNTS},
    store::Writer,
};
use crate::sandbox::clock;

/// Where containers find the token.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What names of the volume begin with.
const PREFIX: &str = "kube-api-access-";
/// How long a namespace may be without its default account.
const YOUTH: jiff::SignedDuration = jiff::SignedDuration::from_secs(3);

/// Checks that the account is there and mounts its token.
pub(super) fn complete(
    writer: &Writer<'_>,
    pod: &mut Value,
    namespace: &str,
) -> Result<(), Failure> {
    let name = pod.text("/spec/serviceAccountName").to_owned();
    let account = writer.get(&SERVICE_ACCOUNTS, namespace, &name);
    // The default account comes with its namespace, if a moment later; the API server waits.
    if account.is_none() && (name != "default" || !is_young(writer, namespace)) {
        let detail = format!(
            "error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not \
             found"
        );
        return Err(Failure::forbidden(&PODS, pod.name(), &detail));
    }
    let account = account.as_deref().unwrap_or(&Value::Null);
    if pod.items("/spec/imagePullSecrets").is_empty()
        && !account.items("/imagePullSecrets").is_empty()
    {
        let secrets = account["imagePullSecrets"].clone();
        pod.section_mut("spec").insert("imagePullSecrets".into(), secrets);
    }
    let wish = pod.pointer("/spec/automountServiceAccountToken").and_then(Value::as_bool);
    let usual = account.get("automountServiceAccountToken").and_then(Value::as_bool);
    if wish.or(usual).unwrap_or(true) {
        mount(pod);
    }
    Ok(())
}

/// Whether a namespace may still be without what every namespace gets.
fn is_young(writer: &Writer<'_>, namespace: &str) -> bool {
    let Some(namespace) = writer.get(&NAMESPACES, "", namespace) else { return false };
    let made = namespace.text("/metadata/creationTimestamp").parse::<jiff::Timestamp>();
    made.is_ok_and(|made| clock::now().duration_since(made).abs() < YOUTH)
}

fn mount(pod: &mut Value) {
    let known = pod.items("/spec/volumes").iter().find_map(|volume| {
        let name = volume.text("/name");
        name.starts_with(PREFIX).then(|| name.to_owned())
    });
    let is_new = known.is_none();
    let name = known.unwrap_or_else(|| names::generate(PREFIX));
    let spec = pod.section_mut("spec");
    let mut mounted = false;
    for list in ["initContainers", "containers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if container.items("/volumeMounts").iter().any(|mount| mount["mountPath"] == MOUNT) {
                continue;
            }
            add(
                container,
                "volumeMounts",
                json!({"name": name, "mountPath": MOUNT, "readOnly": true}),
            );
            mounted = true;
        }
    }
    if !mounted || !is_new {
        return;
    }
    let fields = [("namespace", "metadata.namespace")];
    let fields: Vec<_> = fields
        .iter()
        .map(|(path, field)| {
            json!({"path": path, "fieldRef": {"apiVersion": "v1", "fieldPath": field}})
        })
        .collect();
    let volume = json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {
            "name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }},
        {"downwardAPI": {"items": fields}},
    ]}});
    if let Some(spec) = pod.get_mut("spec") {
        add(spec, "volumes", volume);
    }
}

fn add(to: &mut Value, list: &str, item: Value) {
    let place = to.as_object_mut().map(|map| map.entry(list).or_insert_with(|| json!([])));
    if let Some(list) = place.and_then(Value::as_array_mut) {
        list.push(item);
    }
}
