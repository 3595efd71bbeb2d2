//! Many pods in one sandbox: how long until all are ready, and what they cost.

use std::{
    collections::BTreeSet,
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Config,
    api::PostParams,
    client::ConfigExt,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use tower::ServiceBuilder;

use crate::{
    measure::PROGRAM,
    way::{self, Ways},
};

/// How long all pods may take before it counts as hung.
const HUNG: Duration = Duration::from_secs(600);
/// Requests in flight while pods are created.
const PARALLEL: usize = 16;

/// What so many pods took and cost.
pub struct Scale {
    /// From the first request to the last pod's readiness.
    pub ready: Duration,
    /// The processor time that it took, of all of the sandbox's processes.
    pub spent: Duration,
    /// The physical memory of all of the sandbox's processes, in bytes; what they share is
    /// counted once.
    pub memory: u64,
    /// The share of one core that the idle sandbox takes while it probes every pod each
    /// second.
    pub idle: f64,
    /// From a request to the packet.
    pub ways: Ways,
}

/// So many pods on so many nodes, each probed every second.
pub fn scale(pods: usize, nodes: usize) -> Scale {
    let folder = tempfile::tempdir().expect("a folder");
    let nodes = nodes.to_string();
    let up = Command::new(PROGRAM)
        .args(["sandbox", "up", "--foreground", "--nodes", &nodes])
        .env("XDG_RUNTIME_DIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the program");
    let mut up = Ended(up);
    let mut line = String::new();
    let stdout = up.0.stdout.take().expect("its output is piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("a line");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let client = runtime.block_on(connect(line.trim()));
    let ready = runtime.block_on(all_ready(&client, pods));
    let processes = below(up.0.id());
    let memory = processes.iter().map(|process| share(*process)).sum();
    let spent = Duration::from_secs_f64(ticks(&processes) as f64 / TICKS);
    let (before, begun) = (ticks(&processes), Instant::now());
    std::thread::sleep(Duration::from_secs(10));
    let probing = (ticks(&processes).saturating_sub(before)) as f64 / TICKS;
    let idle = probing / begun.elapsed().as_secs_f64() * 100.0;
    Scale { ready, spent, memory, idle, ways: runtime.block_on(way::ways(&client)) }
}

async fn connect(kubeconfig: &str) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let written = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(written, &options).await.expect("complete");
    // The client's own way leaves small messages lying until the last one is acknowledged, and
    // that may take 40 ms: what is measured would be the measure.
    let mut at_once = HttpConnector::new();
    at_once.enforce_http(false);
    at_once.set_nodelay(true);
    let secure = config.rustls_https_connector_with_connector(at_once).expect("certificates");
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().expect("credentials"))
        .map_err(tower::BoxError::from)
        .service(legacy::Client::builder(TokioExecutor::new()).build(secure));
    Client::new(service, config.default_namespace)
}

/// Pods in twenty namespaces.
async fn all_ready(client: &Client, count: usize) -> Duration {
    let spaces = Api::<Namespace>::all(client.clone());
    for number in 0..20 {
        let labels = json!({"team": (number % 2).to_string()});
        let space = json!({"metadata": {"name": way::space(number), "labels": labels}});
        let space = serde_json::from_value(space).expect("a namespace");
        spaces.create(&PostParams::default(), &space).await.expect("created");
    }
    let begun = Instant::now();
    stream::iter(0..count)
        .map(|number| {
            let pod = json!({
                "metadata": {"name": format!("p{number}"), "labels": {
                    "app": format!("p{number}"), "group": (number / 20 % 10).to_string(),
                }},
                "spec": {"containers": [{
                    "name": "web", "image": "nginx", "ports": [{"containerPort": 80}],
                    "readinessProbe": {"httpGet": {"port": 80}, "periodSeconds": 1},
                }]},
            });
            let pods = Api::<Pod>::namespaced(client.clone(), &way::space(number));
            async move {
                let pod = serde_json::from_value(pod).expect("a pod");
                pods.create(&PostParams::default(), &pod).await
            }
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await
        .expect("every pod is created");
    let mut ready = BTreeSet::new();
    let pods = Api::<Pod>::all(client.clone());
    let watched = watcher::Config::default().labels("group");
    let events = watcher(pods, watched).applied_objects();
    let mut events = Box::pin(events);
    let all = async {
        while ready.len() < count {
            let pod = events.try_next().await.expect("a watch").expect("it goes on");
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            let is_ready = conditions
                .into_iter()
                .flatten()
                .any(|one| one.type_ == "Ready" && one.status == "True");
            if is_ready {
                ready.insert(pod.metadata.name.unwrap_or_default());
            }
        }
    };
    let in_time = tokio::time::timeout(HUNG, all).await.is_ok();
    assert!(in_time, "{} of {count} pods are ready", ready.len());
    begun.elapsed()
}

/// A program that ends with this handle.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // The sandbox ends with its parent, however that ends.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The kernel's unit of processor time, in a second.
const TICKS: f64 = 100.0;

/// The fields of a process's `stat` behind its name, which may hold blanks.
fn stat(process: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

/// All processes that descend from this one, and itself.
fn below(ancestor: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("the processes");
    let processes: Vec<(u32, u32)> = entries
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((process, stat(process)?.get(1)?.parse().ok()?))
        })
        .collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&one) = found.get(next) {
        found.extend(processes.iter().filter(|(_, parent)| *parent == one).map(|(pid, _)| pid));
        next += 1;
    }
    found
}

/// `Pss`: a process's own memory, and its share of what it has in common with others.
fn share(process: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or_default() * 1024
}

/// The processor time of processes, in ticks.
fn ticks(processes: &[u32]) -> u64 {
    let of = |process: &u32| {
        let fields = stat(*process)?;
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(number(11)? + number(12)?)
    };
    processes.iter().filter_map(of).sum()
}
