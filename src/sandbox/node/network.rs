//! The whole network: a fabric, the nodes around it, their pods, and hosts outside.

mod cut;
mod outside;
mod rules;

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;
use tokio::{net::TcpStream, sync::Semaphore};

use super::{
    Error, PodNetwork, PodSettings,
    ends::{Ends, entering, netlink},
    error::Need,
    namespace::Namespace,
    pod::Wired,
    registry::Registry,
    settings::{forward, ipv6},
    tables::Tables,
    wiring::{self, FABRIC_GATEWAYS, FABRIC_V6, LOOPBACK, POD_GATEWAYS, UPLINK, of_family},
};
use crate::sandbox::firewall::Ruleset;

/// How many namespaces are made or unmade at a time: the kernel does one link after the
/// other anyway.
const AT_ONCE: usize = 4;

/// A node to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// The node's name.
    pub name: String,
    /// The node's own addresses: one of each family that the cluster has, the first
    /// family first.
    pub addresses: Vec<IpAddr>,
    /// Where its pods' addresses come from, in the same order.
    pub pod_cidrs: Vec<IpNet>,
}

impl NodeSpec {
    fn has_ipv6(&self) -> bool {
        self.addresses.iter().any(IpAddr::is_ipv6)
    }
}

/// The sandbox's network. Clones share it; it is gone with the last clone and process.
#[derive(Clone, Debug)]
pub struct Network(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub fabric: Namespace,
    pub fabric_tables: Tables,
    registry: Registry,
    with_ipv6: bool,
    /// In the order in which they were given: `dead-path` lies between the first two.
    pub nodes: Vec<Node>,
    pub by_name: BTreeMap<String, usize>,
    /// The next free link number, on nodes and fabric alike.
    next_link: AtomicU32,
    wiring: Semaphore,
}

#[derive(Debug)]
pub(super) struct Node {
    pub network: PodNetwork,
    pub tables: Tables,
    /// The number of its link on the fabric.
    pub link: u32,
}

impl Network {
    /// Makes the fabric and a namespace per node, routed to each other.
    ///
    /// # Errors
    /// When the kernel refuses a step; the error names it, and the remedy where there is one.
    pub async fn create(nodes: &[NodeSpec]) -> Result<Self, Error> {
        let with_ipv6 = nodes.iter().any(NodeSpec::has_ipv6);
        let (fabric, ready) = Namespace::create(move |_| {
            ipv6(with_ipv6);
            forward(with_ipv6)?;
            let mut requests = vec![wiring::up(LOOPBACK), wiring::gateway(FABRIC_GATEWAYS.v4)];
            if with_ipv6 {
                requests.push(wiring::address(LOOPBACK, FABRIC_V6.into()));
            }
            netlink("wire the fabric", &requests)
        })
        .await
        .map_err(|source| {
            Error::at("create the fabric's network namespace", Need::Nothing, source)
        })?;
        ready?;
        let mut inner = Inner {
            fabric_tables: Tables::of(&fabric),
            fabric,
            registry: Registry::default(),
            with_ipv6,
            nodes: Vec::new(),
            by_name: BTreeMap::new(),
            next_link: AtomicU32::new(UPLINK + 1),
            wiring: Semaphore::new(AT_ONCE),
        };
        for spec in nodes {
            let node = inner.add_node(spec).await?;
            inner.by_name.insert(spec.name.clone(), inner.nodes.len());
            inner.nodes.push(node);
        }
        let network = Self(Arc::new(inner));
        // Connection tracking starts with the first rules that use it: before any packet.
        for node in nodes {
            network.apply(&node.name, &Ruleset::open()).await?;
        }
        Ok(network)
    }

    /// Makes a pod's namespace on a node: its addresses, at most one of each family and at
    /// least one, a default route for each, loopback up.
    ///
    /// # Errors
    /// When there is no such node or no address, a setting is not the pod's own, or the
    /// kernel refuses.
    pub async fn add_pod(
        &self,
        node: &str,
        addresses: &[IpAddr],
        settings: &PodSettings,
    ) -> Result<PodNetwork, Error> {
        settings.check()?;
        let host = self.host_network(node)?;
        let stage = format!("wire pod {} on node {node}", listed(addresses));
        if addresses.is_empty() {
            let source = io::Error::other("a pod needs an address");
            return Err(Error::Stage { stage, source });
        }
        let link = self.0.next_link.fetch_add(1, Ordering::Relaxed);
        let sysctls = settings.sysctls.clone();
        let ends = Ends {
            stage,
            near: host.0.namespace.clone(),
            gateways: POD_GATEWAYS,
            sources: host.0.addresses.clone(),
            name: format!("pod{link}"),
            link,
        };
        let reused = self.0.registry.claim(addresses);
        if !reused.is_empty() {
            self.forget(move |flow| reused.iter().any(|address| flow.concerns(*address))).await;
        }
        let permit = self.0.wiring.acquire().await;
        let namespace = ends.join(addresses.to_vec(), sysctls).await?;
        drop(permit);
        let joint = Some((host.0.namespace.clone(), link));
        let addresses = addresses.to_vec();
        let wired = Wired { node: node.to_owned(), addresses, namespace, joint };
        let pod = PodNetwork(Arc::new(wired));
        self.0.registry.add(&pod);
        Ok(pod)
    }

