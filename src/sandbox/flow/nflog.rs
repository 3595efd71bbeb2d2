//! The kernel's log of packets, by netlink.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use netlink_sys::{SocketAddr, protocols::NETLINK_NETFILTER};
use nix::sys::{
    socket::{setsockopt, sockopt},
    time::{TimeVal, TimeValLike},
};

use crate::sandbox::firewall::LOG_GROUP;

/// The subsystem's number within netfilter, and its two messages.
const ULOG: u16 = 4 << 8;
const PACKET: u16 = ULOG;
const CONFIG: u16 = ULOG | 1;
/// Headers of netlink and of netfilter.
const HEADER: usize = 16 + 4;
const NLMSG_ERROR: u16 = 2;
/// So many bytes of each packet are told: the headers of IPv6 and TCP with options.
const COPIED: u32 = 128;
/// So many packets are told at once, if they come that fast: each telling wakes the reader.
const AT_ONCE: u32 = 64;
/// Memory for as many.
const ROOM: u32 = 16 * 1024;
/// Memory for what is not read yet.
const BUFFER: usize = 4 * 1024 * 1024;

/// A socket that hears of the packets that log rules take, in one network namespace.
#[derive(Debug)]
pub(in crate::sandbox) struct Socket(netlink_sys::Socket);

/// A packet that a log rule took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Logged {
    /// Counts what the kernel had to tell, told or not.
    pub sequence: u32,
    /// The rule's own words.
    pub text: String,
    /// The packet from its IP header on, as far as it was copied.
    pub packet: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the network namespace of the calling thread.
    ///
    /// # Errors
    /// When the kernel has no such log, or another socket hears it already.
    pub(in crate::sandbox) fn open() -> io::Result<Self> {
        let mut socket = netlink_sys::Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(5))?;
        // The forced variant passes the limit, but only the real root may use it.
        if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
        }
        const BIND: u8 = 1;
        const COPY_PACKET: u8 = 2;
        const SEQUENCE: u16 = 1;
        let mode = [&COPIED.to_be_bytes()[..], &[COPY_PACKET, 0]].concat();
        // Told in batches, at most a hundredth of a second late.
        for (kind, value) in [
            (1, vec![BIND]),
            (2, mode),
            (3, ROOM.to_be_bytes().to_vec()),
            (4, 1_u32.to_be_bytes().to_vec()),
            (5, AT_ONCE.to_be_bytes().to_vec()),
            (6, SEQUENCE.to_be_bytes().to_vec()),
        ] {
            socket.send(&config(kind, &value), 0)?;
            let (answer, _) = socket.recv_from_full()?;
            accepted(&answer)?;
        }
        socket.set_non_blocking(true)?;
        Ok(Self(socket))
    }

    /// What has been logged since; waits for nothing.
    ///
    /// # Errors
    /// `WouldBlock` where there is nothing; `ENOBUFS` where the kernel had to drop some.
    pub(in crate::sandbox) fn read(&self) -> io::Result<Vec<Logged>> {
        let (datagram, _) = self.0.recv_from_full()?;
        Ok(messages(&datagram).filter_map(logged).collect())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A message that sets one thing of the log's group, and asks for an answer.
fn config(kind: u16, value: &[u8]) -> Vec<u8> {
    const REQUEST_AND_ACK: u16 = 5;
    let mut message = vec![0; 4];
    message.extend_from_slice(&CONFIG.to_ne_bytes());
    message.extend_from_slice(&REQUEST_AND_ACK.to_ne_bytes());
    // Sequence and port number.
    message.extend_from_slice(&[0; 8]);
    // No family, version 0, the group.
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&LOG_GROUP.to_be_bytes());
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(value);
    message.resize(message.len().next_multiple_of(4), 0);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

fn accepted(answer: &[u8]) -> io::Result<()> {
    if half(answer, 4) != Some(NLMSG_ERROR) {
        return Err(io::Error::other("the kernel's log answered with something else"));
    }
    match word(answer, 16).map(|code| code as i32) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The messages of a datagram, with their headers.
fn messages(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = word(rest, 0)? as usize;
        let message = rest.get(..length.max(HEADER))?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

fn logged(message: &[u8]) -> Option<Logged> {
    const PAYLOAD: u16 = 9;
    const PREFIX: u16 = 10;
    const SEQUENCE: u16 = 12;
    if half(message, 4)? != PACKET {
        return None;
    }
    let mut found = Logged { sequence: 0, text: String::new(), packet: Vec::new() };
    let mut rest = message.get(HEADER..)?;
    while let Some(length) = half(rest, 0).map(usize::from) {
        let (Some(kind), Some(value)) = (half(rest, 2), rest.get(4..length)) else { break };
        match kind {
            PAYLOAD => found.packet = value.to_vec(),
            PREFIX => {
                let text = String::from_utf8_lossy(value);
                found.text = text.trim_end_matches('\0').to_owned();
            }
            SEQUENCE => {
                found.sequence = value.try_into().map(u32::from_be_bytes).unwrap_or_default();
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cut_of_a_datagram_is_read_beyond_its_end() {
        let mut message = vec![0; HEADER];
        message[4..6].copy_from_slice(&PACKET.to_ne_bytes());
        for (kind, value) in
            [(12_u16, vec![0, 0, 0, 7]), (10, b"open egress\0".to_vec()), (9, vec![1; 30])]
        {
            message.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
            message.extend_from_slice(&kind.to_ne_bytes());
            message.extend_from_slice(&value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        let length = message.len() as u32;
        message[..4].copy_from_slice(&length.to_ne_bytes());
        let whole: Vec<_> = messages(&message).filter_map(logged).collect();
        let expected = Logged { sequence: 7, text: "open egress".to_owned(), packet: vec![1; 30] };
        assert_eq!(whole, [expected]);
        for end in 0..message.len() {
            assert_eq!(messages(&message[..end]).count(), 0, "cut at {end}");
        }
    }
}
