//! A table of rules as data: what the compiler makes, the encoder loads and people read.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::RangeInclusive,
    time::Duration,
};

use super::{
    addresses::{Addresses, Family},
    policy::Among,
};
use crate::{model::Transport, sandbox::fault::Percent};

/// All rules of one node (or of the fabric): one table, replaced as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub(super) sets: Vec<Set>,
    /// A chain stands behind all that it jumps to.
    pub(super) chains: Vec<Chain>,
}

/// A named set or map. All its elements are of one family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub name: String,
    pub family: Family,
    pub elements: Elements,
}

/// What a set holds; its type follows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Elements {
    /// Addresses.
    Addresses(Addresses),
    /// Addresses, each with a port.
    Sockets(BTreeSet<(IpAddr, u16)>),
    /// A source and a destination each.
    Pairs(BTreeSet<(IpAddr, IpAddr)>),
    /// For an address, the chain to jump to, and whose address it is.
    Jumps(BTreeMap<IpAddr, Jump>),
    /// For an address, a transport and a port, the chain to jump to.
    Services(BTreeMap<(IpAddr, Transport, u16), Jump>),
    /// Addresses that rules put in, each for so long after the last time.
    Recent(Duration),
}

/// A map's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Jump {
    pub chain: String,
    pub comment: String,
}

/// A list of rules, worked through until one decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub name: String,
    /// Where packets enter; none for a chain that others jump to.
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

/// Where the kernel calls a chain. What no rule decides is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Packets that pass through, before policies.
    FilterForward,
    /// Packets that pass through, judged where they come from.
    FilterEgress,
    /// Packets that pass through, judged where they go to.
    FilterIngress,
    /// Packets that end here.
    FilterInput,
    /// Packets that start here.
    FilterOutput,
    /// The first packet of a connection, when it arrives.
    NatPrerouting,
    /// The first packet of a connection that starts here.
    NatOutput,
    /// The first packet of a connection, when it leaves.
    NatPostrouting,
}

/// When all matches hold, the action is taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rule {
    pub matches: Vec<Match>,
    pub action: Action,
    /// What the flow log is told of packets that it takes.
    pub log: Option<String>,
    /// Which policy, Service or fault made it.
    pub comment: Option<String>,
}

/// A property of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// It belongs to a known connection, or is an error about one.
    Established,
    /// It is the first of a connection.
    New,
    /// It came by the link of this name.
    Arrives(String),
    /// It goes by the link of this name.
    Leaves(String),
    /// Its source is in a set of addresses.
    SourceIn(Family, String),
    /// Its destination is in a set of addresses.
    DestinationIn(Family, String),
    /// Its source is of the set's family, and not in it.
    SourceNotIn(Family, String),
    /// Its destination is of the set's family, and not in it.
    DestinationNotIn(Family, String),
    /// It goes the way in which its connection began.
    Original,
    /// It goes the other way.
    Reply,
    /// Its source and destination are in a set of pairs.
    PairIn(Family, String),
    /// It is carried by this transport.
    Transport(Transport),
    /// Its destination port is in a range; stands behind a `Transport`.
    Port(PortRange),
    /// The port that its connection was begun to, before any translation, is in a range;
    /// stands behind a `Transport`.
    DialledPort(PortRange),
    /// Its destination address and port are in a set; stands behind a `Transport`.
    SocketIn(Family, String),
    /// It is one of so many in a hundred, by chance.
    Chance(Percent),
    /// It is one in so many, by chance.
    OneIn(u32),
    /// Always holds; puts the packet's source into a set of recent addresses.
    Remember(Family, String, Duration),
    /// It is marked to be masqueraded.
    Marked,
    /// Its socket, of this host, has this priority.
    Priority(u32),
}

/// Ports from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl From<RangeInclusive<u16>> for PortRange {
    fn from(range: RangeInclusive<u16>) -> Self {
        Self { first: *range.start(), last: *range.end() }
    }
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// It passes.
    Accept,
    /// It vanishes.
    Drop,
    /// It is answered with an error.
    Reject(Rejection),
    /// Another chain is worked through.
    Jump(String),
    /// A map chooses a chain by the source address.
    JumpBySource(Family, String),
    /// A map chooses a chain by the destination address.
    JumpByDestination(Family, String),
    /// A map chooses a chain by destination address, transport and port.
    JumpByService(Family, String),
    /// It is to be masqueraded when it leaves; the next rule goes on.
    MarkForMasquerade,
    /// It goes to one of these instead, by chance; never empty.
    Translate(Vec<(IpAddr, u16)>),
    /// It seems to come from this node.
    Masquerade,
}

