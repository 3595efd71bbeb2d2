//! `pods/attach` over websockets: what a container writes from now on, until it ends. What
//! the client sends is read and goes nowhere: no program here reads its standard input.

use axum::{
    extract::{FromRequestParts, ws::WebSocketUpgrade},
    response::Response,
};
use futures::StreamExt;
use http::request::Parts;
use serde_json::json;

use super::{
    container::named,
    exec::{PROTOCOLS, STDOUT, finish, input, send},
    failure::Failure,
    http::Api,
    object::Object,
    request::Parameters,
    runtime::ExecError,
    write::Place,
};

/// Answers an attach request.
///
/// # Errors
/// No such pod or container, one that doesn't run, or a node that doesn't answer.
pub(super) async fn upgrade(
    api: &Api,
    place: Place<'_>,
    parameters: &Parameters,
    parts: &mut Parts,
) -> Result<Response, Failure> {
    let (pod, container) = named(api, place, parameters)?;
    let phase = pod.text("/status/phase");
    if matches!(phase, "Succeeded" | "Failed") {
        return Err(Failure::bad_request(format!(
            "cannot attach a container in a completed pod; current phase is {phase}"
        )));
    }
    let runtime = api.runtime.clone();
    let runtime = runtime.ok_or_else(|| Failure::internal("no kubelet runs this pod"))?;
    if let Some(address) = runtime.unreachable(&pod) {
        return Err(Failure::internal(ExecError::Unreachable(address)));
    }
    let upgrade = WebSocketUpgrade::from_request_parts(parts, &())
        .await
        .map_err(|_| Failure::bad_request("Upgrade request required"))?;
    let (_, mut lines) = runtime.follow(&pod, &container).ok_or_else(|| {
        let error = ExecError::NotRunning(container);
        Failure::internal(format!("unable to upgrade connection: {error}"))
    })?;
    let wanted = parameters.flag("stdout");
    Ok(upgrade.protocols(PROTOCOLS).on_upgrade(move |socket| async move {
        let (mut sink, mut stream) = socket.split();
        let output = async {
            while let Some(line) = lines.next().await {
                if wanted {
                    send(&mut sink, STDOUT, format!("{}\n", line.text).as_bytes()).await?;
                }
            }
            finish(&mut sink, &json!({"metadata": {}, "status": "Success"})).await;
            Some(())
        };
        tokio::select! {
            () = input(&mut stream, None) => {}
            _ = output => {}
        }
    }))
}
