//! What a policy becomes on a node: a chain for each direction, and the sets that its rules
//! look addresses up in.
//!
//! ```text
//!   egress ── by source ──▶ egress/shop ── subjects of deny-all ──▶ egress/shop/deny-all
//!                                       ── subjects of db ────────▶ egress/shop/db: accept
//!                                       ── drop
//! ```
//!
//! Whatever is accepted in `egress` goes on to `ingress`, which stands behind it in the
//! kernel's order: both ends must agree. (Tiers before and after NetworkPolicy would be
//! chains before and after the namespace's.) Labels decide over elements of sets alone, so a
//! relabel changes no rule.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    addresses::{Addresses, Family},
    policy::{Direction, Policy, PolicyKey, PolicyRule, Port},
    ruleset::{Action, Chain, Elements, Match, Rejection, Rule, Set},
    switches::Switches,
};
use crate::model::Transport;

/// Chains and sets have names of up to 255 bytes, and these stand in front of others.
const LONGEST: usize = 180;

/// What every rule of a node depends on beside its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub switches: Switches,
    /// The families of which there are pods.
    pub families: Vec<Family>,
    /// Whether new connections are logged.
    pub log: bool,
}

/// Where a port of a rule stands: the rule's number and the port's.
pub(super) type Place = (usize, usize);

/// The name of a policy's chain in a direction, with which those of its sets begin.
pub(super) fn chain_name(direction: Direction, (namespace, name): &PolicyKey) -> String {
    let full = format!("{}/{namespace}/{name}", direction.field());
    if full.len() <= LONGEST {
        return full;
    }
    // Names of objects are ASCII; whatever else came through is cut at a letter's border.
    let mut end = LONGEST - 20;
    while !full.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}.{:016x}", &full[..end], digest(&full))
}

/// FNV-1a: names must be the same wherever they are made.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The name of a namespace's chain in a direction.
pub(super) fn namespace_chain_name(direction: Direction, namespace: &str) -> String {
    format!("{}/{namespace}", direction.field())
}

/// The chain of pods that no policy isolates.
pub(super) fn open_chain_name(direction: Direction) -> String {
    format!("{}-open", direction.field())
}

/// The map that leads from a pod's address to its namespace's chain.
pub(super) fn map_name(direction: Direction, family: Family) -> String {
    of_family(format!("{}-pods", direction.field()), family)
}

fn of_family(name: String, family: Family) -> String {
    match family {
        Family::V4 => name,
        Family::V6 => format!("{name}-6"),
    }
}

pub(super) fn subjects_name(chain: &str, family: Family) -> String {
    of_family(format!("{chain}/subjects"), family)
}

pub(super) fn peers_name(chain: &str, rule: usize, family: Family) -> String {
    of_family(format!("{chain}/{rule}/pods"), family)
}

fn blocks_name(chain: &str, rule: usize, family: Family) -> String {
    of_family(format!("{chain}/{rule}/blocks"), family)
}

pub(super) fn sockets_name(chain: &str, (rule, port): Place, family: Family) -> String {
    of_family(format!("{chain}/{rule}/port-{port}"), family)
}

/// The named ports of a policy's direction, each with its place, rule, transport and name.
pub(super) fn named_ports(
    policy: &Policy,
    direction: Direction,
) -> impl Iterator<Item = (Place, &PolicyRule, Transport, &str)> {
    let rules = policy.rules(direction).unwrap_or_default().iter().enumerate();
    rules.flat_map(|(index, rule)| {
        let ports = rule.ports.iter().flatten().enumerate();
        ports.filter_map(move |(port, entry)| match entry {
            Port::Named(transport, name) => Some(((index, port), rule, *transport, name.as_str())),
            _ => None,
        })
    })
}

