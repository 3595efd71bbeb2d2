//! What can go wrong on the way, on purpose: paths, interfaces, and what connections leave
//! behind.

use super::{
    Error, Network, PodNetwork,
    conntrack::{self, Flow},
    ends::{entering, netlink},
    network::fabric_link,
    tables::Tables,
    wiring::{self, of_family},
};
use crate::sandbox::{
    fault::{NetworkFault as Fault, Percent},
    firewall::{Loss, Redirect, Ruleset},
};

impl Network {
    /// The number of a node's link on the fabric.
    fn link_of(&self, node: &str) -> Option<u32> {
        let link = self.0.by_name.get(node).map(|&index| self.0.nodes[index].link);
        if link.is_none() {
            tracing::warn!(node, "a fault names a node that isn't there");
        }
        link
    }

    /// Lets the fabric misbehave as the faults say; those that aren't its own are ignored.
    ///
    /// # Errors
    /// When the kernel refuses: then the fabric stays as it was.
    pub async fn apply_fabric(&self, faults: &[Fault]) -> Result<(), Error> {
        let mut losses = Vec::new();
        for fault in faults {
            let ways: Vec<(Option<u32>, Option<u32>, Option<Percent>)> = match fault {
                Fault::DeadPath(pair) => {
                    let (first, second) = match pair {
                        Some((first, second)) => (self.link_of(first), self.link_of(second)),
                        None => {
                            let link = |index: usize| self.0.nodes.get(index).map(|node| node.link);
                            (link(0), link(1))
                        }
                    };
                    vec![(first, second, None), (second, first, None)]
                }
                Fault::DeadWay(from, to) => vec![(self.link_of(from), self.link_of(to), None)],
                Fault::OneWayLoss(node, share) => {
                    if let Some(to) = self.link_of(node) {
                        let (to, fault) = (fabric_link(to), fault.to_string());
                        losses.push(Loss { from: None, to, share: Some(*share), fault });
                    }
                    continue;
                }
                _ => continue,
            };
            for (from, to, share) in ways {
                // A node that isn't there loses nothing.
                if let (Some(from), Some(to)) = (from, to) {
                    let (from, to) = (Some(fabric_link(from)), fabric_link(to));
                    losses.push(Loss { from, to, share, fault: fault.to_string() });
                }
            }
        }
        let rules = Ruleset::fabric(&losses);
        let stage = "load the rules of the fabric".to_owned();
        self.0.fabric_tables.replace(stage, &rules).await
    }

    /// Leads a pod's connections through a proxy inside it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(in crate::sandbox) async fn redirect(
        &self,
        pod: &PodNetwork,
        to: &Redirect,
    ) -> Result<(), Error> {
        let stage = format!("lead the connections of pod {} to its proxy", pod.address());
        Tables::of(&pod.0.namespace).replace(stage, &Ruleset::redirect(to)).await
    }

    /// Takes a pod's interface down, as if its cable were pulled, or up again. Its processes
    /// go on. A pod on the host network has none of its own.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn set_interface(&self, pod: &PodNetwork, up: bool) -> Result<(), Error> {
        let Some((near, link)) = pod.0.joint.clone() else { return Ok(()) };
        let sources = self.host_network(pod.node())?.addresses().to_vec();
        let stage = format!("set the interface of pod {}", pod.address());
        let requests: Vec<_> = if up {
            let routes = pod.addresses().iter();
            let routes = routes.map(|&to| wiring::direct(to, link, of_family(&sources, to)));
            [wiring::up(link)].into_iter().chain(routes).collect()
        } else {
            vec![wiring::down(link)]
        };
        near.run(move || netlink(&stage, &requests)).await.map_err(entering)?
    }

    /// Lets all nodes forget connections that they remember.
    pub async fn forget(&self, unwanted: impl Fn(&Flow) -> bool + Clone + Send + 'static) {
        let nodes = self.0.nodes.iter().map(|node| &node.network.0.namespace);
        for namespace in nodes.chain([&self.0.fabric]) {
            let unwanted = unwanted.clone();
            let forgotten = namespace.run(move || conntrack::forget(unwanted)).await;
            match forgotten.and_then(|count| count) {
                Ok(0) => {}
                Ok(count) => tracing::debug!(count, "forgot connections"),
                Err(error) => tracing::warn!(%error, "forget connections"),
            }
        }
    }
}
