//! Sets and maps, and their elements.

use std::{net::IpAddr, ops::Deref};

use super::{
    attribute::{Attributes, Message},
    expression::{EndpointMap, jump, transport_number},
    remark,
};
use crate::sandbox::{
    firewall::{
        addresses::{Addresses, Family, next},
        ruleset::{Action, Elements, Set},
        text::TABLE,
    },
    node::netlink::Request,
};

const NEWSET: u8 = 9;
const DELSET: u8 = 11;
const NEWSETELEM: u8 = 12;
const DELSETELEM: u8 = 14;

// Attributes of a set.
const SET_TABLE: u16 = 1;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LENGTH: u16 = 7;
const SET_ID: u16 = 10;
const SET_TIMEOUT: u16 = 11;
const SET_USERDATA: u16 = 13;
// Attributes of a list of elements.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_SET_ID: u16 = 4;
// Attributes of an element.
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_USERDATA: u16 = 6;

// Flags of a set.
const ANONYMOUS: u32 = 0x1;
const CONSTANT: u32 = 0x2;
const INTERVAL: u32 = 0x4;
const MAP: u32 = 0x8;
const TIMEOUT: u32 = 0x10;
/// Rules put elements in.
const EVAL: u32 = 0x20;
/// Flag of an element: the interval before it ends here.
const INTERVAL_END: u32 = 0x1;

// Types as nft numbers them; the kernel only keeps them for it.
const INTEGER: u32 = 4;
const ADDRESS: u32 = 7;
const ADDRESS_6: u32 = 8;
const TRANSPORT: u32 = 12;
const PORT: u32 = 13;
/// The type of a verdict, which the kernel does know.
const VERDICT: u32 = 0xffff_ff00;

/// The type of a family's addresses, and their length.
fn address_type(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (ADDRESS, 4),
        Family::V6 => (ADDRESS_6, 16),
    }
}

/// An address as it travels.
pub(super) struct Octets {
    bytes: [u8; 16],
    length: usize,
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

pub(super) fn octets(address: IpAddr) -> Octets {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&address.octets());
            Octets { bytes, length: 4 }
        }
        IpAddr::V6(address) => Octets { bytes: address.octets(), length: 16 },
    }
}

/// Two types in one key.
const fn both(first: u32, second: u32) -> u32 {
    first << 6 | second
}

/// So many elements go into one message; a list is one attribute, of at most 64 KiB.
const CHUNK: usize = 400;

/// The messages that make a named set and fill it.
pub(super) fn named(table: &str, set: &Set) -> Vec<Request> {
    let (address, width) = address_type(set.family);
    let (kind, length, flags) = match &set.elements {
        Elements::Addresses(all) if all.is_single() => (address, width, 0),
        Elements::Addresses(_) => (address, width, INTERVAL),
        Elements::Sockets(_) => (both(address, PORT), width + 4, 0),
        Elements::Pairs(_) => (both(address, address), width * 2, 0),
        Elements::Jumps(_) => (address, width, MAP),
        Elements::Services(_) => (both(both(address, TRANSPORT), PORT), width + 8, MAP),
        Elements::Recent(_) => (address, width, TIMEOUT | EVAL),
    };
    let message = Message::new(NEWSET)
        .string(SET_TABLE, table)
        .string(SET_NAME, &set.name)
        .number(SET_FLAGS, flags)
        .number(SET_KEY_TYPE, kind)
        .number(SET_KEY_LENGTH, length);
    let message = match &set.elements {
        Elements::Jumps(_) | Elements::Services(_) => message.number(SET_DATA_TYPE, VERDICT),
        Elements::Recent(timeout) => {
            let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            message.bytes(SET_TIMEOUT, &milliseconds.to_be_bytes())
        }
        _ => message,
    };
    // The kernel asks for a number, though a named set is found by its name.
    let mut requests = vec![message.number(SET_ID, 0).done(&format!("create set {}", set.name))];
    add(table, set, &mut requests);
    requests
}

/// The message that deletes a set.
pub(super) fn delete(name: &str) -> Request {
    Message::delete(DELSET)
        .string(SET_TABLE, TABLE)
        .string(SET_NAME, name)
        .done(&format!("delete set {name}"))
}

/// The messages that put elements into a named set.
pub(super) fn add(table: &str, set: &Set, requests: &mut Vec<Request>) {
    send((NEWSETELEM, "fill"), (table, &set.name), None, elements(set), requests);
}

/// The messages that take elements out of a named set.
pub(super) fn remove(set: &Set, requests: &mut Vec<Request>) {
    send((DELSETELEM, "thin out"), (TABLE, &set.name), None, elements(set), requests);
}

