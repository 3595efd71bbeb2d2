//! A sandbox for a test, and what tests do with one.

use std::{path::Path, time::Duration};

use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client, Config,
    api::{AttachParams, DeleteParams, DynamicObject, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
    runtime::wait::{Condition, await_condition},
};
use netproof::sandbox::process::{Options, Sandbox};
use netproof_probe::wire::{
    Answer, Outcome, Probe, ProbeResult, Protocol, Question, Request, Response, Script, Target,
    Timing, VERSION,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    time::timeout,
};

/// Long enough for a loaded machine; nothing waits for it to pass.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// The run's key, as every pod of these tests has it.
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

pub struct Lab {
    pub client: Client,
    sandbox: Sandbox,
}

impl Lab {
    /// A sandbox with the namespace `shop`.
    pub async fn start() -> Self {
        Self::with(&Options::default()).await
    }

    /// The same, not as usual.
    pub async fn with(options: &Options) -> Self {
        let executable = Path::new(env!("CARGO_BIN_EXE_netproof"));
        let sandbox = Sandbox::start(executable, options).await;
        let sandbox = sandbox.unwrap_or_else(|error| panic!("{error}"));
        let kubeconfig = Kubeconfig::from_yaml(sandbox.kubeconfig()).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.expect("complete");
        // A test wants to hear what the API says, and not what it says in the end.
        config.default_retry = false;
        let client = Client::try_from(config).expect("a client");
        let namespace: Namespace =
            serde_json::from_value(json!({"metadata": {"name": "shop"}})).expect("a namespace");
        let namespaces = Api::<Namespace>::all(client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.expect("a namespace");
        Self { client, sandbox }
    }

    /// Ends the sandbox and waits until nothing of it is left.
    pub async fn stop(self) {
        self.sandbox.stop().await;
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "shop")
    }

    /// Objects of any kind, in the namespace `shop` where the kind has namespaces.
    pub fn objects(&self, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        if ["sandbox.netproof.dev", "policy.networking.k8s.io"].contains(&group) {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), "shop", &resource)
        }
    }

    /// Creates an object of any kind.
    pub async fn create(&self, object: Value) {
        let version = object["apiVersion"].as_str().expect("a version");
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let kind = object["kind"].as_str().expect("a kind");
        let api = self.objects(group, version, kind);
        let object = serde_json::from_value(object.clone()).expect("an object");
        api.create(&PostParams::default(), &object).await.expect("created");
    }

    /// Switches a fault on, by a name of its own.
    pub async fn break_it(&self, name: &str, fault: &str) {
        self.create(json!({
            "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "Fault",
            "metadata": {"name": name}, "spec": {"fault": fault},
        }))
        .await;
    }

    /// Switches a fault off.
    pub async fn mend(&self, name: &str) {
        let faults = self.objects("sandbox.netproof.dev", "v1alpha1", "Fault");
        faults.delete(name, &DeleteParams::default()).await.expect("it was on");
    }

    /// Dials over TCP until the outcome is as expected.
    pub async fn settles(&self, from: &str, to: &str, port: u16, expected: &str) {
        let mut last = String::new();
        let dialled = async {
            while last != expected {
                last = self.dial(from, to, port, Protocol::Tcp).await;
            }
        };
        if timeout(DEADLINE, dialled).await.is_err() {
            panic!("{from} to {to}:{port} was never {expected}, last {last}");
        }
    }

    /// Creates pods and waits until all are ready.
    pub async fn ready(&self, pods: impl IntoIterator<Item = Value>) {
        let mut names = Vec::new();
        for pod in pods {
            names.push(pod["metadata"]["name"].as_str().expect("a name").to_owned());
            let pod = serde_json::from_value(pod).expect("a pod");
            self.pods().create(&PostParams::default(), &pod).await.expect("created");
        }
        for name in names {
            self.until(&name, "is ready", |pod: Option<&Pod>| pod.is_some_and(is_ready)).await;
        }
    }

    /// Waits until a pod is as it should be.
    pub async fn until(&self, name: &str, what: &str, condition: impl Condition<Pod>) {
        match timeout(DEADLINE, await_condition(self.pods(), name, condition)).await {
            Ok(done) => _ = done.expect("a watch"),
            Err(_) => panic!("{name} never {what}: {:?}", self.pods().get_opt(name).await),
        }
    }

    pub async fn address(&self, pod: &str) -> String {
        let pod = self.pods().get(pod).await.expect("the pod");
        pod.status.and_then(|status| status.pod_ip).expect("its address")
    }

    /// Dials from a pod, and says what came of it in a word or two.
    pub async fn dial(&self, from: &str, target: &str, port: u16, protocol: Protocol) -> String {
        self.ask(from, target, port, protocol, Question::Keyed { nonce: "1".repeat(32) }).await
    }

    /// Dials somebody who doesn't know the key.
    pub async fn dial_foreign(
        &self,
        from: &str,
        target: &str,
        port: u16,
        protocol: Protocol,
    ) -> String {
        self.ask(from, target, port, protocol, Question::Bare).await
    }

    async fn ask(
        &self,
        from: &str,
        target: &str,
        port: u16,
        protocol: Protocol,
        question: Question,
    ) -> String {
        let target = match target.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Name(target.to_owned()),
        };
        let (script, timing) = (Script::default(), Timing::default());
        let probe = Probe { id: 1, target, family: None, port, protocol, question, script, timing };
        self.probe(from, probe).await
    }

    /// Makes one probe from a pod.
    pub async fn probe(&self, from: &str, probe: Probe) -> String {
        self.probes(from, vec![probe]).await.remove(0)
    }

    /// Makes probes from a pod, all at once; their results in the order of the probes.
    pub async fn probes(&self, from: &str, probes: Vec<Probe>) -> Vec<String> {
        let count = probes.len();
        let ids: Vec<_> = probes.iter().map(|probe| probe.id).collect();
        let requests = [
            Request::Open { version: VERSION, key: KEY.to_owned() },
            Request::Batch { batch: 1, rate: None, probes },
        ];
        let params = AttachParams::default().stdin(true).stderr(false).container("agent");
        let mut session =
            self.pods().exec(from, ["netproof-probe", "dial"], &params).await.expect("a session");
        let mut stdin = session.stdin().expect("a pipe");
        for request in requests {
            let line = serde_json::to_string(&request).expect("a line") + "\n";
            stdin.write_all(line.as_bytes()).await.expect("sent");
        }
        stdin.flush().await.expect("sent");
        let mut lines = BufReader::new(session.stdout().expect("a pipe")).lines();
        let mut results = std::collections::BTreeMap::new();
        let all = async {
            while let Some(line) = lines.next_line().await.expect("a line") {
                match serde_json::from_str(&line) {
                    Ok(Response::Result { result, .. }) => {
                        results.insert(result.id, describe(&result));
                    }
                    Ok(Response::Error { message }) => panic!("{message}"),
                    _ => {}
                }
                if results.len() == count {
                    return;
                }
            }
            panic!("the session ended without all results")
        };
        timeout(DEADLINE, all).await.expect("in time");
        session.abort();
        ids.iter().map(|id| results[id].clone()).collect()
    }
}

