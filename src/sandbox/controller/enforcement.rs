//! The CNI and the proxy of all nodes: what the store says becomes rules that are in force.
//!
//! Each pass compiles the rules of every node and loads those that differ from what the
//! node has. Passes follow one another, so that a newer state is never overtaken by an
//! older one. After a pass the version that it saw is published: pods start only then.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures::future::join_all;
use serde_json::Value;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::endpoints::{self, SERVICE_LABEL};
use crate::{
    model::{Labels, Transport},
    sandbox::{
        api::{
            object::Object,
            resource::{ENDPOINT_SLICES, FAULTS, NAMESPACES, NETWORK_POLICIES, PODS, SERVICES},
            store::{Change, Event, Store},
        },
        fault::NetworkFault as Fault,
        firewall::{self, NamedPort, PodEntry, Ruleset, ServiceEntry, ServicePortEntry, Snapshot},
        node::{Network, NodeSpec},
    },
};

/// How soon rules are loaded again that the kernel refused.
const RETRY: Duration = Duration::from_millis(200);

/// Keeps the rules of all nodes in step with the store until cancelled, and publishes up to
/// which version they are.
pub async fn enforce(
    store: Arc<Store>,
    network: Network,
    nodes: Vec<NodeSpec>,
    applied: watch::Sender<u64>,
    cancel: CancellationToken,
) {
    let signal = store.signal(wanted);
    let mut enforcer = Enforcer::new(network, nodes);
    let mut next = None;
    loop {
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = signal.notified() => {}
            () = due => {}
            () = cancel.cancelled() => return,
        }
        let (version, due) = enforcer.pass(&store).await;
        next = due;
        match version {
            Some(version) => _ = applied.send_replace(version),
            None => {
                sleep(RETRY).await;
                signal.notify_one();
            }
        }
    }
}

/// Whether an event can change any rule. Of pods it is the few facts that rules are made of.
fn wanted(event: &Event) -> bool {
    if event.resource != &PODS {
        return [&NAMESPACES, &NETWORK_POLICIES, &SERVICES, &ENDPOINT_SLICES, &FAULTS]
            .contains(&event.resource);
    }
    let facts = |pod: &Value| (addresses(pod), pod.labels(), ended(pod));
    let before = event.previous.as_ref().map(|pod| facts(pod));
    event.change == Change::Deleted || before != Some(facts(&event.object))
}

struct Enforcer {
    network: Network,
    nodes: Vec<NodeSpec>,
    loaded: BTreeMap<String, Ruleset>,
    fabric: Option<Vec<Fault>>,
    history: History,
}

impl Enforcer {
    fn new(network: Network, nodes: Vec<NodeSpec>) -> Self {
        let history = History::default();
        Self { network, nodes, loaded: BTreeMap::new(), fabric: None, history }
    }

    /// Brings every node up to date. Gives the version that is in force then, unless a
    /// node refused its rules, and when a delayed change is due.
    async fn pass(&mut self, store: &Store) -> (Option<u64>, Option<Instant>) {
        let ([pods, namespaces, policies, services, slices, faults], version) = store.snapshot([
            &PODS,
            &NAMESPACES,
            &NETWORK_POLICIES,
            &SERVICES,
            &ENDPOINT_SLICES,
            &FAULTS,
        ]);
        let faults = Fault::among(&faults);
        let delay = faults.iter().find_map(|fault| match fault {
            Fault::Delay(delay) => Some(*delay),
            _ => None,
        });
        let now = Instant::now();
        self.history.record(now, Intent::of(&namespaces, &pods, &policies));
        let (intent, due) = self.history.view(now, delay.unwrap_or_default());
        let snapshot = snapshot(intent, &pods, &services, &slices);

        let mut fine = true;
        if self.fabric.as_ref() != Some(&faults) {
            match self.network.apply_fabric(&faults).await {
                Ok(()) => self.fabric = Some(faults.clone()),
                Err(error) => {
                    tracing::warn!(%error, "load the fabric's rules");
                    fine = false;
                }
            }
        }
        let changed: Vec<_> = self
            .nodes
            .iter()
            .map(|node| (&node.name, firewall::compile(&snapshot, &node.name, &faults)))
            .filter(|(name, rules)| self.loaded.get(*name) != Some(rules))
            .collect();
        let network = &self.network;
        let results = join_all(changed.into_iter().map(|(name, rules)| async move {
            let result = network.apply(name, &rules).await;
            (name.clone(), rules, result)
        }))
        .await;
        for (name, rules, result) in results {
            match result {
                Ok(()) => _ = self.loaded.insert(name, rules),
                Err(error) => {
                    tracing::warn!(%error, node = name, "load the node's rules");
                    fine = false;
                }
            }
        }
        (fine.then_some(version), due)
    }
}

