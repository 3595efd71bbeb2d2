//! Reading the body of a request: JSON, YAML, or Kubernetes' protobuf.

use std::{cell::RefCell, fmt};

use axum::body::{Body, Bytes, to_bytes};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{failure::Failure, protobuf};

/// The largest body that is read, as in Kubernetes.
const LIMIT: usize = 3 * 1024 * 1024;

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

/// Reads a body.
///
/// # Errors
/// 400 for what can't be read, 413 for too much, 415 for other media types.
pub async fn read(headers: &HeaderMap, body: Body) -> Result<Content, Failure> {
    let bytes: Bytes = to_bytes(body, LIMIT).await.map_err(|_| Failure {
        code: StatusCode::PAYLOAD_TOO_LARGE,
        reason: "RequestEntityTooLarge",
        message: format!("Request entity too large: limit is {LIMIT}"),
        details: Value::Null,
    })?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Content::default());
    }
    let kind = content_type(headers);
    if kind.contains("protobuf") {
        let value =
            protobuf::read(&bytes).map_err(|error| Failure::bad_request(error.to_string()))?;
        return Ok(Content { value, duplicates: Vec::new() });
    }
    if kind.contains("cbor") {
        return Err(Failure::unsupported_media_type(kind));
    }
    if kind.contains("yaml") {
        // Apply's media type says YAML; what comes is nearly always JSON.
        if let Ok(content) = json(&bytes) {
            return Ok(content);
        }
        let value = serde_yaml::from_slice(&bytes)
            .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))?;
        return Ok(Content { value, duplicates: Vec::new() });
    }
    json(&bytes).map_err(|error| {
        Failure::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
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
