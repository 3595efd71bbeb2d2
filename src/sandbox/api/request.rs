//! What a request asks for: a path and a query, read once into checked types.

use std::collections::BTreeMap;

use axum::extract::Query;
use http::{Uri, request::Parts};
use serde_json::Value;

use super::{
    access::User,
    decode::FieldValidation,
    delete::{DeleteOptions, Propagation},
    failure::{Cause, Failure},
    object::Object,
    resource::Resource,
    store::Store,
    write::WriteOptions,
};

/// The longest name of a field manager.
const LONGEST_MANAGER: usize = 128;

/// Where in the API a path leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind.
    pub resource: &'static Resource,
    /// The namespace, if the path names one; for namespaces themselves it is empty.
    pub namespace: Option<String>,
    /// The object, if the path names one.
    pub name: Option<String>,
    /// `status`, `exec` …
    pub subresource: Option<String>,
}

impl Target {
    /// Reads `/api/v1/namespaces/shop/pods/web/exec` and its like. `None` for every path
    /// that doesn't lead to a known resource.
    pub fn parse(path: &str, store: &Store) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/');
        let (group, version) = match parts.next()? {
            "api" => ("", parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let rest: Vec<&str> = parts.collect();
        let (namespace, rest) = match rest.as_slice() {
            // `namespaces/shop/pods` is in a namespace, `namespaces/shop/status` isn't.
            ["namespaces", namespace, plural, ..]
                if store.resource(group, version, plural).is_some_and(|row| row.namespaced) =>
            {
                (Some(*namespace), &rest[2..])
            }
            _ => (None, &rest[..]),
        };
        let (plural, rest) = rest.split_first()?;
        let resource = store.resource(group, version, plural)?;
        if rest.len() > 2 || (resource.namespaced && namespace.is_none() && !rest.is_empty()) {
            return None;
        }
        Some(Self {
            resource,
            namespace: namespace.map(unescape),
            name: rest.first().map(|name| unescape(name)),
            subresource: rest.get(1).map(|&name| name.to_owned()),
        })
    }
}

/// Undoes `%3A` and its like. Bytes that aren't UTF-8 afterwards are replaced.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The query of a request. Keys may come several times.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pairs: BTreeMap<String, Vec<String>>,
    user: Option<User>,
}

impl Parameters {
    /// Reads a request's query, and who sends it.
    pub fn of(parts: &Parts) -> Self {
        Self { user: parts.extensions.get().cloned(), ..Self::of_uri(&parts.uri) }
    }

    /// Reads a URI's query.
    pub fn of_uri(uri: &Uri) -> Self {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        let mut map = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in pairs.map(|Query(pairs)| pairs).unwrap_or_default() {
            map.entry(key).or_default().push(value);
        }
        Self { pairs: map, user: None }
    }

    /// The last value of a key, or an empty text.
    pub fn text(&self, key: &str) -> &str {
        self.pairs.get(key).and_then(|values| values.last()).map_or("", String::as_str)
    }

