//! `pods/attach` over websockets: what a container writes from now on, until it ends. What
//! the client sends is read and goes nowhere: no program here reads its standard input.

use axum::response::Response;
use futures::StreamExt;
use http::request::Parts;
use serde_json::json;

use super::{
    container::named,
    exec::{PROTOCOLS, STDOUT, finish, input, send},
    failure::Failure,
    http::Api,
    request::Parameters,
    runtime::ExecError,
    session,
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
    session::not_completed(&pod, "attach a container in")?;
    let runtime = session::runtime(api, &pod)?;
    let upgrade = session::websocket(parts).await?;
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
