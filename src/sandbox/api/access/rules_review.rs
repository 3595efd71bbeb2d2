//! All that somebody may do in a namespace: `kubectl auth can-i --list`.

use serde_json::{Value, json};

use super::{
    super::{object::Object, store::Store},
    User, rbac,
};

/// The status of a `SelfSubjectRulesReview`.
pub(super) fn status(store: &Store, user: &User, namespace: &str) -> Value {
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in rbac::rules(store, user, namespace) {
        if !rule.items("/nonResourceURLs").is_empty() {
            paths.push(json!({
                "verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"],
            }));
        }
        if !rule.items("/resources").is_empty() {
            let mut found = json!({
                "verbs": rule["verbs"], "apiGroups": rule["apiGroups"],
                "resources": rule["resources"],
            });
            if !rule.items("/resourceNames").is_empty() {
                found["resourceNames"] = rule["resourceNames"].clone();
            }
            resources.push(found);
        }
    }
    json!({"incomplete": false, "resourceRules": resources, "nonResourceRules": paths})
}
