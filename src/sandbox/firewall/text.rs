//! A table as `nft` would list it, with the policy that made each rule beside it.

use std::{
    fmt::{self, Write as _},
    net::Ipv4Addr,
};

use super::ruleset::{Action, Base, Chain, Elements, Match, Rejection, Rule, Ruleset, Set};
use crate::model::Transport;

/// What the table is called, in every namespace.
pub(super) const TABLE: &str = "netproof";

impl Ruleset {
    /// The rules in the syntax of `nft`, for people.
    pub fn to_nft(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table ip {TABLE} {{")?;
        let sets = self.sets.iter().map(ToString::to_string);
        let chains = self.chains.iter().map(ToString::to_string);
        for (index, block) in sets.chain(chains).enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            write!(f, "{gap}{block}")?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, elements } = self;
        let (kind, key, flags) = match elements {
            Elements::Addresses(all) if all.is_single() => ("set", "ipv4_addr", ""),
            Elements::Addresses(_) => ("set", "ipv4_addr", "\n\t\tflags interval"),
            Elements::Sockets(_) => ("set", "ipv4_addr . inet_service", ""),
            Elements::Pairs(_) => ("set", "ipv4_addr . ipv4_addr", ""),
            Elements::Jumps(_) => ("map", "ipv4_addr : verdict", ""),
        };
        let written: Vec<String> = match elements {
            Elements::Addresses(all) => {
                all.ranges().map(|(first, last)| range(first, last)).collect()
            }
            Elements::Sockets(sockets) => {
                sockets.iter().map(|(address, port)| format!("{address} . {port}")).collect()
            }
            Elements::Pairs(pairs) => {
                pairs.iter().map(|(from, to)| format!("{from} . {to}")).collect()
            }
            Elements::Jumps(jumps) => jumps
                .iter()
                .map(|(address, jump)| {
                    format!("{address} comment \"{}\" : jump {}", jump.comment, jump.chain)
                })
                .collect(),
        };
        writeln!(f, "\t{kind} {name} {{\n\t\ttype {key}{flags}")?;
        match &written[..] {
            [] => {}
            [one] => writeln!(f, "\t\telements = {{ {one} }}")?,
            [first, rest @ ..] => {
                write!(f, "\t\telements = {{ {first}")?;
                for element in rest {
                    write!(f, ",\n\t\t\t     {element}")?;
                }
                writeln!(f, " }}")?;
            }
        }
        writeln!(f, "\t}}")
    }
}

/// A range as an address or a block, where it is one.
fn range(first: Ipv4Addr, last: Ipv4Addr) -> String {
    let (low, high) = (u32::from(first), u32::from(last));
    let length = (low ^ high).leading_zeros();
    let host = u32::MAX.checked_shr(length).unwrap_or(0);
    if low == high {
        first.to_string()
    } else if low & host == 0 && high & host == host {
        format!("{first}/{length}")
    } else {
        format!("{first}-{last}")
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = self.base {
            let hook = match base {
                Base::FilterForward => "type filter hook forward priority filter",
                Base::FilterOutput => "type filter hook output priority filter",
                Base::NatPrerouting => "type nat hook prerouting priority dstnat",
                // nft has no name for this priority here.
                Base::NatOutput => "type nat hook output priority -100",
                Base::NatPostrouting => "type nat hook postrouting priority srcnat",
            };
            writeln!(f, "\t\t{hook}; policy accept;")?;
        }
        for rule in &self.rules {
            writeln!(f, "\t\t{rule}")?;
        }
        writeln!(f, "\t}}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut transport = None;
        let mut matches = self.matches.iter().peekable();
        while let Some(one) = matches.next() {
            if let Match::Transport(found) = one {
                transport = Some(*found);
                // The port says it by itself.
                if matches!(matches.peek(), Some(Match::Port(_) | Match::SocketIn(_))) {
                    continue;
                }
            }
            write_match(f, one, transport)?;
            f.write_char(' ')?;
        }
        write!(f, "{}", self.action)?;
        match &self.comment {
            Some(comment) => write!(f, " comment \"{}\"", short(comment)),
            None => Ok(()),
        }
    }
}

/// The kernel keeps comments of up to 127 bytes.
pub(super) fn short(comment: &str) -> &str {
    const MOST: usize = 127;
    match comment.char_indices().find(|(start, letter)| start + letter.len_utf8() > MOST) {
        Some((end, _)) => &comment[..end],
        None => comment,
    }
}

fn write_match(
    f: &mut fmt::Formatter<'_>,
    one: &Match,
    transport: Option<Transport>,
) -> fmt::Result {
    let carrier = match transport {
        Some(Transport::Tcp) => "tcp",
        Some(Transport::Udp) => "udp",
        None => "th",
    };
    match one {
        Match::Established => f.write_str("ct state established,related"),
        Match::Arrives(link) => write!(f, "iifname \"{link}\""),
        Match::Leaves(link) => write!(f, "oifname \"{link}\""),
        Match::SourceIn(set) => write!(f, "ip saddr @{set}"),
        Match::DestinationIn(set) => write!(f, "ip daddr @{set}"),
        Match::Destination(address) => write!(f, "ip daddr {address}"),
        Match::PairIn(set) => write!(f, "ip saddr . ip daddr @{set}"),
        Match::Transport(_) => write!(f, "meta l4proto {carrier}"),
        Match::Port(range) if range.first == range.last => {
            write!(f, "{carrier} dport {}", range.first)
        }
        Match::Port(range) => write!(f, "{carrier} dport {}-{}", range.first, range.last),
        Match::SocketIn(set) => write!(f, "ip daddr . {carrier} dport @{set}"),
        Match::Chance(share) => write!(f, "numgen random mod 100 < {}", share.get()),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Reject(Rejection::Reset) => f.write_str("reject with tcp reset"),
            Self::Reject(Rejection::PortUnreachable) => {
                f.write_str("reject with icmp port-unreachable")
            }
            Self::Reject(Rejection::Prohibited) => f.write_str("reject with icmp admin-prohibited"),
            Self::Return => f.write_str("return"),
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::JumpBySource(map) => write!(f, "ip saddr vmap @{map}"),
            Self::JumpByDestination(map) => write!(f, "ip daddr vmap @{map}"),
            Self::Translate(endpoints) => match &endpoints[..] {
                [(address, port)] => write!(f, "dnat to {address}:{port}"),
                _ => {
                    write!(f, "dnat ip to numgen random mod {} map {{ ", endpoints.len())?;
                    for (index, (address, port)) in endpoints.iter().enumerate() {
                        let comma = if index == 0 { "" } else { ", " };
                        write!(f, "{comma}{index} : {address} . {port}")?;
                    }
                    f.write_str(" }")
                }
            },
            Self::Masquerade => f.write_str("masquerade"),
        }
    }
}
