//! Ports and the protocols that are spoken on them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::IpProtocol;

/// How a probe speaks on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A TCP handshake, then the keyed question.
    Tcp,
    /// A UDP datagram that must be answered.
    Udp,
    /// HTTP/1.1 over TCP; policies see TCP.
    Http,
    /// An SCTP association, then the keyed question.
    Sctp,
    /// An ICMP echo request, which has no port: a [`Port`] of number 0.
    Icmp,
}

/// What the sandbox's firewall tells apart of a NetworkPolicy's `ports[].protocol` can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    /// `protocol: TCP`, also where none is written.
    Tcp,
    /// `protocol: UDP`.
    Udp,
}

impl Protocol {
    /// Every protocol, in the order in which help texts list them.
    pub const ALL: [Self; 5] = [Self::Tcp, Self::Udp, Self::Http, Self::Sctp, Self::Icmp];

    /// The transport that carries this protocol, which is what policies see.
    pub fn transport(self) -> IpProtocol {
        match self {
            Self::Tcp | Self::Http => IpProtocol::Tcp,
            Self::Udp => IpProtocol::Udp,
            Self::Sctp => IpProtocol::Sctp,
            Self::Icmp => IpProtocol::Icmp,
        }
    }

    /// The protocol's name as a suite writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Sctp => "sctp",
            Self::Icmp => "icmp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Transport {
    /// The word that the Kubernetes API uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A port number with its protocol, written `8080/tcp`; a bare number is TCP. ICMP, which has
/// no ports, is written `icmp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// 1 to 65535; 0 for ICMP.
    pub number: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
}

/// Why a text is no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// The part before the slash is no number from 1 to 65535.
    #[error("`{0}` is no port number from 1 to 65535")]
    Number(String),
    /// The part after the slash is no protocol.
    #[error("`{0}` is no protocol; tcp, udp, http and sctp are")]
    Protocol(String),
    /// A port of ICMP.
    #[error("ICMP has no ports: `icmp` stands alone")]
    Icmp,
}

impl Port {
    /// What stands for a port where there are none.
    pub const ICMP: Self = Self { number: 0, protocol: Protocol::Icmp };

    /// The same port by its transport alone, without what is said over it.
    pub fn bare(self) -> Self {
        Self::over(self.protocol.transport(), self.number)
    }

    /// A port of a transport; ICMP has none.
    pub fn over(transport: IpProtocol, number: u16) -> Self {
        let protocol = match transport {
            IpProtocol::Tcp => Protocol::Tcp,
            IpProtocol::Udp => Protocol::Udp,
            IpProtocol::Sctp => Protocol::Sctp,
            IpProtocol::Icmp => return Self::ICMP,
        };
        Self { number, protocol }
    }
}

impl FromStr for Port {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        if text == Protocol::Icmp.name() {
            return Ok(Self::ICMP);
        }
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = Protocol::ALL
            .into_iter()
            .find(|known| known.name() == protocol)
            .ok_or_else(|| PortError::Protocol(protocol.to_owned()))?;
        if protocol == Protocol::Icmp {
            return Err(PortError::Icmp);
        }
        match number.parse() {
            Ok(parsed) if parsed > 0 && number.bytes().all(|byte| byte.is_ascii_digit()) => {
                Ok(Self { number: parsed, protocol })
            }
            _ => Err(PortError::Number(number.to_owned())),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Icmp => write!(f, "{}", self.protocol),
            protocol => write!(f, "{}/{protocol}", self.number),
        }
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_a_number_and_a_protocol() {
        for (text, expected) in [
            ("8080/tcp", Ok((8080, Protocol::Tcp))),
            ("53/udp", Ok((53, Protocol::Udp))),
            ("80/http", Ok((80, Protocol::Http))),
            ("5432", Ok((5432, Protocol::Tcp))),
            ("0/tcp", Err(PortError::Number("0".into()))),
            ("65536/tcp", Err(PortError::Number("65536".into()))),
            ("+80/tcp", Err(PortError::Number("+80".into()))),
            ("80/sctp", Ok((80, Protocol::Sctp))),
            ("icmp", Ok((0, Protocol::Icmp))),
            ("80/icmp", Err(PortError::Icmp)),
            ("80/tpc", Err(PortError::Protocol("tpc".into()))),
            ("/tcp", Err(PortError::Number(String::new()))),
        ] {
            let found = text.parse::<Port>().map(|port| (port.number, port.protocol));
            assert_eq!(found, expected, "parsing {text:?}");
        }
    }
}
