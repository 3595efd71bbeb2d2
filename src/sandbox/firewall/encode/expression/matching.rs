//! What a packet has to be for a rule to go on.

use super::{
    DESTINATION_PORT, EQUAL, Expressions, FIRST, MASQUERADE, META_MARK, META_TRANSPORT, behind,
    destination, source, transport_number, value,
};
use crate::sandbox::firewall::ruleset::{Match, PortRange};

// Keys of what the kernel knows about a packet.
const META_PRIORITY: u32 = 2;
const META_ARRIVES: u32 = 6;
const META_LEAVES: u32 = 7;

// Comparisons.
const NOT_EQUAL: u32 = 1;
const LESS: u32 = 2;

impl Expressions {
    /// Goes on with the rule only if this holds.
    pub(in super::super) fn matching(&mut self, one: &Match) {
        match one {
            Match::Established => self.state(0b110),
            Match::New => self.state(0b1000),
            Match::Arrives(link) => self.link(META_ARRIVES, link),
            Match::Leaves(link) => self.link(META_LEAVES, link),
            Match::SourceIn(family, set) => {
                self.family(*family);
                self.load(source(*family), FIRST);
                self.lookup(set);
            }
            Match::DestinationIn(family, set) => {
                self.family(*family);
                self.load(destination(*family), FIRST);
                self.lookup(set);
            }
            Match::SourceNotIn(family, set) => {
                self.family(*family);
                self.load(source(*family), FIRST);
                self.lookup_none(set);
            }
            Match::DestinationNotIn(family, set) => {
                self.family(*family);
                self.load(destination(*family), FIRST);
                self.lookup_none(set);
            }
            Match::Original => {
                // Key 1 is the direction, in one byte.
                self.push("ct", |ct| ct.number(1, FIRST).number(2, 1));
                self.compare(EQUAL, &[0]);
            }
            Match::Reply => {
                self.push("ct", |ct| ct.number(1, FIRST).number(2, 1));
                self.compare(EQUAL, &[1]);
            }
            Match::PairIn(family, set) => {
                self.family(*family);
                self.load(source(*family), FIRST);
                self.load(destination(*family), behind(*family));
                self.lookup(set);
            }
            Match::Transport(transport) => {
                self.meta(META_TRANSPORT);
                self.compare(EQUAL, &[transport_number(*transport)]);
            }
            Match::Port(range) => {
                self.load(DESTINATION_PORT, FIRST);
                self.within(*range);
            }
            Match::DialledPort(range) => {
                // Key 12 is the destination's port, of the original direction.
                self.push("ct", |ct| ct.number(1, FIRST).number(2, 12).bytes(3, &[0]));
                self.within(*range);
            }
            Match::SocketIn(family, set) => {
                self.family(*family);
                self.load(destination(*family), FIRST);
                self.load(DESTINATION_PORT, behind(*family));
                self.lookup(set);
            }
            Match::Chance(share) => {
                self.random(100);
                // Order is told by the bytes in network order.
                self.push("byteorder", |it| {
                    it.number(1, FIRST).number(2, FIRST).number(3, 1).number(4, 4).number(5, 4)
                });
                self.compare(LESS, &u32::from(share.get()).to_be_bytes());
            }
            Match::OneIn(count) => {
                self.random(*count);
                self.compare(EQUAL, &[0; 4]);
            }
            Match::Remember(family, set, timeout) => {
                const UPDATE: u32 = 1;
                let milliseconds = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                self.family(*family);
                self.load(source(*family), FIRST);
                self.push("dynset", |it| {
                    it.string(1, set)
                        .number(3, UPDATE)
                        .number(4, FIRST)
                        .bytes(6, &milliseconds.to_be_bytes())
                });
            }
            Match::Priority(priority) => {
                self.meta(META_PRIORITY);
                self.compare(EQUAL, &priority.to_ne_bytes());
            }
            Match::Marked => {
                self.meta(META_MARK);
                self.compare(EQUAL, &MASQUERADE.to_ne_bytes());
            }
        }
    }

    /// The connection's state is among some, each a bit.
    fn state(&mut self, states: u32) {
        // Key 0 is the state, a number in the machine's order.
        self.push("ct", |ct| ct.number(1, FIRST).number(2, 0));
        let mask = states.to_ne_bytes();
        self.push("bitwise", |bits| {
            let bits = bits.number(1, FIRST).number(2, FIRST).number(3, 4);
            value(5, &[0; 4])(value(4, &mask)(bits))
        });
        self.compare(NOT_EQUAL, &[0; 4]);
    }

    /// The port in the first register is in this range.
    fn within(&mut self, range: PortRange) {
        let (first, last) = (range.first.to_be_bytes(), range.last.to_be_bytes());
        if first == last {
            self.compare(EQUAL, &first);
        } else {
            self.push("range", |it| {
                value(4, &last)(value(3, &first)(it.number(1, FIRST).number(2, EQUAL)))
            });
        }
    }

    fn link(&mut self, key: u32, name: &str) {
        self.meta(key);
        // As long as the kernel's names of links can be.
        let mut padded = [0; 16];
        for (to, from) in padded.iter_mut().zip(name.bytes().take(15)) {
            *to = from;
        }
        self.compare(EQUAL, &padded);
    }
}
