//! A netlink socket that sends many requests at once and waits for their answers.
//!
//! The kernel works through a datagram of requests before `send` returns, so wiring a
//! pod costs one round trip. A socket stays in the network namespace of the thread that
//! opened it.

use std::{io, time::Duration};

use netlink_sys::{Socket, SocketAddr};
use nix::sys::{
    socket::{getsockopt, setsockopt, sockopt},
    time::{TimeVal, TimeValLike},
};

/// Length of a netlink message's header.
const HEADER: usize = 16;
/// The kernel answers before `send` returns; this only bounds a kernel that doesn't.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Message type of acknowledgements and errors.
const NLMSG_ERROR: u16 = 2;
/// Flag: acknowledge this message.
const NLM_F_ACK: u16 = 4;
/// Flag of an answer: attributes with the kernel's own words follow.
const NLM_F_ACK_TLVS: u16 = 0x200;
/// Flag of an answer: the request is not repeated in it.
const NLM_F_CAPPED: u16 = 0x100;

/// One message with its header; the sequence number is set when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Request {
    /// What it asks for, as an error will say it.
    pub what: String,
    /// The message.
    pub bytes: Vec<u8>,
}

/// The kernel refused a request, or the socket failed.
#[derive(Debug)]
pub(in crate::sandbox) struct Refusal {
    /// The request's `what`; none where the socket itself failed.
    pub what: Option<String>,
    /// The kernel's answer, with its own words where it gave any.
    pub source: io::Error,
}

impl From<io::Error> for Refusal {
    fn from(source: io::Error) -> Self {
        Self { what: None, source }
    }
}

/// A socket to one of the kernel's netlink families.
#[derive(Debug)]
pub(in crate::sandbox) struct Netlink {
    socket: Socket,
}

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread.
    pub(in crate::sandbox) fn open(family: isize) -> io::Result<Self> {
        let mut socket = Socket::new(family)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Old kernels lack these two; they only make answers shorter and clearer.
        let _ = socket.set_cap_ack(true);
        let _ = socket.set_ext_ack(true);
        let within = TimeVal::seconds(ANSWER_WITHIN.as_secs() as i64);
        setsockopt(&socket, sockopt::ReceiveTimeout, &within)?;
        Ok(Self { socket })
    }

    /// Waits until a link can send. Bringing up both ends of a veth pair is not enough: the
    /// end that came up first only starts to send a little later, and drops until then.
    pub(in crate::sandbox) fn wait_for_link(&mut self, index: u32) -> io::Result<()> {
        const RTM_NEWLINK: u16 = 16;
        const RTM_GETLINK: u16 = 18;
        const RTNLGRP_LINK: u32 = 1;
        const NLM_F_REQUEST: u16 = 1;
        // Header, then the link's: family, type, index, flags, change mask.
        const LENGTH: usize = HEADER + 16;
        const INDEX: usize = HEADER + 4;
        // Changes from now on are told; the request tells of those before. Both look alike.
        self.socket.add_membership(RTNLGRP_LINK)?;
        let mut request = [0; LENGTH];
        request[..4].copy_from_slice(&(LENGTH as u32).to_ne_bytes());
        request[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
        request[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        request[INDEX..INDEX + 4].copy_from_slice(&index.to_ne_bytes());
        self.socket.send(&request, 0)?;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for message in Messages(&datagram) {
                match half(message, 4) {
                    Some(NLMSG_ERROR) => {
                        let code = word(message, HEADER).unwrap_or_default() as i32;
                        return Err(io::Error::from_raw_os_error(-code));
                    }
                    Some(RTM_NEWLINK)
                        if word(message, INDEX) == Some(index) && is_operational(message) =>
                    {
                        return Ok(());
                    }
                    _ => {}
                }
            }
        }
    }

    /// Asks for a list, and shows each of its messages.
    pub(in crate::sandbox) fn dump(
        &mut self,
        request: &Request,
        mut show: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        const NLMSG_DONE: u16 = 3;
        self.socket.send(&request.bytes, 0)?;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for message in Messages(&datagram) {
                match half(message, 4) {
                    Some(NLMSG_DONE) => return Ok(()),
                    Some(NLMSG_ERROR) => {
                        let code = word(message, HEADER).unwrap_or_default() as i32;
                        return Err(io::Error::from_raw_os_error(-code));
                    }
                    Some(_) => show(message),
                    None => {}
                }
            }
        }
    }

    /// Makes room for a datagram of this length, and says how long one may be: the system
    /// limits an ordinary user's.
    pub(in crate::sandbox) fn room_for(&self, bytes: usize) -> io::Result<usize> {
        /// What the kernel keeps for itself.
        const OWN: usize = 32;
        self.expect_length(bytes)?;
        Ok(getsockopt(&self.socket, sockopt::SndBuf)?.saturating_sub(OWN))
    }

    /// Lets a datagram of this length be sent, as far as the system's limit allows.
    fn expect_length(&self, bytes: usize) -> io::Result<()> {
        // The kernel counts its own overhead, too.
        let wanted = bytes.saturating_mul(2).max(64 * 1024);
        // The forced variant passes the limit, but only the real root may use it.
        if setsockopt(&self.socket, sockopt::SndBufForce, &wanted).is_err() {
            setsockopt(&self.socket, sockopt::SndBuf, &wanted)?;
        }
        Ok(())
    }

    /// Sends all requests in one datagram and returns the first refusal among those that
    /// ask for an acknowledgement, or that fail without asking.
    pub(in crate::sandbox) fn transact(&self, requests: &[Request]) -> Result<(), Refusal> {
        let mut datagram = Vec::with_capacity(requests.iter().map(|r| r.bytes.len()).sum());
        let mut awaited = 0_usize;
        for (sequence, request) in (1_u32..).zip(requests) {
            let start = datagram.len();
            datagram.extend_from_slice(&request.bytes);
            datagram[start + 8..start + 12].copy_from_slice(&sequence.to_ne_bytes());
            let flags = u16::from_ne_bytes([datagram[start + 6], datagram[start + 7]]);
            awaited += usize::from(flags & NLM_F_ACK != 0);
        }
        self.expect_length(datagram.len())?;
        self.socket.send(&datagram, 0)?;
        while awaited > 0 {
            let (answer, _) = self.socket.recv_from_full()?;
            for (sequence, outcome) in Messages(&answer).filter_map(outcome) {
                match outcome {
                    Ok(()) => awaited = awaited.saturating_sub(1),
                    Err(source) => {
                        let index = (sequence as usize).wrapping_sub(1);
                        let what = requests.get(index).map(|request| request.what.clone());
                        return Err(Refusal { what, source });
                    }
                }
            }
        }
        Ok(())
    }
}

