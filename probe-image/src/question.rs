//! The keyed question and its answer: how an agent of this run is told from anything else.
//!
//! A question carries a nonce and a tag that only a holder of the run's key can make. The
//! answer repeats the nonce and has a tag of its own, over the nonce, the identity and the
//! address that the listener saw: an echo server can't make it, and no recorded answer
//! fits another question.

use std::{fmt, net::SocketAddr, str::FromStr};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The length of every datagram question: no answer is longer, so nobody can use a
/// listener to multiply traffic.
pub const DATAGRAM_LENGTH: usize = 512;

/// The longest identity, so that an answer always fits into [`DATAGRAM_LENGTH`].
pub const IDENTITY_LENGTH: usize = 253;

/// The HTTP header with the nonce.
pub const NONCE_HEADER: &str = "netproof-nonce";

/// The HTTP header with the question's tag.
pub const TAG_HEADER: &str = "netproof-tag";

const GREETING: &str = "netproof/1";

/// The last word of a question after which the stream stays open.
const HOLD: &str = "hold";

/// What every question on a stream begins with.
pub const QUESTION_BEGINS: &[u8] = GREETING.as_bytes();

/// Text that isn't what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a number of hex digits.
    #[error("{what} must be {digits} hex digits")]
    NotHex {
        /// The thing that was to be read.
        what: &'static str,
        /// How many digits it has.
        digits: usize,
    },
    /// Not a name that fits into an answer.
    #[error(
        "an identity is 1 to {IDENTITY_LENGTH} printable ASCII characters, without quotes and backslashes"
    )]
    Identity,
}

/// What all agents of a run share and nobody else knows.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    /// Takes 32 random bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The question with this nonce.
    pub fn question(&self, nonce: Nonce) -> KeyedQuestion {
        KeyedQuestion { nonce, tag: self.tag(&[b"question", &nonce.0]) }
    }

    /// Whether the question was asked by a holder of this key.
    pub fn asked(&self, question: &KeyedQuestion) -> bool {
        self.verify(&[b"question", &question.nonce.0], &question.tag)
    }

    /// The answer of the agent `identity`, which saw the question come from `saw`.
    pub fn answer(&self, nonce: Nonce, identity: &str, saw: SocketAddr) -> KeyedAnswer {
        let text = saw.to_string();
        let tag = self.tag(&[b"answer", &nonce.0, identity.as_bytes(), text.as_bytes()]);
        KeyedAnswer {
            nonce: nonce.to_string(),
            identity: identity.into(),
            saw,
            tag: crate::wire::hex::encode(&tag),
        }
    }

    /// Whether the answer is that of an agent with this key to the question with `nonce`.
    pub fn answered(&self, nonce: Nonce, answer: &KeyedAnswer) -> bool {
        let Ok(tag) = unhex("a tag", &answer.tag) else { return false };
        let saw = answer.saw.to_string();
        let parts: [&[u8]; 4] = [b"answer", &nonce.0, answer.identity.as_bytes(), saw.as_bytes()];
        answer.nonce.parse() == Ok(nonce) && self.verify(&parts, &tag)
    }

    /// Each part goes in with its length, so that no two lists of parts are one text.
    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC pads a shorter key with zeros, so this is the key itself.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let full = self.mac(parts).finalize().into_bytes();
        std::array::from_fn(|index| full[index])
    }

    fn verify(&self, parts: &[&[u8]], tag: &[u8; 16]) -> bool {
        self.mac(parts).verify_truncated_left(tag).is_ok()
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        unhex("a key", text).map(Self)
    }
}

/// The hex digits: whoever prints a key gives it away.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::wire::hex::encode(&self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A number used once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Nonce([u8; 16]);

impl Nonce {
    /// Takes 16 random bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Nonce {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        unhex("a nonce", text).map(Self)
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::wire::hex::encode(&self.0))
    }
}

/// A question on the wire: `netproof/1 NONCE TAG`, or two HTTP headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyedQuestion {
    /// Repeated by the answer.
    pub nonce: Nonce,
    tag: [u8; 16],
}

impl KeyedQuestion {
    /// For a stream: one line.
    pub fn line(&self) -> String {
        format!("{GREETING} {} {}\n", self.nonce, self.tag())
    }

    /// For a stream that is to stay open for more questions.
    pub fn held_line(&self) -> String {
        format!("{GREETING} {} {} {HOLD}\n", self.nonce, self.tag())
    }

    /// For a datagram: the line, padded so that the answer is no longer.
    pub fn datagram(&self) -> Vec<u8> {
        let mut bytes = self.line().into_bytes();
        bytes.resize(DATAGRAM_LENGTH, b' ');
        bytes
    }

    /// The value of [`TAG_HEADER`].
    pub fn tag(&self) -> String {
        crate::wire::hex::encode(&self.tag)
    }

    /// Reads [`Self::line`] or [`Self::datagram`].
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = std::str::from_utf8(bytes).ok()?.split_ascii_whitespace();
        let question = (words.next()? == GREETING)
            .then(|| Self::from_headers(words.next()?, words.next()?))??;
        words.next().is_none().then_some(question)
    }

    /// Reads [`Self::held_line`] or [`Self::line`], and tells whether it was the former.
    pub fn parse_line(bytes: &[u8]) -> Option<(Self, bool)> {
        let text = std::str::from_utf8(bytes).ok()?.trim_ascii_end();
        match text.strip_suffix(HOLD) {
            Some(question) => Some((Self::parse(question.as_bytes())?, true)),
            None => Some((Self::parse(bytes)?, false)),
        }
    }

    /// Reads the values of [`NONCE_HEADER`] and [`TAG_HEADER`].
    pub fn from_headers(nonce: &str, tag: &str) -> Option<Self> {
        Some(Self { nonce: nonce.parse().ok()?, tag: unhex("a tag", tag).ok()? })
    }
}

/// An answer on the wire: one JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedAnswer {
    nonce: String,
    /// The identity that the agent was started with.
    pub identity: String,
    /// The address that the listener saw the question come from.
    pub saw: SocketAddr,
    tag: String,
}

impl KeyedAnswer {
    /// The object, without a line's end.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads [`Self::json`], whatever blanks follow it.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}

/// Checks that an identity fits into an answer.
///
/// # Errors
/// [`Error::Identity`] if it is empty, too long or would have to be escaped.
pub fn check_identity(identity: &str) -> Result<(), Error> {
    let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    let fits = (1..=IDENTITY_LENGTH).contains(&identity.len());
    if fits && identity.bytes().all(plain) { Ok(()) } else { Err(Error::Identity) }
}

fn unhex<const N: usize>(what: &'static str, text: &str) -> Result<[u8; N], Error> {
    let bytes = crate::wire::hex::decode(text).and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(Error::NotHex { what, digits: 2 * N })
}

#[cfg(test)]
mod tests;
