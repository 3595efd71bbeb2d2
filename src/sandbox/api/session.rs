//! What must hold before a connection is upgraded to a session in a pod: `exec`, `attach`
//! and `portforward` ask alike. All is said before the upgrade, so that a client that
//! speaks another protocol hears it too.

use std::sync::Arc;

use axum::extract::{FromRequestParts, ws::WebSocketUpgrade};
use http::request::Parts;
use serde_json::Value;

use super::{
    failure::Failure,
    http::Api,
    object::Object,
    runtime::{ExecError, Runtime},
};

/// Fails on a pod that no node has been chosen for.
pub(super) fn assigned(pod: &Value) -> Result<(), Failure> {
    if pod.text("/spec/nodeName").is_empty() {
        let text = format!("pod {} does not have a host assigned", pod.name());
        return Err(Failure::bad_request(text));
    }
    Ok(())
}

/// Fails on a pod that has ended; `what` isn't possible in it.
pub(super) fn not_completed(pod: &Value, what: &str) -> Result<(), Failure> {
    let phase = pod.text("/status/phase");
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Failure::bad_request(format!(
            "cannot {what} a completed pod; current phase is {phase}"
        )));
    }
    Ok(())
}

/// Who runs a pod, if its node can be asked.
pub(super) fn runtime(api: &Api, pod: &Value) -> Result<Arc<dyn Runtime>, Failure> {
    let runtime = api.runtime.clone();
    let runtime = runtime.ok_or_else(|| Failure::internal("no kubelet runs this pod"))?;
    match runtime.unreachable(pod) {
        Some(address) => Err(Failure::internal(ExecError::Unreachable(address))),
        None => Ok(runtime),
    }
}

/// The upgrade to a websocket that was asked for.
pub(super) async fn websocket(parts: &mut Parts) -> Result<WebSocketUpgrade, Failure> {
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &()).await;
    upgrade.map_err(|_| Failure::bad_request("Upgrade request required"))
}
