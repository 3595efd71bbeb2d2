//! Nobody gives away more than they have.
//!
//! Who writes a role must hold every right in it, unless they may `escalate` it; who writes
//! a binding must hold every right of its role, unless they may `bind` it.

use serde_json::{Value, json};

use super::{
    super::{
        failure::Failure,
        object::Object,
        resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource},
        store::Writer,
    },
    Attributes, User,
    rbac::{self, GROUP, decide, url_covers},
};

/// Checks a role or a binding that somebody is about to write.
///
/// # Errors
/// 403 with the rights that are missing, 404 for a role that isn't there.
pub fn check(
    writer: &Writer<'_>,
    user: &User,
    resource: &'static Resource,
    object: &Value,
    before: Option<&Value>,
) -> Result<(), Failure> {
    if user.is_master() {
        return Ok(());
    }
    let (verb, of, name, rules) = if resource == &ROLES || resource == &CLUSTER_ROLES {
        let same = before.is_some_and(|before| before.get("rules") == object.get("rules"));
        let aggregated = object.get("aggregationRule").filter(|rule| !rule.is_null());
        if same && aggregated == before.and_then(|before| before.get("aggregationRule")) {
            return Ok(());
        }
        let mut rules = object.items("/rules").to_vec();
        if aggregated.is_some() {
            // Who says which roles flow in may say that all do.
            rules.push(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}));
            rules.push(json!({"verbs": ["*"], "nonResourceURLs": ["*"]}));
        }
        ("escalate", resource, object.name(), rules)
    } else if resource == &ROLE_BINDINGS || resource == &CLUSTER_ROLE_BINDINGS {
        let same = before.is_some_and(|before| {
            before.get("roleRef") == object.get("roleRef")
                && before.get("subjects") == object.get("subjects")
        });
        if same {
            return Ok(());
        }
        let reference = &object["roleRef"];
        let kind = if reference["kind"] == "Role" { &ROLES } else { &CLUSTER_ROLES };
        let role = rbac::role(writer, reference, object.namespace());
        let role = role.map_err(|_| Failure::not_found(kind, reference.text("/name")));
        let named = reference.text("/name");
        if may(writer, user, "bind", kind, object.namespace(), named) {
            return Ok(());
        }
        ("bind", kind, named, role?.items("/rules").to_vec())
    } else {
        return Ok(());
    };
    let namespace = object.namespace();
    if verb == "escalate" && may(writer, user, verb, of, namespace, name) {
        return Ok(());
    }
    let held = rbac::rules(writer, user, namespace);
    let missing: Vec<_> = rules
        .iter()
        .flat_map(single)
        .filter(|wanted| !held.iter().any(|held| covers(held, wanted)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing: Vec<_> = compact(missing).iter().map(describe).collect();
    let detail = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(user.groups.iter().map(String::as_str), " "),
        missing.join("\n")
    );
    Err(Failure::forbidden(resource, object.name(), &detail))
}

fn may(
    writer: &Writer<'_>,
    user: &User,
    verb: &str,
    of: &Resource,
    namespace: &str,
    name: &str,
) -> bool {
    let attributes = Attributes {
        verb: verb.into(),
        is_resource: true,
        group: GROUP.into(),
        version: "v1".into(),
        resource: of.plural.into(),
        namespace: namespace.into(),
        name: name.into(),
        ..Attributes::default()
    };
    decide(writer, user, &attributes).allowed
}

/// A rule as rules of one verb, one group, one resource and one name each.
fn single(rule: &Value) -> Vec<Value> {
    let texts = |field: &str| -> Vec<String> {
        let items = rule.items(field).iter();
        items.filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    let mut found = Vec::new();
    for verb in texts("/verbs") {
        for group in texts("/apiGroups") {
            for resource in texts("/resources") {
                let names = texts("/resourceNames");
                let rule = json!({"verbs": [verb], "apiGroups": [group], "resources": [resource]});
                if names.is_empty() {
                    found.push(rule.clone());
                }
                for name in names {
                    let mut rule = rule.clone();
                    rule["resourceNames"] = json!([name]);
                    found.push(rule);
                }
            }
        }
        for url in texts("/nonResourceURLs") {
            found.push(json!({"verbs": [verb], "nonResourceURLs": [url]}));
        }
    }
    found
}

/// Whether a rule that is held permits all that a single one does.
fn covers(held: &Value, wanted: &Value) -> bool {
    let within = |field: &str, fits: &dyn Fn(&str, &str) -> bool| {
        let held = held.items(field);
        wanted
            .items(field)
            .iter()
            .filter_map(Value::as_str)
            .all(|wanted| held.iter().filter_map(Value::as_str).any(|held| fits(held, wanted)))
    };
    let plain = |held: &str, wanted: &str| held == "*" || held == wanted;
    let resource = |held: &str, wanted: &str| {
        plain(held, wanted)
            || held
                .strip_prefix("*/")
                .is_some_and(|sub| wanted.split_once('/').is_some_and(|(_, wanted)| wanted == sub))
    };
    let urls = |held: &str, wanted: &str| held == wanted || url_covers(held, wanted);
    let unnamed = held.items("/resourceNames").is_empty();
    let named =
        unnamed || (!wanted.items("/resourceNames").is_empty() && within("/resourceNames", &plain));
    within("/verbs", &plain)
        && within("/apiGroups", &plain)
        && within("/resources", &resource)
        && within("/nonResourceURLs", &urls)
        && named
}

/// Puts single rules that differ in their verb alone together again.
fn compact(rules: Vec<Value>) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for mut rule in rules {
        let verbs = rule["verbs"].take();
        let known = found.iter_mut().find(|known| {
            ["apiGroups", "resources", "resourceNames", "nonResourceURLs"]
                .iter()
                .all(|field| known.get(field) == rule.get(field))
        });
        match (known.and_then(|known| known["verbs"].as_array_mut()), verbs) {
            (Some(known), Value::Array(verbs)) => known.extend(verbs),
            (_, verbs) => {
                rule["verbs"] = verbs;
                found.push(rule);
            }
        }
    }
    found
}

fn quoted<'a>(texts: impl Iterator<Item = &'a str>, between: &str) -> String {
    let texts: Vec<_> = texts.map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(between))
}

fn describe(rule: &Value) -> String {
    let mut parts = Vec::new();
    for (label, field) in [
        ("APIGroups", "/apiGroups"),
        ("Resources", "/resources"),
        ("NonResourceURLs", "/nonResourceURLs"),
        ("ResourceNames", "/resourceNames"),
        ("Verbs", "/verbs"),
    ] {
        let items = rule.items(field);
        if !items.is_empty() {
            let items = items.iter().filter_map(Value::as_str);
            parts.push(format!("{label}:{}", quoted(items, " ")));
        }
    }
    format!("{{{}}}", parts.join(", "))
}
