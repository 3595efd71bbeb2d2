//! Which source port a dial uses: connection tracking must not carry an old flow into a
//! new verdict, so no port repeats for a destination within 300 s.
//!
//! Time is cut into slots, and each slot has one port. As the slot comes from the machine's
//! clock, the promise holds across sessions, with nothing to remember but the last slot of
//! each destination.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
};

use crate::wire::SOURCE_PORTS;

/// Microseconds for which a source port is not used again towards the same destination.
pub const QUIET: u64 = 300_000_000;

/// Microseconds of a slot. All ports last 320 s, so that a destination may run ahead of
/// the clock by [`LEAD`] slots without breaking the promise.
const SLOT: u64 = 8_000;

const COUNT: u64 = (SOURCE_PORTS.end - SOURCE_PORTS.start) as u64;

/// How many slots a destination may be ahead of the clock.
const LEAD: u64 = COUNT - QUIET / SLOT - 1;

/// What carries a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP echo, whose identifier stands for a source port.
    Icmp,
}

/// A transport and where it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Each has ports of its own.
    pub transport: Transport,
    /// Address and port.
    pub address: SocketAddr,
}

/// Hands out source ports.
#[derive(Debug, Default)]
pub struct SourcePorts {
    last: HashMap<Destination, u64>,
}

impl SourcePorts {
    /// The next port for a destination at `now`, microseconds since boot; `None` if so
    /// many were asked for at once that the next one would come back within [`QUIET`].
    pub fn next(&mut self, destination: Destination, now: u64) -> Option<u16> {
        let current = now / SLOT;
        let last = self.last.get(&destination).map_or(0, |last| last + 1);
        let slot = current.max(last);
        if slot - current > LEAD {
            return None;
        }
        self.last.insert(destination, slot);
        Some(SOURCE_PORTS.start + ((slot + offset(destination)) % COUNT) as u16)
    }
}

/// Destinations start at different ports: a Service's address and the pod behind it are
/// often dialled together, and where a CNI translates in the socket, equal ports collide.
fn offset(destination: Destination) -> u64 {
    // This hasher starts with fixed keys, so every session finds the same offset.
    let mut hasher = DefaultHasher::new();
    destination.hash(&mut hasher);
    hasher.finish() % COUNT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn destination(port: u16) -> Destination {
        Destination { transport: Transport::Tcp, address: SocketAddr::from(([10, 0, 0, 1], port)) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Steps of any length, asked for singly and in bursts, over several turns of the
        /// whole range.
        #[test]
        fn no_port_repeats_for_a_destination_within_300_s(
            start in 0..u64::MAX / 2,
            steps in prop::collection::vec((prop_oneof![0..20_000u64, 0..50_000_000u64], 1..1_500u32), 1..60),
        ) {
            let mut ports = SourcePorts::default();
            let mut used: HashMap<u16, u64> = HashMap::new();
            let mut now = start;
            for (step, burst) in steps {
                now += step;
                for _ in 0..burst {
                    let Some(port) = ports.next(destination(80), now) else { break };
                    prop_assert!(SOURCE_PORTS.contains(&port));
                    if let Some(before) = used.insert(port, now) {
                        prop_assert!(now - before >= QUIET, "{port} again after {} µs", now - before);
                    }
                }
            }
        }

        /// A dialer that is slower than one attempt in a slot leaves nothing to remember.
        #[test]
        fn a_new_session_goes_on_where_the_last_one_stopped(
            start in 0..u64::MAX / 2,
            steps in prop::collection::vec(SLOT..2_000_000, 1..400),
        ) {
            let mut used: HashMap<u16, u64> = HashMap::new();
            let mut now = start;
            for step in steps {
                now += step;
                let port = SourcePorts::default().next(destination(80), now).unwrap();
                if let Some(before) = used.insert(port, now) {
                    prop_assert!(now - before >= QUIET, "{port} again after {} µs", now - before);
                }
            }
        }
    }

    #[test]
    fn a_burst_ends_before_ports_come_back() {
        let mut ports = SourcePorts::default();
        let burst = std::iter::from_fn(|| ports.next(destination(80), 0)).count() as u64;
        assert_eq!(burst, LEAD + 1);
        assert!(ports.next(destination(80), QUIET).is_some(), "later there are ports again");
    }

    #[test]
    fn destinations_do_not_share_a_sequence() {
        let mut ports = SourcePorts::default();
        let first: Vec<_> = (1..9).filter_map(|port| ports.next(destination(port), 0)).collect();
        let mut distinct = first.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), first.len(), "{first:?}");
    }
}
