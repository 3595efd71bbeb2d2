//! The part of SPDY/3.1 that kubectl speaks to pods: many streams over one connection,
//! each opened with headers and ended by each side alone.
//!
//! ```text
//! carrier: bytes ─▶ frame ─▶ session ─▶ streams   headers: the zlib state of a connection
//! ```
//!
//! Go's implementation, which all that speak it use, neither obeys nor sends windows;
//! nor does this one: a stream that isn't read holds its connection up.

mod carrier;
mod frame;
mod headers;
mod session;
#[cfg(test)]
mod tests;

pub(super) use carrier::{agree, upgrade, wanted, websocket};
pub(super) use headers::Headers;
use session::serve;
pub(super) use session::{Stream, StreamWriter};

/// What is negotiated by this name in `Upgrade`.
const PROTOCOL: &str = "SPDY/3.1";

/// Why a connection can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// The version of a control frame.
    #[error("a control frame of version {0}, not 3")]
    Version(u16),
    /// A control frame longer than any client's.
    #[error("a control frame of {0} bytes")]
    TooLong(usize),
    /// A frame ends before what it must say.
    #[error("a frame ends too early")]
    Short,
    /// The compressed block of headers.
    #[error("headers that can't be read")]
    Headers,
    /// A stream whose number isn't the client's to give, or not the next.
    #[error("stream {0} out of turn")]
    Turn(u32),
}
