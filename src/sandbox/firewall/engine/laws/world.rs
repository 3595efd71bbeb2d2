//! What has happened so far, and the state that it has led to.

use std::time::Duration;

use serde_json::json;

use super::{
    super::{kernel::Kernel, *},
    FAULTS, Happening, NODES, load,
    specs::{cluster_spec, spec},
};
use crate::{
    model::Transport,
    sandbox::firewall::{EndpointEntry, NamedPort, ServiceEntry, ServicePortEntry},
};

/// What an engine has been told, as it stands.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    snapshot: Snapshot,
    open: BTreeSet<PodKey>,
    faults: Vec<NetworkFault>,
}

impl World {
    pub(super) fn happen(
        &mut self,
        happening: &Happening,
        engine: &mut Engine,
        kernels: &mut [Kernel; 2],
    ) {
        let space = |number: &u8| format!("n{number}");
        let labels = |label: u8| Labels::from([("app".to_owned(), label.to_string())]);
        match happening {
            Happening::Namespace(name, label) => {
                let (name, labels) = (space(name), label.map(labels));
                match &labels {
                    Some(labels) => {
                        _ = self.snapshot.namespaces.insert(name.clone(), labels.clone())
                    }
                    None => _ = self.snapshot.namespaces.remove(&name),
                }
                engine.set_namespace(&name, labels);
            }
            Happening::Pod(namespace, name, is) => {
                let (namespace, name) = (space(namespace), format!("p{name}"));
                let mut addresses_before = None;
                let known = |pod: &PodEntry| pod.namespace == namespace && pod.name == name;
                let index = self.snapshot.pods.iter().position(known);
                let entry = is.map(|(node, address, six, label, port)| {
                    let mut addresses: Vec<IpAddr> = vec![[10, 0, 0, address].into()];
                    if six {
                        addresses.push([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(address)].into());
                    }
                    PodEntry {
                        namespace: namespace.clone(),
                        name: name.clone(),
                        labels: labels(label),
                        addresses,
                        // The third is no node of ours.
                        node: (*NODES.get(usize::from(node)).unwrap_or(&"three")).to_owned(),
                        ports: vec![NamedPort {
                            name: "main".to_owned(),
                            protocol: Transport::Tcp,
                            number: port,
                        }],
                        host_network: false,
                    }
                });
                if let Some(index) = index {
                    addresses_before = Some((index, self.snapshot.pods.remove(index).addresses));
                }
                if let Some(entry) = &entry {
                    match addresses_before {
                        Some((index, before)) if before == entry.addresses => {
                            self.snapshot.pods.insert(index, entry.clone());
                        }
                        _ => self.snapshot.pods.push(entry.clone()),
                    }
                }
                self.open.remove(&(namespace.clone(), name.clone()));
                engine.set_pod(&namespace, &name, entry, false);
            }
            Happening::Open(namespace, name) => {
                let (namespace, name) = (space(namespace), format!("p{name}"));
                let known = |pod: &&PodEntry| pod.namespace == namespace && pod.name == name;
                if let Some(pod) = self.snapshot.pods.iter().find(known) {
                    self.open.insert((namespace.clone(), name.clone()));
                    engine.set_pod(&namespace, &name, Some(pod.clone()), true);
                }
            }
            Happening::Policy(namespace, name, which) => {
                let (namespace, name) = (space(namespace), format!("policy{name}"));
                let known = |policy: &NetworkPolicy| {
                    policy.metadata.namespace.as_ref() == Some(&namespace)
                        && policy.metadata.name.as_ref() == Some(&name)
                };
                self.snapshot.policies.retain(|policy| !known(policy));
                match which {
                    Some(which) => {
                        let policy = json!({
                            "metadata": {"namespace": namespace, "name": name},
                            "spec": spec(*which),
                        });
                        let policy: NetworkPolicy =
                            serde_json::from_value(policy).expect("a policy");
                        engine.set_policy(&policy);
                        self.snapshot.policies.push(policy);
                    }
                    None => engine.remove_policy(&namespace, &name),
                }
            }
            Happening::ClusterPolicy(name, is) => {
                let name = format!("cluster{name}");
                let known = &mut self.snapshot.cluster_policies;
                known.retain(|policy| policy.metadata.name.as_ref() != Some(&name));
                match is {
                    Some((which, priority)) => {
                        let policy = json!({
                            "metadata": {"name": name}, "spec": cluster_spec(*which, *priority),
                        });
                        let policy: ClusterNetworkPolicy =
                            serde_json::from_value(policy).expect("a policy");
                        engine.set_cluster_policy(&policy);
                        known.push(policy);
                    }
                    None => engine.remove_cluster_policy(&name),
                }
            }
            Happening::Node(node, label) => {
                let name = format!("node{node}");
                self.snapshot.node_labels.remove(&name);
                let addresses = vec![[10, 9, 0, *node].into(), [0xfd09; 8].into()];
                let is = label.map(|label| (labels(label), addresses));
                engine.set_node(&name, is.clone());
                self.snapshot.node_labels.extend(is.map(|is| (name, is)));
            }
            Happening::Host(host, last) => {
                let name = format!("host{host}");
                self.snapshot.hosts.remove(&name);
                let names = vec![format!("{name}.Example.com."), "example.com".to_owned()];
                let is = last.map(|last| (names, vec![[192, 0, 2, last].into()]));
                engine.set_host(&name, is.clone());
                self.snapshot.hosts.extend(is.map(|is| (name, is)));
            }
            Happening::Services(count, endpoints, affinity) => {
                let service = |number: u8| ServiceEntry {
                    namespace: "n0".to_owned(),
                    name: format!("s{number}"),
                    cluster_ips: vec![[10, 96, 0, number].into()],
                    // One keeps its own.
                    affinity: affinity.map(|seconds| {
                        Duration::from_secs(if number == 0 { 9 } else { seconds.into() })
                    }),
                    ports: vec![ServicePortEntry {
                        protocol: Transport::Tcp,
                        port: 80,
                        node_port: None,
                        endpoints: (0..*endpoints)
                            .map(|last| EndpointEntry {
                                address: [10, 0, 0, last].into(),
                                port: 80,
                                node: String::new(),
                                ready: true,
                            })
                            .collect(),
                    }],
                    ..ServiceEntry::default()
                };
                self.snapshot.services = (0..*count).map(service).collect();
                engine.set_services(self.snapshot.services.clone());
            }
            Happening::Faults(which) => {
                let fault = |index: &u8| FAULTS[usize::from(*index)].parse().expect("a fault");
                self.faults = which.iter().map(fault).collect();
                engine.set_faults(&self.faults);
            }
            Happening::Refusal(node) => {
                load(engine, kernels, Some(NODES[usize::from(*node)]));
            }
            Happening::Load => load(engine, kernels, None),
        }
    }

    /// The engine that comes to this state by the shortest way.
    pub(super) fn afresh(&self) -> Engine {
        let mut engine = Engine::of(&self.snapshot, NODES, &self.faults, true);
        for pod in &self.snapshot.pods {
            if self.open.contains(&(pod.namespace.clone(), pod.name.clone())) {
                engine.set_pod(&pod.namespace, &pod.name, Some(pod.clone()), true);
            }
        }
        engine
    }
}