fn describe(result: &ProbeResult) -> String {
    let dials: Vec<_> = result
        .dials
        .iter()
        .map(|dial| match &dial.outcome {
            Outcome::Connected { answer: Answer::Agent { identity, .. } } => identity.clone(),
            Outcome::Connected { answer: Answer::Application { .. } } => "application".to_owned(),
            Outcome::Connected { answer: Answer::HandshakeOnly } => "handshake".to_owned(),
            Outcome::Refused => "refused".to_owned(),
            Outcome::TimedOut => "timed out".to_owned(),
            Outcome::NoRoute { .. } => "no route".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    if dials.is_empty() { "no address".to_owned() } else { dials.join(", ") }
}

/// Runs a command in a pod to its end: its output and its final status.
pub async fn run(lab: &Lab, pod: &str, command: &[&str]) -> (String, Value) {
    let params = AttachParams::default().stderr(true);
    let mut session =
        lab.pods().exec(pod, command.iter().copied(), &params).await.expect("a session");
    let status = session.take_status().expect("a status");
    let mut output = String::new();
    let mut pipe = session.stdout().expect("a pipe");
    let read = pipe.read_to_string(&mut output);
    timeout(DEADLINE, read).await.expect("in time").expect("UTF-8");
    let status = timeout(DEADLINE, status).await.expect("in time").expect("a status");
    (output, serde_json::to_value(status).expect("JSON"))
}

pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready")
}

pub fn condition(pod: &Pod, kind: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == kind && condition.status == "True")
}

pub fn phase(pod: Option<&Pod>) -> &str {
    pod.and_then(|pod| pod.status.as_ref()?.phase.as_deref()).unwrap_or_default()
}

/// A pod that is an agent, labelled with its name, listening on 8080 for TCP and UDP.
pub fn agent(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 2,
            "containers": [{
                "name": "agent",
                "image": "netproof-probe",
                "args": [
                    "serve", "--identity", name, "--key", KEY,
                    "--listen", "main=8080/tcp", "--listen", "8080/udp",
                ],
                "ports": [{"name": "main", "containerPort": 8080}],
                "readinessProbe": {"tcpSocket": {"port": 61_000}, "periodSeconds": 1},
            }],
        },
    })
}

/// The same on a node of its own choice.
pub fn agent_on(name: &str, node: &str) -> Value {
    let mut pod = agent(name);
    pod["spec"]["nodeSelector"] = json!({"kubernetes.io/hostname": node});
    pod
}
