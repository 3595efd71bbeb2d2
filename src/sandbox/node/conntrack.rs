//! What the kernel remembers of connections, and how it forgets some of them.
//!
//! A flow of datagrams to a Service is remembered with the endpoint that it was led to, and
//! goes on there whatever becomes of the endpoint; a new pod at an old address would get
//! what was meant for its predecessor.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use netlink_sys::protocols::NETLINK_NETFILTER;

use super::netlink::{Attributes, Netlink, Request};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// A netlink header, and netfilter's own behind it.
const HEADERS: usize = 16 + 4;

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direction {
    /// Where its packets come from.
    pub source: IpAddr,
    /// Where they go.
    pub destination: IpAddr,
    /// The port that they come from; 0 where the protocol has none.
    pub source_port: u16,
    /// The port that they go to.
    pub destination_port: u16,
}

/// A connection that the kernel remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The protocol's number.
    pub protocol: u8,
    /// As it was begun.
    pub original: Direction,
    /// As answers come, behind all translations.
    pub reply: Direction,
}

impl Flow {
    /// Whether an address has to do with it.
    pub(super) fn concerns(&self, address: IpAddr) -> bool {
        [self.original, self.reply]
            .iter()
            .any(|way| way.source == address || way.destination == address)
    }
}

/// Forgets the connections of the calling thread's namespace that are not wanted any more.
/// Gives their number.
pub(super) fn forget(unwanted: impl Fn(&Flow) -> bool) -> io::Result<usize> {
    let mut socket = Netlink::open(NETLINK_NETFILTER)?;
    let mut deletions = Vec::new();
    // Of both families.
    let all = message("list connections", GET, REQUEST | DUMP, 0, &[]);
    socket.dump(&all, |answer| {
        if let Some((family, flow, original)) = read(answer)
            && unwanted(&flow)
        {
            let flags = REQUEST | ACK;
            deletions.push(message("forget a connection", DELETE, flags, family, original));
        }
    })?;
    let count = deletions.len();
    for deletion in deletions {
        match socket.transact(&[deletion]) {
            Ok(()) => {}
            // It ended by itself.
            Err(refusal) if refusal.source.raw_os_error() == Some(nix::libc::ENOENT) => {}
            Err(refusal) => return Err(refusal.source),
        }
    }
    Ok(count)
}

fn message(what: &str, kind: u16, flags: u16, family: u8, attributes: &[u8]) -> Request {
    let mut bytes = vec![0; HEADERS];
    bytes.extend_from_slice(attributes);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[16] = family;
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Request { what: what.to_owned(), bytes }
}

/// The family, the connection, and the attribute by which the kernel finds it again.
fn read(message: &[u8]) -> Option<(u8, Flow, &[u8])> {
    const ORIGINAL: u16 = 1;
    const REPLY: u16 = 2;
    const NESTED: u16 = 1 << 15;
    let family = *message.get(16)?;
    let body = message.get(HEADERS..)?;
    let (mut original, mut reply) = (None, None);
    for (kind, value) in Attributes(body) {
        match kind & !NESTED {
            ORIGINAL => original = Some(value),
            REPLY => reply = Some(value),
            _ => {}
        }
    }
    let original = original?;
    let (protocol, there) = direction(original)?;
    let (_, back) = direction(reply?)?;
    // The attribute with its head, which stands just before its value.
    let start = original.as_ptr() as usize - body.as_ptr() as usize;
    let whole = body.get(start.checked_sub(4)?..start + original.len())?;
    Some((family, Flow { protocol, original: there, reply: back }, whole))
}

fn direction(tuple: &[u8]) -> Option<(u8, Direction)> {
    const NESTED: u16 = 1 << 15;
    let (mut source, mut destination) = (None, None);
    let (mut protocol, mut source_port, mut destination_port) = (0, 0, 0);
    for (kind, value) in Attributes(tuple) {
        match kind & !NESTED {
            1 => {
                for (kind, value) in Attributes(value) {
                    match kind & !NESTED {
                        1 | 3 => source = address(value),
                        2 | 4 => destination = address(value),
                        _ => {}
                    }
                }
            }
            2 => {
                for (kind, value) in Attributes(value) {
                    match kind & !NESTED {
                        1 => protocol = *value.first()?,
                        2 => source_port = port(value)?,
                        3 => destination_port = port(value)?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let direction =
        Direction { source: source?, destination: destination?, source_port, destination_port };
    Some((protocol, direction))
}

fn port(value: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(value.get(..2)?.try_into().ok()?))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => <[u8; 4]>::try_from(value).ok().map(|octets| Ipv4Addr::from(octets).into()),
        16 => <[u8; 16]>::try_from(value).ok().map(|octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}
