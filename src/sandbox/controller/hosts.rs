//! External hosts: a network namespace beyond the nodes for each, and an application in it.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use serde_json::Value;
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use super::kubelet::piped;
use crate::sandbox::{
    api::{conditions, object::Object, resource::EXTERNAL_HOSTS, store::Store},
    host,
    node::{Network, PodNetwork, Process, Stream},
};

/// A host that is there.
struct Host {
    spec: Value,
    network: PodNetwork,
    /// Killed when it is dropped.
    _process: Child,
}

/// Keeps the hosts in step with the store until cancelled.
pub async fn host_outside(store: Arc<Store>, network: Network, cancel: CancellationToken) {
    let signal = store.signal(|event| event.resource == &EXTERNAL_HOSTS);
    let mut hosts = HashMap::<String, Host>::new();
    loop {
        tokio::select! {
            () = signal.notified() => {}
            () = cancel.cancelled() => return,
        }
        let (wanted, _) = store.list(&EXTERNAL_HOSTS, None);
        let wanted: HashMap<_, _> =
            wanted.into_iter().map(|object| (object.uid().to_owned(), object)).collect();
        let stale: Vec<_> = hosts
            .iter()
            .filter(|(uid, host)| wanted.get(*uid).is_none_or(|object| object["spec"] != host.spec))
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in stale {
            if let Some(host) = hosts.remove(&uid)
                && let Err(error) = network.remove_pod(&host.network).await
            {
                tracing::warn!(%error, "remove an external host");
            }
        }
        for (uid, object) in wanted {
            if hosts.contains_key(&uid) {
                continue;
            }
            let result = start(&network, &object).await;
            let (ready, message) = match &result {
                Ok(_) => (true, String::new()),
                Err(problem) => (false, problem.clone()),
            };
            if let Ok(host) = result {
                hosts.insert(uid, host);
            }
            report(&store, &object, ready, &message);
        }
    }
}

async fn start(network: &Network, object: &Value) -> Result<Host, String> {
    let texts = |pointer| object.items(pointer).iter().filter_map(Value::as_str);
    let addresses: Vec<IpAddr> =
        texts("/spec/addresses").filter_map(|text| text.parse().ok()).collect();
    let wired = network.add_host(object.name(), &addresses).await;
    let wired = wired.map_err(|error| error.to_string())?;
    let ports = texts("/spec/ports").map(str::to_owned);
    let arguments = addresses.iter().map(IpAddr::to_string).chain(ports).collect();
    let process = Process {
        stdout: Stream::Null,
        stderr: Stream::Inherited,
        ..piped(host::BINARY, arguments, BTreeMap::new(), String::new())
    };
    let child = wired.spawn(&process).map_err(|error| format!("start the application: {error}"))?;
    Ok(Host { spec: object["spec"].clone(), network: wired, _process: child })
}

/// Says in the host's status whether it is there.
fn report(store: &Store, object: &Value, ready: bool, message: &str) {
    if !ready {
        tracing::warn!(message, host = object.name(), "make an external host");
    }
    store.write(|writer| {
        let now = writer.get(&EXTERNAL_HOSTS, "", object.name());
        if let Some(now) = now.filter(|now| now.uid() == object.uid()) {
            let mut now = Value::clone(&now);
            let reason = if ready { "HostReady" } else { "HostFailed" };
            conditions::set(&mut now, "Ready", ready, reason, message);
            writer.put(&EXTERNAL_HOSTS, now);
        }
    });
}
