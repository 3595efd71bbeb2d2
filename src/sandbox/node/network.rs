//! The whole network: a fabric, the nodes around it, their pods, and hosts outside.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use ipnet::Ipv4Net;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::{
    errno::Errno,
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

use super::{
    Error, PodNetwork, PodSettings,
    error::Need,
    namespace::{Namespace, set_sysctl},
    netlink::{Netlink, Refusal, Request},
    pod::Wired,
    wiring::{self, End, FABRIC_GATEWAY, LOOPBACK, POD_GATEWAY, UPLINK},
};
use crate::sandbox::{
    fault::Fault,
    firewall::{self, Ruleset},
};

/// How many namespaces are made or unmade at a time: the kernel does one link after the
/// other anyway.
const AT_ONCE: usize = 4;

/// A node to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpec {
    /// The node's name.
    pub name: String,
    /// The node's own address.
    pub address: Ipv4Addr,
    /// Where its pods' addresses come from.
    pub pod_cidr: Ipv4Net,
}

/// The sandbox's network. Clones share it; it is gone with the last clone and process.
#[derive(Clone, Debug)]
pub struct Network(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    fabric: Namespace,
    /// In the order in which they were given: `dead-path` lies between the first two.
    nodes: Vec<PodNetwork>,
    by_name: BTreeMap<String, usize>,
    /// The next free link number, on nodes and fabric alike.
    next_link: AtomicU32,
    wiring: Semaphore,
}

