//! Roles and bindings: defaults, and what the API server refuses.

use serde_json::Value;

use super::{
    super::{failure::Cause, object::Object},
    table::fill,
};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn default_binding(binding: &mut Value) {
    if let Some(role) = binding.get_mut("roleRef").and_then(Value::as_object_mut) {
        fill(role, "apiGroup", GROUP);
    }
    let subjects = binding.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten().filter_map(Value::as_object_mut) {
        if subject.get("kind").is_some_and(|kind| kind == "User" || kind == "Group") {
            fill(subject, "apiGroup", GROUP);
        }
    }
}

pub(super) fn validate_role(role: &Value, _: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let namespaced = role.text("/kind") == "Role";
    for (index, rule) in role.items("/rules").iter().enumerate() {
        let field = |name: &str| format!("rules[{index}].{name}");
        let given = |name: &str| !rule.items(&format!("/{name}")).is_empty();
        if !given("verbs") {
            let detail = "verbs must contain at least one value";
            causes.push(Cause::required(field("verbs"), detail));
        }
        if given("nonResourceURLs") {
            let urls = &rule["nonResourceURLs"];
            let mut refuse = |detail: &str| {
                causes.push(Cause::invalid(field("nonResourceURLs"), urls, detail));
            };
            if namespaced {
                refuse("namespaced rules cannot apply to non-resource URLs");
            }
            if ["apiGroups", "resources", "resourceNames"].into_iter().any(given) {
                refuse("rules cannot apply to both regular resources and non-resource URLs");
            }
            continue;
        }
        if !given("apiGroups") {
            let detail = "resource rules must supply at least one api group";
            causes.push(Cause::required(field("apiGroups"), detail));
        }
        if !given("resources") {
            let detail = "resource rules must supply at least one resource";
            causes.push(Cause::required(field("resources"), detail));
        }
    }
    causes
}

pub(super) fn validate_binding(binding: &Value, before: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    let namespaced = binding.text("/kind") == "RoleBinding";
    let role = &binding["roleRef"];
    let known = if namespaced { &["Role", "ClusterRole"][..] } else { &["ClusterRole"] };
    if role.text("/apiGroup") != GROUP {
        causes.push(Cause::not_supported("roleRef.apiGroup", &role["apiGroup"], &[GROUP]));
    }
    if !known.contains(&role.text("/kind")) {
        causes.push(Cause::not_supported("roleRef.kind", &role.text("/kind").into(), known));
    }
    if role.text("/name").is_empty() {
        causes.push(Cause::required("roleRef.name", ""));
    }
    for (index, subject) in binding.items("/subjects").iter().enumerate() {
        let field = |name: &str| format!("subjects[{index}].{name}");
        if subject.text("/name").is_empty() {
            causes.push(Cause::required(field("name"), ""));
        }
        let group = subject.text("/apiGroup");
        let expected = match subject.text("/kind") {
            "ServiceAccount" => {
                if !namespaced && subject.text("/namespace").is_empty() {
                    causes.push(Cause::required(field("namespace"), ""));
                }
                ""
            }
            "User" | "Group" => GROUP,
            kind => {
                let known = ["ServiceAccount", "User", "Group"];
                causes.push(Cause::not_supported(field("kind"), &kind.into(), &known));
                continue;
            }
        };
        if group != expected {
            causes.push(Cause::not_supported(field("apiGroup"), &group.into(), &[expected]));
        }
    }
    if before.is_some_and(|before| before["roleRef"] != *role) {
        causes.push(Cause::invalid("roleRef", role, "cannot change roleRef"));
    }
    causes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(causes: &[Cause]) -> Vec<String> {
        causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn rules_say_what_may_be_done_to_what() {
        for (kind, rule, expected) in [
            ("Role", json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), &[][..]),
            (
                "Role",
                json!({"resources": ["pods"]}),
                &[
                    "rules[0].verbs: Required value: verbs must contain at least one value",
                    "rules[0].apiGroups: Required value: resource rules must supply at least one \
                     api group",
                ],
            ),
            ("ClusterRole", json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}), &[]),
            (
                "Role",
                json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]}),
                &["rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules \
                     cannot apply to non-resource URLs"],
            ),
        ] {
            let role = json!({"kind": kind, "rules": [rule]});
            assert_eq!(words(&validate_role(&role, None)), expected, "{kind} {rule}");
        }
    }

    #[test]
    fn a_binding_names_somebody_and_stays_with_its_role() {
        let binding = |role: &str, subject: Value| {
            let mut binding = json!({
                "kind": "ClusterRoleBinding", "subjects": [subject],
                "roleRef": {"kind": "ClusterRole", "name": role},
            });
            default_binding(&mut binding);
            binding
        };
        let user = json!({"kind": "User", "name": "ann"});
        for (subject, expected) in [
            (user.clone(), &[][..]),
            (
                json!({"kind": "ServiceAccount", "name": "a"}),
                &["subjects[0].namespace: Required value"],
            ),
            (
                json!({"kind": "Robot", "name": "a"}),
                &["subjects[0].kind: Unsupported value: \"Robot\": supported values: \
                     \"ServiceAccount\", \"User\", \"Group\""],
            ),
        ] {
            let found = words(&validate_binding(&binding("view", subject.clone()), None));
            assert_eq!(found, expected, "{subject}");
        }
        let (view, edit) = (binding("view", user.clone()), binding("edit", user));
        let found = words(&validate_binding(&edit, Some(&view)));
        assert!(found[0].ends_with("cannot change roleRef"), "{found:?}");
    }
}