/// What a delay holds back: policies, and the labels that they select by.
#[derive(Clone, Debug, Default, PartialEq)]
struct Intent {
    namespaces: BTreeMap<String, Labels>,
    /// By the pods' uids.
    pods: BTreeMap<String, Labels>,
    policies: Vec<Arc<Value>>,
}

impl Intent {
    fn of(namespaces: &[Arc<Value>], pods: &[Arc<Value>], policies: &[Arc<Value>]) -> Self {
        let labels = |object: &Arc<Value>| object.labels();
        Self {
            namespaces: namespaces.iter().map(|one| (one.name().to_owned(), labels(one))).collect(),
            pods: pods.iter().map(|pod| (pod.uid().to_owned(), labels(pod))).collect(),
            policies: policies.to_vec(),
        }
    }
}

/// What was intended when. The last entry is the present.
#[derive(Debug, Default)]
struct History(VecDeque<(Instant, Intent)>);

impl History {
    fn record(&mut self, at: Instant, intent: Intent) {
        if self.0.back().is_none_or(|(_, last)| *last != intent) {
            self.0.push_back((at, intent));
        }
    }

    /// What was intended so long ago, and when the next change is due. What is older than
    /// that is forgotten; what is new, a pod or a namespace, comes with its labels.
    fn view(&mut self, now: Instant, delay: Duration) -> (Intent, Option<Instant>) {
        // A delay beyond what a clock can count is never over.
        let due = |at: &Instant| at.checked_add(delay);
        while self.0.get(1).and_then(|(at, _)| due(at)).is_some_and(|due| due <= now) {
            self.0.pop_front();
        }
        let mut view = self.0.front().map(|(_, intent)| intent.clone()).unwrap_or_default();
        for (_, later) in self.0.iter().skip(1) {
            for (name, labels) in &later.namespaces {
                view.namespaces.entry(name.clone()).or_insert_with(|| labels.clone());
            }
            for (uid, labels) in &later.pods {
                view.pods.entry(uid.clone()).or_insert_with(|| labels.clone());
            }
        }
        (view, self.0.get(1).and_then(|(at, _)| due(at)))
    }
}

fn snapshot(
    intent: Intent,
    pods: &[Arc<Value>],
    services: &[Arc<Value>],
    slices: &[Arc<Value>],
) -> Snapshot {
    let policies = intent
        .policies
        .iter()
        // The API stores none that can't be read so.
        .filter_map(|policy| serde_json::from_value(Value::clone(policy)).ok())
        .collect();
    Snapshot {
        namespaces: intent.namespaces,
        pods: pods.iter().filter_map(|pod| entry(pod, &intent.pods)).collect(),
        policies,
        services: services.iter().filter_map(|service| translation(service, slices)).collect(),
    }
}

fn transport(protocol: &str) -> Option<Transport> {
    match protocol {
        "TCP" | "" => Some(Transport::Tcp),
        "UDP" => Some(Transport::Udp),
        _ => None,
    }
}

/// Whether a pod's address is its own no longer.
fn ended(pod: &Value) -> bool {
    matches!(pod.text("/status/phase"), "Succeeded" | "Failed")
}

/// A pod's addresses; where the list of all is missing, the first.
fn addresses(pod: &Value) -> Vec<IpAddr> {
    let listed = pod.items("/status/podIPs").iter().map(|each| each.text("/ip"));
    parsed(listed, pod.text("/status/podIP"))
}

/// The addresses of a list, or the one that stands beside it where there is no list.
fn parsed<'a>(listed: impl Iterator<Item = &'a str>, single: &str) -> Vec<IpAddr> {
    let listed: Vec<IpAddr> = listed.filter_map(|address| address.parse().ok()).collect();
    if listed.is_empty() { single.parse().into_iter().collect() } else { listed }
}

fn entry(pod: &Value, labels: &BTreeMap<String, Labels>) -> Option<PodEntry> {
    let addresses = addresses(pod);
    if addresses.is_empty() || ended(pod) {
        return None;
    }
    let ports = pod
        .items("/spec/containers")
        .iter()
        .chain(pod.items("/spec/initContainers"))
        .flat_map(|container| container.items("/ports"))
        .filter_map(|port| {
            let name = port.text("/name");
            Some(NamedPort {
                name: (!name.is_empty()).then(|| name.to_owned())?,
                protocol: transport(port.text("/protocol"))?,
                number: u16::try_from(port["containerPort"].as_u64()?).ok()?,
            })
        })
        .collect();
    Some(PodEntry {
        namespace: pod.namespace().to_owned(),
        name: pod.name().to_owned(),
        labels: labels.get(pod.uid()).cloned().unwrap_or_else(|| pod.labels()),
        addresses,
        node: pod.text("/spec/nodeName").to_owned(),
        ports,
        host_network: pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)),
    })
}