/// How a packet is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rejection {
    /// By a TCP reset.
    Reset,
    /// As if nothing listened.
    PortUnreachable,
    /// Openly, by the administrator.
    Prohibited,
}

impl Elements {
    /// None yet, of a set about what comes and goes.
    pub(super) fn empty(among: Among) -> Self {
        match among {
            Among::Ports => Self::Sockets(BTreeSet::new()),
            Among::Pods | Among::Nodes | Among::Hosts | Among::Subjects => {
                Self::Addresses(Addresses::default())
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Addresses(addresses) => addresses.is_empty(),
            Self::Sockets(sockets) => sockets.is_empty(),
            Self::Pairs(pairs) => pairs.is_empty(),
            Self::Jumps(jumps) => jumps.is_empty(),
            Self::Services(jumps) => jumps.is_empty(),
            Self::Recent(_) => false,
        }
    }
}

impl Rule {
    pub(super) fn new(matches: impl Into<Vec<Match>>, action: Action) -> Self {
        Self { matches: matches.into(), action, log: None, comment: None }
    }

    /// The sets and maps that it refers to.
    pub(super) fn sets(&self) -> impl Iterator<Item = &str> {
        let matched = self.matches.iter().filter_map(|one| match one {
            Match::SourceIn(_, set)
            | Match::DestinationIn(_, set)
            | Match::SourceNotIn(_, set)
            | Match::DestinationNotIn(_, set)
            | Match::PairIn(_, set)
            | Match::SocketIn(_, set)
            | Match::Remember(_, set, _) => Some(set.as_str()),
            Match::Established
            | Match::New
            | Match::Reply
            | Match::Arrives(_)
            | Match::Leaves(_)
            | Match::Original
            | Match::Transport(_)
            | Match::Port(_)
            | Match::DialledPort(_)
            | Match::Chance(_)
            | Match::OneIn(_)
            | Match::Priority(_)
            | Match::Marked => None,
        });
        let map = match &self.action {
            Action::JumpBySource(_, map)
            | Action::JumpByDestination(_, map)
            | Action::JumpByService(_, map) => Some(map.as_str()),
            _ => None,
        };
        matched.chain(map)
    }

    pub(super) fn logged(mut self, text: impl Into<String>) -> Self {
        self.log = Some(text.into());
        self
    }

    pub(super) fn because(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }
}

impl Ruleset {
    /// Rules that let everything pass, and track connections, so that those that begin now
    /// are known when the first policy comes.
    pub(in crate::sandbox) fn open() -> Self {
        let known = Rule::new([Match::Established], Action::Accept);
        Self { sets: Vec::new(), chains: vec![Chain::forward(vec![known])] }
    }

    /// Rules for the fabric that lose packets on the ways between its links.
    pub(in crate::sandbox) fn fabric(losses: &[Loss]) -> Self {
        if losses.is_empty() {
            return Self::open();
        }
        let rule = |loss: &Loss| {
            let from = loss.from.iter().map(|link| Match::Arrives(link.clone()));
            let share = loss.share.map(Match::Chance);
            let matches = from.chain([Match::Leaves(loss.to.clone())]).chain(share);
            Rule::new(matches.collect::<Vec<_>>(), Action::Drop)
                .because(format!("fault {}", loss.fault))
        };
        let rules = losses.iter().map(rule).collect();
        Self { sets: Vec::new(), chains: vec![Chain::forward(rules)] }
    }
}

/// What is lost on the fabric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Loss {
    /// The link by which packets come; any, if none is given.
    pub from: Option<String>,
    /// The link by which they would go on.
    pub to: String,
    /// How many of them; all, if nothing is given.
    pub share: Option<Percent>,
    /// The fault that asks for it.
    pub fault: String,
}

impl Chain {
    pub(super) fn forward(rules: Vec<Rule>) -> Self {
        Self { name: "forward".to_owned(), base: Some(Base::FilterForward), rules }
    }
}
