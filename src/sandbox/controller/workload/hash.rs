//! Short names for pod templates.

use serde_json::Value;

/// The characters of safe names, as `rand.SafeEncodeString` of Kubernetes has them.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of a template that can stand in names and labels. Another `count` makes another
/// hash, for the case that two templates have the same one. The scheme is that of
/// Kubernetes (FNV-1a of 32 bits, its decimal digits in safe letters), the hashed text is
/// not, so that the names differ from those of a real cluster.
pub(super) fn template_hash(template: &Value, count: Option<i64>) -> String {
    let mut hash = 0x811c_9dc5_u32;
    let mut take = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
    };
    take(template.to_string().as_bytes());
    if let Some(count) = count {
        take(&count.to_le_bytes());
    }
    safe(&hash.to_string())
}

/// A text in letters that make no words.
pub(super) fn safe(text: &str) -> String {
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}