impl Network {
    /// Makes the fabric and a namespace per node, routed to each other.
    ///
    /// # Errors
    /// When the kernel refuses a step; the error names it, and the remedy where there is one.
    pub async fn create(nodes: &[NodeSpec]) -> Result<Self, Error> {
        let (fabric, ready) = Namespace::create(|_| {
            forward()?;
            netlink("wire the fabric", &[wiring::up(LOOPBACK), wiring::gateway(FABRIC_GATEWAY)])
        })
        .await
        .map_err(|source| {
            Error::at("create the fabric's network namespace", Need::Nothing, source)
        })?;
        ready?;
        let mut inner = Inner {
            fabric,
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

    /// Makes a pod's namespace on a node: one address, a default route, loopback up.
    ///
    /// # Errors
    /// When there is no such node, a setting is not the pod's own, or the kernel refuses.
    pub async fn add_pod(
        &self,
        node: &str,
        address: Ipv4Addr,
        settings: &PodSettings,
    ) -> Result<PodNetwork, Error> {
        settings.check()?;
        let host = self.host_network(node)?;
        let stage = format!("wire pod {address} on node {node}");
        let link = self.0.next_link.fetch_add(1, Ordering::Relaxed);
        let sysctls = settings.sysctls.clone();
        let ends = Ends {
            stage,
            near: host.0.namespace.clone(),
            gateway: POD_GATEWAY,
            source: Some(host.0.address),
            name: format!("pod{link}"),
            link,
        };
        let namespace = self.0.attach(ends, vec![address], sysctls).await?;
        let wired = Wired { node: node.to_owned(), address, namespace, link: Some(link) };
        Ok(PodNetwork(Arc::new(wired)))
    }

    /// Takes a pod off the network: from then on nothing reaches it, nor it anything.
    /// Processes inside are not ended.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn remove_pod(&self, pod: &PodNetwork) -> Result<(), Error> {
        let Some(link) = pod.0.link else { return Ok(()) };
        let near = match self.0.by_name.get(pod.node()) {
            Some(&index) => self.0.nodes[index].0.namespace.clone(),
            None => self.0.fabric.clone(),
        };
        let stage = format!("unwire pod {}", pod.address());
        let _permit = self.0.wiring.acquire().await;
        // The route goes first: taking a link down takes the kernel its time.
        let requests = [wiring::delete_direct(pod.address(), link), wiring::delete_link(link)];
        near.run(move || netlink(&stage, &requests)).await.map_err(entering)?
    }

    /// Makes an external host beyond the fabric, which routes to every pod and back.
    ///
    /// # Errors
    /// When no address is given, or the kernel refuses.
    pub async fn add_host(&self, name: &str, addresses: &[Ipv4Addr]) -> Result<PodNetwork, Error> {
        let stage = format!("wire host {name}");
        let Some(&address) = addresses.first() else {
            let source = io::Error::other("an external host needs an address");
            return Err(Error::Stage { stage, source });
        };
        let link = self.0.next_link.fetch_add(1, Ordering::Relaxed);
        let ends = Ends {
            stage,
            near: self.0.fabric.clone(),
            gateway: FABRIC_GATEWAY,
            source: None,
            name: format!("host{link}"),
            link,
        };
        // What stands for the world outside listens on the world's ports.
        let sysctls =
            BTreeMap::from([("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())]);
        let namespace = self.0.attach(ends, addresses.to_vec(), sysctls).await?;
        let wired = Wired { node: name.to_owned(), address, namespace, link: Some(link) };
        Ok(PodNetwork(Arc::new(wired)))
    }

    /// The node's own network, in which its hostNetwork pods run.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn host_network(&self, node: &str) -> Result<PodNetwork, Error> {
        match self.0.by_name.get(node) {
            Some(&index) => Ok(self.0.nodes[index].clone()),
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
        let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = node.run(move || socket(family, SockType::Stream, flags, None)).await??;
        let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
        tokio::time::timeout(timeout, socket.connect(to)).await?
    }

    /// Replaces a node's rules in one step; established connections stay.
    ///
    /// # Errors
    /// When there is no such node, or the kernel refuses: then the old rules stay.
    pub async fn apply(&self, node: &str, rules: &Ruleset) -> Result<(), Error> {
        let namespace = self.host_network(node)?.0.namespace.clone();
        load(&namespace, format!("load the rules of node {node}"), rules).await
    }

    /// Lets the fabric misbehave as the faults say; those that aren't its own are ignored.
    ///
    /// # Errors
    /// When the kernel refuses: then the fabric stays as it was.
    pub async fn apply_fabric(&self, faults: &[Fault]) -> Result<(), Error> {
        let rules = match (&self.0.nodes[..], faults.contains(&Fault::DeadPath)) {
            ([first, second, ..], true) => {
                let link = |node: &PodNetwork| node.0.link.map(fabric_link).unwrap_or_default();
                Ruleset::dead_path(&link(first), &link(second))
            }
            _ => Ruleset::open(),
        };
        load(&self.0.fabric, "load the rules of the fabric".to_owned(), &rules).await
    }
}

/// How a namespace is to be joined to another.
struct Ends {
    stage: String,
    /// The node or the fabric.
    near: Namespace,
    gateway: Ipv4Addr,
    /// The address from which the near end itself speaks.
    source: Option<Ipv4Addr>,
    /// Name and number of the link at the near end.
    name: String,
    link: u32,
}

impl Inner {
    async fn add_node(&self, spec: &NodeSpec) -> Result<PodNetwork, Error> {
        let link = self.next_link.fetch_add(1, Ordering::Relaxed);
        let ends = Ends {
            stage: format!("wire node {}", spec.name),
            near: self.fabric.clone(),
            gateway: FABRIC_GATEWAY,
            source: None,
            name: fabric_link(link),
            link,
        };
        let namespace = self.attach(ends, vec![spec.address], BTreeMap::new()).await?;
        let inside = spec.clone();
        namespace
            .run(move || {
                forward()?;
                netlink(
                    &format!("wire node {}", inside.name),
                    &[wiring::gateway(POD_GATEWAY), wiring::unreachable(inside.pod_cidr)],
                )
            })
            .await
            .map_err(entering)??;
        let (pod_cidr, address) = (spec.pod_cidr, spec.address);
        let stage = format!("route to node {}", spec.name);
        self.fabric
            .run(move || netlink(&stage, &[wiring::by_gateway(pod_cidr, address, link, None)]))
            .await
            .map_err(entering)??;
        let wired = Wired { node: spec.name.clone(), address, namespace, link: Some(link) };
        Ok(PodNetwork(Arc::new(wired)))
    }

    /// Makes a namespace and joins it: the far end first, which creates the link, then the
    /// near end's half.
    async fn attach(
        &self,
        ends: Ends,
        addresses: Vec<Ipv4Addr>,
        sysctls: BTreeMap<String, String>,
    ) -> Result<Namespace, Error> {
        let Ends { stage, near, gateway, source, name, link } = ends;
        let _permit = self.wiring.acquire().await;
        let far = {
            let (stage, near, addresses) = (stage.clone(), near.clone(), addresses.clone());
            move |_: &Namespace| {
                for (name, value) in &sysctls {
                    set_pod_sysctl(name, value).map_err(|source| {
                        Error::at(format!("{stage}: set {name}"), Need::Nothing, source)
                    })?;
                }
                let uplink = End { name: "eth0", index: UPLINK };
                let near_end = End { name: &name, index: link };
                let mut requests =
                    vec![wiring::up(LOOPBACK), wiring::veth(&uplink, &near_end, near.as_fd())];
                requests.extend(addresses.iter().map(|&to| wiring::address(UPLINK, to)));
                requests.push(wiring::by_gateway(
                    Ipv4Net::default(),
                    gateway,
                    UPLINK,
                    addresses.first().copied(),
                ));
                transact(&stage, &requests)
            }
        };
        let (namespace, wired) = Namespace::create(far)
            .await
            .map_err(|source| Error::at(stage.clone(), Need::Nothing, source))?;
        let mut socket = wired?;
        let routes = move || {
            let mut requests = vec![wiring::up(link)];
            requests.extend(addresses.iter().map(|&to| wiring::direct(to, link, source)));
            netlink(&stage, &requests)?;
            // The near end, which came up last, can send at once; the far end must be waited
            // for. Its socket works from here, too.
            let up = socket.wait_for_link(UPLINK);
            up.map_err(|source| {
                Error::at(format!("{stage}: wait for its link"), Need::Nothing, source)
            })
        };
        near.run(routes).await.map_err(entering)??;
        Ok(namespace)
    }
}

/// A node's link as the fabric calls it.
fn fabric_link(link: u32) -> String {
    format!("node{link}")
}

fn entering(source: io::Error) -> Error {
    Error::at("enter a network namespace", Need::Nothing, source)
}

/// Lets the calling thread's namespace forward packets, wherever they come from.
fn forward() -> Result<(), Error> {
    for (name, value) in [
        ("net.ipv4.ip_forward", "1"),
        // Inherited from the host where it is on; a reply may come by another way than the
        // route back, as with translated addresses.
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
    ] {
        set_sysctl(name, value)
            .map_err(|source| Error::at(format!("set {name}"), Need::Nothing, source))?;
    }
    Ok(())
}

/// Sets a pod's sysctl. The groups that may ping are all that the user namespace has.
fn set_pod_sysctl(name: &str, value: &str) -> io::Result<()> {
    match set_sysctl(name, value) {
        Err(error)
            if name == "net.ipv4.ping_group_range"
                && error.raw_os_error() == Some(Errno::EINVAL as i32) =>
        {
            set_sysctl(name, "0 0")
        }
        done => done,
    }
}

/// Sends requests to the routing tables of the calling thread's namespace.
fn netlink(stage: &str, requests: &[Request]) -> Result<(), Error> {
    transact(stage, requests).map(drop)
}

/// As [`netlink`], and keeps the socket.
fn transact(stage: &str, requests: &[Request]) -> Result<Netlink, Error> {
    let socket = Netlink::open(NETLINK_ROUTE)
        .map_err(|source| Error::at(format!("{stage}: open netlink"), Need::Nothing, source))?;
    match socket.transact(requests) {
        Ok(()) => Ok(socket),
        Err(Refusal { what: Some(what), source }) => {
            let need = if what.starts_with("create link") { Need::Veth } else { Need::Nothing };
            Err(Error::at(format!("{stage}: {what}"), need, source))
        }
        Err(Refusal { what: None, source }) => {
            Err(Error::at(format!("{stage}: netlink"), Need::Nothing, source))
        }
    }
}

/// Loads rules in a namespace.
async fn load(namespace: &Namespace, stage: String, rules: &Ruleset) -> Result<(), Error> {
    let requests = firewall::encode(rules);
    namespace.run(move || firewall::load(&requests)).await.map_err(entering)?.map_err(|refusal| {
        let stage = match refusal.what {
            Some(what) => format!("{stage}: {what}"),
            None => stage,
        };
        Error::at(stage, Need::NfTables, refusal.source)
    })
}
