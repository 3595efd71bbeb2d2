//! A sandbox with a run in it.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, api::PostParams, config::KubeConfigOptions};
use netproof::{
    cluster::{AgentSettings, Cluster, CreatedPod, Kubeconfig, Pods, RunContext},
    model::RunId,
    plan::{PlannedObject, PlannedPod, Role},
    sandbox::process::{Options, Sandbox},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Long enough for a loaded machine; nothing waits for it to pass.
pub const LONG: Duration = Duration::from_secs(60);

/// A sandbox with a run in it, and a client of its own to look at it.
pub struct Lab {
    pub context: RunContext,
    pub client: Client,
    pub nodes: Vec<String>,
    sandbox: Sandbox,
}

impl Lab {
    pub async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let program = Path::new(env!("CARGO_BIN_EXE_netproof"));
        let sandbox = Sandbox::start(program, &Options::default()).await.expect("a sandbox");
        let cluster = Cluster::connect(&Kubeconfig::Text(sandbox.kubeconfig().into()), None)
            .await
            .expect("a client");
        let nodes = cluster.nodes().await.expect("nodes").usable;
        let nodes = nodes.into_iter().map(|node| node.name).collect();
        let written = kube::config::Kubeconfig::from_yaml(sandbox.kubeconfig()).expect("YAML");
        let config =
            kube::Config::from_custom_kubeconfig(written, &KubeConfigOptions::default()).await;
        let client = Client::try_from(config.expect("complete")).expect("a client");
        let context = run(cluster);
        Self { context, client, nodes, sandbox }
    }

    /// How to reach the cluster.
    pub fn kubeconfig(&self) -> &str {
        self.sandbox.kubeconfig()
    }

    /// Another run in the same cluster.
    pub fn other_run(&self) -> RunContext {
        run(self.context.cluster().clone())
    }

    /// A namespace that belongs to no run.
    pub async fn foreign_namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).expect("valid");
        namespaces.create(&PostParams::default(), &namespace).await.expect("a namespace");
    }

    /// A namespace that the run makes.
    pub async fn own_namespace(&self, name: &str) {
        let none = BTreeMap::new();
        self.context.create_namespace(name, &none, &none).await.expect("a namespace");
    }

    pub fn pod(&self, namespace: &str, name: &str, ports: &[(&str, &str)]) -> PlannedPod {
        PlannedPod {
            name: format!("np-{}-{name}-0", self.context.run()),
            namespace: namespace.into(),
            namespace_created: false,
            labels: BTreeMap::from([("app".into(), name.into())]),
            annotations: BTreeMap::new(),
            service_account: None,
            ports: ports
                .iter()
                .map(|&(name, port)| (name.to_owned(), port.parse().expect("a port")))
                .collect(),
            pings: false,
            node: self.nodes[0].clone(),
            role: Role::Peer { names: vec![name.into()] },
        }
    }

    /// Creates pods and waits until they are ready.
    pub async fn launch(&self, planned: &[PlannedPod]) -> Pods {
        let names: Vec<_> =
            planned.iter().map(|pod| (pod.namespace.clone(), pod.name.clone())).collect();
        let pods = Pods::watch(&self.context, &names, CancellationToken::new()).await;
        for pod in planned {
            let gate = !pod.namespace_created;
            let CreatedPod { uid, .. } =
                self.context.create_pod(pod, gate, false).await.expect("a pod");
            assert!(!uid.is_empty());
        }
        pods.ready(&names, soon()).await.expect("ready pods");
        pods
    }
}

fn run(cluster: Cluster) -> RunContext {
    let key: String = std::iter::repeat_n('a', 64).collect();
    let agent = AgentSettings {
        image: "netproof-probe:test".into(),
        pull_policy: None,
        key,
        idle_limit: Duration::from_mins(10),
        active_deadline: Duration::from_hours(1),
    };
    RunContext::new(cluster, RunId::from_random(rand::random()), agent)
}

pub fn soon() -> Instant {
    Instant::now() + LONG
}

pub fn object(value: Value) -> PlannedObject {
    PlannedObject { source: "test.yaml".into(), object: value }
}
