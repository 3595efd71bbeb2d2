//! What is beyond the fabric: hosts, and the ways by which they come in.

use std::{
    collections::BTreeMap,
    io,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
};

use super::Network;
use crate::sandbox::node::{
    Error, PodNetwork,
    ends::{Ends, entering, netlink},
    pod::Wired,
    wiring::{self, FABRIC_GATEWAYS, of_family},
};

impl Network {
    /// Makes an external host beyond the fabric, which routes to every pod and back.
    ///
    /// # Errors
    /// When no address is given, or the kernel refuses.
    pub async fn add_host(&self, name: &str, addresses: &[IpAddr]) -> Result<PodNetwork, Error> {
        let stage = format!("wire host {name}");
        if addresses.is_empty() {
            let source = io::Error::other("an external host needs an address");
            return Err(Error::Stage { stage, source });
        }
        if !self.0.with_ipv6 && addresses.iter().any(IpAddr::is_ipv6) {
            let source = io::Error::other("the sandbox has no IPv6");
            return Err(Error::Stage { stage, source });
        }
        let link = self.0.next_link.fetch_add(1, Ordering::Relaxed);
        let ends = Ends {
            stage,
            near: self.0.fabric.clone(),
            gateways: FABRIC_GATEWAYS,
            sources: Vec::new(),
            name: format!("host{link}"),
            link,
        };
        // What stands for the world outside listens on the world's ports.
        let sysctls =
            BTreeMap::from([("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned())]);
        let namespace = ends.join(addresses.to_vec(), sysctls).await?;
        let joint = Some((self.0.fabric.clone(), link));
        let addresses = addresses.to_vec();
        let wired = Wired { node: name.to_owned(), addresses, namespace, joint };
        Ok(PodNetwork(Arc::new(wired)))
    }

    /// Leads what is meant for an address from beyond the fabric to a node, as the network
    /// around a cluster does for a load balancer's address; to none, if none is given.
    ///
    /// # Errors
    /// When there is no such node, it has no address of this family, or the kernel refuses.
    pub async fn lead_in(&self, to: IpAddr, node: Option<&str>) -> Result<(), Error> {
        let stage = format!("route {to} to {}", node.unwrap_or("no node"));
        let request = match node {
            None => wiring::delete_by_gateway(to),
            Some(name) => {
                let network = self.host_network(name)?;
                let index = self.0.by_name.get(name).copied().unwrap_or_default();
                let Some(gateway) = of_family(network.addresses(), to) else {
                    let source = io::Error::other("the node has no address of this family");
                    return Err(Error::Stage { stage, source });
                };
                wiring::by_gateway(to.into(), gateway, self.0.nodes[index].link, None)
            }
        };
        self.0.fabric.run(move || netlink(&stage, &[request])).await.map_err(entering)?
    }
}
