//! A rule as the small program that the kernel runs for each packet: load a field into a
//! register, compare it, and set the verdict.

mod matching;

use super::{attribute::Attributes, set::octets};
use crate::{
    model::Transport,
    sandbox::firewall::{
        addresses::Family,
        ruleset::{Action, Rejection},
    },
};

/// Registers hold four bytes each; a value of more goes on in the next one.
const FIRST: u32 = 8;

/// The register behind an address that begins in the first.
fn behind(family: Family) -> u32 {
    match family {
        Family::V4 => FIRST + 1,
        Family::V6 => FIRST + 4,
    }
}

/// The verdict's own register.
const VERDICT: u32 = 0;

// Verdicts.
const DROP: i32 = 0;
const ACCEPT: i32 = 1;
const JUMP: i32 = -3;

// Fields of a packet: the header they are in, their offset and their length.
fn source(family: Family) -> (u32, u32, u32) {
    match family {
        Family::V4 => (1, 12, 4),
        Family::V6 => (1, 8, 16),
    }
}
fn destination(family: Family) -> (u32, u32, u32) {
    match family {
        Family::V4 => (1, 16, 4),
        Family::V6 => (1, 24, 16),
    }
}
const DESTINATION_PORT: (u32, u32, u32) = (2, 2, 2);

/// The bit that marks packets to be masqueraded; kube-proxy's own.
const MASQUERADE: u32 = 0x4000;

// Keys of what the kernel knows about a packet.
const META_MARK: u32 = 3;
const META_FAMILY: u32 = 15;
const META_TRANSPORT: u32 = 16;

// Comparisons.
const EQUAL: u32 = 0;

/// A family as netfilter numbers it.
fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => 2,
        Family::V6 => 10,
    }
}

/// A transport as it stands in the header.
pub(super) fn transport_number(transport: Transport) -> u8 {
    match transport {
        Transport::Tcp => 6,
        Transport::Udp => 17,
    }
}

/// The expressions of one rule.
#[derive(Default)]
pub(super) struct Expressions(Attributes);

/// A map that a translation looks its endpoint up in.
pub(super) struct EndpointMap {
    pub name: &'static str,
    pub id: u32,
    pub length: u32,
}

/// A value in the form in which expressions carry it.
fn value(kind: u16, bytes: &[u8]) -> impl FnOnce(Attributes) -> Attributes {
    move |list| list.nest(kind, |data| data.bytes(1, bytes))
}

/// A verdict, with the chain that it leads to.
pub(super) fn verdict(data: Attributes, code: i32, chain: Option<&str>) -> Attributes {
    data.nest(2, |verdict| {
        let verdict = verdict.number(1, u32::from_ne_bytes(code.to_ne_bytes()));
        match chain {
            Some(chain) => verdict.string(2, chain),
            None => verdict,
        }
    })
}

/// The verdict that jumps to a chain.
pub(super) fn jump(data: Attributes, chain: &str) -> Attributes {
    verdict(data, JUMP, Some(chain))
}

impl Expressions {
    pub(super) fn finish(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    /// Does this with the packet.
    pub(super) fn acting(&mut self, action: &Action, map: Option<EndpointMap>) {
        match action {
            Action::Accept => self.verdict(ACCEPT, None),
            Action::Drop => self.verdict(DROP, None),
            Action::Jump(chain) => self.verdict(JUMP, Some(chain)),
            Action::Reject(rejection) => {
                // A reset, or unreachable with a code that stands for each family's own.
                let (kind, code) = match rejection {
                    Rejection::Reset => (1, 0),
                    Rejection::PortUnreachable => (2, 1),
                    Rejection::Prohibited => (2, 3),
                };
                self.push("reject", |it| it.number(1, kind).bytes(2, &[code]));
            }
            Action::JumpBySource(family, map) => {
                self.family(*family);
                self.load(source(*family), FIRST);
                self.lookup_into(map, VERDICT);
            }
            Action::JumpByDestination(family, map) => {
                self.family(*family);
                self.load(destination(*family), FIRST);
                self.lookup_into(map, VERDICT);
            }
            Action::JumpByService(family, map) => {
                self.family(*family);
                self.load(destination(*family), FIRST);
                let register = behind(*family);
                self.push("meta", |it| it.number(1, register).number(2, META_TRANSPORT));
                self.load(DESTINATION_PORT, register + 1);
                self.lookup_into(map, VERDICT);
            }
            Action::MarkForMasquerade => {
                self.immediate(FIRST, &MASQUERADE.to_ne_bytes());
                self.push("meta", |it| it.number(2, META_MARK).number(3, FIRST));
            }
            Action::Translate(endpoints) => {
                let Some((address, port)) = endpoints.first() else { return };
                let family = Family::of(*address);
                match map {
                    Some(map) => {
                        self.random(map.length);
                        self.push("lookup", |it| {
                            let it = it.string(1, map.name).number(2, FIRST);
                            it.number(3, FIRST).number(4, map.id)
                        });
                    }
                    None => {
                        self.immediate(FIRST, &octets(*address));
                        self.immediate(behind(family), &port.to_be_bytes());
                    }
                }
                // Destination, family, address and port from their registers.
                self.push("nat", |it| {
                    let it = it.number(1, 1).number(2, family_number(family).into());
                    it.number(3, FIRST).number(5, behind(family))
                });
            }
            Action::Masquerade => self.push("masq", |it| it),
        }
    }

    /// Tells the flow log of the packet.
    pub(super) fn log(&mut self, group: u16, text: &str) {
        self.push("log", |it| it.bytes(1, &group.to_be_bytes()).string(2, text));
    }

    fn push(&mut self, name: &str, data: impl FnOnce(Attributes) -> Attributes) {
        let list = std::mem::take(&mut self.0);
        self.0 = list.nest(1, |expression| expression.string(1, name).nest(2, data));
    }

    fn load(&mut self, (header, offset, length): (u32, u32, u32), register: u32) {
        self.push("payload", |it| {
            it.number(1, register).number(2, header).number(3, offset).number(4, length)
        });
    }

    /// Headers of the other family have other fields in these places.
    fn family(&mut self, family: Family) {
        self.meta(META_FAMILY);
        self.compare(EQUAL, &[family_number(family)]);
    }

    fn meta(&mut self, key: u32) {
        self.push("meta", |it| it.number(1, FIRST).number(2, key));
    }

    fn random(&mut self, modulus: u32) {
        self.push("numgen", |it| it.number(1, FIRST).number(2, modulus).number(3, 1));
    }

    fn compare(&mut self, how: u32, with: &[u8]) {
        self.push("cmp", |it| value(3, with)(it.number(1, FIRST).number(2, how)));
    }

    fn lookup(&mut self, set: &str) {
        self.push("lookup", |it| it.string(1, set).number(2, FIRST));
    }

    fn lookup_none(&mut self, set: &str) {
        const INVERTED: u32 = 1;
        self.push("lookup", |it| it.string(1, set).number(2, FIRST).number(5, INVERTED));
    }

    fn lookup_into(&mut self, map: &str, register: u32) {
        self.push("lookup", |it| it.string(1, map).number(2, FIRST).number(3, register));
    }

    fn immediate(&mut self, register: u32, bytes: &[u8]) {
        self.push("immediate", |it| value(2, bytes)(it.number(1, register)));
    }

    fn verdict(&mut self, code: i32, chain: Option<&str>) {
        self.push("immediate", |it| {
            it.number(1, VERDICT).nest(2, |data| verdict(data, code, chain))
        });
    }
}