    /// Takes a pod off the network: from then on nothing reaches it, nor it anything.
    /// Processes inside are not ended.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_pod(&self, pod: &PodNetwork) -> Result<(), Error> {
        // A pod on the host network leaves its node's network alone.
        let Some((near, link)) = pod.0.joint.clone() else { return Ok(()) };
        let stage = format!("unwire pod {}", listed(pod.addresses()));
        let _permit = self.0.wiring.acquire().await;
        // The routes go first: taking a link down takes the kernel its time.
        let routes = pod.addresses().iter().map(|&to| wiring::delete_direct(to, link));
        let requests: Vec<_> = routes.chain([wiring::delete_link(link)]).collect();
        self.0.registry.remove(pod);
        match near.run(move || netlink(&stage, &requests)).await.map_err(entering)? {
            // Its routes are gone already where its interface is dead.
            Err(Error::Stage { source, .. }) if source.raw_os_error() == Some(nix::libc::ESRCH) => {
                Ok(())
            }
            done => done,
        }
    }

    /// The pod that has an address.
    pub fn pod_at(&self, address: IpAddr) -> Option<PodNetwork> {
        self.0.registry.find(address)
    }

    /// The node's own network, in which its hostNetwork pods run.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn host_network(&self, node: &str) -> Result<PodNetwork, Error> {
        match self.0.by_name.get(node) {
            Some(&index) => Ok(self.0.nodes[index].network.clone()),
            None => Err(Error::UnknownNode(node.to_owned())),
        }
    }

    /// Connects from the node's own namespace, as the kubelet's probes do.
    ///
    /// # Errors
    /// As connecting does; `NotFound` where there is no such node.
    pub async fn connect(
        &self,
        node: &str,
        to: SocketAddr,
        timeout: Duration,
    ) -> io::Result<TcpStream> {
        let node = self
            .host_network(node)
            .map_err(|error| io::Error::new(io::ErrorKind::NotFound, error))?;
        node.connect(to, timeout).await
    }
}

impl Inner {
    async fn add_node(&self, spec: &NodeSpec) -> Result<Node, Error> {
        let link = self.next_link.fetch_add(1, Ordering::Relaxed);
        let ends = Ends {
            stage: format!("wire node {}", spec.name),
            near: self.fabric.clone(),
            gateways: FABRIC_GATEWAYS,
            sources: Vec::new(),
            name: fabric_link(link),
            link,
        };
        let namespace = ends.join(spec.addresses.clone(), BTreeMap::new()).await?;
        let inside = spec.clone();
        namespace
            .run(move || {
                forward(inside.has_ipv6())?;
                let unreachable = inside.pod_cidrs.iter().copied().map(wiring::unreachable);
                let own = [wiring::forward(UPLINK), wiring::gateway(POD_GATEWAYS.v4)];
                let requests: Vec<_> = own.into_iter().chain(unreachable).collect();
                netlink(&format!("wire node {}", inside.name), &requests)
            })
            .await
            .map_err(entering)??;
        let stage = format!("route to node {}", spec.name);
        let routes: Vec<_> = spec
            .pod_cidrs
            .iter()
            .filter_map(|&to| {
                let gateway = of_family(&spec.addresses, to.addr())?;
                Some(wiring::by_gateway(to, gateway, link, None))
            })
            .collect();
        self.fabric.run(move || netlink(&stage, &routes)).await.map_err(entering)??;
        let addresses = spec.addresses.clone();
        let tables = Tables::of(&namespace);
        let wired = Wired { node: spec.name.clone(), addresses, namespace, joint: None };
        Ok(Node { network: PodNetwork(Arc::new(wired)), tables, link })
    }
}

fn listed(addresses: &[IpAddr]) -> String {
    let texts: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
    texts.join(" and ")
}

/// A node's link as the fabric calls it.
pub(super) fn fabric_link(link: u32) -> String {
    format!("node{link}")
}
