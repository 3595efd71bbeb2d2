//! From a request to the packet: how soon a connection feels a change of policy.
//!
//! A pod dials another once a millisecond while the API is asked for the change. What counts
//! runs from the request's first byte to the first connection that fares otherwise, by the
//! clock of the machine, which the agent in the pod has as well.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client,
    api::{
        ApiResource, AttachParams, AttachedProcess, DeleteParams, DynamicObject, GroupVersionKind,
        Patch, PatchParams, PostParams,
    },
    runtime::wait::await_condition,
};
use netproof_probe::wire::{
    AttemptOutcome, Probe, Protocol, Question, Request, Response, Script, Target, Timing, VERSION,
};
use nix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    task::AbortHandle,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// Where it happens: one of the namespaces that are full of pods.
pub const SPACE: &str = "space-0";
const POLICIES: usize = 500;
const ROUNDS: usize = 20;
const PARALLEL: usize = 16;
/// The agent dials no destination more than 125 times a second for long.
const PORTS: u16 = 8;
const FIRST_PORT: u16 = 8080;
const HUNG: Duration = Duration::from_secs(30);
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The times of each change, the median and the slowest.
pub type Ways = BTreeMap<&'static str, (Duration, Duration)>;

/// Measures in a cluster that is full of pods already.
pub async fn ways(client: &Client) -> Ways {
    let pods = Api::<Pod>::namespaced(client.clone(), SPACE);
    for (name, node) in [("client", "node-1"), ("server", "node-2")] {
        let pod = serde_json::from_value(agent(name, node)).expect("a pod");
        pods.create(&PostParams::default(), &pod).await.expect("created");
    }
    for name in ["client", "server"] {
        let ready = await_condition(pods.clone(), name, |pod: Option<&Pod>| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            let conditions = status.and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|one| one.type_ == "Ready" && one.status == "True")
        });
        timeout(HUNG, ready).await.expect("in time").expect("a watch");
    }
    let policies = Api::<NetworkPolicy>::namespaced(client.clone(), SPACE);
    stream::iter(0..POLICIES)
        .map(|number| async move {
            let policies = Api::<NetworkPolicy>::namespaced(client.clone(), &space(number));
            policies.create(&PostParams::default(), &other(number)).await
        })
        .buffer_unordered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await
        .expect("every policy is created");

    let server = pods.get("server").await.expect("there").status.and_then(|status| status.pod_ip);
    let prober = Prober::start(&pods, &server.expect("an address")).await;
    let spaces = Api::<Namespace>::all(client.clone());
    let kind = GroupVersionKind::gvk("policy.networking.k8s.io", "v1beta1", "ClusterNetworkPolicy");
    let resource = ApiResource::from_gvk_with_plural(&kind, "clusternetworkpolicies");
    let guards = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let (create, merge, delete) =
        (PostParams::default(), PatchParams::default(), DeleteParams::default());
    let gate = |ingress: Value| -> NetworkPolicy {
        serde_json::from_value(json!({
            "metadata": {"name": "gate"},
            "spec": {"podSelector": {"matchLabels": {"app": "server"}},
                "policyTypes": ["Ingress"], "ingress": ingress},
        }))
        .expect("a policy")
    };
    let changed = async |ingress: Value| {
        let patch = Patch::Merge(json!({"spec": {"ingress": ingress}}));
        policies.patch("gate", &merge, &patch).await.map(drop)
    };
    let label = async |app: &str| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"app": app}}}));
        pods.patch("client", &merge, &patch).await.map(drop)
    };
    let team = async |team: &str| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"team": team}}}));
        spaces.patch(SPACE, &merge, &patch).await.map(drop)
    };
    let client_alone = || json!([{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}]);
    let team_alone = || json!([{"from": [{"namespaceSelector": {"matchLabels": {"team": "1"}}}]}]);
    let mut times: BTreeMap<&'static str, Vec<Duration>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let mut note = |what, time| times.entry(what).or_default().push(time);
        let comes = async { policies.create(&create, &gate(json!([]))).await.map(drop) };
        note("a policy comes", prober.felt(false, comes).await);
        note("a policy changes", prober.felt(true, changed(client_alone())).await);
        note("a pod is relabelled", prober.felt(false, label("stranger")).await);
        note("a pod is relabelled", prober.felt(true, label("client")).await);
        note("a policy changes", prober.felt(false, changed(team_alone())).await);
        note("a namespace is relabelled", prober.felt(true, team("1")).await);
        note("a namespace is relabelled", prober.felt(false, team("0")).await);
        let goes = async { policies.delete("gate", &delete).await.map(drop) };
        note("a policy goes", prober.felt(true, goes).await);
        let comes = async { guards.create(&create, &guard()).await.map(drop) };
        note("a policy of the cluster comes", prober.felt(false, comes).await);
        let goes = async { guards.delete("guard", &delete).await.map(drop) };
        note("a policy of the cluster goes", prober.felt(true, goes).await);
    }
    let summed = times.into_iter().map(|(what, mut all)| {
        all.sort_unstable();
        (what, (all[all.len() / 2], all[all.len() - 1]))
    });
    summed.collect()
}

/// The namespace of the pod or policy of this number.
pub fn space(number: usize) -> String {
    format!("space-{}", number % 20)
}

