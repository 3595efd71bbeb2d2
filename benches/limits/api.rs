//! How many requests the sandbox's API answers, and how soon a watch hears of a write.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, Config,
    api::{PostParams, WatchEvent, WatchParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;

/// How many clients ask at once.
const CLIENTS: usize = 16;
/// How many requests each of them makes.
const REQUESTS: usize = 500;
/// How many writes a watch is timed on.
const WRITES: usize = 200;

/// What the API managed.
pub struct Figures {
    /// Small requests answered in a second, by all clients together.
    pub requests: f64,
    /// From a write's beginning to its event, for all but one in twenty.
    pub event: Duration,
}

/// Measures a sandbox of its own.
pub fn api() -> Figures {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    let mut child = Command::new(env!("CARGO_BIN_EXE_netproof"))
        .args(["sandbox", "up", "--foreground", "--kubeconfig"])
        .arg(&kubeconfig)
        .env("XDG_RUNTIME_DIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the program");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output is piped"))
        .read_line(&mut line)
        .expect("its output is text");
    let _sandbox = Ended(child);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(&kubeconfig).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("complete");
        Figures { requests: requests(&config).await, event: events(&config).await }
    })
}

/// The sandbox ends with its parent, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself, which the figures then show.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn maps(config: &Config) -> Api<ConfigMap> {
    Api::default_namespaced(Client::try_from(config.clone()).expect("a client"))
}

fn map(name: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}})).expect("a ConfigMap")
}

async fn requests(config: &Config) -> f64 {
    maps(config).create(&PostParams::default(), &map("small")).await.expect("created");
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|_| {
        let maps = maps(config);
        tokio::spawn(async move {
            for _ in 0..REQUESTS {
                maps.get("small").await.expect("an answer");
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.expect("no client fails");
    }
    (CLIENTS * REQUESTS) as f64 / started.elapsed().as_secs_f64()
}

async fn events(config: &Config) -> Duration {
    let (writer, watcher) = (maps(config), maps(config));
    let from = writer.get("small").await.expect("there").metadata.resource_version;
    let params = WatchParams::default();
    let events = watcher.watch(&params, &from.expect("a version")).await.expect("a watch");
    let mut events = Box::pin(events);
    let mut times = Vec::with_capacity(WRITES);
    for number in 0..WRITES {
        let object = map(&format!("event-{number}"));
        let started = Instant::now();
        let write = tokio::spawn({
            let writer = writer.clone();
            async move { writer.create(&PostParams::default(), &object).await }
        });
        while !matches!(events.next().await, Some(Ok(WatchEvent::Added(_)))) {}
        times.push(started.elapsed());
        write.await.expect("no panic").expect("created");
    }
    times.sort();
    times[WRITES * 19 / 20]
}
