//! A sandbox to meddle with, and runs in it that are watched while they go on.

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    path::Path,
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    core::v1::{Namespace, Pod},
    discovery::v1::EndpointSlice,
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use netproof::sandbox::process::{Options, Sandbox};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::support::{Finished, finish, netproof, tell};

/// How long a controller may take.
const WITHIN: Duration = Duration::from_secs(30);
const SUITE: &str = "tests/suites/stage.yaml";

/// Somebody with a role of his own.
const ROBOT: &str = "robot";

/// A sandbox of the test's own.
pub struct Stage {
    sandbox: Sandbox,
    client: Client,
    kubeconfig: tempfile::NamedTempFile,
}

/// A run under way.
pub struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
    id: String,
    command: Vec<String>,
}

impl Stage {
    pub async fn new(faults: &[&str]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
        let program = Path::new(env!("CARGO_BIN_EXE_netproof"));
        let options = Options { faults, ..Options::default() };
        let sandbox = Sandbox::start(program, &options).await.expect("a sandbox");
        let mut kubeconfig = tempfile::NamedTempFile::new().expect("a file");
        kubeconfig.write_all(sandbox.kubeconfig().as_bytes()).expect("write the kubeconfig");
        let written = Kubeconfig::from_yaml(sandbox.kubeconfig()).expect("YAML");
        let config =
            kube::Config::from_custom_kubeconfig(written, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("complete")).expect("a client");
        Self { sandbox, client, kubeconfig }
    }

    /// Starts a run of the stage's suite.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_suite(SUITE, arguments)
    }

    /// Starts a run of another suite.
    pub fn run_suite(&self, suite: &str, arguments: &[&str]) -> Run {
        self.start(self.kubeconfig(), suite, arguments)
    }

    /// Starts a run as somebody who may do less than all.
    pub fn run_as_robot(&self, suite: &str, arguments: &[&str]) -> Run {
        self.start(self.robot_kubeconfig().path(), suite, arguments)
    }

    /// The admin's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        self.kubeconfig.path()
    }

    /// A kubeconfig of somebody who may do less than all.
    pub fn robot_kubeconfig(&self) -> tempfile::NamedTempFile {
        let text = std::fs::read_to_string(self.kubeconfig.path()).expect("the kubeconfig");
        let mut config: serde_yaml::Value = serde_yaml::from_str(&text).expect("YAML");
        config["users"][0]["user"]["as"] = format!("system:serviceaccount:default:{ROBOT}").into();
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let text = serde_yaml::to_string(&config).expect("YAML");
        file.write_all(text.as_bytes()).expect("write the kubeconfig");
        file
    }

    fn start(&self, kubeconfig: &Path, suite: &str, arguments: &[&str]) -> Run {
        let kubeconfig = kubeconfig.display().to_string();
        let mut all = vec!["run", "--output", "json", "--kubeconfig", &kubeconfig, suite];
        all.extend(arguments);
        let command = all.iter().map(|&word| word.to_owned()).collect();
        let mut child = netproof(&all).stderr(Stdio::inherit()).spawn().expect("start netproof");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let lines = BufReader::new(stdout).lines();
        let mut run = Run { child, lines, said: String::new(), id: String::new(), command };
        let started = run.until("runStarted");
        run.id = started["run"].as_str().expect("the run's id").to_owned();
        run
    }

    /// Defines a kind of namespaced objects whose content nobody checks.
    pub async fn define(&self, group: &str, version: &str, kind: &str, plural: &str) {
        let singular = kind.to_lowercase();
        self.create(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            json!({
                "metadata": {"name": format!("{plural}.{group}")},
                "spec": {
                    "group": group, "scope": "Namespaced",
                    "names": {"kind": kind, "plural": plural, "singular": singular},
                    "versions": [{
                        "name": version, "served": true, "storage": true,
                        "schema": {"openAPIV3Schema": {
                            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                        }},
                    }],
                },
            }),
        )
        .await;
    }

    /// An account that may do what these rules say.
    pub async fn robot(&self, rules: Value) {
        self.create(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            json!({
                "metadata": {"name": ROBOT},
                "rules": rules,
            }),
        )
        .await;
        self.create(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            json!({
                "metadata": {"name": ROBOT},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ROBOT,
                },
                "subjects": [
                    {"kind": "ServiceAccount", "name": ROBOT, "namespace": "default"},
                ],
            }),
        )
        .await;
        // Impersonation brings the account's groups along only where they are named.
        self.create(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            json!({
                "metadata": {"name": format!("{ROBOT}-discovery")},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                    "name": "system:discovery",
                },
                "subjects": [
                    {"kind": "ServiceAccount", "name": ROBOT, "namespace": "default"},
                ],
            }),
        )
        .await;
    }

    /// Creates an object, in its namespace where it names one.
    pub async fn create(&self, version: &str, kind: &str, mut object: Value) {
        // The API server takes nothing of a defined kind that doesn't say so itself.
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
        let object: DynamicObject = serde_json::from_value(object).expect("an object");
        let api = self.api(group, version, kind, &namespace);
        // A kind that was only just defined is served a moment later.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            match api.create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status))
                    if status.code == 404 && std::time::Instant::now() < deadline =>
                {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                created => break drop(created.expect("created")),
            }
        }
    }

    pub async fn namespace(&self, name: &str) {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).expect("valid");
        let namespaces = Api::<Namespace>::all(self.client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.expect("a namespace");
    }

    /// Isolates all pods of a namespace, for both directions.
    pub async fn deny_all(&self, namespace: &str) {
        let policy = json!({
            "metadata": {"name": "deny-all"},
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        });
        let policy = serde_json::from_value(policy).expect("valid");
        let policies = Api::<NetworkPolicy>::namespaced(self.client.clone(), namespace);
        policies.create(&PostParams::default(), &policy).await.expect("a policy");
    }

    pub async fn label_namespace(&self, name: &str, labels: Value) {
        let namespaces = Api::<Namespace>::all(self.client.clone());
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let by = PatchParams::default();
        namespaces.patch(name, &by, &patch).await.expect("a labelled namespace");
    }

    pub async fn patch_pod(&self, run: &Run, alias: &str, peer: &str, patch: Value) {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &run.namespace(alias));
        let patch = Patch::Merge(patch);
        pods.patch(&run.pod(peer), &PatchParams::default(), &patch).await.expect("a patched pod");
    }

    fn api(&self, group: &str, version: &str, kind: &str, namespace: &str) -> Api<DynamicObject> {
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        match namespace {
            "" => Api::all_with(self.client.clone(), &kind),
            namespace => Api::namespaced_with(self.client.clone(), namespace, &kind),
        }
    }

    /// Breaks something.
    pub async fn fault(&self, name: &str, fault: &str) {
        let object = json!({"metadata": {"name": name}, "spec": {"fault": fault}});
        self.create("sandbox.netproof.dev/v1alpha1", "Fault", object).await;
    }

    /// Repairs it.
    pub async fn unfault(&self, name: &str) {
        let faults = self.api("sandbox.netproof.dev", "v1alpha1", "Fault", "");
        faults.delete(name, &Default::default()).await.expect("deleted");
    }

    /// The addresses that a Service leads to.
    pub async fn backends(&self, namespace: &str, service: &str) -> Vec<String> {
        let slices = Api::<EndpointSlice>::namespaced(self.client.clone(), namespace);
        let of = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let slices = slices.list(&of).await.expect("a list");
        let endpoints =
            slices.items.into_iter().flat_map(|slice| slice.endpoints.unwrap_or_default());
        let ready = endpoints.filter(|endpoint| {
            endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready != Some(false))
        });
        let mut all: Vec<String> = ready.flat_map(|endpoint| endpoint.addresses).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Pods whose names begin so, each with the kind of its first owner.
    pub async fn owners(&self, namespace: &str, begin: &str) -> Vec<(String, String)> {
        let pods = Api::<Pod>::namespaced(self.client.clone(), namespace);
        let pods = pods.list(&ListParams::default()).await.expect("a list").items.into_iter();
        pods.filter_map(|pod| {
            let name = pod.metadata.name.filter(|name| name.starts_with(begin))?;
            let owner = pod.metadata.owner_references.unwrap_or_default().into_iter().next();
            Some((name, owner.map(|owner| owner.kind).unwrap_or_default()))
        })
        .collect()
    }

    /// Waits until something holds.
    pub async fn until(&self, holds: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < WITHIN, "it did not come to pass in {WITHIN:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn end(self) {
        self.sandbox.stop().await;
    }
}

