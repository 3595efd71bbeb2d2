//! RBAC: what roles and bindings permit.
//!
//! Rules are read off the stored objects at each question, so that a binding is in force
//! with the write that made it.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use serde_json::Value;

use super::{
    super::{
        object::Object,
        resource::{CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES, Resource},
        store::{Store, Writer},
    },
    Attributes, User,
    user::account_of,
};

/// The API group of roles.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// Where roles and bindings are read from.
pub trait Source {
    /// One object.
    fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>>;
    /// All of a kind, or those in a namespace.
    fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Value>>;
}

impl Source for Store {
    fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        Store::get(self, resource, namespace, name)
    }

    fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        Store::list(self, resource, namespace).0
    }
}

impl Source for Writer<'_> {
    fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Arc<Value>> {
        Writer::get(self, resource, namespace, name)
    }

    fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        Writer::list(self, resource, namespace)
    }
}

/// Whether something is permitted, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is.
    pub allowed: bool,
    /// Which binding permits it, or which roles could not be found.
    pub reason: String,
}

/// Whether a user may do something.
pub fn decide(source: &impl Source, user: &User, attributes: &Attributes) -> Decision {
    if user.is_master() {
        return Decision { allowed: true, reason: String::new() };
    }
    let mut errors = BTreeSet::new();
    let mut reason = None;
    let namespace = if attributes.is_resource { attributes.namespace.as_str() } else { "" };
    let _ = visit(source, user, namespace, &mut |rules, why| match rules {
        Ok(rules) if rules.iter().any(|rule| permits(rule, attributes)) => {
            reason = Some(format!("RBAC: allowed by {why}"));
            ControlFlow::Break(())
        }
        Ok(_) => ControlFlow::Continue(()),
        Err(error) => {
            errors.insert(error);
            ControlFlow::Continue(())
        }
    });
    match reason {
        Some(reason) => Decision { allowed: true, reason },
        None => Decision { allowed: false, reason: lament(&errors) },
    }
}

/// Roles that could not be found, as a refusal tells them.
fn lament(errors: &BTreeSet<String>) -> String {
    let errors: Vec<_> = errors.iter().map(String::as_str).collect();
    match errors.as_slice() {
        [] => String::new(),
        [one] => format!("RBAC: {one}"),
        many => format!("RBAC: [{}]", many.join(", ")),
    }
}

/// Every rule that holds for a user, cluster-wide and in a namespace.
pub fn rules(source: &impl Source, user: &User, namespace: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let _ = visit(source, user, namespace, &mut |rules, _| {
        found.extend(rules.unwrap_or_default().iter().cloned());
        ControlFlow::Continue(())
    });
    found
}

/// Hands over the rules of each role that is bound to a user, with a description of the
/// binding, or the role that isn't there.
fn visit(
    source: &impl Source,
    user: &User,
    namespace: &str,
    see: &mut impl FnMut(Result<&[Value], String>, &str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for binding in source.list(&CLUSTER_ROLE_BINDINGS, None) {
        if let Some(subject) = subject(&binding, user, "") {
            let why = describe("ClusterRoleBinding", binding.name(), &binding, subject, "");
            see_role(source, &binding, "", &why, see)?;
        }
    }
    if namespace.is_empty() {
        return ControlFlow::Continue(());
    }
    for binding in source.list(&ROLE_BINDINGS, Some(namespace)) {
        if let Some(subject) = subject(&binding, user, namespace) {
            let name = format!("{}/{namespace}", binding.name());
            let why = describe("RoleBinding", &name, &binding, subject, namespace);
            see_role(source, &binding, namespace, &why, see)?;
        }
    }
    ControlFlow::Continue(())
}

fn see_role(
    source: &impl Source,
    binding: &Value,
    namespace: &str,
    why: &str,
    see: &mut impl FnMut(Result<&[Value], String>, &str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match role(source, &binding["roleRef"], namespace) {
        Ok(role) => see(Ok(role.items("/rules")), why),
        Err(error) => see(Err(error), why),
    }
}

/// The role that a reference means.
///
/// # Errors
/// What isn't there.
pub fn role(
    source: &impl Source,
    reference: &Value,
    namespace: &str,
) -> Result<Arc<Value>, String> {
    let name = reference.text("/name");
    let (resource, namespace) = match reference.text("/kind") {
        "Role" => (&ROLES, namespace),
        _ => (&CLUSTER_ROLES, ""),
    };
    source
        .get(resource, namespace, name)
        .ok_or_else(|| format!("{}.{GROUP} {name:?} not found", resource.singular()))
}

/// The subject of a binding that a user is.
fn subject<'a>(binding: &'a Value, user: &User, namespace: &str) -> Option<&'a Value> {
    binding.items("/subjects").iter().find(|subject| {
        let name = subject.text("/name");
        match subject.text("/kind") {
            "User" => user.name == name,
            "Group" => user.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                let stated = subject.text("/namespace");
                let home = if stated.is_empty() { namespace } else { stated };
                account_of(&user.name) == Some((home, name))
            }
            _ => false,
        }
    })
}

fn describe(kind: &str, name: &str, binding: &Value, subject: &Value, namespace: &str) -> String {
    let who = match subject.text("/kind") {
        kind @ "ServiceAccount" => {
            let stated = subject.text("/namespace");
            let home = if stated.is_empty() { namespace } else { stated };
            format!("{kind} {:?}", format!("{}/{home}", subject.text("/name")))
        }
        kind => format!("{kind} {:?}", subject.text("/name")),
    };
    let role = &binding["roleRef"];
    format!("{kind} {name:?} of {} {:?} to {who}", role.text("/kind"), role.text("/name"))
}

fn has(rule: &Value, field: &str, wanted: impl Fn(&str) -> bool) -> bool {
    rule.items(field).iter().filter_map(Value::as_str).any(wanted)
}

/// Whether a rule permits what is asked.
pub fn permits(rule: &Value, attributes: &Attributes) -> bool {
    if !has(rule, "/verbs", |verb| verb == "*" || verb == attributes.verb) {
        return false;
    }
    if !attributes.is_resource {
        return has(rule, "/nonResourceURLs", |url| url_covers(url, &attributes.path));
    }
    let combined = attributes.combined();
    let names = rule.items("/resourceNames");
    has(rule, "/apiGroups", |group| group == "*" || group == attributes.group)
        && has(rule, "/resources", |resource| {
            resource == "*"
                || resource == combined
                || (!attributes.subresource.is_empty()
                    && resource.strip_prefix("*/") == Some(attributes.subresource.as_str()))
        })
        && (names.is_empty() || names.iter().any(|name| *name == *attributes.name))
}

/// Whether a path is one that a rule names: itself, or all that begin so.
pub fn url_covers(rule: &str, path: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix.trim_end_matches('*')),
        None => rule == path,
    }
}