/// The messages in one datagram.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<Self::Item> {
        let length = word(self.0, 0)? as usize;
        let message = self.0.get(..length.max(HEADER))?;
        // Messages start at multiples of four.
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes behind a message's own header, each with its kind.
pub(super) struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(half(self.0, 0)?).max(4);
        let kind = half(self.0, 2)?;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The sequence number and the outcome in an acknowledgement or error.
fn outcome(message: &[u8]) -> Option<(u32, io::Result<()>)> {
    if half(message, 4)? != NLMSG_ERROR {
        return None;
    }
    let flags = half(message, 6)?;
    let sequence = word(message, 8)?;
    let code = word(message, HEADER)? as i32;
    let outcome = if code == 0 { Ok(()) } else { Err(describe(code, flags, message)) };
    Some((sequence, outcome))
}

/// Whether a link's message says that it can send.
fn is_operational(message: &[u8]) -> bool {
    const IFLA_OPERSTATE: u16 = 16;
    const IF_OPER_UP: u8 = 6;
    let attributes = message.get(HEADER + 16..).unwrap_or_default();
    Attributes(attributes).any(|(kind, value)| kind == IFLA_OPERSTATE && value == [IF_OPER_UP])
}

/// The error of an answer; the kernel's own words replace the errno's where it has some.
fn describe(code: i32, flags: u16, message: &[u8]) -> io::Error {
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let plain = io::Error::from_raw_os_error(-code);
    if flags & NLM_F_ACK_TLVS == 0 {
        return plain;
    }
    // Behind the code stands the refused message: all of it, or its header alone.
    let inner = HEADER + 4;
    let refused = if flags & NLM_F_CAPPED != 0 {
        HEADER
    } else {
        word(message, inner).map_or(HEADER, |length| length as usize)
    };
    let attributes = message.get((inner + refused).next_multiple_of(4)..).unwrap_or_default();
    let text = Attributes(attributes).find(|(kind, _)| *kind == NLMSGERR_ATTR_MSG);
    match text {
        Some((_, text)) => {
            let text = String::from_utf8_lossy(text);
            let words = text.trim_end_matches('\0');
            tracing::debug!(error = %plain, %words, "the kernel refused a netlink request");
            plain
        }
        None => plain,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
