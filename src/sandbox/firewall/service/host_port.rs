//! Ports of pods that are their nodes', too: what the portmap plugin does beside a CNI.

use std::net::{IpAddr, Ipv4Addr};

use super::{Builder, digest};
use crate::{
    model::Transport,
    sandbox::firewall::{
        addresses::Family,
        ruleset::{Action, Chain, Jump, Rule},
        snapshot::HostPortEntry,
    },
};

/// By which the node itself dials; that of IPv6 can't be led anywhere.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Builder<'_> {
    /// A port of the node's own leads to a pod of it. Unlike a node port it is nobody else's
    /// and keeps the source, for the reply passes by here in any case.
    pub(super) fn host_port(&mut self, port: &HostPortEntry) {
        let because = format!("hostPort of pod {}/{}", port.namespace, port.pod);
        let asked = |place: IpAddr| port.address.is_none_or(|one| one == place);
        for &(address, number) in &port.to {
            let family = Family::of(address);
            let places = self.own.iter().copied().filter(|own| Family::of(*own) == family);
            let places: Vec<IpAddr> = places.filter(|own| asked(*own)).collect();
            let by_loopback = family == Family::V4 && asked(LOOPBACK);
            if places.is_empty() && !by_loopback {
                continue;
            }
            let transport = match port.protocol {
                Transport::Tcp => "tcp",
                Transport::Udp => "udp",
            };
            let HostPortEntry { namespace, pod, number: own, .. } = port;
            let suffix = if family == Family::V6 { "/6" } else { "" };
            // One port may lead to another at each address.
            let at = port.address.map(|at| format!("/{}", digest(&at.to_string())));
            let at = at.unwrap_or_default();
            let name =
                |kind: &str| format!("{kind}/{namespace}/{pod}/{transport}/{own}{at}{suffix}");
            let chain = name("host-port");
            let lead = Rule::new([], Action::Translate(vec![(address, number)]));
            let mut led = vec![(chain.clone(), vec![lead], places)];
            if by_loopback {
                // Nobody but the node itself can answer to its loopback.
                let mark = Rule::new([], Action::MarkForMasquerade);
                let rules = vec![mark, Rule::new([], Action::Jump(chain))];
                led.push((name("host-port-loopback"), rules, vec![LOOPBACK]));
            }
            self.hairpins.insert((address, address));
            for (chain, rules, places) in led {
                let rules = rules.into_iter().map(|rule| rule.because(because.clone())).collect();
                self.made.chains.push(Chain { name: chain.clone(), base: None, rules });
                for place in places {
                    // The first to come has it, as the scheduler would have seen to.
                    let jump = Jump { chain: chain.clone(), comment: because.clone() };
                    self.jumps.entry((place, port.protocol, port.number)).or_insert(jump);
                }
            }
        }
    }
}
