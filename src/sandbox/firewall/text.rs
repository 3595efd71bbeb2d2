//! A table as `nft` would list it, with the policy that made each rule beside it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    net::{IpAddr, SocketAddr},
};

use super::{
    addresses::{Family, as_block},
    names::is_shared,
    ruleset::{Action, Base, Chain, Elements, Jump, Match, Rejection, Rule, Ruleset, Set},
};
use crate::model::Transport;

/// What the table is called, in every namespace.
pub(super) const TABLE: &str = "netproof";

/// What nft wants to read before a translation that gives a port. The kernel's rule stands in a
/// chain to which only these lead, and needs no such match.
const PORTED: &str = "meta l4proto { tcp, udp }";

impl Ruleset {
    /// The rules in the syntax of `nft`, for people.
    pub fn to_nft(&self) -> String {
        self.to_string()
    }

    /// Who looks into each of the sets that rules share: what stands beside those rules.
    fn users(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for rule in self.chains.iter().flat_map(|chain| &chain.rules) {
            for set in rule.sets().filter(|set| is_shared(set)) {
                users.entry(set).or_default().extend(rule.comment.as_deref());
            }
        }
        users
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {TABLE} {{")?;
        let users = self.users();
        let sets = self.sets.iter().map(|set| match users.get(set.name.as_str()) {
            Some(users) => {
                format!("\t# for {}\n{set}", Vec::from_iter(users.iter().copied()).join(", "))
            }
            None => set.to_string(),
        });
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
        let Self { name, family, elements } = self;
        let address = match family {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        };
        let (kind, key, flags) = match elements {
            Elements::Addresses(all) if all.is_single() => ("set", address.to_owned(), ""),
            Elements::Addresses(_) => ("set", address.to_owned(), "\n\t\tflags interval"),
            Elements::Sockets(_) => ("set", format!("{address} . inet_service"), ""),
            Elements::Pairs(_) => ("set", format!("{address} . {address}"), ""),
            Elements::Jumps(_) => ("map", format!("{address} : verdict"), ""),
            Elements::Services(_) => {
                ("map", format!("{address} . inet_proto . inet_service : verdict"), "")
            }
            Elements::Recent(_) => ("set", address.to_owned(), "\n\t\tflags dynamic,timeout"),
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
            Elements::Services(jumps) => jumps
                .iter()
                .map(|((address, transport, port), Jump { chain, comment })| {
                    let transport = carrier(Some(*transport));
                    format!("{address} . {transport} . {port} comment \"{comment}\" : jump {chain}")
                })
                .collect(),
            Elements::Recent(_) => Vec::new(),
        };
        writeln!(f, "\t{kind} {name} {{\n\t\ttype {key}{flags}")?;
        if let Elements::Recent(timeout) = elements {
            writeln!(f, "\t\ttimeout {}s", timeout.as_secs())?;
        }
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
fn range(first: IpAddr, last: IpAddr) -> String {
    match as_block(first, last) {
        _ if first == last => first.to_string(),
        Some(block) => block.to_string(),
        None => format!("{first}-{last}"),
    }
}

/// The word for a family's headers.
fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\tchain {} {{", self.name)?;
        if let Some(base) = self.base {
            let hook = match base {
                Base::FilterForward => "type filter hook forward priority filter - 10",
                Base::FilterEgress => "type filter hook forward priority filter",
                Base::FilterIngress => "type filter hook forward priority filter + 10",
                Base::FilterInput => "type filter hook input priority filter",
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
                if matches!(matches.peek(), Some(Match::Port(_) | Match::SocketIn(..))) {
                    continue;
                }
            }
            write_match(f, one, transport)?;
            f.write_char(' ')?;
        }
        if let Some(text) = &self.log {
            write!(f, "log prefix \"{}\" group {LOG_GROUP} ", short(text))?;
        }
        write!(f, "{}", self.action)?;
        match &self.comment {
            Some(comment) => write!(f, " comment \"{}\"", short(comment)),
            None => Ok(()),
        }
    }
}

/// The number by which the flow log gets packets; it means nothing elsewhere.
pub(in crate::sandbox) const LOG_GROUP: u16 = 4077;

/// The kernel keeps comments of up to 127 bytes.
pub(super) fn short(comment: &str) -> &str {
    const MOST: usize = 127;
    match comment.char_indices().find(|(start, letter)| start + letter.len_utf8() > MOST) {
        Some((end, _)) => &comment[..end],
        None => comment,
    }
}

fn carrier(transport: Option<Transport>) -> &'static str {
    match transport {
        Some(Transport::Tcp) => "tcp",
        Some(Transport::Udp) => "udp",
        None => "th",
    }
}

fn write_match(
    f: &mut fmt::Formatter<'_>,
    one: &Match,
    transport: Option<Transport>,
) -> fmt::Result {
    let carrier = carrier(transport);
    match one {
        Match::Established => f.write_str("ct state established,related"),
        Match::New => f.write_str("ct state new"),
        Match::Arrives(link) => write!(f, "iifname \"{link}\""),
        Match::Leaves(link) => write!(f, "oifname \"{link}\""),
        Match::SourceIn(family, set) => write!(f, "{} saddr @{set}", ip(*family)),
        Match::DestinationIn(family, set) => write!(f, "{} daddr @{set}", ip(*family)),
        Match::SourceNotIn(family, set) => write!(f, "{} saddr != @{set}", ip(*family)),
        Match::DestinationNotIn(family, set) => write!(f, "{} daddr != @{set}", ip(*family)),
        Match::Original => f.write_str("ct direction original"),
        Match::Reply => f.write_str("ct direction reply"),
        Match::PairIn(family, set) => {
            let ip = ip(*family);
            write!(f, "{ip} saddr . {ip} daddr @{set}")
        }
        Match::Transport(_) => write!(f, "meta l4proto {carrier}"),
        Match::Port(range) if range.first == range.last => {
            write!(f, "{carrier} dport {}", range.first)
        }
        Match::Port(range) => write!(f, "{carrier} dport {}-{}", range.first, range.last),
        Match::DialledPort(range) if range.first == range.last => {
            write!(f, "ct original proto-dst {}", range.first)
        }
        Match::DialledPort(range) => {
            write!(f, "ct original proto-dst {}-{}", range.first, range.last)
        }
        Match::SocketIn(family, set) => {
            write!(f, "{} daddr . {carrier} dport @{set}", ip(*family))
        }
        Match::Chance(share) => write!(f, "numgen random mod 100 < {}", share.get()),
        Match::OneIn(count) => write!(f, "numgen random mod {count} 0"),
        Match::Remember(family, set, timeout) => {
            write!(f, "update @{set} {{ {} saddr timeout {}s }}", ip(*family), timeout.as_secs())
        }
        Match::Priority(priority) => write!(f, "meta priority 0:{priority:x}"),
        Match::Marked => f.write_str("meta mark 0x00004000"),
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Reject(Rejection::Reset) => f.write_str("reject with tcp reset"),
            Self::Reject(Rejection::PortUnreachable) => {
                f.write_str("reject with icmpx port-unreachable")
            }
            Self::Reject(Rejection::Prohibited) => {
                f.write_str("reject with icmpx admin-prohibited")
            }
            Self::Jump(chain) => write!(f, "jump {chain}"),
            Self::JumpBySource(family, map) => write!(f, "{} saddr vmap @{map}", ip(*family)),
            Self::JumpByDestination(family, map) => {
                write!(f, "{} daddr vmap @{map}", ip(*family))
            }
            Self::JumpByService(family, map) => {
                let ip = ip(*family);
                write!(f, "{ip} daddr . meta l4proto . th dport vmap @{map}")
            }
            Self::MarkForMasquerade => f.write_str("meta mark set 0x00004000"),
            Self::Translate(endpoints) => match &endpoints[..] {
                [] => Ok(()),
                [(address, port)] => {
                    write!(
                        f,
                        "{PORTED} dnat {} to {}",
                        ip(Family::of(*address)),
                        SocketAddr::from((*address, *port))
                    )
                }
                [(first, _), ..] => {
                    let ip = ip(Family::of(*first));
                    write!(
                        f,
                        "{PORTED} dnat {ip} to numgen random mod {} map {{ ",
                        endpoints.len()
                    )?;
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
