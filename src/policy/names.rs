//! What labels and ports may be called, with the API server's words where they may not.

/// What is wrong with a label's key, if anything.
pub(super) fn label_key_error(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if name.contains('/') {
        return Some(
            "a valid label key must consist of alphanumeric characters, '-', '_' or '.', with an \
             optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
                .into(),
        );
    }
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".into());
        }
        if !is_dns_subdomain(prefix) {
            return Some(format!("prefix part {}", subdomain_message()));
        }
    }
    if name.is_empty() {
        Some("name part must be non-empty".into())
    } else if name.len() > 63 {
        Some("name part must be no more than 63 bytes".into())
    } else if !is_qualified(name) {
        Some(
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start \
             and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc')"
                .into(),
        )
    } else {
        None
    }
}

/// What is wrong with a label's value, if anything.
pub(super) fn label_value_error(value: &str) -> Option<String> {
    if value.len() > 63 {
        Some("must be no more than 63 bytes".into())
    } else if !value.is_empty() && !is_qualified(value) {
        Some(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', \
             '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  \
             or 'my_value',  or '12345')"
                .into(),
        )
    } else {
        None
    }
}

/// What is wrong with a port's name, if anything.
pub(super) fn port_name_error(name: &str) -> Option<&'static str> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() > 15 {
        Some("must be no more than 15 characters")
    } else if name.is_empty() || !name.bytes().all(fits) {
        Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    } else if !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        Some("must contain at least one letter (a-z)")
    } else if name.contains("--") {
        Some("must not contain consecutive hyphens")
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("must not begin or end with a hyphen")
    } else {
        None
    }
}

/// True for what most objects may be called.
pub(super) fn is_dns_subdomain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 253 && name.split('.').all(is_dns_part)
}

fn is_dns_part(part: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !part.is_empty() && part.bytes().all(fits) && !part.starts_with('-') && !part.ends_with('-')
}

/// What the API server says of a name that is no DNS subdomain.
pub(super) fn subdomain_message() -> &'static str {
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or \
     '.', and must start and end with an alphanumeric character (e.g. 'example.com')"
}

/// True for `*.example.com` and `example.com`.
pub(super) fn is_domain_name(name: &str) -> bool {
    let name = name.strip_prefix("*.").unwrap_or(name);
    let name = name.strip_suffix('.').unwrap_or(name);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_part = |part: &str| {
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = part.as_bytes();
        bytes.iter().all(|byte| fits(*byte)) && edge(bytes.first()) && edge(bytes.last())
    };
    name.contains('.') && name.split('.').all(is_part)
}

fn is_qualified(name: &str) -> bool {
    let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = name.as_bytes();
    edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(|byte| fits(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_api_server_takes() {
        for (key, good) in [
            ("app", true),
            ("example.com/app", true),
            ("kubernetes.io/metadata.name", true),
            ("", false),
            ("/app", false),
            ("a/b/c", false),
            ("Example.com/app", false),
            ("-app", false),
            ("app_", false),
        ] {
            assert_eq!(label_key_error(key).is_none(), good, "key {key:?}");
        }
        for (value, good) in [("", true), ("a.b_c-d", true), ("a b", false), ("-", false)] {
            assert_eq!(label_value_error(value).is_none(), good, "value {value:?}");
        }
        for (name, good) in [("http", true), ("8080", false), ("a--b", false), ("HTTP", false)] {
            assert_eq!(port_name_error(name).is_none(), good, "port {name:?}");
        }
        for (name, good) in [
            ("*.example.com", true),
            ("example.com.", true),
            ("example", false),
            ("a.*.com", false),
            ("*example.com", false),
        ] {
            assert_eq!(is_domain_name(name), good, "domain {name:?}");
        }
    }
}