impl Run {
    /// What the run calls a namespace of its suite.
    pub fn namespace(&self, alias: &str) -> String {
        format!("np-{}-{alias}", self.id)
    }

    /// What the run calls the pod of a peer.
    pub fn pod(&self, peer: &str) -> String {
        format!("np-{}-{peer}-0", self.id)
    }

    /// Reads on to the next event of a type.
    pub fn until(&mut self, wanted: &str) -> Value {
        for line in self.lines.by_ref() {
            let line = line.expect("a line");
            let event: Value = serde_json::from_str(&line).expect("an event");
            self.said.push_str(&line);
            self.said.push('\n');
            if event["type"] == wanted {
                return event;
            }
        }
        panic!("the run ended before {wanted}: {}", self.said)
    }

    /// Signals the agent of one pod.
    pub fn signal(&self, word: &str, peer: &str, signal: Signal) {
        let pod = self.pod(peer);
        let hit = processes().filter(|(_, words)| is_agent(words, word) && words.contains(&pod));
        let hit: Vec<i32> = hit.map(|(pid, _)| pid).collect();
        let [pid] = hit[..] else { panic!("{word} of {pod} is {hit:?}") };
        kill(Pid::from_raw(pid), signal).expect("signal the agent");
    }

    /// Signals the agents of all pods of this stage; says how many.
    pub fn signal_all(&self, word: &str, signal: Signal) -> usize {
        // Sessions don't tell whose they are: they descend from the same sandbox as the pods.
        let own = processes().find(|(_, words)| words.contains(&self.pod("closed")));
        let sandbox = parent(own.expect("a running pod").0);
        let hit: Vec<i32> = processes()
            .filter(|(pid, words)| is_agent(words, word) && parent(*pid) == sandbox)
            .map(|(pid, _)| pid)
            .collect();
        for pid in &hit {
            kill(Pid::from_raw(*pid), signal).expect("signal an agent");
        }
        hit.len()
    }

    /// Signals the run itself.
    pub fn kill(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("signal the run");
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Finished {
        for line in self.lines.by_ref() {
            self.said.push_str(&line.expect("a line"));
            self.said.push('\n');
        }
        let finished = Finished { stdout: self.said, ..finish(self.child) };
        let mut told: Vec<&str> = self.command.iter().map(String::as_str).collect();
        told.push("(in a sandbox that is meddled with)");
        tell(&told, &finished);
        finished
    }
}

fn is_agent(words: &[String], word: &str) -> bool {
    matches!(words, [program, first, ..] if program == "netproof-probe" && first == word)
}

/// Every process with its arguments.
fn processes() -> impl Iterator<Item = (i32, Vec<String>)> {
    let entries = std::fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        Some((pid, line.split('\0').map(str::to_owned).collect()))
    })
}

fn parent(pid: i32) -> Option<i32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}