fn translation(service: &Value, slices: &[Arc<Value>]) -> Option<ServiceEntry> {
    let listed = service.items("/spec/clusterIPs").iter().filter_map(Value::as_str);
    let cluster_ips = parsed(listed, service.text("/spec/clusterIP"));
    if cluster_ips.is_empty() {
        return None;
    }
    let own: Vec<_> = slices
        .iter()
        .filter(|slice| {
            let label = format!("/metadata/labels/{}", SERVICE_LABEL.replace('/', "~1"));
            slice.namespace() == service.namespace() && slice.text(&label) == service.name()
        })
        .collect();
    let ports = service
        .items("/spec/ports")
        .iter()
        .filter_map(|port| {
            Some(ServicePortEntry {
                protocol: transport(port.text("/protocol"))?,
                port: u16::try_from(port["port"].as_u64()?).ok()?,
                endpoints: endpoints::backends(&own, port.text("/name")).into_iter().collect(),
            })
        })
        .collect();
    Some(ServiceEntry {
        namespace: service.namespace().to_owned(),
        name: service.name().to_owned(),
        cluster_ips,
        ports,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_rules_are_made_of_leads_to_a_pass() {
        let pod = |status: Value, label: &str| {
            Arc::new(json!({"metadata": {"labels": {"app": label}}, "status": status}))
        };
        let running = json!({"podIP": "10.0.0.1", "phase": "Running"});
        for (message, before, after, expected) in [
            ("a new pod", None, pod(json!({}), "a"), true),
            ("an address", Some(pod(json!({}), "a")), pod(running.clone(), "a"), true),
            ("a label", Some(pod(running.clone(), "a")), pod(running.clone(), "b"), true),
            (
                "the end",
                Some(pod(running.clone(), "a")),
                pod(json!({"podIP": "10.0.0.1", "phase": "Failed"}), "a"),
                true,
            ),
            (
                "readiness",
                Some(pod(running.clone(), "a")),
                pod(json!({"podIP": "10.0.0.1", "phase": "Running", "conditions": []}), "a"),
                false,
            ),
        ] {
            let change = if before.is_some() { Change::Modified } else { Change::Added };
            let event =
                Event { version: 1, resource: &PODS, change, object: after, previous: before };
            assert_eq!(wanted(&event), expected, "{message}");
        }
    }

    fn intent(label: &str, pods: &[&str]) -> Intent {
        let labels = Labels::from([("app".to_owned(), label.to_owned())]);
        Intent {
            pods: pods.iter().map(|uid| ((*uid).to_owned(), labels.clone())).collect(),
            policies: vec![Arc::new(json!(label))],
            ..Intent::default()
        }
    }

    #[test]
    fn a_delayed_change_is_in_force_only_when_it_is_due() {
        let begin = Instant::now();
        let delay = Duration::from_secs(8);
        let mut history = History::default();
        history.record(begin, intent("old", &["a"]));
        assert_eq!(history.view(begin, delay), (intent("old", &["a"]), None), "nothing before it");
        let change = begin + Duration::from_secs(1);
        history.record(change, intent("new", &["a"]));
        let (seen, due) = history.view(change + Duration::from_secs(7), delay);
        assert_eq!((seen, due), (intent("old", &["a"]), Some(change + delay)));
        let (seen, due) = history.view(change + delay, delay);
        assert_eq!((seen, due), (intent("new", &["a"]), None));
    }

    #[test]
    fn a_new_pod_has_its_labels_at_once() {
        let begin = Instant::now();
        let mut history = History::default();
        history.record(begin, intent("old", &["a"]));
        history.record(begin, intent("new", &["a", "b"]));
        let (seen, _) = history.view(begin, Duration::from_secs(8));
        assert_eq!(seen.pods["a"]["app"], "old");
        assert_eq!(seen.pods["b"]["app"], "new");
        assert_eq!(seen.policies, intent("old", &[]).policies);
    }

    #[test]
    fn without_a_delay_everything_is_in_force_at_once() {
        let begin = Instant::now();
        let mut history = History::default();
        history.record(begin, intent("old", &["a"]));
        history.record(begin, intent("new", &["a"]));
        assert_eq!(history.view(begin, Duration::ZERO), (intent("new", &["a"]), None));
    }
}
