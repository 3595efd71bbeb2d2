//! One connection, as the question "would this be let through?".

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use super::Family;

/// What policies can tell apart below the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum IpProtocol {
    /// TCP, HTTP included.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP, which is not TCP.
    Sctp,
    /// ICMP or ICMPv6; it has no ports.
    Icmp,
}

impl IpProtocol {
    /// The protocols that have ports, in the order in which messages list them.
    pub const WITH_PORTS: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    /// The word that the Kubernetes API uses; `ICMP` is netproof's own.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
        }
    }
}

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no protocol; tcp, udp, sctp and icmp are")]
pub struct IpProtocolError(String);

impl FromStr for IpProtocol {
    type Err = IpProtocolError;

    /// Upper or lower case.
    fn from_str(text: &str) -> Result<Self, IpProtocolError> {
        [Self::Tcp, Self::Udp, Self::Sctp, Self::Icmp]
            .into_iter()
            .find(|known| known.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| IpProtocolError(text.to_owned()))
    }
}

/// A connection that somebody might open.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Traffic {
    /// Who opens it.
    pub from: End,
    /// Who is to answer; behind a Service this is the endpoint, not the Service.
    pub to: End,
    /// How it is carried.
    pub protocol: IpProtocol,
    /// The destination's own port, after Service translation; nothing for ICMP.
    pub port: u16,
    /// The IP family; unknown where neither end has an address yet.
    pub family: Option<Family>,
    /// The Service through which it was dialled.
    pub via: Option<Via>,
}

impl Traffic {
    /// A connection that was dialled by the destination's own address.
    pub fn new(from: End, to: End, protocol: IpProtocol, port: u16) -> Self {
        let family = [&from, &to].into_iter().find_map(|end| match end {
            End::Address(address) => Some(Family::of(*address)),
            End::Pod(_) | End::Host(_) => None,
        });
        Self { from, to, protocol, port, family, via: None }
    }

    /// The same in one IP family.
    #[must_use]
    pub fn in_family(mut self, family: Family) -> Self {
        self.family = Some(family);
        self
    }

    /// The same through a Service that has these addresses.
    #[must_use]
    pub fn through(mut self, addresses: Vec<IpAddr>) -> Self {
        self.via = Some(Via { addresses });
        self
    }
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// A pod, by its index in [`Topology::pods`](super::Topology::pods).
    Pod(usize),
    /// An address; one that belongs to a pod stands for that pod.
    Address(IpAddr),
    /// A host outside the cluster whose addresses nobody has asked for.
    Host(String),
}

/// A Service between the two ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Via {
    /// Its own addresses; empty where they aren't known.
    pub addresses: Vec<IpAddr>,
}
