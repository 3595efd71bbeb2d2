//! What stands in a cluster, or in manifests, as data.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::IpAddr,
};

use super::{End, Family, IpProtocol, Labels};

/// The label that every namespace has: its own name.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The namespaces, pods, nodes and Services, in the order of their names.
///
/// Made by [`Topology::new`], so that pods of one namespace stand side by side and each
/// has a namespace that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    namespaces: BTreeMap<String, Labels>,
    pods: Vec<Pod>,
    nodes: Vec<Node>,
    services: Vec<Service>,
    owners: HashMap<IpAddr, usize>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Where it lives.
    pub namespace: String,
    /// Its name; made up from its workload's where it stands for a template.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// Its addresses, at most one per family; none where it doesn't run yet.
    pub addresses: Vec<IpAddr>,
    /// The ports that its containers declare and name.
    pub ports: Vec<NamedPort>,
    /// True where it shares its node's network.
    pub host_network: bool,
    /// Its node; unknown before it is scheduled.
    pub node: Option<String>,
    /// Its service account.
    pub service_account: Option<String>,
    /// What made it, where that is known.
    pub workload: Option<Workload>,
}

/// A named port of a container.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NamedPort {
    /// Its name, or nothing where the container only declares the number.
    pub name: Option<String>,
    /// Its number.
    pub number: u16,
    /// Its protocol; never ICMP.
    pub protocol: IpProtocol,
}

/// What makes pods: a Deployment, a StatefulSet … or a Pod that nobody owns.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// `Deployment`, `Job` … `Pod`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// How many pods it asks for; unknown for a DaemonSet or what an autoscaler decides.
    pub replicas: Option<u32>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: Labels,
    /// `status.addresses` that are IP addresses.
    pub addresses: Vec<IpAddr>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// Where it lives.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its addresses; none for a headless one, or before it is created.
    pub addresses: Vec<IpAddr>,
    /// Whose labels make its endpoints; nothing where somebody else keeps them.
    pub selector: Option<Labels>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// The name that it stands for, where its type is `ExternalName`.
    pub external_name: Option<String>,
    /// Addresses that EndpointSlices list as ready; empty where none were read.
    pub endpoints: Vec<IpAddr>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, where it has one.
    pub name: Option<String>,
    /// The port that clients dial.
    pub number: u16,
    /// Its protocol.
    pub protocol: IpProtocol,
    /// The port of the pod behind it.
    pub target: Target,
}

/// Where a Service's port leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a number.
    Number(u16),
    /// To the port that each pod calls so.
    Name(String),
}

impl Topology {
    /// Puts everything in order. A namespace that pods live in and nobody listed gets its
    /// own name as its only label, which is what a cluster would give it.
    pub fn new(
        mut namespaces: BTreeMap<String, Labels>,
        mut pods: Vec<Pod>,
        mut nodes: Vec<Node>,
        mut services: Vec<Service>,
    ) -> Self {
        for pod in &pods {
            if !namespaces.contains_key(&pod.namespace) {
                namespaces.insert(pod.namespace.clone(), Labels::new());
            }
        }
        for (name, labels) in &mut namespaces {
            labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.clone());
        }
        pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        services.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let own = |pod: &&(usize, &Pod)| !pod.1.host_network;
        let owners = pods
            .iter()
            .enumerate()
            .collect::<Vec<_>>()
            .iter()
            .filter(own)
            .flat_map(|(index, pod)| pod.addresses.iter().map(|address| (*address, *index)))
            .collect();
        Self { namespaces, pods, nodes, services, owners }
    }

    /// The labels of the namespaces, by name.
    pub fn namespaces(&self) -> &BTreeMap<String, Labels> {
        &self.namespaces
    }

    /// The pods, in the order of namespace and name.
    pub fn pods(&self) -> &[Pod] {
        &self.pods
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The Services.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The index of a pod.
    pub fn pod(&self, namespace: &str, name: &str) -> Option<usize> {
        let key =
            |pod: &Pod| (pod.namespace.as_str().cmp(namespace)).then(pod.name.as_str().cmp(name));
        self.pods.binary_search_by(key).ok()
    }

    /// A Service.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.namespace == namespace && service.name == name)
    }

    /// The pod that has an address to itself.
    pub fn owner(&self, address: IpAddr) -> Option<usize> {
        self.owners.get(&address).copied()
    }

    /// The node that has an address.
    pub fn node_of(&self, address: IpAddr) -> Option<&Node> {
        self.nodes.iter().find(|node| node.addresses.contains(&address))
    }

    /// A node by its name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The end itself: a pod instead of its address.
    pub fn resolve(&self, end: &End) -> End {
        match end {
            End::Address(address) => self.owner(*address).map_or_else(|| end.clone(), End::Pod),
            other => other.clone(),
        }
    }

    /// Changes a pod's labels.
    pub fn set_pod_labels(&mut self, pod: usize, labels: Labels) {
        if let Some(pod) = self.pods.get_mut(pod) {
            pod.labels = labels;
        }
    }

    /// Changes a namespace's labels; its name stays among them.
    pub fn set_namespace_labels(&mut self, namespace: &str, mut labels: Labels) {
        labels.insert(NAMESPACE_NAME_LABEL.to_owned(), namespace.to_owned());
        if let Some(found) = self.namespaces.get_mut(namespace) {
            *found = labels;
        }
    }
}

impl Pod {
    /// Its address of a family.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| Family::of(*address) == family)
    }

    /// The number that a name means on this pod: the first container's that has it.
    pub fn named_port(&self, name: &str, protocol: IpProtocol) -> Option<u16> {
        self.ports
            .iter()
            .find(|port| port.protocol == protocol && port.name.as_deref() == Some(name))
            .map(|port| port.number)
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