/// The sets that only the policy's text decides over: its blocks.
pub(super) fn block_sets(policy: &Policy, direction: Direction) -> Vec<Set> {
    let chain = chain_name(direction, &policy.key);
    let mut sets = Vec::new();
    for (index, rule) in policy.rules(direction).unwrap_or_default().iter().enumerate() {
        let Some(peers) = &rule.peers else { continue };
        for family in Family::BOTH {
            let blocks = peers.blocks.of(family);
            if !blocks.is_empty() {
                let name = blocks_name(&chain, index, family);
                sets.push(Set { name, family, elements: Elements::Addresses(blocks) });
            }
        }
    }
    sets
}

/// A policy's chain in a direction.
pub(super) fn policy_chain(policy: &Policy, direction: Direction, setting: &Setting) -> Chain {
    let name = chain_name(direction, &policy.key);
    let rules = policy.rules(direction).unwrap_or_default().iter().enumerate();
    let rules = rules.flat_map(|(index, rule)| {
        permits(&name, index, rule, direction, setting).into_iter().map(move |matches| {
            let permit = Rule::new(matches, Action::Accept).because(rule.by.clone());
            let (namespace, policy) = &policy.key;
            let field = direction.field();
            let told = || format!("{ALLOWED} {field} {index} {namespace}/{policy}");
            if setting.log { permit.logged(told()) } else { permit }
        })
    });
    Chain { rules: rules.collect(), name, base: None }
}

/// What a rule permits, each as matches that must hold together.
fn permits(
    chain: &str,
    index: usize,
    rule: &PolicyRule,
    direction: Direction,
    setting: &Setting,
) -> Vec<Vec<Match>> {
    let peers = peers(chain, index, rule, direction, setting);
    let Some(ports) = &rule.ports else { return peers };
    let mut permits = Vec::new();
    for (port, entry) in ports.iter().enumerate() {
        match entry {
            Port::All(transport) => {
                permits.extend(each_with(&peers, &[Match::Transport(*transport)]));
            }
            Port::Range(transport, range) => {
                let port = [Match::Transport(*transport), Match::Port(*range)];
                permits.extend(each_with(&peers, &port));
            }
            Port::Named(transport, _) => {
                for &family in &setting.families {
                    let sockets = sockets_name(chain, (index, port), family);
                    let port = [Match::Transport(*transport), Match::SocketIn(family, sockets)];
                    match direction {
                        Direction::Ingress => {
                            let own = peers.iter().filter(|peer| in_family(peer, family));
                            permits.extend(own.map(|peer| [&peer[..], &port].concat()));
                        }
                        // The sockets are the peers' own.
                        Direction::Egress => permits.push(port.to_vec()),
                    }
                }
            }
        }
    }
    permits
}

fn each_with(peers: &[Vec<Match>], port: &[Match]) -> Vec<Vec<Match>> {
    peers.iter().map(|peer| [peer, port].concat()).collect()
}

/// Whether matches can hold for a packet of a family.
fn in_family(matches: &[Match], family: Family) -> bool {
    matches.iter().all(|one| match one {
        Match::SourceIn(own, _) | Match::DestinationIn(own, _) => *own == family,
        _ => true,
    })
}

/// The ways to be a peer of a rule.
fn peers(
    chain: &str,
    index: usize,
    rule: &PolicyRule,
    direction: Direction,
    setting: &Setting,
) -> Vec<Vec<Match>> {
    let Some(peers) = &rule.peers else { return vec![Vec::new()] };
    let among = |family, name| match direction {
        Direction::Ingress => Match::SourceIn(family, name),
        Direction::Egress => Match::DestinationIn(family, name),
    };
    let mut ways = Vec::new();
    if !peers.selectors.is_empty() {
        let families = setting.families.iter();
        ways.extend(families.map(|&family| vec![among(family, peers_name(chain, index, family))]));
    }
    for family in Family::BOTH {
        if peers.blocks.of(family).is_empty() {
            continue;
        }
        let mut way = vec![among(family, blocks_name(chain, index, family))];
        if setting.switches.ignore_ipblock_pods && setting.families.contains(&family) {
            let pods = all_pods_name(family);
            way.push(match direction {
                Direction::Ingress => Match::SourceNotIn(family, pods),
                Direction::Egress => Match::DestinationNotIn(family, pods),
            });
        }
        ways.push(way);
    }
    ways
}

