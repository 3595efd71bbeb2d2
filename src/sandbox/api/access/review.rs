//! Questions about access that are themselves requests: who am I, what may I, may they.

use serde_json::{Value, json};

use super::{
    super::{
        failure::{Cause, Failure},
        object::{Object, object_mut},
        resource::SERVICE_ACCOUNTS,
        store::Store,
    },
    Access, Attributes, User, rbac, rules_review,
};

/// Plural, kind, and whether it is asked in a namespace.
type Kinds = &'static [(&'static str, &'static str, bool)];

/// A group of reviews, and in it plural, kind, and whether it is asked in a namespace.
pub const REVIEWS: [(&str, Kinds); 2] = [
    (
        "authorization.k8s.io",
        &[
            ("localsubjectaccessreviews", "LocalSubjectAccessReview", true),
            ("selfsubjectaccessreviews", "SelfSubjectAccessReview", false),
            ("selfsubjectrulesreviews", "SelfSubjectRulesReview", false),
            ("subjectaccessreviews", "SubjectAccessReview", false),
        ],
    ),
    (
        "authentication.k8s.io",
        &[
            ("selfsubjectreviews", "SelfSubjectReview", false),
            ("tokenreviews", "TokenReview", false),
        ],
    ),
];

/// The kind of a review, if a request makes one.
pub fn kind(attributes: &Attributes) -> Option<&'static str> {
    let (_, kinds) = REVIEWS.iter().find(|(group, _)| *group == attributes.group)?;
    let is_asked = |(plural, _, namespaced): &&(&str, &str, bool)| {
        *plural == attributes.resource && *namespaced != attributes.namespace.is_empty()
    };
    let (_, kind, _) = kinds.iter().find(is_asked)?;
    (attributes.version == "v1" && attributes.name.is_empty()).then_some(*kind)
}

/// Answers a review.
///
/// # Errors
/// 400 and 422 for questions that are none.
pub fn answer(
    access: &Access,
    store: &Store,
    user: &User,
    attributes: &Attributes,
    kind: &'static str,
    mut review: Value,
) -> Result<Value, Failure> {
    let version = format!("{}/v1", attributes.group);
    for (field, expected) in [("kind", kind), ("apiVersion", version.as_str())] {
        let given = review[field].as_str().unwrap_or(expected);
        if given != expected {
            return Err(Failure::bad_request(format!(
                "the {field} in the data ({given}) does not match the expected {field} ({expected})"
            )));
        }
    }
    let spec = review["spec"].clone();
    let status = match kind {
        "SelfSubjectReview" => json!({"userInfo": user.info()}),
        "TokenReview" => token(access, store, &spec)?,
        "SelfSubjectRulesReview" => {
            let namespace = spec.text("/namespace");
            if namespace.is_empty() {
                return Err(Failure::bad_request("no namespace on request"));
            }
            rules_review::status(store, user, namespace)
        }
        "SelfSubjectAccessReview" => subject_access(store, user, &spec, kind, None)?,
        _ => {
            let home = (kind == "LocalSubjectAccessReview").then_some(&*attributes.namespace);
            subject_access(store, &asked_about(&spec), &spec, kind, home)?
        }
    };
    let map = object_mut(&mut review);
    map.insert("apiVersion".into(), version.into());
    map.insert("kind".into(), kind.into());
    map.entry("metadata").or_insert_with(|| json!({}));
    map.insert("status".into(), status);
    if kind == "SelfSubjectReview" {
        review
            .metadata_mut()
            .insert("creationTimestamp".into(), super::super::object::now().into());
    }
    Ok(review)
}

/// The user that a review names.
fn asked_about(spec: &Value) -> User {
    let groups = spec.items("/groups").iter();
    let groups = groups.filter_map(|group| Some(group.as_str()?.to_owned())).collect();
    User {
        name: spec.text("/user").into(),
        uid: spec.text("/uid").into(),
        groups,
        ..User::default()
    }
}

fn subject_access(
    store: &Store,
    user: &User,
    spec: &Value,
    kind: &str,
    home: Option<&str>,
) -> Result<Value, Failure> {
    let resource = spec.get("resourceAttributes").filter(|part| part.is_object());
    let path = spec.get("nonResourceAttributes").filter(|part| part.is_object());
    let mut causes = Vec::new();
    match (resource, path) {
        (Some(_), Some(_)) => causes.push(Cause::invalid(
            "spec.nonResourceAttributes",
            &spec["nonResourceAttributes"],
            "cannot be specified in combination with resourceAttributes",
        )),
        (None, None) => causes.push(Cause::invalid(
            "spec.resourceAttributes",
            &Value::Null,
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    let is_self = kind == "SelfSubjectAccessReview";
    if !is_self && user.name.is_empty() && user.groups.is_empty() {
        causes.push(Cause::invalid(
            "spec.user",
            &"".into(),
            "at least one of user or group must be specified",
        ));
    }
    if let Some(home) = home {
        let stated = resource.map_or("", |resource| resource.text("/namespace"));
        if stated != home {
            let text = format!("spec.resourceAttributes.namespace must match namespace: {home}");
            return Err(Failure::bad_request(text));
        }
    }
    if !causes.is_empty() {
        return Err(invalid(kind, &causes));
    }
    let mut attributes = Attributes::default();
    match (resource, path) {
        (Some(resource), _) => {
            attributes.is_resource = true;
            for (field, place) in [
                ("/verb", &mut attributes.verb),
                ("/group", &mut attributes.group),
                ("/version", &mut attributes.version),
                ("/resource", &mut attributes.resource),
                ("/subresource", &mut attributes.subresource),
                ("/namespace", &mut attributes.namespace),
                ("/name", &mut attributes.name),
            ] {
                *place = resource.text(field).to_owned();
            }
        }
        (None, path) => {
            attributes.verb = path.map_or("", |path| path.text("/verb")).to_owned();
            attributes.path = path.map_or("", |path| path.text("/path")).to_owned();
        }
    }
    let decision = rbac::decide(store, user, &attributes);
    let mut status = json!({"allowed": decision.allowed});
    if !decision.reason.is_empty() {
        status["reason"] = decision.reason.into();
    }
    Ok(status)
}

fn invalid(kind: &str, causes: &[Cause]) -> Failure {
    let mut failure = Failure::invalid(&SERVICE_ACCOUNTS, "", causes);
    failure.message =
        failure.message.replacen("ServiceAccount", &format!("{kind}.authorization.k8s.io"), 1);
    failure.details["group"] = "authorization.k8s.io".into();
    failure.details["kind"] = kind.into();
    failure
}

fn token(access: &Access, store: &Store, spec: &Value) -> Result<Value, Failure> {
    let token = spec.text("/token");
    if token.is_empty() {
        return Err(Failure::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = spec.items("/audiences").iter();
    let audiences: Vec<_> =
        audiences.filter_map(|audience| Some(audience.as_str()?.to_owned())).collect();
    if access.admin.as_deref() == Some(token) {
        return Ok(json!({"authenticated": true, "user": User::admin().info()}));
    }
    Ok(match access.tokens.authenticate(store, token, &audiences) {
        Ok(bearer) => json!({
            "authenticated": true, "user": bearer.user.info(), "audiences": bearer.audiences,
        }),
        Err(error) => json!({"user": {}, "error": error.to_string()}),
    })
}
