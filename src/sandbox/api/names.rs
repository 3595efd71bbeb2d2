//! Names, uids, label keys and label values: their forms, with Kubernetes' messages.

use serde_json::Value;

use super::{failure::Cause, object::Object, resource::Resource, rules::Names};

/// The characters of generated names: without vowels and what looks alike, so that no
/// word comes out.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// How many bytes an object's annotations may have together.
const MOST_ANNOTATIONS: usize = 256 * 1024;

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

/// What is wrong with a word of lowercase letters, digits and dashes, if anything.
pub fn label_error(name: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!is_label(name)).then(|| {
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
         must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex \
         used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            .to_owned()
    })
}

/// What is wrong with such words joined by dots, if anything.
pub fn subdomain_error(name: &str) -> Option<String> {
    if name.len() > 253 {
        return Some("must be no more than 253 characters".to_owned());
    }
    (!name.split('.').all(is_label)).then(|| {
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
         or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex \
         used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            .to_owned()
    })
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

/// What is wrong with a label's key, if anything: an optional prefix and a word.
pub fn label_key_error(key: &str) -> Option<String> {
    let (prefix, word) = match key.split_once('/') {
        Some((prefix, word)) => (Some(prefix), word),
        None => (None, key),
    };
    if let Some(prefix) = prefix {
        if prefix.is_empty() {
            return Some("prefix part must be non-empty".to_owned());
        }
        if let Some(error) = subdomain_error(prefix) {
            return Some(format!("prefix part {error}"));
        }
    }
    if word.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if word.len() > 63 {
        return Some("name part must be no more than 63 characters".to_owned());
    }
    (!is_qualified_word(word)).then(|| {
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and \
         end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
         used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            .to_owned()
    })
}

/// What is wrong with a label's value, if anything. An empty one is fine.
pub fn label_value_error(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters".to_owned());
    }
    (!value.is_empty() && !is_qualified_word(value)).then(|| {
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
         '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or \
         'my_value',  or '12345', regex used for validation is \
         '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            .to_owned()
    })
}

/// What is wrong with an object's metadata.
pub fn validate_metadata(object: &Value, resource: &Resource) -> Vec<Cause> {
    let mut causes = Vec::new();
    let prefix = object.text("/metadata/generateName");
    if !prefix.is_empty() {
        let name = prefix.trim_end_matches('-');
        let error = match resource.rules.names {
            Names::Subdomain => subdomain_error(name),
            Names::Label => label_error(name),
            Names::Segment => None,
        };
        if let Some(error) = error {
            causes.push(Cause::invalid("metadata.generateName", &prefix.into(), &error));
        }
    }
    let name = object.name();
    let error = match resource.rules.names {
        Names::Subdomain => subdomain_error(name),
        Names::Label => label_error(name),
        Names::Segment => (name.contains('/') || name.contains('%') || name == "." || name == "..")
            .then(|| "may not contain '/' or '%'".to_owned()),
    };
    if let Some(error) = error {
        causes.push(Cause::invalid("metadata.name", &name.into(), &error));
    }
    for (key, value) in object.labels() {
        if let Some(error) = label_key_error(&key) {
            causes.push(Cause::invalid("metadata.labels", &key.clone().into(), &error));
        }
        if let Some(error) = label_value_error(&value) {
            causes.push(Cause::invalid("metadata.labels", &value.into(), &error));
        }
    }
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    for key in annotations.into_iter().flatten().map(|(key, _)| key) {
        if let Some(error) = label_key_error(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &key.as_str().into(), &error));
        }
    }
    let size: usize = annotations
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if size > MOST_ANNOTATIONS {
        causes.push(Cause::too_long("metadata.annotations", MOST_ANNOTATIONS));
    }
    for owner in object.owners() {
        if owner.text("/kind") == "Event" && owner.text("/apiVersion") == "v1" {
            let detail = "/v1, Kind=Event is disallowed from being an owner";
            causes.push(Cause::invalid("metadata.ownerReferences", owner, detail));
        }
        for (field, detail) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner.text(&format!("/{field}")).is_empty() {
                let place = format!("metadata.ownerReferences.{field}");
                causes.push(Cause::invalid(place, &"".into(), detail));
            }
        }
    }
    let of = |owner: &Value| format!("{}/{}", owner.text("/kind"), owner.text("/name"));
    let mut controllers = object.owners().iter().filter(|owner| owner["controller"] == true);
    if let Some(first) = controllers.next() {
        for other in controllers {
            let detail = format!(
                "Only one reference can have Controller set to true. Found \"true\" in references \
                 for {} and {}",
                of(first),
                of(other)
            );
            let owners = object.owners().into();
            causes.push(Cause::invalid("metadata.ownerReferences", &owners, &detail));
        }
    }
    for finalizer in object.finalizers() {
        if let Some(error) = label_key_error(&finalizer) {
            causes.push(Cause::invalid("metadata.finalizers", &finalizer.into(), &error));
        }
    }
    causes
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
            assert_eq!(label_key_error(key).is_none(), fits, "{key:?}");
        }
        for (value, fits) in [("", true), ("Web_1.2", true), ("-a", false), ("a/b", false)] {
            assert_eq!(label_value_error(value).is_none(), fits, "{value:?}");
        }
    }

    #[test]
    fn generated_names_keep_their_prefix_and_their_length() {
        let long = "x".repeat(300);
        assert_eq!(generate(&long).len(), 253);
        let name = generate("web-");
        assert!(name.starts_with("web-") && name.len() == 9 && label_error(&name).is_none());
    }
}
