//! What a webhook would do to pods, on demand: see [`ApiFault`].

use http::StatusCode;
use serde_json::{Value, json};

use super::super::{
    failure::Failure,
    object::{Object, object_mut},
    resource::FAULTS,
    store::Writer,
};
use crate::sandbox::{
    fault::{ApiFault, Fault},
    stand_in::sidecar::{INBOUND, OUTBOUND},
};

/// The webhook's name in its refusals.
const NAME: &str = "pods.sandbox.netproof.dev";
/// The container that is added, by the name of the mesh that is most often met.
const SIDECAR: &str = "istio-proxy";
/// Its image, by which the kubelet knows what to run.
pub const IMAGE: &str = "netproof.dev/sidecar:1";
/// By which a pod says that it wants none.
const INJECT: &str = "sidecar.istio.io/inject";

fn faults(writer: &Writer<'_>) -> impl Iterator<Item = ApiFault> {
    writer.list(&FAULTS, None).into_iter().filter_map(|object| match Fault::of(&object)? {
        Fault::Api(fault) => Some(fault),
        _ => None,
    })
}

/// Sets labels and adds containers.
pub(super) fn mutate(writer: &Writer<'_>, pod: &mut Value) {
    for fault in faults(writer) {
        match fault {
            ApiFault::LabelPods { key, value } => {
                let labels = pod.metadata_mut().entry("labels").or_insert_with(|| json!({}));
                object_mut(labels).insert(key, value.into());
            }
            ApiFault::InjectSidecar => add_sidecar(pod),
            _ => {}
        }
    }
}

fn add_sidecar(pod: &mut Value) {
    let there = pod.items("/spec/containers").iter().any(|one| one["name"] == SIDECAR);
    let unwanted = ["labels", "annotations"]
        .iter()
        .any(|kind| pod["metadata"][*kind].get(INJECT).is_some_and(|value| value == "false"));
    if there || unwanted || pod["spec"]["hostNetwork"] == true {
        return;
    }
    let ports = [INBOUND, OUTBOUND].map(|port| json!({"containerPort": port, "protocol": "TCP"}));
    let sidecar = json!({
        "name": SIDECAR, "image": IMAGE,
        "ports": ports,
        "imagePullPolicy": "IfNotPresent", "resources": {},
        "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"},
        },
    });
    if let Some(containers) = pod.section_mut("spec").get_mut("containers")
        && let Some(containers) = containers.as_array_mut()
    {
        containers.push(sidecar);
    }
}

/// Denies pods.
pub(super) fn review(writer: &Writer<'_>, _pod: &Value) -> Result<(), Failure> {
    let denied = faults(writer).find_map(|fault| match fault {
        ApiFault::DenyPods(reason) => Some(reason),
        _ => None,
    });
    match denied {
        None => Ok(()),
        Some(reason) => Err(Failure {
            code: StatusCode::FORBIDDEN,
            reason: "Forbidden",
            message: format!("admission webhook \"{NAME}\" denied the request: {reason}"),
            details: Value::Null,
        }),
    }
}
