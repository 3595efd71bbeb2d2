//! A sandbox with things in it that no run owns.

use std::{
    io::{BufRead, BufReader, Lines, Write as _},
    path::Path,
    process::{Child, ChildStdout},
};

use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use netproof::sandbox::process::{Options, Sandbox};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

use crate::support::{Finished, finish, netproof};

/// A sandbox with the namespace `shop` and its policy `keep` in it, which isolates `api` but
/// for `web`.
pub struct Shop {
    sandbox: Sandbox,
    client: Client,
    kubeconfig: tempfile::NamedTempFile,
}

/// A run under way.
pub struct Run {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    said: String,
    _suite: tempfile::NamedTempFile,
}

impl Shop {
    pub async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let program = Path::new(env!("CARGO_BIN_EXE_netproof"));
        let sandbox = Sandbox::start(program, &Options::default()).await.expect("a sandbox");
        let mut kubeconfig = tempfile::NamedTempFile::new().expect("a file");
        kubeconfig.write_all(sandbox.kubeconfig().as_bytes()).expect("write the kubeconfig");
        let written = Kubeconfig::from_yaml(sandbox.kubeconfig()).expect("YAML");
        let config =
            kube::Config::from_custom_kubeconfig(written, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("complete")).expect("a client");
        let shop = Self { sandbox, client, kubeconfig };
        let namespace =
            serde_json::from_value(json!({"metadata": {"name": "shop", "labels": {"team": "a"}}}));
        shop.namespaces()
            .create(&PostParams::default(), &namespace.expect("valid"))
            .await
            .expect("a namespace");
        let policy = serde_json::from_value(json!({
            "metadata": {"name": "keep", "labels": {"owner": "shop"}},
            "spec": {
                "podSelector": {"matchLabels": {"app": "api"}},
                "policyTypes": ["Ingress"],
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}],
            },
        }));
        shop.policies()
            .create(&PostParams::default(), &policy.expect("valid"))
            .await
            .expect("a policy");
        shop
    }

    pub fn policies(&self) -> Api<NetworkPolicy> {
        Api::namespaced(self.client.clone(), "shop")
    }

    pub fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.client.clone())
    }

    /// Somebody else applies the policy with other contents.
    pub async fn apply_policy(&self, labels: Value, spec: Value) {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "keep", "labels": labels},
            "spec": spec,
        });
        let by = PatchParams::apply("somebody").force();
        self.policies().patch("keep", &by, &Patch::Apply(policy)).await.expect("a policy");
    }

    /// What somebody would have written: the policy and the namespace's labels.
    pub async fn written(&self) -> (Option<Value>, Value) {
        let policy = self.policies().get_opt("keep").await.expect("an answer");
        let policy =
            policy.map(|policy| json!({"labels": policy.metadata.labels, "spec": policy.spec}));
        let namespace = self.namespaces().get("shop").await.expect("the namespace");
        (policy, json!(namespace.metadata.labels))
    }

    /// Names of the records of changes that are still in the cluster.
    pub async fn records(&self) -> Vec<String> {
        let configmaps: Api<ConfigMap> = Api::all(self.client.clone());
        let listed = configmaps.list(&Default::default()).await.expect("a list");
        let names = listed.items.into_iter().filter_map(|one| one.metadata.name);
        names.filter(|name| name.contains("-undo-")).collect()
    }

    fn faults(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("sandbox.netproof.dev", "v1alpha1", "Fault");
        Api::all_with(self.client.clone(), &ApiResource::from_gvk(&kind))
    }

    /// Breaks the sandbox.
    pub async fn fault(&self, fault: &str) {
        let object = json!({
            "apiVersion": "sandbox.netproof.dev/v1alpha1",
            "kind": "Fault",
            "metadata": {"name": "broken"},
            "spec": {"fault": fault},
        });
        let object = serde_json::from_value(object).expect("valid");
        self.faults().create(&PostParams::default(), &object).await.expect("a fault");
    }

    /// Ends that.
    pub async fn no_fault(&self) {
        self.faults().delete("broken", &Default::default()).await.expect("no fault");
    }

    /// Starts a run of a suite whose peers are `web`, `api` and `other` in `shop`.
    pub fn run(&self, steps: &str, arguments: &[&str]) -> Run {
        let mut suite = tempfile::NamedTempFile::new().expect("a file");
        write!(
            suite,
            "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {{name: drill}}
defaults: {{within: 3s, ports: {{main: 8080/tcp}}}}
peers:
  web: {{pod: {{namespace: shop, labels: {{app: web}}}}}}
  api: {{pod: {{namespace: shop, labels: {{app: api}}}}}}
  other: {{pod: {{namespace: shop, labels: {{app: other}}}}}}
cases:
  - {{name: open, from: web, to: api, port: main, expect: allow}}
  - {{name: closed, from: other, to: api, port: main, expect: deny}}
{steps}"
        )
        .expect("write the suite");
        let path = suite.path().display().to_string();
        let kubeconfig = self.kubeconfig.path().display().to_string();
        let mut all = vec!["run", "--output", "json", "--kubeconfig", &kubeconfig, &path];
        all.extend(arguments);
        let mut child = netproof(&all).spawn().expect("start netproof");
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let lines = BufReader::new(stdout).lines();
        Run { child, lines, said: String::new(), _suite: suite }
    }

    pub fn cleanup(&self) -> Finished {
        let kubeconfig = self.kubeconfig.path().display().to_string();
        crate::support::run(&["cleanup", "--kubeconfig", &kubeconfig])
    }

    pub async fn end(self) {
        self.sandbox.stop().await;
    }
}

impl Run {
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

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill(Pid::from_raw(pid), signal).expect("signal the run");
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Finished {
        for line in self.lines.by_ref() {
            self.said.push_str(&line.expect("a line"));
            self.said.push('\n');
        }
        Finished { stdout: self.said, ..finish(self.child) }
    }
}
