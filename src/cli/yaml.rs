//! YAML as people write it: short texts plain, small things in one line.

use serde_json::Value;

/// A text as YAML reads it back: plain where nobody can take it for something else.
pub(super) fn plain(text: &str) -> String {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if is_plain { text.to_owned() } else { Value::from(text).to_string() }
}

/// A value in one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Value::Object(fields) => {
            let fields = fields.iter();
            let pairs = fields.map(|(key, value)| format!("{}: {}", plain(key), flow(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for value in [
            json!({"a": "b", "n": ["y", "No", "1", "1.0", "a: b", "é", "", "-", "~", "a#b"]}),
            json!({"app.kubernetes.io/name": "x", "port": 80, "none": {}, "t": true, "v": null}),
        ] {
            let text = flow(&value);
            let read: Value = serde_yaml::from_str(&text).expect("YAML");
            assert_eq!(read, value, "{text}");
        }
    }
}
