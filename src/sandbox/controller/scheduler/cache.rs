//! What the scheduler knows: nodes, what runs on them, and the namespaces' labels. It is
//! kept in step by every write, so that placing a pod needs no look at the store.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde_json::Value;

use super::{
    super::workload::{controller_of, has_ended},
    preempt::priority,
    quantity::{self, Amounts},
    term::{Namespaces, PodTerm},
};
use crate::{
    model::Labels,
    sandbox::api::{
        object::Object,
        resource::{NAMESPACES, NODES, PODS},
        store::{Change, Event},
    },
};

/// A pod that has a node.
#[derive(Debug)]
pub(super) struct Placed {
    pub namespace: String,
    pub name: String,
    pub priority: i64,
    pub labels: Labels,
    pub requests: Amounts,
    /// Whose it is, for spreading.
    pub controller: String,
    pub deleting: bool,
    /// Ports that it takes on the node: address, protocol, number.
    pub ports: Vec<HostPort>,
    /// What it keeps off its place.
    pub keeps_off: Vec<PodTerm>,
    /// What it would like near or far.
    pub likes: Vec<PodTerm>,
}

/// A port that a container takes on its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostPort {
    address: String,
    protocol: String,
    number: i64,
}

impl HostPort {
    pub(super) fn of(pod: &Value) -> Vec<Self> {
        let shares = pod["spec"]["hostNetwork"] == true;
        let containers = pod.items("/spec/containers").iter();
        let ports = containers.flat_map(|container| container.items("/ports"));
        ports
            .filter_map(|port| {
                let own = port["hostPort"].as_i64().filter(|number| *number > 0);
                let number = own.or_else(|| port["containerPort"].as_i64().filter(|_| shares))?;
                let address = port.text("/hostIP");
                let address = if address.is_empty() { "0.0.0.0" } else { address };
                let protocol = port.text("/protocol").to_owned();
                Some(Self { address: address.to_owned(), protocol, number })
            })
            .collect()
    }

    pub(super) fn clashes(&self, other: &Self) -> bool {
        let any = |address: &str| address == "0.0.0.0" || address == "::";
        self.number == other.number
            && self.protocol == other.protocol
            && (self.address == other.address || any(&self.address) || any(&other.address))
    }
}

/// A node.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// The object; null for one that only pods name.
    pub object: Arc<Value>,
    pub labels: Labels,
    pub allocatable: Amounts,
    pub requested: Amounts,
    /// By uid.
    pub pods: BTreeMap<String, Placed>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub nodes: BTreeMap<String, Node>,
    pub namespaces: Namespaces,
    /// Where each pod is.
    places: HashMap<String, String>,
    /// How many pods keep others off their place.
    pub guards: usize,
    /// How many pods would like others near or far.
    pub wishers: usize,
}

impl Cache {
    /// The nodes that are there.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.nodes.iter().filter(|(_, node)| !node.object.is_null())
    }

    /// Takes a write in. Says whether a pod that fitted nowhere may fit now.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        if event.resource == &NODES {
            return self.take_node(event);
        }
        if event.resource == &NAMESPACES {
            let name = event.object.name().to_owned();
            if event.change == Change::Deleted {
                return self.namespaces.remove(&name).is_some();
            }
            let labels = event.object.labels();
            return self.namespaces.insert(name, labels.clone()) != Some(labels);
        }
        event.resource == &PODS && self.take_pod(event)
    }

    fn take_node(&mut self, event: &Event) -> bool {
        let object = &event.object;
        let node = self.nodes.entry(object.name().to_owned()).or_default();
        if event.change == Change::Deleted {
            node.object = Arc::default();
            if node.pods.is_empty() {
                self.nodes.remove(object.name());
            }
            return true;
        }
        let (labels, allocatable) = (object.labels(), quantity::allocatable(object));
        let news = node.labels != labels
            || node.allocatable != allocatable
            || node.object["spec"] != object["spec"]
            || node.object.is_null();
        node.object = Arc::clone(object);
        node.labels = labels;
        node.allocatable = allocatable;
        news
    }

    fn take_pod(&mut self, event: &Event) -> bool {
        let pod = &event.object;
        let name = pod["spec"]["nodeName"].as_str().unwrap_or_default();
        if event.change == Change::Deleted || has_ended(pod) {
            return self.remove(pod.uid());
        }
        if name.is_empty() {
            return false;
        }
        if self.places.get(pod.uid()).is_some_and(|place| place == name) {
            let unchanged = event.previous.as_ref().is_some_and(|previous| {
                previous["metadata"]["labels"] == pod["metadata"]["labels"]
                    && previous.is_deleting() == pod.is_deleting()
            });
            if unchanged {
                return false;
            }
            self.remove(pod.uid());
            self.place(pod, name);
            return true;
        }
        self.place(pod, name);
        // It may be the neighbour that others wait for.
        true
    }

    /// Notes that a pod is on a node.
    pub(super) fn place(&mut self, pod: &Value, name: &str) {
        let placed = Placed {
            namespace: pod.namespace().to_owned(),
            name: pod.name().to_owned(),
            priority: priority(pod),
            labels: pod.labels(),
            requests: quantity::requests(pod),
            controller: controller_of(pod).map_or("", |owner| owner.text("/uid")).to_owned(),
            deleting: pod.is_deleting(),
            ports: HostPort::of(pod),
            keeps_off: PodTerm::required(pod, "podAntiAffinity"),
            likes: PodTerm::preferred(pod),
        };
        self.guards += usize::from(!placed.keeps_off.is_empty());
        self.wishers += usize::from(!placed.likes.is_empty());
        let node = self.nodes.entry(name.to_owned()).or_default();
        for (resource, amount) in &placed.requests {
            *node.requested.entry(resource.clone()).or_default() += amount;
        }
        node.pods.insert(pod.uid().to_owned(), placed);
        self.places.insert(pod.uid().to_owned(), name.to_owned());
    }

    /// Forgets a pod. Says whether it was known.
    pub(super) fn remove(&mut self, uid: &str) -> bool {
        let Some(name) = self.places.remove(uid) else { return false };
        let Some(node) = self.nodes.get_mut(&name) else { return false };
        let Some(placed) = node.pods.remove(uid) else { return false };
        self.guards -= usize::from(!placed.keeps_off.is_empty());
        self.wishers -= usize::from(!placed.likes.is_empty());
        for (resource, amount) in &placed.requests {
            if let Some(total) = node.requested.get_mut(resource) {
                *total -= amount;
            }
        }
        if node.pods.is_empty() && node.object.is_null() {
            self.nodes.remove(&name);
        }
        true
    }
}
