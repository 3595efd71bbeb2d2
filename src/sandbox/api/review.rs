//! Who may ask, and what they may: the bearer of the token may everything.

use http::{HeaderMap, header::AUTHORIZATION};
use serde_json::{Value, json};

use super::object::object_mut;

/// Whether a request carries the token. The time that this takes doesn't tell how much of
/// the token was right.
pub fn is_bearer(headers: &HeaderMap, token: &str) -> bool {
    let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(given) = given.and_then(|value| value.strip_prefix("Bearer ")) else { return false };
    let difference =
        given.bytes().zip(token.bytes()).fold(0, |sum, (given, token)| sum | (given ^ token));
    given.len() == token.len() && difference == 0
}

/// The answer to a `SelfSubjectAccessReview` or a `SelfSubjectRulesReview`, if the path is
/// theirs.
pub fn answer(path: &str, mut review: Value) -> Option<Value> {
    let kind = path.strip_prefix("/apis/authorization.k8s.io/v1/")?;
    let (kind, status) = match kind {
        "selfsubjectaccessreviews" => {
            ("SelfSubjectAccessReview", json!({"allowed": true, "reason": "the sandbox's token"}))
        }
        "selfsubjectrulesreviews" => (
            "SelfSubjectRulesReview",
            json!({
                "incomplete": false,
                "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            }),
        ),
        _ => return None,
    };
    let map = object_mut(&mut review);
    map.insert("apiVersion".into(), "authorization.k8s.io/v1".into());
    map.insert("kind".into(), kind.into());
    map.entry("metadata").or_insert_with(|| json!({}));
    map.insert("status".into(), status);
    Some(review)
}
