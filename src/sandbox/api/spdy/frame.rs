//! Frames, read and written.
//!
//! A control frame is `1 version:15 type:16 flags:8 length:24`, a data frame
//! `0 stream:31 flags:8 length:24`, each followed by so many bytes.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Error,
    headers::{Headers, Reader, Writer},
};

const VERSION: u16 = 3;
const CONTROL: u32 = 1 << 31;
const STREAM: u32 = CONTROL - 1;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;
const HEADERS: u16 = 8;

/// Why a stream is given up: the other side asked for something that can't be.
pub(super) const PROTOCOL_ERROR: u32 = 1;
/// The same: it was not begun.
pub(super) const REFUSED: u32 = 3;
/// The same: nobody wants it any more.
pub(super) const CANCEL: u32 = 5;

/// The longest control frame that is read.
const LONGEST: usize = 64 * 1024;

/// A frame, as far as anybody here wants to know. Data comes in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A stream begins.
    Open { stream: u32, end: bool, headers: Headers },
    /// A stream's bytes; with the last ones its end.
    Data { stream: u32, end: bool, bytes: Bytes },
    /// A stream is given up.
    Reset { stream: u32 },
    /// To be sent back.
    Ping(u32),
    /// No further streams will come.
    GoAway,
}

/// Reads a connection's frames.
#[derive(Debug)]
pub(super) struct Decoder {
    buffer: BytesMut,
    headers: Reader,
    /// The data frame that is being read, and how many of its bytes are still to come.
    data: Option<(u32, bool, usize)>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { buffer: BytesMut::new(), headers: Reader::new(), data: None }
    }

    /// Takes bytes of the connection.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, or the next piece of one; `None` if more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some((stream, fin, left)) = self.data {
                return Ok(self.piece(stream, fin, left));
            }
            let Some(head) = self.buffer.first_chunk::<8>() else { return Ok(None) };
            let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let flags = head[4];
            let length = usize::from(head[5]) << 16 | usize::from(head[6]) << 8;
            let length = length | usize::from(head[7]);
            if first & CONTROL == 0 {
                self.buffer.advance(8);
                self.data = Some((first & STREAM, flags & FIN != 0, length));
                continue;
            }
            let [_, _, kind @ ..] = first.to_be_bytes();
            let (version, kind) = ((first >> 16) & 0x7fff, u16::from_be_bytes(kind));
            // Fifteen bits.
            let version = u16::try_from(version).unwrap_or(u16::MAX);
            if version != VERSION {
                return Err(Error::Version(version));
            }
            if length > LONGEST {
                return Err(Error::TooLong(length));
            }
            if self.buffer.len() < 8 + length {
                return Ok(None);
            }
            self.buffer.advance(8);
            let body = self.buffer.split_to(length).freeze();
            if let Some(frame) = self.control(kind, flags, &body)? {
                return Ok(Some(frame));
            }
        }
    }

    fn piece(&mut self, stream: u32, fin: bool, left: usize) -> Option<Frame> {
        if left > 0 && self.buffer.is_empty() {
            return None;
        }
        let bytes = self.buffer.split_to(left.min(self.buffer.len())).freeze();
        let left = left - bytes.len();
        self.data = (left > 0).then_some((stream, fin, left));
        Some(Frame::Data { stream, end: fin && left == 0, bytes })
    }

    fn control(&mut self, kind: u16, flags: u8, body: &[u8]) -> Result<Option<Frame>, Error> {
        let number = || body.first_chunk().map(|head| u32::from_be_bytes(*head));
        let stream = || number().map(|number| number & STREAM).ok_or(Error::Short);
        let block = |from: usize| body.get(from..).ok_or(Error::Short);
        Ok(match kind {
            // Also what is not wanted must be read: each block depends on those before.
            SYN_STREAM => {
                let headers = self.headers.read(block(10)?)?;
                Some(Frame::Open { stream: stream()?, end: flags & FIN != 0, headers })
            }
            SYN_REPLY | HEADERS => {
                self.headers.read(block(4)?)?;
                None
            }
            RST_STREAM => Some(Frame::Reset { stream: stream()? }),
            PING => Some(Frame::Ping(number().ok_or(Error::Short)?)),
            GO_AWAY => Some(Frame::GoAway),
            _ => None,
        })
    }
}

fn control(kind: u16, flags: u8, parts: &[&[u8]]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.extend_from_slice(&(CONTROL | u32::from(VERSION) << 16 | u32::from(kind)).to_be_bytes());
    let length: usize = parts.iter().map(|part| part.len()).sum();
    frame.extend_from_slice(&flags_and_length(flags, length));
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame.freeze()
}

fn flags_and_length(flags: u8, length: usize) -> [u8; 4] {
    // No caller has more than 64 KiB at once.
    let [_, length @ ..] = u32::try_from(length).unwrap_or(0).to_be_bytes();
    [flags, length[0], length[1], length[2]]
}

/// A stream is begun.
#[cfg(test)]
pub(super) fn open(writer: &mut Writer, stream: u32, headers: &Headers) -> Result<Bytes, Error> {
    let block = writer.write(headers)?;
    Ok(control(SYN_STREAM, 0, &[&stream.to_be_bytes(), &[0; 6], &block]))
}

/// A stream is taken.
pub(super) fn reply(writer: &mut Writer, stream: u32) -> Result<Bytes, Error> {
    let block = writer.write(&Headers::default())?;
    Ok(control(SYN_REPLY, 0, &[&stream.to_be_bytes(), &block]))
}

/// A stream is given up.
pub(super) fn reset(stream: u32, why: u32) -> Bytes {
    control(RST_STREAM, 0, &[&stream.to_be_bytes(), &why.to_be_bytes()])
}

/// A ping, or the answer to one.
pub(super) fn ping(id: u32) -> Bytes {
    control(PING, 0, &[&id.to_be_bytes()])
}

/// No further streams are taken.
pub(super) fn go_away(last: u32, why: u32) -> Bytes {
    control(GO_AWAY, 0, &[&last.to_be_bytes(), &why.to_be_bytes()])
}

/// Bytes of a stream, at most 64 KiB.
pub(super) fn data(stream: u32, end: bool, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + bytes.len());
    frame.extend_from_slice(&(stream & STREAM).to_be_bytes());
    frame.extend_from_slice(&flags_and_length(if end { FIN } else { 0 }, bytes.len()));
    frame.extend_from_slice(bytes);
    frame.freeze()
}
