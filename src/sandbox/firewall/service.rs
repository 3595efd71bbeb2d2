//! Services: the first packet to a cluster address is sent on to an endpoint.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    addresses::Family,
    ruleset::{Action, Match, PortRange, Rejection, Rule},
    snapshot::Snapshot,
};
use crate::model::Transport;

/// A rule for each port of each Service that has endpoints.
pub(super) fn translations(snapshot: &Snapshot) -> Vec<Rule> {
    let mut rules = Vec::new();
    for service in &snapshot.services {
        for (&address, port) in service
            .cluster_ips
            .iter()
            .flat_map(|one| service.ports.iter().map(move |port| (one, port)))
        {
            let same = |endpoint: &&(IpAddr, u16)| Family::of(endpoint.0) == Family::of(address);
            let endpoints: Vec<_> = port.endpoints.iter().filter(same).copied().collect();
            if endpoints.is_empty() {
                continue;
            }
            let matches = [
                Match::Destination(address),
                Match::Transport(port.protocol),
                Match::Port(PortRange { first: port.port, last: port.port }),
            ];
            let rule = Rule::new(matches, Action::Translate(endpoints))
                .because(format!("service {}/{}", service.namespace, service.name));
            rules.push(rule);
        }
    }
    rules
}

/// Refuses what is still meant for a cluster address after translation: the Service has no
/// such port, or no endpoint for it.
pub(super) fn refusals(family: Family, cluster_addresses: &str) -> [Rule; 2] {
    let to = Match::DestinationIn(family, cluster_addresses.to_owned());
    [
        Rule::new([to.clone(), Match::Transport(Transport::Tcp)], Action::Reject(Rejection::Reset))
            .because("no such Service port, or no endpoints"),
        Rule::new([to], Action::Reject(Rejection::PortUnreachable))
            .because("no such Service port, or no endpoints"),
    ]
}

/// Every endpoint as a pair with itself. A pod that reaches itself through a Service would
/// see its own address as the source and throw the packet away.
pub(super) fn hairpins(snapshot: &Snapshot) -> BTreeSet<(IpAddr, IpAddr)> {
    snapshot
        .services
        .iter()
        .flat_map(|service| &service.ports)
        .flat_map(|port| &port.endpoints)
        .map(|&(address, _)| (address, address))
        .collect()
}
