//! ICMP echo: the kernel at the other end answers, if the request gets there.
//!
//! Ping sockets need no privilege, only a group that `net.ipv4.ping_group_range` names (for
//! both families). The identifier is the port that the socket is bound to: connection
//! tracking sees a new flow in each attempt, as with ports.

use std::{net::SocketAddr, sync::Arc};

use super::{Call, Dialer, Saying, datagram, race::Race};
use crate::{
    source_port::Transport,
    wire::{Answer, Dial, Outcome},
};

/// Type, code, checksum, identifier, sequence: the kernel fills in the checksum and the
/// identifier.
const HEADER: usize = 8;

/// Dials one address.
pub async fn dial(dialer: &Dialer, call: &Call) -> Dial {
    let (request, reply): (u8, u8) = match call.address {
        SocketAddr::V4(_) => (8, 0),
        SocketAddr::V6(_) => (128, 129),
    };
    let mark: [u8; 16] = match &call.saying {
        Saying::Keyed(_, nonce) => *nonce.as_bytes(),
        Saying::Bare => rand::random(),
    };
    let mut packet = vec![request, 0, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(&mark);
    let packet: Arc<[u8]> = packet.into();
    let fly = move |socket| datagram::exchange(socket, packet.clone());
    let mut race = Race::new(dialer, call, Transport::Icmp, fly);
    while let Some((_, bytes)) = race.next().await {
        // The kernel hands over only what has our identifier; the mark says that it's ours.
        let is_ours = bytes.first() == Some(&reply) && bytes.get(HEADER..) == Some(&mark[..]);
        if is_ours {
            race.abandon();
            return race.end_with(Some(Outcome::Connected { answer: Answer::Echo }));
        }
    }
    race.end_with(None)
}
