//! What the level `restricted` forbids besides.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    super::super::object::Object,
    Violation,
    pod::{Pod, containers, context, plural, quoted, setters, violation},
};

/// Volumes that pods may have.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Everything that is forbidden, in the order of the checks' names.
pub(super) fn check(pod: &Pod<'_>, version: u32) -> Vec<Violation> {
    let found = [
        escalation(*pod, version),
        capabilities(*pod, version),
        volumes(*pod),
        non_root(*pod, version),
        user(*pod, version),
        seccomp(*pod, version),
    ];
    found.into_iter().flatten().collect()
}

fn escalation(pod: Pod<'_>, version: u32) -> Option<Violation> {
    if version < 8 || (version >= 25 && pod.is_windows()) {
        return None;
    }
    let field = "allowPrivilegeEscalation";
    let names = pod.named(|container| context(container, field) != Some(&false.into()));
    if names.is_empty() {
        return None;
    }
    let who = containers(&names);
    violation(
        "allowPrivilegeEscalation != false",
        format!("{who} must set securityContext.allowPrivilegeEscalation=false"),
    )
}

fn capabilities(pod: Pod<'_>, version: u32) -> Option<Violation> {
    if version < 22 || (version >= 25 && pod.is_windows()) {
        return None;
    }
    let drops_all = |container: &Value| {
        container.items("/securityContext/capabilities/drop").iter().any(|one| one == "ALL")
    };
    let added = |container: &Value| -> Vec<String> {
        let added = container.items("/securityContext/capabilities/add").iter();
        let added = added.filter_map(Value::as_str).filter(|one| *one != "NET_BIND_SERVICE");
        added.map(str::to_owned).collect()
    };
    let mut details = Vec::new();
    let keeping = pod.named(|container| !drops_all(container));
    if !keeping.is_empty() {
        let who = containers(&keeping);
        details.push(format!("{who} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    let adding = pod.named(|container| !added(container).is_empty());
    if !adding.is_empty() {
        let all: BTreeSet<String> = pod.containers().flat_map(added).collect();
        let all: Vec<_> = all.into_iter().collect();
        let (who, what) = (containers(&adding), quoted(&all));
        details.push(format!("{who} must not include {what} in securityContext.capabilities.add"));
    }
    if details.is_empty() {
        return None;
    }
    violation("unrestricted capabilities", details.join("; "))
}

fn volumes(pod: Pod<'_>) -> Option<Violation> {
    let bad: Vec<(String, String)> = pod
        .spec
        .items("/volumes")
        .iter()
        .filter_map(|volume| {
            let kinds = volume.as_object()?.iter();
            let mut kinds = kinds.filter(|(key, value)| *key != "name" && !value.is_null());
            let (kind, _) = kinds.next()?;
            let fine = VOLUMES.contains(&kind.as_str());
            (!fine).then(|| (volume.text("/name").to_owned(), kind.clone()))
        })
        .collect();
    if bad.is_empty() {
        return None;
    }
    let names: Vec<String> = bad.iter().map(|(name, _)| name.clone()).collect();
    let kinds: BTreeSet<String> = bad.into_iter().map(|(_, kind)| kind).collect();
    let kinds: Vec<_> = kinds.into_iter().collect();
    let detail = format!(
        "{} {} {} {} {}",
        plural("volume", "volumes", names.len()),
        quoted(&names),
        plural("uses", "use", names.len()),
        plural("restricted volume type", "restricted volume types", kinds.len()),
        quoted(&kinds),
    );
    violation("restricted volume types", detail)
}

fn non_root(pod: Pod<'_>, version: u32) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if version >= 35 && pod.has_own_users() {
        return None;
    }
    let stated = |of: &Value| context(of, "runAsNonRoot").and_then(Value::as_bool);
    let explicit = pod.named(|container| stated(container) == Some(false));
    let who = setters(stated(pod.spec) == Some(false), &explicit);
    if !who.is_empty() {
        return violation(REASON, format!("{who} must not set securityContext.runAsNonRoot=false"));
    }
    let whole = stated(pod.spec) == Some(true);
    let implicit = pod.named(|container| stated(container).is_none() && !whole);
    if implicit.is_empty() {
        return None;
    }
    let who = containers(&implicit);
    violation(REASON, format!("pod or {who} must set securityContext.runAsNonRoot=true"))
}

fn user(pod: Pod<'_>, version: u32) -> Option<Violation> {
    if version < 23 || (version >= 35 && pod.has_own_users()) {
        return None;
    }
    let is_root = |of: &Value| context(of, "runAsUser").and_then(Value::as_i64) == Some(0);
    let who = setters(is_root(pod.spec), &pod.named(is_root));
    if who.is_empty() {
        return None;
    }
    violation("runAsUser=0", format!("{who} must not set runAsUser=0"))
}

fn seccomp(pod: Pod<'_>, version: u32) -> Option<Violation> {
    const REASON: &str = "seccompProfile";
    if version < 19 || (version >= 25 && pod.is_windows()) {
        return None;
    }
    let kind = |of: &Value| context(of, REASON).map(|profile| profile.text("/type").to_owned());
    let is_fine = |kind: &str| matches!(kind, "RuntimeDefault" | "Localhost");
    let bad = |of: &Value| kind(of).filter(|kind| !is_fine(kind));
    let who = setters(bad(pod.spec).is_some(), &pod.named(|container| bad(container).is_some()));
    if !who.is_empty() {
        let everywhere = std::iter::once(pod.spec).chain(pod.containers());
        let kinds: BTreeSet<String> = everywhere.filter_map(bad).collect();
        let kinds: Vec<_> = kinds.into_iter().collect();
        let kinds = quoted(&kinds);
        let detail = format!("{who} must not set securityContext.seccompProfile.type to {kinds}");
        return violation(REASON, detail);
    }
    let whole = kind(pod.spec).is_some();
    let implicit = pod.named(|container| kind(container).is_none() && !whole);
    if implicit.is_empty() {
        return None;
    }
    let who = containers(&implicit);
    let known = "\"RuntimeDefault\" or \"Localhost\"";
    violation(
        REASON,
        format!("pod or {who} must set securityContext.seccompProfile.type to {known}"),
    )
}
