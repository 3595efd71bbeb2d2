//! Foreign bytes, as people can read them.

/// How much of a reply is shown.
const SHOWN: usize = 80;

/// The first bytes of a reply, printable.
pub fn summary(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes).trim_ascii();
    let text = shown.escape_ascii().to_string();
    match bytes.len() {
        0 => "an empty reply".into(),
        length if length > SHOWN => format!("{text}… ({length} bytes)"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn a_summary_is_short_and_printable() {
        for (bytes, expected) in [
            (&b""[..], "an empty reply"),
            (b"220 mail ready\r\n", "220 mail ready"),
            (b"\x1b[31mred\0", r"\x1b[31mred\x00"),
        ] {
            assert_eq!(summary(bytes), expected);
        }
        assert_eq!(summary(&[b'x'; 500]), format!("{}… (500 bytes)", "x".repeat(80)));
    }
}
