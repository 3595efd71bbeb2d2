//! `serviceaccounts/token`: a token on request.

use serde_json::{Value, json};

use super::{
    super::{
        failure::{Cause, Failure},
        object::{Object, object_mut},
        resource::{NODES, PODS, SECRETS, SERVICE_ACCOUNTS},
        store::Store,
        write::Place,
    },
    token::{ISSUER, Tokens, Wish},
};
use crate::sandbox::clock;

/// The shortest life of a token, in seconds.
const SHORTEST: i64 = 600;
/// The longest.
const LONGEST: i64 = 1 << 32;
/// How long a token lasts if nothing else is said.
const USUAL: i64 = 3600;

/// Answers a `TokenRequest`.
///
/// # Errors
/// 404 without such an account, 409 for a pod of another uid, 422 for a life that is too
/// short or too long.
pub fn request_token(
    store: &Store,
    tokens: &Tokens,
    place: Place<'_>,
    mut body: Value,
) -> Result<Value, Failure> {
    let account = store.get(&SERVICE_ACCOUNTS, place.namespace, place.name);
    let account = account.ok_or_else(|| Failure::not_found(&SERVICE_ACCOUNTS, place.name))?;
    if body.is_null() {
        body = json!({});
    }
    let seconds = body.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(USUAL);
    let complaint = if seconds < SHORTEST {
        Some("may not specify a duration less than 10 minutes")
    } else if seconds > LONGEST {
        Some("may not specify a duration larger than 2^32 seconds")
    } else {
        None
    };
    if let Some(complaint) = complaint {
        let cause = Cause::invalid("spec.expirationSeconds", &seconds.into(), complaint);
        return Err(invalid(&cause));
    }
    let mut audiences: Vec<String> = body
        .items("/spec/audiences")
        .iter()
        .filter_map(|audience| Some(audience.as_str()?.to_owned()))
        .collect();
    if audiences.is_empty() {
        audiences.push(ISSUER.to_owned());
    }
    let bound = bound(store, place, &body["spec"]["boundObjectRef"])?;
    let wish = Wish {
        audiences: audiences.clone(),
        seconds,
        bound: bound.as_ref().map(|(kind, object)| (*kind, &**object)),
    };
    let (token, expires) = tokens.issue(&account, &wish).map_err(Failure::internal)?;
    let expires = jiff::Timestamp::from_second(expires).unwrap_or(clock::now());
    let map = object_mut(&mut body);
    map.insert("kind".into(), "TokenRequest".into());
    map.insert("apiVersion".into(), "authentication.k8s.io/v1".into());
    body.metadata_mut().insert("name".into(), place.name.into());
    body.metadata_mut().insert("namespace".into(), place.namespace.into());
    let now = super::super::object::now();
    body.metadata_mut().insert("creationTimestamp".into(), now.into());
    let spec = body.section_mut("spec");
    spec.insert("audiences".into(), audiences.into());
    spec.insert("expirationSeconds".into(), seconds.into());
    spec.entry("boundObjectRef").or_insert(Value::Null);
    let expires = expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let status = json!({"token": token, "expirationTimestamp": expires});
    object_mut(&mut body).insert("status".into(), status);
    Ok(body)
}

fn invalid(cause: &Cause) -> Failure {
    let mut failure = Failure::invalid(&SERVICE_ACCOUNTS, "", std::slice::from_ref(cause));
    failure.message = format!(
        "TokenRequest.authentication.k8s.io \"\" is invalid: {}: {}",
        cause.field, cause.message
    );
    failure.details["group"] = "authentication.k8s.io".into();
    failure.details["kind"] = "TokenRequest".into();
    failure
}

/// The object with which a token is to end.
fn bound(
    store: &Store,
    place: Place<'_>,
    reference: &Value,
) -> Result<Option<(&'static str, std::sync::Arc<Value>)>, Failure> {
    if reference.is_null() {
        return Ok(None);
    }
    let (kind, resource, namespace) = match reference.text("/kind") {
        "Pod" => ("pod", &PODS, place.namespace),
        "Secret" => ("secret", &SECRETS, place.namespace),
        "Node" => ("node", &NODES, ""),
        other => {
            let text = format!("cannot bind token to object of type \"{other}\"");
            return Err(Failure::bad_request(text));
        }
    };
    let name = reference.text("/name");
    let object = store.get(resource, namespace, name);
    let object = object.ok_or_else(|| Failure::not_found(resource, name))?;
    let uid = reference.text("/uid");
    if !uid.is_empty() && uid != object.uid() {
        let detail = format!(
            "the UID in the bound object reference ({uid}) does not match the UID in record. The \
             object might have been deleted and then recreated"
        );
        return Err(Failure::conflict(resource, name, &detail));
    }
    if kind == "pod" && object.text("/spec/serviceAccountName") != place.name {
        let text = format!(
            "cannot bind token for serviceaccount \"{}\" to pod running with different \
             serviceaccount name.",
            place.name
        );
        return Err(Failure::bad_request(text));
    }
    Ok(Some((kind, object)))
}
