//! ConfigMaps and Secrets: their keys, what Secrets of a type must have, and those that
//! are never to change.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::super::{
    failure::Cause,
    object::{Object, object_mut},
};

/// The most that all values together may have, in bytes.
const LARGEST: usize = 1024 * 1024;

/// `type` where none is stated; `stringData` is for writing only: it ends up in `data`.
pub(super) fn default_secret(secret: &mut Value) {
    object_mut(secret).entry("type").or_insert_with(|| "Opaque".into());
    let Some(Value::Object(plain)) = object_mut(secret).remove("stringData") else { return };
    let data = secret.section_mut("data");
    for (key, value) in plain {
        data.insert(key, STANDARD.encode(value.as_str().unwrap_or_default()).into());
    }
}

pub(super) fn validate_map(map: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let keys = |field: &str| map.get(field).and_then(Value::as_object).into_iter().flatten();
    for field in ["data", "binaryData"] {
        for (key, _) in keys(field) {
            check_key(field, key, &mut causes);
        }
    }
    for (key, _) in keys("data").filter(|(key, _)| map["binaryData"].get(key).is_some()) {
        let message = "duplicate of key present in binaryData";
        causes.push(Cause::invalid(format!("data[{key}]"), &key.as_str().into(), message));
    }
    check_size(map, &["data", "binaryData"], &mut causes);
    check_immutable(map, before, &["data", "binaryData"], &mut causes);
    causes
}

