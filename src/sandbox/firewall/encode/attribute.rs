//! Messages of nf_tables, and the attributes that they consist of.
//!
//! An attribute is its length, its kind and its value, padded to four bytes. Numbers are
//! in network order, other than in the rest of netlink.

use crate::sandbox::node::netlink::Request;

/// Bit of an attribute's kind: it consists of attributes.
const NESTED: u16 = 1 << 15;
/// The subsystem's number within netfilter.
const NF_TABLES: u16 = 10;
/// Family of the table: IPv4 and IPv6 in one.
const INET: u8 = 1;
/// Message types that enclose a batch.
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
// Flags of a request.
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;

/// Attributes, one behind the other.
#[derive(Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    /// A value of bytes.
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        // Nothing that is put into one attribute comes near 64 KiB: element lists, the only
        // unbounded ones, are cut in pieces.
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A number in network order.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A text with its end.
    pub(super) fn string(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// Attributes within an attribute.
    pub(super) fn nest(mut self, kind: u16, inner: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        // Written in place, for there are many and they are small; the length is known then.
        let mut done = inner(self);
        let length = u16::try_from(done.0.len() - start).unwrap_or(u16::MAX);
        done.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        done.0[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
        done
    }

    /// Others behind these.
    pub(super) fn and(mut self, others: &Self) -> Self {
        self.0.extend_from_slice(&others.0);
        self
    }

    /// None yet, with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A message in the making.
pub(super) struct Message {
    kind: u16,
    flags: u16,
    attributes: Attributes,
}

impl Message {
    /// A message that creates something.
    pub(super) fn new(kind: u8) -> Self {
        Self::with(kind, REQUEST | CREATE)
    }

    /// A message that adds something behind the others of its kind.
    pub(super) fn append(kind: u8) -> Self {
        Self::with(kind, REQUEST | CREATE | APPEND)
    }

    /// A message that deletes something.
    pub(super) fn delete(kind: u8) -> Self {
        Self::with(kind, REQUEST)
    }

    fn with(kind: u8, flags: u16) -> Self {
        Self { kind: NF_TABLES << 8 | u16::from(kind), flags, attributes: Attributes::default() }
    }

    /// The start of a transaction.
    pub(super) fn begin() -> Request {
        request("begin", BATCH_BEGIN, REQUEST, (0, NF_TABLES), &[])
    }

    /// The end of a transaction.
    pub(super) fn end() -> Request {
        request("commit", BATCH_END, REQUEST, (0, NF_TABLES), &[])
    }

    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        self.attributes = self.attributes.bytes(kind, value);
        self
    }

    pub(super) fn nested_bytes(self, kind: u16, value: &[u8]) -> Self {
        self.bytes(kind | NESTED, value)
    }

    pub(super) fn number(mut self, kind: u16, value: u32) -> Self {
        self.attributes = self.attributes.number(kind, value);
        self
    }

    pub(super) fn string(mut self, kind: u16, value: &str) -> Self {
        self.attributes = self.attributes.string(kind, value);
        self
    }

    pub(super) fn nest(mut self, kind: u16, inner: impl FnOnce(Attributes) -> Attributes) -> Self {
        self.attributes = self.attributes.nest(kind, inner);
        self
    }

    /// The finished message, and what an error will call it.
    pub(super) fn done(self, what: &str) -> Request {
        request(what, self.kind, self.flags, (INET, 0), &self.attributes.0)
    }
}

/// Asks for an answer to a finished message.
pub(super) fn acknowledge(request: &mut Request) {
    let flags = u16::from_ne_bytes([request.bytes[6], request.bytes[7]]) | ACK;
    request.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
}

fn request(
    what: &str,
    kind: u16,
    flags: u16,
    (family, resource): (u8, u16),
    attributes: &[u8],
) -> Request {
    let length = 20 + attributes.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    // Sequence and port number are the socket's to fill in.
    bytes.extend_from_slice(&[0; 8]);
    // Behind netlink's header netfilter has its own.
    bytes.extend_from_slice(&[family, 0]);
    bytes.extend_from_slice(&resource.to_be_bytes());
    bytes.extend_from_slice(attributes);
    Request { what: what.to_owned(), bytes }
}
