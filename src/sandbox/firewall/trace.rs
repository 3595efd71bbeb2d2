//! What a table does to the first packet of a connection, without a kernel.
//!
//! For tests that compare more connections than one would send packets for. What the kernel
//! does with the same table is another test.

use std::{collections::HashMap, net::IpAddr};

use super::{
    addresses::Family,
    ruleset::{Action, Base, Chain, Elements, Match, Ruleset, Set},
};
use crate::model::Transport;

/// The first packet of a connection, as a node forwards it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes to, after the translation of Services.
    pub destination: IpAddr,
    /// What carries it; none for ICMP.
    pub transport: Option<Transport>,
    /// Its destination port.
    pub port: u16,
}

/// A table, made ready to be asked.
#[derive(Clone, Debug)]
pub struct Trace<'a> {
    sets: HashMap<&'a str, &'a Set>,
    chains: HashMap<&'a str, &'a Chain>,
    /// Where forwarded packets enter, in the kernel's order.
    entries: Vec<&'a Chain>,
    /// Where packets to the node itself enter.
    own: Vec<&'a Chain>,
}

impl Ruleset {
    /// Makes the table ready to be asked.
    pub fn trace(&self) -> Trace<'_> {
        let hooks = [Base::FilterForward, Base::FilterEgress, Base::FilterIngress];
        let at = |hook| self.chains.iter().filter(move |chain| chain.base == Some(hook));
        Trace {
            sets: self.sets.iter().map(|set| (set.name.as_str(), set)).collect(),
            chains: self.chains.iter().map(|chain| (chain.name.as_str(), chain)).collect(),
            entries: hooks.into_iter().flat_map(at).collect(),
            own: at(Base::FilterInput).collect(),
        }
    }
}

impl Trace<'_> {
    /// Whether the packet is let through. Chance never strikes.
    pub fn passes(&self, packet: &Packet) -> bool {
        // What one accepts the next still judges.
        self.entries.iter().all(|entry| self.walk(entry, packet).unwrap_or(true))
    }

    /// Whether the packet, which is to the node itself, is let in.
    pub fn enters(&self, packet: &Packet) -> bool {
        self.own.iter().all(|entry| self.walk(entry, packet).unwrap_or(true))
    }

    /// What a chain decides; none where it leaves it open.
    fn walk(&self, chain: &Chain, packet: &Packet) -> Option<bool> {
        let matching = chain
            .rules
            .iter()
            .filter(|rule| rule.matches.iter().all(|one| self.holds(one, packet)));
        matching.into_iter().find_map(|rule| match &rule.action {
            Action::Accept => Some(true),
            Action::Drop | Action::Reject(_) => Some(false),
            Action::Jump(to) => self.jump(to, packet),
            Action::JumpBySource(_, map) => self.lookup(map, packet.source, packet),
            Action::JumpByDestination(_, map) => self.lookup(map, packet.destination, packet),
            // Not of the filters that are walked through.
            Action::JumpByService(..)
            | Action::MarkForMasquerade
            | Action::Translate(_)
            | Action::Masquerade => None,
        })
    }

    fn jump(&self, to: &str, packet: &Packet) -> Option<bool> {
        self.walk(self.chains.get(to)?, packet)
    }

    fn lookup(&self, map: &str, address: IpAddr, packet: &Packet) -> Option<bool> {
        let Elements::Jumps(jumps) = &self.sets.get(map)?.elements else { return None };
        self.jump(&jumps.get(&address)?.chain, packet)
    }

    fn holds(&self, one: &Match, packet: &Packet) -> bool {
        let Packet { source, destination, transport, port } = packet;
        let of = |family: &Family, address: &IpAddr| Family::of(*address) == *family;
        match one {
            Match::SourceIn(_, set) => self.holds_address(set, *source),
            Match::DestinationIn(_, set) => self.holds_address(set, *destination),
            Match::SourceNotIn(family, set) => {
                of(family, source) && !self.holds_address(set, *source)
            }
            Match::DestinationNotIn(family, set) => {
                of(family, destination) && !self.holds_address(set, *destination)
            }
            Match::PairIn(_, set) => match self.sets.get(set.as_str()).map(|set| &set.elements) {
                Some(Elements::Pairs(pairs)) => pairs.contains(&(*source, *destination)),
                _ => false,
            },
            Match::SocketIn(_, set) => match self.sets.get(set.as_str()).map(|set| &set.elements) {
                Some(Elements::Sockets(sockets)) => sockets.contains(&(*destination, *port)),
                _ => false,
            },
            Match::Transport(wanted) => *transport == Some(*wanted),
            // Nothing is translated here.
            Match::Port(range) | Match::DialledPort(range) => {
                (range.first..=range.last).contains(port)
            }
            Match::New | Match::Original | Match::Remember(..) => true,
            Match::Established
            | Match::Reply
            | Match::Arrives(_)
            | Match::Leaves(_)
            | Match::Chance(_)
            | Match::OneIn(_)
            | Match::Priority(_)
            | Match::Marked => false,
        }
    }

    fn holds_address(&self, set: &str, address: IpAddr) -> bool {
        match self.sets.get(set).map(|set| &set.elements) {
            Some(Elements::Addresses(addresses)) => addresses.contains(address),
            _ => false,
        }
    }
}
