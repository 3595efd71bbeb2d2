//! The headers of a packet, as far as a flow tells of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::{Value, json};

/// Where a packet goes, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub source: IpAddr,
    pub destination: IpAddr,
    pub carried: Carried,
}

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carried {
    Tcp {
        source: u16,
        destination: u16,
        flags: u8,
    },
    Udp {
        source: u16,
        destination: u16,
    },
    Sctp {
        source: u16,
        destination: u16,
    },
    /// ICMP of either family.
    Icmp {
        six: bool,
        kind: u8,
        code: u8,
    },
    /// Another protocol, by its number.
    Other(u8),
}

/// TCP's flags by their bits, as flow logs call them.
const FLAGS: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

impl Packet {
    /// Reads the headers; none if there is no whole IP header.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => {
                let header = usize::from(bytes[0] & 0xf) * 4;
                let address = |at: usize| -> Option<IpAddr> {
                    let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
                    Some(Ipv4Addr::from(octets).into())
                };
                // A fragment behind the first begins with no header of what is carried.
                let is_first = (bytes.get(6)? & 0x1f, *bytes.get(7)?) == (0, 0);
                let inner = bytes.get(header..).filter(|_| is_first).unwrap_or_default();
                Some(Self {
                    source: address(12)?,
                    destination: address(16)?,
                    carried: Carried::read(*bytes.get(9)?, inner),
                })
            }
            6 => {
                let address = |at: usize| -> Option<IpAddr> {
                    let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
                    Some(Ipv6Addr::from(octets).into())
                };
                let (source, destination) = (address(8)?, address(24)?);
                let (protocol, inner) = behind_extensions(*bytes.get(6)?, &bytes[40..]);
                Some(Self { source, destination, carried: Carried::read(protocol, inner) })
            }
            _ => None,
        }
    }

    /// The part of a flow that is named after IP.
    pub(super) fn ip(&self) -> Value {
        json!({
            "source": self.source,
            "destination": self.destination,
            "ipVersion": if self.source.is_ipv4() { "IPv4" } else { "IPv6" },
        })
    }
}

/// The protocol behind IPv6's extension headers, and what is carried.
fn behind_extensions(mut protocol: u8, mut rest: &[u8]) -> (u8, &[u8]) {
    // Hop-by-hop options, routing, destination options.
    while matches!(protocol, 0 | 43 | 60) {
        let [next, length, ..] = rest else { break };
        let end = (usize::from(*length) + 1) * 8;
        protocol = *next;
        rest = rest.get(end..).unwrap_or_default();
    }
    (protocol, rest)
}

impl Carried {
    fn read(protocol: u8, bytes: &[u8]) -> Self {
        let port = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let known = match (protocol, port(0), port(2)) {
            (6, Some(source), Some(destination)) => {
                bytes.get(13).map(|&flags| Self::Tcp { source, destination, flags })
            }
            (17, Some(source), Some(destination)) => Some(Self::Udp { source, destination }),
            (132, Some(source), Some(destination)) => Some(Self::Sctp { source, destination }),
            (1 | 58, Some(_), _) => {
                Some(Self::Icmp { six: protocol == 58, kind: bytes[0], code: bytes[1] })
            }
            _ => None,
        };
        known.unwrap_or(Self::Other(protocol))
    }

    /// The part of a flow that is named after layer 4; nothing of what isn't known.
    pub(super) fn l4(&self) -> Value {
        match self {
            Self::Tcp { source, destination, flags } => json!({"TCP": {
                "source_port": source, "destination_port": destination,
                "flags": set(*flags).map(|flag| (flag, true.into())).collect::<serde_json::Map<_, _>>(),
            }}),
            Self::Udp { source, destination } => {
                json!({"UDP": {"source_port": source, "destination_port": destination}})
            }
            Self::Sctp { source, destination } => {
                json!({"SCTP": {"source_port": source, "destination_port": destination}})
            }
            Self::Icmp { six, kind, code } => {
                let name = if *six { "ICMPv6" } else { "ICMPv4" };
                json!({name: {"type": kind, "code": code}})
            }
            Self::Other(_) => Value::Null,
        }
    }

    /// In a few words.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Tcp { flags, .. } => {
                format!("TCP Flags: {}", set(*flags).collect::<Vec<_>>().join(", "))
            }
            Self::Udp { .. } => "UDP".to_owned(),
            Self::Sctp { .. } => "SCTP".to_owned(),
            Self::Icmp { six: false, kind, code } => format!("ICMPv4 type {kind} code {code}"),
            Self::Icmp { six: true, kind, code } => format!("ICMPv6 type {kind} code {code}"),
            Self::Other(number) => format!("protocol {number}"),
        }
    }
}

fn set(flags: u8) -> impl Iterator<Item = String> {
    FLAGS
        .into_iter()
        .enumerate()
        .filter(move |(bit, _)| flags & 1 << bit != 0)
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn four(protocol: u8, inner: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        packet[16..20].copy_from_slice(&[10, 0, 0, 2]);
        [&packet, inner].concat()
    }

    fn six(next: u8, inner: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 40];
        packet[0] = 0x60;
        packet[6] = next;
        (packet[23], packet[39]) = (1, 2);
        [&packet, inner].concat()
    }

    #[test]
    fn each_protocol_is_read_in_both_families() {
        let tcp = [&[0x12, 0x34, 0, 80][..], &[0; 9], &[0b10010], &[0; 6]].concat();
        let options = [&[6, 0, 0, 0, 0, 0, 0, 0][..], &tcp].concat();
        for (packet, summary, l4) in [
            (
                four(6, &tcp),
                "TCP Flags: SYN, ACK",
                json!({"TCP": {"source_port": 0x1234, "destination_port": 80,
                               "flags": {"SYN": true, "ACK": true}}}),
            ),
            (
                six(0, &options),
                "TCP Flags: SYN, ACK",
                json!({"TCP": {"source_port": 0x1234, "destination_port": 80,
                               "flags": {"SYN": true, "ACK": true}}}),
            ),
            (
                six(17, &[0, 1, 0, 53, 0, 0]),
                "UDP",
                json!({"UDP": {"source_port": 1, "destination_port": 53}}),
            ),
            (
                four(1, &[8, 0, 0, 0]),
                "ICMPv4 type 8 code 0",
                json!({"ICMPv4": {"type": 8, "code": 0}}),
            ),
            (
                six(58, &[128, 0, 0, 0]),
                "ICMPv6 type 128 code 0",
                json!({"ICMPv6": {"type": 128, "code": 0}}),
            ),
            (four(47, &[]), "protocol 47", Value::Null),
            (four(6, &[0, 1]), "protocol 6", Value::Null),
        ] {
            let read = Packet::read(&packet).expect(summary);
            assert_eq!(read.carried.summary(), summary);
            assert_eq!(read.carried.l4(), l4, "{summary}");
        }
        assert_eq!(Packet::read(&six(6, &[])).expect("a header").ip()["source"], "::1");
        assert_eq!(Packet::read(&four(6, &[])).expect("a header").ip()["destination"], "10.0.0.2");
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_is_read_or_not(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..160)) {
            if let Some(packet) = Packet::read(&bytes) {
                packet.carried.l4();
            }
        }
    }
}
