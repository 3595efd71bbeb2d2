//! Cutting a node off: nothing reaches it any more, and nobody is told.

use super::{Network, NodeSpec};
use crate::sandbox::node::{
    Error,
    ends::{entering, netlink},
    wiring::{self, of_family},
};

impl Network {
    /// Loses all packets to a node and its pods on their way, or lets them through again.
    ///
    /// # Errors
    /// When there is no such node, or the kernel refuses.
    pub async fn cut_off(&self, node: &NodeSpec, cut: bool) -> Result<(), Error> {
        let index = self.0.by_name.get(&node.name);
        let index = *index.ok_or_else(|| Error::UnknownNode(node.name.clone()))?;
        let link = self.0.nodes[index].link;
        let own = node.addresses.iter().map(|&to| {
            if cut { wiring::blackhole(to.into()) } else { wiring::direct(to, link, None) }
        });
        let pods = node.pod_cidrs.iter().filter_map(|&to| {
            let gateway = of_family(&node.addresses, to.addr())?;
            Some(if cut {
                wiring::blackhole(to)
            } else {
                wiring::by_gateway(to, gateway, link, None)
            })
        });
        // The way to the node itself first: the pods' routes lead over it.
        let requests: Vec<_> = own.chain(pods).collect();
        let stage = format!("cut node {} off", node.name);
        self.0.fabric.run(move || netlink(&stage, &requests)).await.map_err(entering)?
    }
}
