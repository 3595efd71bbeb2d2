//! Names, uids, label keys and label values: their forms, with Kubernetes' messages.

/// The characters of generated names: without vowels and what looks alike, so that no
/// word comes out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// A name that begins with a prefix and ends in five random characters.
pub fn generate(prefix: &str) -> String {
    let kept = prefix.char_indices().take_while(|(place, _)| *place < 248);
    let mut name: String = kept.map(|(_, character)| character).collect();
    for _ in 0..5 {
        let place = rand::random_range(0..ALPHABET.len());
        name.push(char::from(ALPHABET[place]));
    }
    name
}

/// A random UUID of version 4.
pub fn uid() -> String {
    let bits: u128 = rand::random();
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// What is wrong first with a word of lowercase letters, digits and dashes, if anything.
pub fn label_error(name: &str) -> Option<String> {
    label_errors(name).into_iter().next()
}

/// Everything that is wrong with such a word.
pub fn label_errors(name: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 63 {
        errors.push("must be no more than 63 characters".to_owned());
    }
    if !is_label(name) && name.split('.').all(is_label) {
        errors.push("must not contain dots".to_owned());
    } else if !is_label(name) {
        errors.push(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or \
             '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or \
             '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                .to_owned(),
        );
    }
    errors
}

/// What is wrong first with such words joined by dots, if anything.
pub fn subdomain_error(name: &str) -> Option<String> {
    subdomain_errors(name, "characters").into_iter().next()
}

/// Everything that is wrong with such words; a name's length is told in characters, that of
/// a label's prefix in bytes.
fn subdomain_errors(name: &str, unit: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if name.len() > 253 {
        errors.push(format!("must be no more than 253 {unit}"));
    }
    if !name.split('.').all(is_label) {
        errors.push(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
             '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
                .to_owned(),
        );
    }
    errors
}

fn is_label(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.bytes().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

fn is_qualified_word(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    word.bytes().all(fits) && edge(word.bytes().next()) && edge(word.bytes().last())
}

/// What is wrong with a label's key: an optional prefix and a word.
pub fn label_key_errors(key: &str) -> Vec<String> {
    let form = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
                with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
                used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    let mut errors = Vec::new();
    let (prefix, word) = match key.split_once('/') {
        Some((_, word)) if word.contains('/') => {
            return vec![format!(
                "a valid label key {form} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
        Some((prefix, word)) => (Some(prefix), word),
        None => (None, key),
    };
    match prefix {
        Some("") => errors.push("prefix part must be non-empty".to_owned()),
        Some(prefix) => {
            let wrong = subdomain_errors(prefix, "bytes");
            errors.extend(wrong.into_iter().map(|error| format!("prefix part {error}")));
        }
        None => {}
    }
    if word.is_empty() {
        errors.push("name part must be non-empty".to_owned());
    } else if word.len() > 63 {
        errors.push("name part must be no more than 63 bytes".to_owned());
    }
    if !is_qualified_word(word) {
        errors.push(format!("name part {form}"));
    }
    errors
}

/// What is wrong with a label's value. An empty one is fine.
pub fn label_value_errors(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > 63 {
        errors.push("must be no more than 63 bytes".to_owned());
    }
    if !value.is_empty() && !is_qualified_word(value) {
        errors.push(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' \
             or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
             'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
                .to_owned(),
        );
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_forms() {
        for (name, label, subdomain) in [
            ("web", true, true),
            ("web-1", true, true),
            ("web.1", false, true),
            ("Web", false, false),
            ("-web", false, false),
            ("web-", false, false),
            ("", false, false),
            ("a..b", false, false),
        ] {
            assert_eq!(label_error(name).is_none(), label, "label {name:?}");
            assert_eq!(subdomain_error(name).is_none(), subdomain, "subdomain {name:?}");
        }
    }

    #[test]
    fn label_keys_and_values_have_their_forms() {
        for (key, fits) in [
            ("app", true),
            ("netproof.dev/probe", true),
            ("/probe", false),
            ("a b", false),
            ("app.kubernetes.io/", false),
            ("A_b.c", true),
        ] {
            assert_eq!(label_key_errors(key).is_empty(), fits, "{key:?}");
        }
        for (value, fits) in [("", true), ("Web_1.2", true), ("-a", false), ("a/b", false)] {
            assert_eq!(label_value_errors(value).is_empty(), fits, "{value:?}");
        }
    }

    /// Each answer is that of the machinery's own validation.
    #[test]
    fn everything_that_is_wrong_is_told() {
        let long = "k".repeat(64);
        let form = "name part must consist of alphanumeric characters";
        let cases = [
            ("", vec!["name part must be non-empty", form]),
            ("/a", vec!["prefix part must be non-empty"]),
            ("x/", vec!["name part must be non-empty", form]),
            ("A/-", vec!["prefix part a lowercase RFC 1123 subdomain must", form]),
            ("x/y/z", vec!["a valid label key must consist of alphanumeric characters"]),
            (&long, vec!["name part must be no more than 63 bytes"]),
        ];
        for (key, wanted) in cases {
            let found = label_key_errors(key);
            let fits = found.iter().zip(&wanted).all(|(found, wanted)| found.starts_with(wanted));
            assert!(fits && found.len() == wanted.len(), "{key:?}: {found:?}");
        }
        assert_eq!(label_value_errors(&long), ["must be no more than 63 bytes"]);
        assert_eq!(label_errors("a.b"), ["must not contain dots"]);
        assert_eq!(label_errors(&long), ["must be no more than 63 characters"]);
    }

    #[test]
    fn generated_names_keep_their_prefix_and_their_length() {
        let long = "x".repeat(300);
        assert_eq!(generate(&long).len(), 253);
        let name = generate("web-");
        assert!(name.starts_with("web-") && name.len() == 9 && label_error(&name).is_none());
    }
}
