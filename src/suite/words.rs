//! What names, labels, ports and hosts may look like: Kubernetes' own rules.

/// A DNS-1123 label: namespaces and suites.
pub(super) fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// The rule of [`is_dns_label`] in words.
pub(super) const DNS_LABEL: &str =
    "at most 63 of a-z, 0-9 and `-`, beginning and ending with a letter or a digit";

/// A DNS-1123 subdomain: names of most objects.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// The rule of [`is_dns_subdomain`] in words.
pub(super) const DNS_SUBDOMAIN: &str = "labels of a-z, 0-9 and `-`, joined by `.`, at most 253";

/// A DNS-1035 label: names of Services.
pub(super) fn is_service_name(text: &str) -> bool {
    is_dns_label(text) && text.starts_with(|first: char| first.is_ascii_lowercase())
}

/// A port's name (IANA_SVC_NAME).
pub(super) fn is_port_name(text: &str) -> bool {
    is_dns_label(text)
        && text.len() <= 15
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && !text.contains("--")
}

/// The rule of [`is_port_name`] in words.
pub(super) const PORT_NAME: &str =
    "at most 15 of a-z, 0-9 and single `-`, with a letter, beginning and ending with no `-`";

/// The part of a label's key after the slash, and a label's value that isn't empty.
fn is_qualified_part(text: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && alphanumeric(text.as_bytes().first())
        && alphanumeric(text.as_bytes().last())
}

/// The key of a label or an annotation.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_qualified_part(text),
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_qualified_part(name),
    }
}

/// The rule of [`is_label_key`] in words.
pub(super) const LABEL_KEY: &str = "at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or a digit, after an optional DNS prefix and `/`";

/// The value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_part(text)
}

/// The rule of [`is_label_value`] in words.
pub(super) const LABEL_VALUE: &str =
    "at most 63 letters, digits, `-`, `_` and `.`, beginning and ending with a letter or a digit";

/// The name of a peer: a word, so that it can stand in a table.
pub(super) fn is_peer_name(text: &str) -> bool {
    is_qualified_part(text)
}

/// The rule of [`is_peer_name`] in words.
pub(super) const PEER_NAME: &str = LABEL_VALUE;

/// The name of a case or a table: anything that can stand in an id.
pub(super) fn is_claim_name(text: &str) -> bool {
    (1..=120).contains(&text.chars().count())
        && text.trim() == text
        && !text.contains(|character: char| character == '/' || character.is_control())
}

/// The rule of [`is_claim_name`] in words.
pub(super) const CLAIM_NAME: &str =
    "at most 120 characters, without `/` and line breaks, without spaces at its ends";

/// Why a text is no host name, or None if it is one.
pub(super) fn host_error(text: &str) -> Option<&'static str> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let name = without_references(&name);
    if text.contains("://") || text.contains('/') {
        Some("a name alone, without scheme and path")
    } else if text.parse::<std::net::IpAddr>().is_ok() {
        Some("that is an address: write `ip:` in place of `host:`")
    } else if name.contains(':') {
        Some("a name alone; the port belongs into the case")
    } else if is_dns_subdomain(&name) {
        None
    } else {
        Some("labels of letters, digits and `-`, joined by `.`, at most 253")
    }
}

/// The text with a word in place of each `${namespace:…}`.
fn without_references(text: &str) -> String {
    let mut parts = text.split("${namespace:");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((_, rest)) => plain.extend(["x", rest]),
            None => plain.extend(["${namespace:", part]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_follow_the_rules_of_kubernetes() {
        let long = "a".repeat(64);
        type Rule = fn(&str) -> bool;
        let rules: [(&str, Rule, &[&str], &[&str]); 6] = [
            ("DNS label", is_dns_label, &["a", "a-1", "1a"], &["", "A", "a_b", "-a", "a-", &long]),
            ("subdomain", is_dns_subdomain, &["a", "a.b-c"], &["", ".a", "a.", "a..b", "a_b"]),
            (
                "port name",
                is_port_name,
                &["main", "8080-tcp", "h2"],
                &["", "8080", "a--b", "-a", "sixteen-letters-"],
            ),
            (
                "label key",
                is_label_key,
                &["app", "App.x_y-z", "app.kubernetes.io/name"],
                &["", "a b", "/name", "App.io/name", "a/b/c", "-a", &long],
            ),
            ("label value", is_label_value, &["", "A_b-1.c"], &["a b", "-a", "a/", &long]),
            ("claim name", is_claim_name, &["web api", "Ü"], &["", " a", "a/b", "a\nb"]),
        ];
        for (rule, fits, good, bad) in rules {
            for text in good {
                assert!(fits(text), "{text:?} is a {rule}");
            }
            for text in bad {
                assert!(!fits(text), "{text:?} is no {rule}");
            }
        }
    }

    #[test]
    fn a_host_is_a_name_alone() {
        for (text, fits) in [
            ("example.org", true),
            ("API.example.org.", true),
            ("api.${namespace:shop}.svc", true),
            ("api.${namespace:shop", false),
            ("https://example.org", false),
            ("example.org:80", false),
            ("10.0.0.1", false),
            ("::1", false),
            ("a_b", false),
            ("", false),
        ] {
            assert_eq!(host_error(text).is_none(), fits, "the host {text:?}");
        }
    }
}
