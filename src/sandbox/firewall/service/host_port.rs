//! Ports of pods that are their nodes', too: what the portmap plugin does beside a CNI.

use super::Builder;
use crate::{
    model::Transport,
    sandbox::firewall::{
        addresses::Family,
        ruleset::{Action, Chain, Jump, Rule},
        snapshot::HostPortEntry,
    },
};

impl Builder<'_> {
    /// A port of the node's own leads to a pod of it. Unlike a node port it is nobody else's
    /// and keeps the source, for the reply passes by here in any case.
    pub(super) fn host_port(&mut self, port: &HostPortEntry) {
        let because = format!("hostPort of pod {}/{}", port.namespace, port.pod);
        for &(address, number) in &port.to {
            let family = Family::of(address);
            let places = self.own.iter().filter(|own| Family::of(**own) == family);
            let places = places.filter(|own| port.address.is_none_or(|one| one == **own));
            let places: Vec<_> = places.map(|own| (*own, port.protocol, port.number)).collect();
            if places.is_empty() {
                continue;
            }
            let transport = match port.protocol {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            };
            let HostPortEntry { namespace, pod, number: own, .. } = port;
            let suffix = if family == Family::V6 { "/6" } else { "" };
            let chain = format!("host-port/{namespace}/{pod}/{transport}/{own}{suffix}");
            let lead = Rule::new([], Action::Translate(vec![(address, number)]));
            let rules = vec![lead.because(because.clone())];
            self.made.chains.push(Chain { name: chain.clone(), base: None, rules });
            self.hairpins.insert((address, address));
            for place in places {
                // The first to come has it, as the scheduler would have seen to.
                let jump = Jump { chain: chain.clone(), comment: because.clone() };
                self.jumps.entry(place).or_insert(jump);
            }
        }
    }
}
