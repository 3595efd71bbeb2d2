//! Blocks of headers, compressed: one zlib stream a connection and direction, which begins
//! with a dictionary that the protocol fixes.

use std::sync::LazyLock;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::Error;

/// The words of the dictionary that stand behind their length; the one with a space is
/// given apart.
const WORDS: &str = "options head post put delete trace accept accept-charset \
    accept-encoding accept-language accept-ranges age allow authorization cache-control \
    connection content-base content-encoding content-language content-length \
    content-location content-md5 content-range content-type date etag expect expires from \
    host if-match if-modified-since if-none-match if-range if-unmodified-since \
    last-modified location max-forwards pragma proxy-authenticate proxy-authorization \
    range referer retry-after server te trailer transfer-encoding upgrade user-agent vary \
    via warning www-authenticate method get status";
const MORE_WORDS: [&str; 7] =
    ["200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive"];
const LAST_WORD: &str = "origin";
/// The rest, which is plain text.
const TEXT: &str = "100101201202205206300302303304305306307402405406407408409410411412413\
    414415416417502504505203 Non-Authoritative Information204 No Content301 Moved \
    Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal \
    Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug \
    Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,\
    image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,\
    text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8\
    charset=iso-8859-1,utf-,*,enq=0.";

static DICTIONARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let words = WORDS.split(' ').chain(MORE_WORDS).chain([LAST_WORD]);
    let mut dictionary = Vec::with_capacity(1423);
    words.for_each(|word| put(&mut dictionary, word));
    dictionary.extend_from_slice(TEXT.as_bytes());
    dictionary
});

/// The largest block that is read, uncompressed.
const LARGEST: usize = 64 * 1024;

/// The headers of a stream; names are in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::sandbox::api) struct Headers(Vec<(String, String)>);

impl Headers {
    /// Headers to send.
    #[cfg(test)]
    pub(super) fn new(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|&(name, value)| (name.to_lowercase(), value.to_owned())).collect())
    }

    /// The first value of a header, or an empty text.
    pub(in crate::sandbox::api) fn text(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        // Several values stand between zeros.
        found.and_then(|(_, value)| value.split('\0').next()).unwrap_or_default()
    }

    fn read(mut block: &[u8]) -> Result<Self, Error> {
        let count = take_number(&mut block)?;
        let mut pairs = Vec::new();
        // The block, not its count, bounds the loop.
        for _ in 0..count {
            let (name, value) = (take_text(&mut block)?, take_text(&mut block)?);
            pairs.push((name.to_lowercase(), value));
        }
        Ok(Self(pairs))
    }

    fn write(&self) -> Vec<u8> {
        let mut block = number(self.0.len()).to_vec();
        for (name, value) in &self.0 {
            put(&mut block, name);
            put(&mut block, value);
        }
        block
    }
}

fn number(length: usize) -> [u8; 4] {
    // Nothing here is longer than a frame.
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

fn put(block: &mut Vec<u8>, text: &str) {
    block.extend_from_slice(&number(text.len()));
    block.extend_from_slice(text.as_bytes());
}

fn take_number(block: &mut &[u8]) -> Result<u32, Error> {
    let (head, rest) = block.split_first_chunk().ok_or(Error::Headers)?;
    *block = rest;
    Ok(u32::from_be_bytes(*head))
}

fn take_text(block: &mut &[u8]) -> Result<String, Error> {
    let length = usize::try_from(take_number(block)?).map_err(|_| Error::Headers)?;
    let (text, rest) = block.split_at_checked(length).ok_or(Error::Headers)?;
    *block = rest;
    Ok(String::from_utf8_lossy(text).into_owned())
}

/// Reads the blocks of one direction of a connection, in their order.
#[derive(Debug)]
pub(super) struct Reader(Decompress);

impl Reader {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub(super) fn read(&mut self, compressed: &[u8]) -> Result<Headers, Error> {
        let (mut block, mut rest) = (Vec::new(), compressed);
        let mut chunk = vec![0; 4096];
        loop {
            let (taken, made) = (self.0.total_in(), self.0.total_out());
            let result = self.0.decompress(rest, &mut chunk, FlushDecompress::Sync);
            let taken = usize::try_from(self.0.total_in() - taken).map_err(|_| Error::Headers)?;
            let made = usize::try_from(self.0.total_out() - made).map_err(|_| Error::Headers)?;
            rest = rest.get(taken..).ok_or(Error::Headers)?;
            block.extend_from_slice(chunk.get(..made).ok_or(Error::Headers)?);
            if block.len() > LARGEST {
                return Err(Error::Headers);
            }
            match result {
                Ok(_) if rest.is_empty() && made < chunk.len() => return Headers::read(&block),
                Ok(_) if taken == 0 && made == 0 => return Err(Error::Headers),
                Ok(_) => {}
                // Another dictionary than this is refused here.
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| Error::Headers)?;
                }
                Err(_) => return Err(Error::Headers),
            }
        }
    }
}

/// Writes the blocks of one direction of a connection, in their order.
#[derive(Debug)]
pub(super) struct Writer {
    compress: Compress,
    begun: bool,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { compress: Compress::new(Compression::fast(), true), begun: false }
    }

    pub(super) fn write(&mut self, headers: &Headers) -> Result<Vec<u8>, Error> {
        if !self.begun {
            self.compress.set_dictionary(&DICTIONARY).map_err(|_| Error::Headers)?;
            self.begun = true;
        }
        let block = headers.write();
        let (mut rest, mut written) = (&*block, Vec::with_capacity(block.len() + 64));
        loop {
            let taken = self.compress.total_in();
            let result = self.compress.compress_vec(rest, &mut written, FlushCompress::Sync);
            result.map_err(|_| Error::Headers)?;
            let taken = usize::try_from(self.compress.total_in() - taken);
            rest = rest.get(taken.map_err(|_| Error::Headers)?..).ok_or(Error::Headers)?;
            // Room that is left says that all was flushed.
            if rest.is_empty() && written.len() < written.capacity() {
                return Ok(written);
            }
            written.reserve(1024);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_protocols() {
        // Its length and Adler-32, as each connection's first block names it.
        let (mut a, mut b) = (1_u32, 0_u32);
        for &byte in &*DICTIONARY {
            a = (a + u32::from(byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!((DICTIONARY.len(), b << 16 | a), (1423, 0xe3c6_a7c2));
    }

    #[test]
    fn headers_are_read_as_they_were_written_block_after_block() {
        let (mut writer, mut reader) = (Writer::new(), Reader::new());
        let long = "x".repeat(9000);
        for pairs in [&[][..], &[("port", "80"), ("streamType", "data")], &[("long", &long)]] {
            let headers = Headers::new(pairs);
            let block = writer.write(&headers).expect("written");
            assert_eq!(reader.read(&block), Ok(headers));
        }
    }

    #[test]
    fn a_block_that_swells_is_refused() {
        let long = "x".repeat(LARGEST);
        let block = Writer::new().write(&Headers::new(&[("long", &long)])).expect("written");
        assert!(block.len() < LARGEST / 10);
        assert_eq!(Reader::new().read(&block), Err(Error::Headers));
    }
}
