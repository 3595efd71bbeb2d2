//! Secrets that hold the token of a service account.

use std::{collections::HashMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::reconcile::reconcile;
use crate::sandbox::api::{
    access::token::Tokens,
    object::{Object, object_mut},
    resource::{SECRETS, SERVICE_ACCOUNTS},
    store::{Event, Store},
};

const TYPE: &str = "kubernetes.io/service-account-token";
const NAME: &str = "kubernetes.io/service-account.name";
const UID: &str = "kubernetes.io/service-account.uid";

/// Fills in Secrets that ask for a token, and removes those whose account is gone, until
/// cancelled.
pub async fn fill_token_secrets(
    store: Arc<Store>,
    tokens: Arc<Tokens>,
    authority: String,
    cancel: CancellationToken,
) {
    fn wanted(event: &Event) -> bool {
        event.resource == &SECRETS || event.resource == &SERVICE_ACCOUNTS
    }
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || {
        store.write(|writer| {
            let secrets = writer.list(&SECRETS, None);
            for secret in secrets.iter().filter(|secret| secret["type"] == TYPE) {
                let namespace = secret.namespace();
                let annotations = &secret["metadata"]["annotations"];
                let named = annotations[NAME].as_str().unwrap_or_default();
                let uid = annotations[UID].as_str().unwrap_or_default();
                let account = writer.get(&SERVICE_ACCOUNTS, namespace, named);
                match account.filter(|account| uid.is_empty() || account.uid() == uid) {
                    Some(account) => {
                        if let Some(filled) = fill(secret, &account, &tokens, &authority) {
                            writer.put(&SECRETS, filled);
                        }
                    }
                    None => _ = writer.remove(&SECRETS, namespace, secret.name()),
                }
            }
        });
    })
    .await;
}

/// The Secret with what is missing in it; `None` if nothing is.
fn fill(secret: &Value, account: &Value, tokens: &Tokens, authority: &str) -> Option<Value> {
    let has = |key: &str| secret["data"].get(key).is_some();
    let known = secret["metadata"]["annotations"][UID].as_str() == Some(account.uid());
    if known && has("token") && has("ca.crt") && has("namespace") {
        return None;
    }
    let token = tokens.issue_for_secret(account, secret.name()).ok()?;
    let mut filled = secret.clone();
    let annotations = filled.metadata_mut().entry("annotations").or_insert_with(|| json!({}));
    object_mut(annotations).insert(UID.into(), account.uid().into());
    let data = HashMap::from([
        ("token", token.as_str()),
        ("ca.crt", authority),
        ("namespace", account.namespace()),
    ]);
    for (key, value) in data {
        let place = filled.section_mut("data").entry(key).or_insert(Value::Null);
        if place.is_null() {
            *place = STANDARD.encode(value).into();
        }
    }
    Some(filled)
}
