//! Reading the body of a request: JSON, YAML, or Kubernetes' protobuf.

use std::{cell::RefCell, fmt};

use axum::body::{Body, Bytes, to_bytes};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{failure::Failure, protobuf, resource::Resource};

/// The largest body that is read, as in Kubernetes.
const LIMIT: usize = 3 * 1024 * 1024;

/// What Go's decoder says of a text that ends too soon.
const END: &str = "unexpected end of JSON input";
/// What bodies may be.
const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// What a request carries.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The value; null where there is none.
    pub value: Value,
    /// What it states twice: `duplicate field "spec.replicas"`.
    pub duplicates: Vec<String>,
}

/// The media type of a body.
pub fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Reads a body that is an object of a kind.
///
/// # Errors
/// As [`read`], and 400 where there is none.
pub async fn read_object(
    headers: &HeaderMap,
    body: Body,
    resource: &Resource,
) -> Result<Content, Failure> {
    let refuse = |detail: &str, bytes: &[u8]| {
        Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; \
             json parse error: {detail} ({})",
            resource.kind,
            summary(bytes)
        ))
    };
    let bytes = all(body).await?;
    let content = parse(headers, &bytes, refuse)?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(refuse(END, &[]));
    }
    if let Some(found) = no_map(&content.value) {
        let head = r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; "#;
        let tail = r#"Kind string "json:\"kind,omitempty\"" }"#;
        let text = format!("json: cannot unmarshal {found} into Go value of type {head}{tail}");
        return Err(refuse(&text, &bytes));
    }
    // What has a Go type of its own is known by the path.
    if resource.definition().is_some() && content.value["kind"].as_str().is_none_or(str::is_empty) {
        return Err(Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing \
             in '{}' ({})",
            resource.kind,
            String::from_utf8_lossy(&bytes),
            summary(&bytes)
        )));
    }
    Ok(content)
}

/// Reads a body.
///
/// # Errors
/// 400 for what can't be read, 413 for too much, 415 for other media types.
pub async fn read(headers: &HeaderMap, body: Body) -> Result<Content, Failure> {
    read_or(headers, body, |detail, _| {
        Failure::bad_request(format!("couldn't get version/kind; json parse error: {detail}"))
    })
    .await
}

/// Reads a patch.
///
/// # Errors
/// As [`read`].
pub async fn read_patch(headers: &HeaderMap, body: Body) -> Result<Content, Failure> {
    let strategic = content_type(headers).contains("strategic");
    read_or(headers, body, |detail, _| {
        let prefix = if strategic { "" } else { "error decoding patch: " };
        Failure::bad_request(format!("{prefix}{detail}"))
    })
    .await
}

/// The beginning of a body, as a refusal shows it.
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}{more}")
        }
    }
}

/// What is wrong with a JSON text, in the words of Go's decoder.
fn fault(error: &serde_json::Error, bytes: &[u8]) -> String {
    if error.is_eof() {
        return END.to_owned();
    }
    let line = bytes.split(|&byte| byte == b'\n').nth(error.line().saturating_sub(1));
    let byte = line.and_then(|line| line.get(error.column().saturating_sub(1)));
    match byte {
        Some(&byte) => {
            format!("invalid character '{}' looking for beginning of value", char::from(byte))
        }
        None => error.to_string(),
    }
}

async fn read_or(
    headers: &HeaderMap,
    body: Body,
    refuse: impl Fn(&str, &[u8]) -> Failure,
) -> Result<Content, Failure> {
    let bytes = all(body).await?;
    parse(headers, &bytes, refuse)
}

async fn all(body: Body) -> Result<Bytes, Failure> {
    to_bytes(body, LIMIT).await.map_err(|_| Failure {
        code: StatusCode::PAYLOAD_TOO_LARGE,
        reason: "RequestEntityTooLarge",
        message: format!("Request entity too large: limit is {LIMIT}"),
        details: Value::Null,
    })
}

/// What a value is instead of a map; null passes for one.
pub fn no_map(value: &Value) -> Option<&'static str> {
    match value {
        Value::Object(_) | Value::Null => None,
        Value::Bool(_) => Some("bool"),
        Value::Number(_) => Some("number"),
        Value::String(_) => Some("string"),
        Value::Array(_) => Some("array"),
    }
}

fn parse(
    headers: &HeaderMap,
    bytes: &Bytes,
    refuse: impl Fn(&str, &[u8]) -> Failure,
) -> Result<Content, Failure> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Content::default());
    }
    let kind = content_type(headers);
    if kind.contains("protobuf") {
        let value =
            protobuf::read(bytes).map_err(|error| Failure::bad_request(error.to_string()))?;
        return Ok(Content { value, duplicates: Vec::new() });
    }
    let plain = kind.split(';').next().unwrap_or_default().trim();
    if !plain.is_empty() && !plain.ends_with("json") && !plain.ends_with("yaml") {
        return Err(Failure::unsupported_media_type(&MEDIA_TYPES));
    }
    if kind.contains("yaml") {
        // Apply's media type says YAML; what comes is nearly always JSON.
        if let Ok(content) = json(bytes) {
            return Ok(content);
        }
        let value = serde_yaml::from_slice(bytes)
            .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
        return Ok(Content { value, duplicates: Vec::new() });
    }
    json(bytes).map_err(|error| refuse(&fault(&error, bytes), bytes))
}

fn json(bytes: &[u8]) -> Result<Content, serde_json::Error> {
    let reader = Reader { duplicates: RefCell::default(), path: RefCell::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Seed(&reader).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(Content { value, duplicates: reader.duplicates.into_inner() })
}

/// Where the reading is. A value of serde_json keeps the last of two equal keys silently.
struct Reader {
    duplicates: RefCell<Vec<String>>,
    path: RefCell<String>,
}

impl Reader {
    /// Does something one step deeper.
    fn at<R>(&self, step: &str, with: impl FnOnce() -> R) -> R {
        let length = self.path.borrow().len();
        {
            let mut path = self.path.borrow_mut();
            if length > 0 && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        let result = with();
        self.path.borrow_mut().truncate(length);
        result
    }
}

struct Seed<'r>(&'r Reader);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) =
            self.0.at(&format!("[{}]", list.len()), || items.next_element_seed(Seed(self.0)))?
        {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let path = self.0.at(&key, || self.0.path.borrow().clone());
                self.0.duplicates.borrow_mut().push(format!("duplicate field \"{path}\""));
            }
            let value = self.0.at(&key, || entries.next_value_seed(Seed(self.0)))?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_stated_twice_is_told_and_the_last_one_counts() {
        let text = br#"{"a": 1, "b": [{"c": 1, "c": 2}], "a": {"d": null}}"#;
        let content = json(text).expect("JSON");
        assert_eq!(content.value, json!({"a": {"d": null}, "b": [{"c": 2}]}));
        assert_eq!(content.duplicates, [r#"duplicate field "b[0].c""#, r#"duplicate field "a""#]);
    }

    #[test]
    fn what_follows_the_value_is_an_error() {
        for text in ["{} {}", "{", "", "{\"a\": 1,}"] {
            assert!(json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