    /// All values of a key.
    pub fn all(&self, key: &str) -> &[String] {
        self.pairs.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a key is there, whatever it says.
    pub fn has(&self, key: &str) -> bool {
        self.pairs.contains_key(key)
    }

    /// Whether a key says yes: whatever it says but `0` and `false`.
    pub fn flag(&self, key: &str) -> bool {
        let first = self.all(key).first();
        first.is_some_and(|text| text != "0" && !text.eq_ignore_ascii_case("false"))
    }

    /// A number.
    ///
    /// # Errors
    /// 400 for what is no number.
    pub fn number<N: std::str::FromStr>(&self, key: &str) -> Result<Option<N>, Failure> {
        let text = self.text(key);
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = |_| {
            let text = format!("strconv.ParseInt: parsing {text:?}: invalid syntax");
            Failure::bad_request(text)
        };
        text.parse().map(Some).map_err(wrong)
    }

    /// What is said about a write: `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    ///
    /// # Errors
    /// 422 for values that aren't known.
    pub fn write_options(&self, kind: &str) -> Result<WriteOptions, Failure> {
        let refuse = |cause: Cause| Failure::invalid_options(kind, &[cause]);
        let manager = self.text("fieldManager");
        if manager.len() > LONGEST_MANAGER {
            return Err(refuse(Cause::too_long("fieldManager", LONGEST_MANAGER)));
        }
        let hidden = manager.chars().enumerate().find(|(_, letter)| letter.is_control());
        if let Some((place, letter)) = hidden {
            let code = u32::from(letter);
            let detail = format!("invalid character U+{code:04X} (at position {place})");
            return Err(refuse(Cause::invalid("fieldManager", &manager.into(), &detail)));
        }
        let validation = match self.text("fieldValidation") {
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            "" | "Warn" => FieldValidation::Warn,
            other => {
                let known = ["", "Ignore", "Strict", "Warn"];
                return Err(refuse(Cause::not_supported("fieldValidation", &other.into(), &known)));
            }
        };
        Ok(WriteOptions {
            dry_run: self.dry_run(kind)?,
            user: self.user.clone(),
            manager: manager.to_owned(),
            validation,
            ..WriteOptions::default()
        })
    }

    fn dry_run(&self, kind: &str) -> Result<bool, Failure> {
        let values = self.all("dryRun");
        if values.iter().any(|value| value != "All" && !value.is_empty()) {
            let cause = Cause::not_supported("dryRun", &values.into(), &["All"]);
            return Err(Failure::invalid_options(kind, &[cause]));
        }
        Ok(self.text("dryRun") == "All")
    }

    /// How to delete, from the body where there is one, else from the query.
    ///
    /// # Errors
    /// 400 for values that aren't known.
    pub fn delete_options(&self, body: &Value) -> Result<DeleteOptions, Failure> {
        let text = |pointer: &str| {
            let text = body.text(pointer);
            (!text.is_empty()).then(|| text.to_owned())
        };
        let stated = text("/propagationPolicy");
        let stated = stated.as_deref().unwrap_or_else(|| self.text("propagationPolicy"));
        let orphan = body["orphanDependents"] == true || self.flag("orphanDependents");
        let refuse = |cause: Cause| Failure::invalid_options("DeleteOptions", &[cause]);
        if !stated.is_empty()
            && (body["orphanDependents"].is_boolean() || self.has("orphanDependents"))
        {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            return Err(refuse(Cause::invalid("propagationPolicy", &stated.into(), detail)));
        }
        let propagation = match stated {
            "" if orphan => Propagation::Orphan,
            "" | "Background" => Propagation::Background,
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            other => {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                let cause = Cause::not_supported("propagationPolicy", &other.into(), &known);
                return Err(refuse(cause));
            }
        };
        Ok(DeleteOptions {
            grace: match body.get("gracePeriodSeconds").and_then(Value::as_i64) {
                Some(grace) => Some(grace),
                None => self.number("gracePeriodSeconds")?,
            },
            propagation,
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            dry_run: self.dry_run("DeleteOptions")?
                || body.items("/dryRun").iter().any(|value| value == "All"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::api::resource::{NAMESPACES, NETWORK_POLICIES, PODS};

    #[test]
    fn paths_lead_to_resources() {
        let target = |resource, namespace: Option<&str>, name: Option<&str>, sub: Option<&str>| {
            let owned = |text: Option<&str>| text.map(str::to_owned);
            Some(Target {
                resource,
                namespace: owned(namespace),
                name: owned(name),
                subresource: owned(sub),
            })
        };
        for (path, expected) in [
            ("/api/v1/pods", target(&PODS, None, None, None)),
            ("/api/v1/namespaces/shop/pods", target(&PODS, Some("shop"), None, None)),
            (
                "/api/v1/namespaces/shop/pods/web/exec",
                target(&PODS, Some("shop"), Some("web"), Some("exec")),
            ),
            ("/api/v1/namespaces", target(&NAMESPACES, None, None, None)),
            ("/api/v1/namespaces/shop", target(&NAMESPACES, None, Some("shop"), None)),
            (
                "/api/v1/namespaces/shop/finalize",
                target(&NAMESPACES, None, Some("shop"), Some("finalize")),
            ),
            (
                "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/a",
                target(&NETWORK_POLICIES, Some("shop"), Some("a"), None),
            ),
            ("/api/v1/pods/web", None),
            ("/api/v1/nothing", None),
            ("/api/v2/pods", None),
            ("/api", None),
            ("/healthz", None),
            ("/api/v1/namespaces/shop/pods/web/exec/more", None),
        ] {
            assert_eq!(Target::parse(path, &Store::new()), expected, "{path}");
        }
    }

    #[test]
    fn escapes_are_undone() {
        for (given, expected) in [("a%3Ab", "a:b"), ("100%", "100%"), ("%zz", "%zz"), ("", "")] {
            assert_eq!(unescape(given), expected, "{given}");
        }
    }
}
