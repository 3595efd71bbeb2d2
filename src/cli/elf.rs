//! As much of an ELF file as tells whether it can run in an image that holds nothing else.

/// Why a file can't be the only one of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No ELF file, or a broken one.
    #[error("it is no Linux program")]
    NotElf,
    /// It needs a loader and libraries, which an image from scratch doesn't have.
    #[error("it is linked dynamically")]
    Dynamic,
    /// Nodes of this architecture get no probe pods.
    #[error("its architecture (ELF machine {0}) is none of amd64, arm64")]
    Architecture(u16),
}

/// Segment type of the path of a loader.
const PT_INTERP: u32 = 3;

/// The architecture of a static program, in the words of OCI.
pub fn architecture(bytes: &[u8]) -> Result<&'static str, Error> {
    // 64 bits, little endian: both architectures are.
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return Err(Error::NotElf);
    }
    let machine = u16_at(bytes, 18)?;
    let architecture = match machine {
        62 => "amd64",
        183 => "arm64",
        other => return Err(Error::Architecture(other)),
    };
    let table = usize::try_from(u64_at(bytes, 32)?).map_err(|_| Error::NotElf)?;
    let (size, count) = (usize::from(u16_at(bytes, 54)?), usize::from(u16_at(bytes, 56)?));
    for index in 0..count {
        let start = table.checked_add(index * size).ok_or(Error::NotElf)?;
        if u32::from_le_bytes(at(bytes, start)?) == PT_INTERP {
            return Err(Error::Dynamic);
        }
    }
    Ok(architecture)
}

fn at<const N: usize>(bytes: &[u8], start: usize) -> Result<[u8; N], Error> {
    let end = start.checked_add(N).ok_or(Error::NotElf)?;
    bytes.get(start..end).and_then(|part| part.try_into().ok()).ok_or(Error::NotElf)
}

fn u16_at(bytes: &[u8], start: usize) -> Result<u16, Error> {
    at(bytes, start).map(u16::from_le_bytes)
}

fn u64_at(bytes: &[u8], start: usize) -> Result<u64, Error> {
    at(bytes, start).map(u64::from_le_bytes)
}

/// A program of 64 bits with one segment, for tests of what stands in its header.
#[cfg(test)]
pub fn program(machine: u16, segment: u32) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
    bytes[18..20].copy_from_slice(&machine.to_le_bytes());
    bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
    bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
    bytes.extend(segment.to_le_bytes());
    bytes.resize(64 + 56, 0);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_static_program_stands_alone() {
        let static_segment = 1;
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for (bytes, expected, what) in [
            (program(62, static_segment), Ok("amd64"), "static, amd64"),
            (program(183, static_segment), Ok("arm64"), "static, arm64"),
            (program(62, PT_INTERP), Err(Error::Dynamic), "a loader"),
            (program(40, static_segment), Err(Error::Architecture(40)), "32-bit arm"),
            (b"#!/bin/sh\n".to_vec(), Err(Error::NotElf), "a script"),
            (program(62, static_segment)[..60].to_vec(), Err(Error::NotElf), "cut off"),
            (Vec::new(), Err(Error::NotElf), "nothing"),
        ] {
            assert_eq!(architecture(&bytes), expected, "{what}");
        }
        if !cfg!(target_feature = "crt-static") {
            assert_eq!(architecture(&own), Err(Error::Dynamic), "this test itself");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = architecture(&bytes);
            for (place, byte) in b"\x7fELF\x02\x01".iter().enumerate().take(bytes.len()) {
                bytes[place] = *byte;
            }
            let _ = architecture(&bytes);
        }
    }
}
