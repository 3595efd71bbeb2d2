//! What a policy becomes on a node: a chain for each direction, and the sets that its rules
//! look addresses up in. Labels decide over elements of sets alone, so a relabel changes no
//! rule.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    addresses::{Addresses, Family},
    names::{all_pods_name, blocks_name, chain_name, followed_name, next_chain_name, sockets_name},
    policy::{Direction, Policy, PolicyRule, Port, Tier, Verdict},
    ruleset::{Action, Chain, Elements, Jump, Match, Rejection, Rule, Set},
    switches::Switches,
};
use crate::model::Transport;

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

/// How the log's text begins where a rule allows a connection; behind it stand the
/// direction, the rule's number and the policy.
pub(super) const ALLOWED: &str = "allowed";
/// How the log's text begins where a connection is denied. Behind it stands the direction,
/// and if a rule denies it, the rule's number and the policy.
pub(super) const DENIED: &str = "denied";
/// The log's text where no policy had a say.
pub(super) const OPEN: &str = "open";

/// The named ports of a policy's subjects, for ingress, each with its place, transport and
/// name.
pub(super) fn named_ports(policy: &Policy) -> impl Iterator<Item = (Place, Transport, &str)> {
    let rules = policy.rules(Direction::Ingress).unwrap_or_default().iter().enumerate();
    rules.flat_map(|(index, rule)| {
        let ports = rule.ports.iter().flatten().enumerate();
        ports.filter_map(move |(port, entry)| match entry {
            Port::Named(transport, name) => Some(((index, port), *transport, name.as_str())),
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
        let place = At { own: &policy.key.0, chain: &name, index, direction, setting };
        let matching = matching(&place, rule).into_iter();
        let told = told(policy, direction, index, rule.verdict);
        matching.flat_map(move |matches| {
            let acts = acts(policy, direction, rule.verdict, matches, setting);
            let told = told.clone().filter(|_| setting.log);
            acts.into_iter().map(move |act| {
                let act = act.because(rule.by.clone());
                match &told {
                    Some(text) => act.logged(text.clone()),
                    None => act,
                }
            })
        })
    });
    Chain { rules: rules.collect(), name, base: None }
}

/// What the flow log is told of a connection that a rule decides about.
fn told(policy: &Policy, direction: Direction, index: usize, verdict: Verdict) -> Option<String> {
    let field = direction.field();
    let by = match &policy.key {
        (namespace, name) if namespace.is_empty() => name.clone(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    match (verdict, policy.rank) {
        (Verdict::Accept, _) => Some(format!("{ALLOWED} {field} {index} {by}")),
        (Verdict::Deny, _) => Some(format!("{DENIED} {field} {index} {by}")),
        // Nothing comes after this tier.
        (Verdict::Pass, Some((Tier::Baseline, _))) => Some(format!("{OPEN} {field}")),
        (Verdict::Pass, _) => None,
    }
}

/// What becomes of the packets that matches choose.
fn acts(
    policy: &Policy,
    direction: Direction,
    verdict: Verdict,
    matches: Vec<Match>,
    setting: &Setting,
) -> Vec<Rule> {
    match (verdict, policy.rank) {
        (Verdict::Accept, _) | (Verdict::Pass, Some((Tier::Baseline, _)) | None) => {
            vec![Rule::new(matches, Action::Accept)]
        }
        (Verdict::Pass, Some((Tier::Admin, _))) => {
            vec![Rule::new(matches, Action::Jump(next_chain_name(direction)))]
        }
        (Verdict::Deny, _) => denials(matches, setting),
    }
}

/// Rules that deny the packets that matches choose.
pub(super) fn denials(matches: Vec<Match>, setting: &Setting) -> Vec<Rule> {
    if !setting.switches.reject {
        return vec![Rule::new(matches, Action::Drop)];
    }
    let with_tcp = || {
        let tcp = Match::Transport(Transport::Tcp);
        if matches.contains(&tcp) { matches.clone() } else { [&matches[..], &[tcp]].concat() }
    };
    let mut rules = Vec::new();
    if !matches.contains(&Match::Transport(Transport::Udp)) {
        rules.push(Rule::new(with_tcp(), Action::Reject(Rejection::Reset)));
    }
    if !matches.contains(&Match::Transport(Transport::Tcp)) {
        rules.push(Rule::new(matches, Action::Reject(Rejection::Prohibited)));
    }
    rules
}

/// Where a rule stands.
struct At<'a> {
    /// The policy's namespace, its chain, and the rule's number.
    own: &'a str,
    chain: &'a str,
    index: usize,
    direction: Direction,
    setting: &'a Setting,
}

/// What a rule is about, each as matches that must hold together.
fn matching(at: &At<'_>, rule: &PolicyRule) -> Vec<Vec<Match>> {
    let peers = peers(at, rule);
    let Some(ports) = &rule.ports else { return peers };
    let mut found = Vec::new();
    for (port, entry) in ports.iter().enumerate() {
        match entry {
            Port::All(transport) => {
                found.extend(each_with(&peers, &[Match::Transport(*transport)]));
            }
            Port::Range(transport, range) => {
                let port = match at.setting.switches.service_port {
                    true => Match::DialledPort(*range),
                    false => Match::Port(*range),
                };
                let port = [Match::Transport(*transport), port];
                found.extend(each_with(&peers, &port));
            }
            Port::Named(transport, name) => {
                let sockets = match at.direction {
                    Direction::Ingress => None,
                    Direction::Egress => Some(rule.sockets_of(at.own, *transport, name).followed()),
                };
                for &family in &at.setting.families {
                    let in_set = |set| [Match::Transport(*transport), Match::SocketIn(family, set)];
                    match &sockets {
                        None => {
                            let own = in_set(sockets_name(at.chain, (at.index, port), family));
                            let peers = peers.iter().filter(|peer| in_family(peer, family));
                            found.extend(peers.map(|peer| [&peer[..], &own].concat()));
                        }
                        // The sockets are the peers' own.
                        Some(sockets) => found.push(in_set(followed_name(sockets, family)).into()),
                    }
                }
            }
        }
    }
    found
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
fn peers(at: &At<'_>, rule: &PolicyRule) -> Vec<Vec<Match>> {
    let Some(peers) = &rule.peers else { return vec![Vec::new()] };
    let among = |family, name| match at.direction {
        Direction::Ingress => Match::SourceIn(family, name),
        Direction::Egress => Match::DestinationIn(family, name),
    };
    let mut ways = Vec::new();
    for ask in rule.peers_of(at.own) {
        let followed = ask.followed();
        let families = at.setting.families.iter();
        let name = |family| followed_name(&followed, family);
        ways.extend(families.map(|&family| vec![among(family, name(family))]));
    }
    for family in Family::BOTH {
        if peers.blocks.of(family).is_empty() {
            continue;
        }
        let mut way = vec![among(family, blocks_name(at.chain, at.index, family))];
        if at.setting.switches.ignore_ipblock_pods && at.setting.families.contains(&family) {
            let pods = all_pods_name(family);
            way.push(match at.direction {
                Direction::Ingress => Match::SourceNotIn(family, pods),
                Direction::Egress => Match::DestinationNotIn(family, pods),
            });
        }
        ways.push(way);
    }
    ways
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
    all: impl IntoIterator<Item = (&'a IpAddr, &'a Jump)>,
    family: Family,
) -> Elements {
    let own = all.into_iter().filter(|(address, _)| Family::of(**address) == family);
    Elements::Jumps(own.map(|(address, jump)| (*address, jump.clone())).collect::<BTreeMap<_, _>>())
}
