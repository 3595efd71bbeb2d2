//! `pods/portforward`: connections to ports inside a pod, over one connection to the API.
//!
//! Three ways lead here: SPDY, SPDY inside a websocket (what kubectl speaks), and a
//! websocket with two channels for each port. In each the other end of a connection is the
//! pod's own `localhost`, which no policy guards.

mod channels;
mod copy;
mod pairs;

pub(super) use copy::said;

use std::sync::Arc;

use axum::response::Response;
use http::request::Parts;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    failure::Failure,
    http::Api,
    object::Object,
    request::Parameters,
    resource::PODS,
    runtime::{NoPort, Runtime},
    session, spdy,
    write::Place,
};

/// What is spoken on the streams of a SPDY connection.
const STREAMS: &str = "portforward.k8s.io";
/// The same where websocket messages carry the connection.
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
/// What is spoken where each message begins with its channel.
const CHANNELS: [&str; 1] = ["v4.channel.k8s.io"];

/// Answers a request for forwarded ports.
///
/// # Errors
/// No such pod, one that doesn't run, a node that doesn't answer, or no upgrade that is
/// known here.
pub(super) async fn upgrade(
    api: &Api,
    place: Place<'_>,
    parameters: &Parameters,
    parts: &mut Parts,
) -> Result<Response, Failure> {
    let pod = api.store.get(&PODS, place.namespace, place.name);
    let pod = pod.ok_or_else(|| Failure::not_found(&PODS, place.name))?;
    session::assigned(&pod)?;
    let runtime = session::runtime(api, &pod)?;
    let forwarder = Forwarder { runtime, pod };
    if spdy::wanted(&parts.headers) {
        by_spdy(forwarder, parts)
    } else {
        by_websocket(forwarder, parameters, parts).await
    }
}

fn by_spdy(forwarder: Forwarder, parts: &mut Parts) -> Result<Response, Failure> {
    forwarder.is_there()?;
    match spdy::agree(&parts.headers, &[STREAMS]) {
        Ok(protocol) => {
            spdy::upgrade(parts, protocol, pairs::accepts, |streams| pairs::run(forwarder, streams))
        }
        Err(refusal) => Ok(*refusal),
    }
}

async fn by_websocket(
    forwarder: Forwarder,
    parameters: &Parameters,
    parts: &mut Parts,
) -> Result<Response, Failure> {
    let upgrade = session::websocket(parts).await?;
    let tunnelled = upgrade.protocols([TUNNEL]);
    if tunnelled.selected_protocol().is_some() {
        forwarder.is_there()?;
        return Ok(tunnelled.on_upgrade(move |socket| {
            spdy::websocket(socket, pairs::accepts, |streams| pairs::run(forwarder, streams))
        }));
    }
    // The old way names its ports in the query.
    let ports = channels::ports(parameters).map_err(|text| Failure::bad_request(&text))?;
    forwarder.is_there()?;
    let upgrade = tunnelled.protocols(CHANNELS);
    Ok(upgrade.on_upgrade(move |socket| channels::run(socket, forwarder, ports)))
}

/// A pod whose ports are forwarded.
#[derive(Clone)]
struct Forwarder {
    runtime: Arc<dyn Runtime>,
    pod: Arc<Value>,
}

impl Forwarder {
    /// Fails on a pod without a network.
    fn is_there(&self) -> Result<(), Failure> {
        if self.runtime.is_wired(&self.pod) {
            return Ok(());
        }
        let name = format!("{}_{}", self.pod.name(), self.pod.namespace());
        Err(Failure::internal(format!("pod not found (\"{name}\")")))
    }

    /// What the runtime calls the pod.
    fn sandbox(&self) -> String {
        let digest = Sha256::digest(self.pod.uid());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Why a port can't be forwarded, as kubelet and containerd say it.
    fn failure(&self, port: u16, why: &str) -> String {
        let sandbox = self.sandbox();
        format!("error forwarding port {port} to pod {sandbox}, uid : {why}")
    }

    fn closed(&self, port: u16, why: &NoPort) -> String {
        let sandbox = self.sandbox();
        let why = match why {
            NoPort::NotWired => format!("failed to find sandbox \"{sandbox}\" in store: not found"),
            NoPort::Closed(v4, v6) => self.inside(&format!(
                "failed to connect to localhost:{port} inside namespace \"{sandbox}\", IPv4: \
                 dial tcp4 127.0.0.1:{port}: connect: {} IPv6 dial tcp6 [::1]:{port}: connect: {} ",
                copy::said(v4),
                copy::said(v6)
            )),
        };
        self.failure(port, &why)
    }

    fn inside(&self, why: &str) -> String {
        let namespace = format!("/var/run/netns/cni-{}", self.pod.uid());
        format!("failed to execute portforward in network namespace \"{namespace}\": {why}")
    }
}
