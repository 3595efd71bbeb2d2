//! From the kernel's log to the book.

use std::{collections::BTreeMap, io, net::IpAddr, os::fd::AsFd as _, sync::Arc};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};
use tokio_util::sync::CancellationToken;

use super::{
    book::{Book, Entry},
    nflog::{Logged, Socket},
    packet::Packet,
    record::{End, Flow},
};
use crate::sandbox::firewall::{Judged, PodEntry};

/// What a flow needs to know of the cluster at its moment.
pub(in crate::sandbox) trait Witness: Send + Sync {
    /// What the words of a log rule mean, and the pods at both addresses.
    fn explain(&self, text: &str, packet: (IpAddr, IpAddr)) -> Option<Explained>;
}

/// What was judged, and whose the addresses are.
pub(in crate::sandbox) struct Explained {
    pub judged: Judged,
    pub source: Option<Arc<PodEntry>>,
    pub destination: Option<Arc<PodEntry>>,
}

/// How soon a cancelled collector ends.
const TICK: u16 = 250;

/// Reads the logs of all nodes until cancelled, on the calling thread.
pub(in crate::sandbox) fn collect(
    sockets: Vec<(String, Socket)>,
    nodes: &BTreeMap<IpAddr, String>,
    witness: &dyn Witness,
    book: &Book,
    cancel: &CancellationToken,
) {
    let mut logs: Vec<Log> = sockets
        .into_iter()
        .map(|(node, socket)| Log { node, socket, expected: None, ended: false })
        .collect();
    while !cancel.is_cancelled() {
        let mut waiting: Vec<PollFd<'_>> =
            logs.iter().map(|log| PollFd::new(log.socket.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut waiting, TICK) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::warn!(%error, "the flow log has ended");
                return;
            }
        }
        // One datagram of each, so that one node's flood doesn't keep the others waiting.
        for log in &mut logs {
            log.read(nodes, witness, book);
        }
        logs.retain(|log| !log.ended);
        if logs.is_empty() {
            return;
        }
    }
}

/// A node's log.
struct Log {
    node: String,
    socket: Socket,
    /// The number of the next packet, if none is lost.
    expected: Option<u32>,
    ended: bool,
}

impl Log {
    fn read(&mut self, nodes: &BTreeMap<IpAddr, String>, witness: &dyn Witness, book: &Book) {
        let logged = match self.socket.read() {
            Ok(logged) => logged,
            Err(error) => {
                // How many the kernel dropped shows in the next one's number.
                let dropped = error.raw_os_error() == Some(Errno::ENOBUFS as i32);
                let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
                if !dropped && !kinds.contains(&error.kind()) {
                    tracing::warn!(%error, node = self.node, "the flow log has ended");
                    self.ended = true;
                }
                return;
            }
        };
        let time = jiff::Timestamp::now();
        for Logged { sequence, text, packet } in logged {
            let lost = sequence.wrapping_sub(self.expected.unwrap_or(sequence));
            self.expected = Some(sequence.wrapping_add(1));
            let node = self.node.clone();
            if lost > 0 {
                book.write(Entry::Lost { node: node.clone(), count: lost.into(), time });
            }
            let Some(packet) = Packet::read(&packet) else { continue };
            let ends = (packet.source, packet.destination);
            let Some(Explained { judged, source, destination }) = witness.explain(&text, ends)
            else {
                continue;
            };
            let source = End::of(ends.0, source, &node, nodes);
            let destination = End::of(ends.1, destination, &node, nodes);
            let flow = Flow { time, node, packet, judged, source, destination };
            book.write(Entry::Flow(Arc::new(flow)));
        }
    }
}
