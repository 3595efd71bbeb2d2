//! A cluster without a network: API, all controllers, and a kubelet that only pretends.

use std::{sync::Arc, time::Duration};

use netproof::sandbox::{
    api::{
        conditions,
        delete::{self, DeleteOptions},
        object::Object,
        resource::{EVENTS, LEASES, NODES, PODS, Resource},
        store::{Event, Store},
        write::{self, Part, Place, WriteOptions},
    },
    controller,
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for a loaded machine; nothing waits for it to pass.
const DEADLINE: Duration = Duration::from_secs(30);

pub struct Cluster {
    pub store: Arc<Store>,
    _cancel: DropGuard,
}

/// Starts all controllers on so many nodes.
pub async fn cluster(nodes: usize) -> Cluster {
    let store = Arc::new(Store::new());
    controller::set_up(&store, netproof::sandbox::layout::IpFamily::Dual);
    let cancel = CancellationToken::new();
    let (events, recording) = controller::events::recorder(Arc::clone(&store), cancel.clone());
    for number in 1..=nodes {
        let name = format!("node-{number}");
        let labels = json!({"kubernetes.io/hostname": name});
        let node = json!({"metadata": {"name": name, "labels": labels}});
        create_in(&store, &NODES, "", node);
        let status = json!({
            "allocatable": {"cpu": "64", "memory": "64Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        });
        set_status(&store, &NODES, "", &name, |node| node["status"] = status);
    }
    tokio::spawn(recording);
    let of = || (Arc::clone(&store), events.clone(), cancel.clone());
    let (own, recorder, stop) = of();
    tokio::spawn(controller::collect_garbage(own, recorder, stop));
    tokio::spawn(controller::empty_namespaces(Arc::clone(&store), String::new(), cancel.clone()));
    let (own, recorder, stop) = of();
    tokio::spawn(controller::schedule(own, recorder.of("default-scheduler", ""), stop));
    let (own, recorder, stop) = of();
    tokio::spawn(controller::budget_disruptions(own, recorder, stop));
    let (own, recorder, stop) = of();
    tokio::spawn(controller::watch_nodes(own, recorder, stop));
    let (own, recorder, stop) = of();
    tokio::spawn(controller::run_workloads(own, recorder, stop));
    tokio::spawn(pretend(Arc::clone(&store), cancel.clone()));
    Cluster { store, _cancel: cancel.drop_guard() }
}

fn create_in(store: &Store, kind: &'static Resource, namespace: &str, object: Value) -> Arc<Value> {
    let written = write::create(store, kind, namespace, object, &WriteOptions::default());
    written.unwrap_or_else(|failure| panic!("create: {failure}")).object
}

fn set_status(
    store: &Store,
    kind: &'static Resource,
    namespace: &str,
    name: &str,
    change: impl FnOnce(&mut Value),
) {
    store.write(|writer| {
        if let Some(object) = writer.get(kind, namespace, name) {
            let mut object = Value::clone(&object);
            change(&mut object);
            writer.put(kind, object);
        }
    });
}

/// Makes pods that have a node Running and Ready, and lets those go that are deleted. The
/// annotation `test/phase` says what else a pod is to come to, `test/exit` how its container
/// ends.
async fn pretend(store: Arc<Store>, cancel: CancellationToken) {
    let signal = store.signal(|event: &Event| event.resource == &PODS);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = signal.notified() => {}
        }
        for pod in store.list(&PODS, None).0 {
            if pod.text("/spec/nodeName").is_empty() {
                continue;
            }
            let place = Place { resource: &PODS, namespace: pod.namespace(), name: pod.name() };
            if pod.is_deleting() {
                if pod["metadata"]["deletionGracePeriodSeconds"] != 0 {
                    let options = DeleteOptions { grace: Some(0), ..DeleteOptions::default() };
                    let _ = delete::delete(&store, place, &options);
                }
                continue;
            }
            let wanted = pod["metadata"]["annotations"]["test/phase"].as_str();
            let wanted = wanted.unwrap_or("Running");
            if pod["status"]["phase"] != wanted && wanted != "Pending" {
                set_status(&store, &PODS, pod.namespace(), pod.name(), |pod| {
                    pod["status"]["phase"] = wanted.into();
                    let code = pod["metadata"]["annotations"]["test/exit"].as_str();
                    if let Some(code) = code.and_then(|code| code.parse::<i64>().ok()) {
                        let name = pod["spec"]["containers"][0]["name"].clone();
                        let state = json!({"terminated": {"exitCode": code}});
                        pod["status"]["containerStatuses"] =
                            json!([{"name": name, "state": state}]);
                    }
                    conditions::set(pod, "Ready", wanted == "Running", "", "");
                });
            }
        }
    }
}

impl Cluster {
    pub fn create(&self, kind: &'static Resource, object: Value) -> Arc<Value> {
        create_in(&self.store, kind, "default", object)
    }

    pub fn get(&self, kind: &'static Resource, name: &str) -> Option<Arc<Value>> {
        self.store.get(kind, "default", name)
    }

    pub fn list(&self, kind: &'static Resource) -> Vec<Arc<Value>> {
        self.store.list(kind, Some("default")).0
    }

    /// Changes an object as a client does.
    pub fn change(&self, kind: &'static Resource, name: &str, change: impl Fn(&mut Value)) {
        for _ in 0..100 {
            let place = Place { resource: kind, namespace: "default", name };
            let done =
                write::update(&self.store, place, Part::Main, &WriteOptions::default(), |before| {
                    let mut after = before.clone();
                    change(&mut after);
                    Ok(after)
                });
            match done {
                Ok(_) => return,
                Err(failure) if failure.reason == "Conflict" => {}
                Err(failure) => panic!("change {name}: {failure}"),
            }
        }
        panic!("change {name}: always in conflict");
    }

    pub fn delete(&self, kind: &'static Resource, name: &str, options: &DeleteOptions) {
        let place = Place { resource: kind, namespace: "default", name };
        delete::delete(&self.store, place, options).unwrap_or_else(|failure| panic!("{failure}"));
    }

    /// Marks what a pod is to come to.
    pub fn bring_to(&self, pod: &str, phase: &str) {
        self.change(&PODS, pod, |pod| {
            pod["metadata"]["annotations"]["test/phase"] = phase.into();
        });
    }

    /// The pods with an app's label that are not being deleted.
    pub fn pods(&self, app: &str) -> Vec<Arc<Value>> {
        let mut pods = self.list(&PODS);
        pods.retain(|pod| pod["metadata"]["labels"]["app"] == app && !pod.is_deleting());
        pods
    }

    /// What has been said, as reason and message, of one object.
    pub fn said(&self, about: &str) -> Vec<(String, String)> {
        let mut events = self.list(&EVENTS);
        events.retain(|event| event["involvedObject"]["name"] == about);
        events
            .iter()
            .map(|event| (event.text("/reason").to_owned(), event.text("/message").to_owned()))
            .collect()
    }

    /// A node's heartbeat.
    pub fn beat(&self, node: &str, time: &str) {
        self.store.write(|writer| {
            let metadata = json!({"name": node, "namespace": "kube-node-lease", "uid": node});
            writer.put(&LEASES, json!({"metadata": metadata, "spec": {"renewTime": time}}));
        });
    }

    /// Waits until a condition holds, looking again after each write.
    pub async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let signal = self.store.signal(|_| true);
        let wait = async {
            while !condition(self) {
                let _ = tokio::time::timeout(Duration::from_millis(200), signal.notified()).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            let pods: Vec<_> = self
                .list(&PODS)
                .iter()
                .map(|pod| format!("{} {}", pod.name(), pod["status"]))
                .collect();
            panic!("never: {what}; pods: {}", pods.join("\n"));
        }
    }
}

/// A workload's specification with a template of one container.
pub fn workload(name: &str, app: &str, more: Value) -> Value {
    let mut spec = json!({
        "selector": {"matchLabels": {"app": app}},
        "template": {
            "metadata": {"labels": {"app": app}},
            "spec": {"containers": [{"name": "a", "image": "a:1"}]},
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({"metadata": {"name": name}, "spec": spec})
}