/// The set of all pods' addresses, where a fault needs it.
pub(super) fn all_pods_name(family: Family) -> String {
    of_family("pods".to_owned(), family)
}

/// The chain of a namespace's isolated pods: through all policies that may allow, then denied.
pub(super) fn namespace_chain<'a>(
    direction: Direction,
    namespace: &str,
    policies: impl Iterator<Item = &'a PolicyKey>,
    setting: &Setting,
) -> Chain {
    let mut rules = Vec::new();
    if setting.switches.ignore_udp {
        let udp = Rule::new([Match::Transport(Transport::Udp)], Action::Accept);
        rules.push(udp.because("fault ignore-udp"));
    }
    for key in policies {
        let chain = chain_name(direction, key);
        for &family in &setting.families {
            let subjects = subjects_name(&chain, family);
            let own = match direction {
                Direction::Ingress => Match::DestinationIn(family, subjects),
                Direction::Egress => Match::SourceIn(family, subjects),
            };
            let jump = Rule::new([own], Action::Jump(chain.clone()));
            rules.push(jump.because(format!("{}/{}", key.0, key.1)));
        }
    }
    let because = format!("no policy in {namespace} allows it");
    let denied = |matches: Vec<Match>, action| {
        let rule = Rule::new(matches, action).because(because.clone());
        if setting.log { rule.logged(format!("{DENIED} {}", direction.field())) } else { rule }
    };
    if setting.switches.reject {
        let tcp = vec![Match::Transport(Transport::Tcp)];
        rules.push(denied(tcp, Action::Reject(Rejection::Reset)));
        rules.push(denied(Vec::new(), Action::Reject(Rejection::Prohibited)));
    } else {
        rules.push(denied(Vec::new(), Action::Drop));
    }
    Chain { name: namespace_chain_name(direction, namespace), base: None, rules }
}

/// How the log's text begins where a rule allows a connection; behind it stand the
/// direction, the rule's number and the policy.
pub(super) const ALLOWED: &str = "allowed";
/// How the log's text begins where a connection is denied.
pub(super) const DENIED: &str = "denied";
/// The log's text where no policy had a say.
pub(super) const OPEN: &str = "open";

/// The chain of the pods that no policy isolates, which only tells of them.
pub(super) fn open_chain(direction: Direction) -> Chain {
    let rule = Rule::new([], Action::Accept).logged(format!("{OPEN} {}", direction.field()));
    let rule = rule.because("not isolated");
    Chain { name: open_chain_name(direction), base: None, rules: vec![rule] }
}

/// Addresses of a family among others.
pub(super) fn addresses<'a>(all: impl IntoIterator<Item = &'a IpAddr>, family: Family) -> Elements {
    let own = all.into_iter().filter(|address| Family::of(**address) == family);
    Elements::Addresses(own.copied().collect::<Addresses>())
}

/// Sockets of a family among others.
pub(super) fn sockets<'a>(
    all: impl IntoIterator<Item = &'a (IpAddr, u16)>,
    family: Family,
) -> Elements {
    let own = all.into_iter().filter(|(address, _)| Family::of(*address) == family);
    Elements::Sockets(own.copied().collect())
}

/// Jumps of a family among others.
pub(super) fn jumps<'a>(
    all: impl IntoIterator<Item = (&'a IpAddr, &'a super::ruleset::Jump)>,
    family: Family,
) -> Elements {
    let own = all.into_iter().filter(|(address, _)| Family::of(**address) == family);
    Elements::Jumps(own.map(|(address, jump)| (*address, jump.clone())).collect::<BTreeMap<_, _>>())
}