fn elements(set: &Set) -> Vec<Element> {
    match &set.elements {
        Elements::Addresses(all) if all.is_single() => {
            all.ranges().map(|(address, _)| key(&octets(address))).collect()
        }
        Elements::Addresses(all) => intervals(all),
        Elements::Sockets(sockets) => {
            sockets.iter().map(|&(address, port)| key(&socket(address, port))).collect()
        }
        Elements::Pairs(pairs) => pairs
            .iter()
            .map(|(from, to)| key(&[&octets(*from)[..], &octets(*to)].concat()))
            .collect(),
        Elements::Jumps(jumps) => jumps
            .iter()
            .map(|(address, to)| {
                key(&octets(*address))
                    .nest(ELEMENT_DATA, |data| jump(data, &to.chain))
                    .bytes(ELEMENT_USERDATA, &remark(&to.comment))
            })
            .collect(),
        Elements::Services(jumps) => jumps
            .iter()
            .map(|((address, transport, port), to)| {
                let transport = [transport_number(*transport), 0, 0, 0];
                let port = [&port.to_be_bytes()[..], &[0, 0]].concat();
                key(&[&octets(*address)[..], &transport, &port].concat())
                    .nest(ELEMENT_DATA, |data| jump(data, &to.chain))
                    .bytes(ELEMENT_USERDATA, &remark(&to.comment))
            })
            .collect(),
        Elements::Recent(_) => Vec::new(),
    }
}

/// The messages that make the map of a translation to several endpoints, which belongs to
/// its rule; a single endpoint needs none.
pub(super) fn endpoints(
    table: &str,
    action: &Action,
    next_id: &mut u32,
    requests: &mut Vec<Request>,
) -> Option<EndpointMap> {
    // The kernel puts a number in place of the last two characters.
    const NAME: &str = "__map%d";
    let Action::Translate(endpoints) = action else { return None };
    let length = u32::try_from(endpoints.len()).ok().filter(|length| *length > 1)?;
    let (address, width) = address_type(Family::of(endpoints.first()?.0));
    *next_id += 1;
    let message = Message::new(NEWSET)
        .string(SET_TABLE, table)
        .string(SET_NAME, NAME)
        .number(SET_FLAGS, ANONYMOUS | CONSTANT | MAP)
        .number(SET_KEY_TYPE, INTEGER)
        .number(SET_KEY_LENGTH, 4)
        .number(SET_DATA_TYPE, both(address, PORT))
        .number(SET_DATA_LENGTH, width + 4)
        .number(SET_ID, *next_id)
        // Tells nft, which alone reads this, that the keys are in the machine's order.
        .bytes(SET_USERDATA, &[&[0, 4][..], &1_u32.to_ne_bytes()].concat());
    requests.push(message.done("create a map of endpoints"));
    let elements = (0_u32..).zip(endpoints).map(|(index, &(address, port))| {
        // The random number that is looked up is in the machine's order.
        key(&index.to_ne_bytes()).nest(ELEMENT_DATA, |data| data.bytes(1, &socket(address, port)))
    });
    send((NEWSETELEM, "fill"), (table, NAME), Some(*next_id), elements.collect(), requests);
    Some(EndpointMap { name: NAME, id: *next_id, length })
}

type Element = Attributes;

fn key(bytes: &[u8]) -> Element {
    /// A key and its frames.
    const USUAL: usize = 32;
    Attributes::with_room(USUAL).nest(ELEMENT_KEY, |key| key.bytes(1, bytes))
}

/// Address and port; each part of a key takes whole registers.
fn socket(address: IpAddr, port: u16) -> Vec<u8> {
    [&octets(address)[..], &port.to_be_bytes(), &[0, 0]].concat()
}

/// Each range as the address where it starts and the one where it has ended; none where no
/// address is left. The kernel takes a range that begins where another ends for an overlap,
/// so such two become one.
fn intervals(addresses: &Addresses) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut ranges = addresses.ranges().peekable();
    while let Some((first, last)) = ranges.next() {
        elements.push(key(&octets(first)));
        let mut end = next(last);
        while let Some((_, last)) = ranges.next_if(|(first, _)| Some(*first) == end) {
            end = next(last);
        }
        if let Some(end) = end {
            elements.push(key(&octets(end)).number(ELEMENT_FLAGS, INTERVAL_END));
        }
    }
    elements
}

fn send(
    (kind, verb): (u8, &str),
    (table, name): (&str, &str),
    id: Option<u32>,
    elements: Vec<Element>,
    requests: &mut Vec<Request>,
) {
    let message = |kind| match kind {
        DELSETELEM => Message::delete(kind),
        _ => Message::new(kind),
    };
    let mut elements = elements.into_iter().peekable();
    while elements.peek().is_some() {
        let chunk = elements.by_ref().take(CHUNK);
        let message = message(kind).string(LIST_TABLE, table).string(LIST_SET, name);
        let message = match id {
            Some(id) => message.number(LIST_SET_ID, id),
            None => message,
        };
        let message = message.nest(LIST_ELEMENTS, |list| {
            chunk.fold(list, |list, element| list.nest(1, |own| own.and(&element)))
        });
        requests.push(message.done(&format!("{verb} set {name}")));
    }
}