pub(super) fn validate_secret(secret: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let data = |key: &str| secret["data"].get(key);
    for (key, _) in secret["data"].as_object().into_iter().flatten() {
        check_key("data", key, &mut causes);
    }
    check_size(secret, &["data"], &mut causes);
    let required = |key: &str| Cause::required(format!("data[{key}]"), "");
    let kind = secret.text("/type");
    match kind {
        "kubernetes.io/service-account-token" => {
            const ACCOUNT: &str = "kubernetes.io/service-account.name";
            let account = secret["metadata"]["annotations"][ACCOUNT].as_str().unwrap_or_default();
            if account.is_empty() {
                causes.push(Cause::required(format!("metadata.annotations[{ACCOUNT}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => check_json(&data, ".dockercfg", &mut causes),
        "kubernetes.io/dockerconfigjson" => check_json(&data, ".dockerconfigjson", &mut causes),
        "kubernetes.io/basic-auth" if data("username").is_none() && data("password").is_none() => {
            causes.extend([required("username"), required("password")]);
        }
        "kubernetes.io/ssh-auth"
            if data("ssh-privatekey").and_then(Value::as_str).is_none_or(str::is_empty) =>
        {
            causes.push(required("ssh-privatekey"));
        }
        "kubernetes.io/tls" => {
            let missing = ["tls.crt", "tls.key"].into_iter().filter(|key| data(key).is_none());
            causes.extend(missing.map(required));
        }
        _ => {}
    }
    if before.is_some_and(|before| before.text("/type") != kind) {
        causes.push(Cause::invalid("type", &kind.into(), "field is immutable"));
    }
    check_immutable(secret, before, &["data"], &mut causes);
    causes
}

fn check_key(field: &str, key: &str, causes: &mut Vec<Cause>) {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let message = if key.len() > 253 {
        "must be no more than 253 characters"
    } else if key.is_empty() || !key.bytes().all(fits) {
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
         'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
         '[-._a-zA-Z0-9]+')"
    } else if key == "." {
        "must not be '.'"
    } else if key == ".." {
        "must not be '..'"
    } else if key.starts_with("..") {
        "must not start with '..'"
    } else {
        return;
    };
    causes.push(Cause::invalid(format!("{field}[{key}]"), &key.into(), message));
}

fn check_size(object: &Value, fields: &[&str], causes: &mut Vec<Cause>) {
    let of = |field: &&str| {
        let values = object.get(*field).and_then(Value::as_object).into_iter().flatten();
        let length = |text: &str| {
            let encoded = *field != "data" || object.text("/kind") == "Secret";
            if encoded { text.len() / 4 * 3 } else { text.len() }
        };
        values.map(|(_, value)| value.as_str().map_or(0, length)).sum::<usize>()
    };
    if fields.iter().map(of).sum::<usize>() > LARGEST {
        let field = if object.text("/kind") == "Secret" { "data" } else { "" };
        causes.push(Cause::too_long(field, LARGEST));
    }
}

fn check_json<'v>(data: &impl Fn(&str) -> Option<&'v Value>, key: &str, causes: &mut Vec<Cause>) {
    let field = format!("data[{key}]");
    let Some(text) = data(key).and_then(Value::as_str) else {
        causes.push(Cause::required(field, ""));
        return;
    };
    let decoded = STANDARD.decode(text).unwrap_or_default();
    if let Err(error) = serde_json::from_slice::<serde_json::Map<String, Value>>(&decoded) {
        let hidden = "<secret contents redacted>".into();
        causes.push(Cause::invalid(field, &hidden, &error.to_string()));
    }
}

/// What is immutable stays so, with all that it holds.
fn check_immutable(
    object: &Value,
    before: Option<&Value>,
    fields: &[&str],
    causes: &mut Vec<Cause>,
) {
    let Some(before) = before.filter(|before| before["immutable"] == true) else { return };
    const DETAIL: &str = "field is immutable when `immutable` is set";
    if object["immutable"] != true {
        causes.push(Cause::forbidden("immutable", DETAIL));
    }
    for field in fields.iter().filter(|field| object[**field] != before[**field]) {
        causes.push(Cause::forbidden(*field, DETAIL));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn keys_have_their_form() {
        for (key, wrong) in
            [("a.b_C-1", ""), ("a b", "a valid config key"), ("..", "must not be '..'")]
        {
            let map = json!({"kind": "ConfigMap", "data": {key: "x"}});
            let found = words(&validate_map(&map, None));
            match wrong {
                "" => assert!(found.is_empty(), "{key}: {found:?}"),
                wrong => assert!(found[0].contains(wrong), "{key}: {found:?}"),
            }
        }
        let twice = json!({"data": {"a": "x"}, "binaryData": {"a": "eA=="}});
        assert_eq!(
            words(&validate_map(&twice, None)),
            ["data[a]: Invalid value: \"a\": duplicate of key present in binaryData"]
        );
        let large = json!({"data": {"a": "x".repeat(LARGEST + 1)}});
        assert_eq!(
            words(&validate_map(&large, None)),
            [": Too long: may not be more than 1048576 bytes"]
        );
    }

    #[test]
    fn what_is_immutable_stays() {
        let before = json!({"immutable": true, "data": {"a": "b"}});
        assert!(validate_map(&before, Some(&before)).is_empty());
        let after = json!({"data": {"a": "c"}});
        assert_eq!(
            words(&validate_map(&after, Some(&before))),
            [
                "immutable: Forbidden: field is immutable when `immutable` is set",
                "data: Forbidden: field is immutable when `immutable` is set",
            ]
        );
    }

    #[test]
    fn secrets_have_what_their_type_needs() {
        for (kind, data, expected) in [
            ("Opaque", json!({}), &[][..]),
            ("kubernetes.io/tls", json!({"tls.crt": ""}), &["data[tls.key]: Required value"]),
            (
                "kubernetes.io/basic-auth",
                json!({}),
                &["data[username]: Required value", "data[password]: Required value"],
            ),
            ("kubernetes.io/basic-auth", json!({"username": "YQ=="}), &[]),
            ("kubernetes.io/ssh-auth", json!({}), &["data[ssh-privatekey]: Required value"]),
            ("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "e30="}), &[]),
            (
                "kubernetes.io/service-account-token",
                json!({}),
                &["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            ),
        ] {
            let secret = json!({"kind": "Secret", "type": kind, "data": data});
            assert_eq!(words(&validate_secret(&secret, None)), expected, "{kind} {data}");
        }
        let before = json!({"type": "Opaque"});
        let after = json!({"type": "other"});
        assert_eq!(
            words(&validate_secret(&after, Some(&before))),
            ["type: Invalid value: \"other\": field is immutable"]
        );
    }
}