fn agent(name: &str, node: &str) -> Value {
    let listen = (FIRST_PORT..FIRST_PORT + PORTS).map(|port| format!("--listen={port}/tcp"));
    let args = ["serve", "--identity", name, "--key", KEY].map(str::to_owned);
    json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"kubernetes.io/hostname": node},
            "containers": [{
                "name": "agent", "image": "netproof-probe",
                "args": args.into_iter().chain(listen).collect::<Vec<_>>(),
                "readinessProbe": {"tcpSocket": {"port": 61_000}, "periodSeconds": 1},
            }],
        },
    })
}

/// One of the many: about some pods of its namespace, with peers by labels of several kinds.
fn other(number: usize) -> NetworkPolicy {
    let who = json!({"matchLabels": {"group": (number / 20 % 10).to_string()}});
    let peer = match number / 20 % 3 {
        0 => json!({"podSelector": {"matchLabels": {"group": "1"}}}),
        1 => json!({"namespaceSelector": {"matchLabels": {"team": (number % 2).to_string()}}}),
        _ => json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}),
    };
    let policy = json!({
        "metadata": {"name": format!("policy-{number}")},
        "spec": {"podSelector": who, "ingress": [{"from": [peer], "ports": [{"port": 80}]}]},
    });
    serde_json::from_value(policy).expect("a policy")
}

/// About all pods.
fn guard() -> DynamicObject {
    let guard = json!({
        "apiVersion": "policy.networking.k8s.io/v1beta1", "kind": "ClusterNetworkPolicy",
        "metadata": {"name": "guard"},
        "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "ingress": [
            {"action": "Deny", "from": [{"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "client"}}}}]},
        ]},
    });
    serde_json::from_value(guard).expect("a policy")
}

/// Microseconds since the machine booted, as the agent has them.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("every Linux has it");
    time.tv_sec() as u64 * 1_000_000 + time.tv_nsec() as u64 / 1_000
}

/// A connection that was tried.
#[derive(Clone, Copy)]
struct Tried {
    at: u64,
    took: u64,
    connected: bool,
}

/// Dials once a millisecond, from pod to pod.
struct Prober {
    tried: Arc<Mutex<Vec<Tried>>>,
    tasks: Vec<AbortHandle>,
    _session: AttachedProcess,
}

impl Prober {
    async fn start(pods: &Api<Pod>, server: &str) -> Self {
        let params = AttachParams::default().stdin(true).stderr(false).container("agent");
        let mut session =
            pods.exec("client", ["netproof-probe", "dial"], &params).await.expect("a session");
        let mut stdin = session.stdin().expect("a pipe");
        let mut lines = BufReader::new(session.stdout().expect("a pipe")).lines();
        let line = |request| serde_json::to_string(&request).expect("a line") + "\n";
        let open = line(Request::Open { version: VERSION, key: KEY.to_owned() });
        stdin.write_all(open.as_bytes()).await.expect("sent");
        let target = Target::Address(server.parse().expect("an address"));
        let ask = tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(1));
            tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
            for number in 0_u64.. {
                tick.tick().await;
                let probe = Probe {
                    id: number,
                    target: target.clone(),
                    family: None,
                    port: FIRST_PORT + (number % u64::from(PORTS)) as u16,
                    protocol: Protocol::Tcp,
                    question: Question::Bare,
                    script: Script::default(),
                    timing: Timing { window: 200, attempts: 1, reply: 1 },
                };
                let batch = Request::Batch { batch: number, rate: None, probes: vec![probe] };
                let sent = stdin.write_all(line(batch).as_bytes()).await;
                if sent.is_err() || stdin.flush().await.is_err() {
                    return;
                }
            }
        });
        let tried = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&tried);
        let hear = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let result = match serde_json::from_str(&line) {
                    Ok(Response::Result { result, .. }) => result,
                    Ok(Response::Error { message }) => panic!("the agent says: {message}"),
                    _ => continue,
                };
                let attempts = result.dials.iter().flat_map(|dial| &dial.attempts);
                let mut tried = heard.lock().unwrap_or_else(PoisonError::into_inner);
                tried.extend(attempts.map(|attempt| {
                    let connected = match attempt.outcome {
                        AttemptOutcome::Connected => true,
                        AttemptOutcome::TimedOut => false,
                        other => panic!("the connection was {other:?}"),
                    };
                    Tried { at: attempt.at, took: attempt.took, connected }
                }));
            }
        });
        let tasks = vec![ask.abort_handle(), hear.abort_handle()];
        Self { tried, tasks, _session: session }
    }

    /// The first that was tried since a moment and fits.
    async fn first(&self, since: u64, fits: impl Fn(&Tried) -> bool) -> Tried {
        let found = async {
            loop {
                let found = {
                    let tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
                    let fitting = tried.iter().filter(|one| one.at >= since && fits(one));
                    fitting.min_by_key(|one| one.at).copied()
                };
                match found {
                    Some(found) => return found,
                    None => sleep(Duration::from_millis(1)).await,
                }
            }
        };
        timeout(HUNG, found).await.expect("connections are tried all the time")
    }

    /// How long until a change opens the way, or closes it.
    async fn felt(
        &self,
        opens: bool,
        change: impl Future<Output = Result<(), kube::Error>>,
    ) -> Duration {
        self.tried.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // It is as it was before, and dialling goes on.
        self.first(now(), |one| one.connected != opens).await;
        let begun = now();
        change.await.expect("the change is taken");
        let first = self.first(begun, |one| one.connected == opens).await;
        let felt = if opens { first.at + first.took } else { first.at };
        Duration::from_micros(felt.saturating_sub(begun))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
