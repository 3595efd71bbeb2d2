//! Tokens of service accounts: JSON web tokens that this sandbox signs and knows again.

use std::{collections::HashMap, sync::Mutex};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair,
        UnparsedPublicKey,
    },
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    super::{
        names,
        object::Object,
        resource::{NODES, PODS, SECRETS, SERVICE_ACCOUNTS},
        store::Store,
    },
    User,
};
use crate::sandbox::clock;

/// Who signs, and for whom if nobody else is named.
pub const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
/// Who signs the tokens that stand in Secrets.
const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// How many tokens are known without looking at their signature again.
const REMEMBERED: usize = 4096;

/// The key, and the tokens whose signature was right before.
pub struct Tokens {
    key: EcdsaKeyPair,
    random: SystemRandom,
    key_id: String,
    verified: Mutex<HashMap<String, Value>>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// No key could be made, or a token could not be signed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system's randomness gives no key for service account tokens")]
pub struct KeyError;

/// What is wrong with a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[invalid bearer token, {0}]")]
pub struct TokenError(pub String);

/// Whom a token belongs to, and for whom it was made.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Who they are.
    pub user: User,
    /// The audiences that the token and the question have in common.
    pub audiences: Vec<String>,
}

/// What a token is to say.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// Its readers; the API server if there are none.
    pub audiences: Vec<String>,
    /// How long it lasts.
    pub seconds: i64,
    /// The pod, Secret or node with which it ends: key in the claims and object.
    pub bound: Option<(&'a str, &'a Value)>,
}

impl Tokens {
    /// Makes a key.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| KeyError)?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random);
        let key = key.map_err(|_| KeyError)?;
        let key_id = BASE64.encode(Sha256::digest(key.public_key().as_ref()));
        Ok(Self { key, random, key_id, verified: Mutex::default() })
    }

    /// A token for a service account; with it, when it ends.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn issue(&self, account: &Value, wish: &Wish<'_>) -> Result<(String, i64), KeyError> {
        let (namespace, name) = (account.namespace(), account.name());
        let now = clock::now().as_second();
        let expires = now.saturating_add(wish.seconds);
        let audiences = if wish.audiences.is_empty() {
            vec![ISSUER.to_owned()]
        } else {
            wish.audiences.clone()
        };
        let mut private = json!({
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": account.uid()},
        });
        if let Some((kind, object)) = wish.bound {
            private[kind] = json!({"name": object.name(), "uid": object.uid()});
            let node = object.text("/spec/nodeName");
            if kind == "pod" && !node.is_empty() {
                private["node"] = json!({"name": node});
            }
        }
        let claims = json!({
            "aud": audiences, "exp": expires, "iat": now, "nbf": now, "iss": ISSUER,
            "jti": names::uid(), "kubernetes.io": private,
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
        });
        Ok((self.sign(&claims)?, expires))
    }

    /// The token that stands in a Secret, without an end.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn issue_for_secret(&self, account: &Value, secret: &str) -> Result<String, KeyError> {
        let (namespace, name) = (account.namespace(), account.name());
        self.sign(&json!({
            "iss": LEGACY_ISSUER,
            "kubernetes.io/serviceaccount/namespace": namespace,
            "kubernetes.io/serviceaccount/secret.name": secret,
            "kubernetes.io/serviceaccount/service-account.name": name,
            "kubernetes.io/serviceaccount/service-account.uid": account.uid(),
            "sub": format!("system:serviceaccount:{namespace}:{name}"),
        }))
    }

    fn sign(&self, claims: &Value) -> Result<String, KeyError> {
        let header = json!({"alg": "ES256", "kid": self.key_id});
        let text =
            format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
        let signature = self.key.sign(&self.random, text.as_bytes()).map_err(|_| KeyError)?;
        Ok(format!("{text}.{}", BASE64.encode(signature.as_ref())))
    }

    /// The public key, as `/openid/v1/jwks` shows it.
    pub fn key_set(&self) -> Value {
        // The point is written uncompressed: 4, then two coordinates of 32 bytes.
        let point = self.key.public_key().as_ref();
        let half = |from: usize| BASE64.encode(point.get(from..from + 32).unwrap_or_default());
        json!({"keys": [{
            "use": "sig", "kty": "EC", "kid": self.key_id, "crv": "P-256", "alg": "ES256",
            "x": half(1), "y": half(33),
        }]})
    }

    /// Whose token it is. Without audiences it must be one for the API server.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn authenticate(
        &self,
        store: &Store,
        token: &str,
        audiences: &[String],
    ) -> Result<Bearer, TokenError> {
        let claims = self.claims(token).ok_or_else(|| TokenError("invalid signature".into()))?;
        let own = [ISSUER.to_owned()];
        let wanted = if audiences.is_empty() { &own[..] } else { audiences };
        if claims["iss"] == LEGACY_ISSUER {
            return legacy(store, token, &claims)
                .map(|user| Bearer { user, audiences: wanted.to_vec() });
        }
        let now = clock::now().as_second();
        if claims["exp"].as_i64().is_none_or(|end| end <= now) {
            return Err(TokenError("service account token has expired".into()));
        }
        let meant: Vec<_> = claims.items("/aud").iter().filter_map(Value::as_str).collect();
        let common: Vec<_> =
            wanted.iter().filter(|one| meant.contains(&one.as_str())).cloned().collect();
        if common.is_empty() {
            let text =
                format!("token audiences {meant:?} is invalid for the target audiences {wanted:?}");
            return Err(TokenError(text));
        }
        bound_user(store, &claims).map(|user| Bearer { user, audiences: common })
    }

    /// The claims of a token whose signature is right.
    fn claims(&self, token: &str) -> Option<Value> {
        let known = |tokens: &Mutex<HashMap<String, Value>>| {
            let tokens = tokens.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            tokens.get(token).cloned()
        };
        if let Some(claims) = known(&self.verified) {
            return Some(claims);
        }
        let (text, signature) = token.rsplit_once('.')?;
        let (_, claims) = text.split_once('.')?;
        let signature = BASE64.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(text.as_bytes(), &signature)
            .ok()?;
        let claims: Value = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        let mut verified = self.verified.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(token.to_owned(), claims.clone());
        Some(claims)
    }
}

/// The user of a token that is bound to objects, all of which must still be there.
fn bound_user(store: &Store, claims: &Value) -> Result<User, TokenError> {
    let private = &claims["kubernetes.io"];
    let namespace = private.text("/namespace");
    let account = &private["serviceaccount"];
    let invalid = || TokenError("service account token has been invalidated".into());
    let stored = store.get(&SERVICE_ACCOUNTS, namespace, account.text("/name"));
    if stored.as_ref().is_none_or(|stored| stored.uid() != account.text("/uid")) {
        return Err(invalid());
    }
    let mut user = User::account(namespace, account.text("/name"));
    user.uid = account.text("/uid").to_owned();
    let mut know = |key: &str, value: &str| {
        let key = format!("authentication.kubernetes.io/{key}");
        user.extra.insert(key, vec![value.to_owned()]);
    };
    for (kind, resource, home) in
        [("pod", &PODS, namespace), ("secret", &SECRETS, namespace), ("node", &NODES, "")]
    {
        let Some(bound) = private.get(kind) else { continue };
        let (name, uid) = (bound.text("/name"), bound.text("/uid"));
        let is_lead = kind != "node" || private.get("pod").is_none();
        let stored = store.get(resource, home, name);
        if is_lead && stored.is_none_or(|stored| stored.uid() != uid) {
            return Err(invalid());
        }
        if kind != "secret" {
            know(&format!("{kind}-name"), name);
            if !uid.is_empty() {
                know(&format!("{kind}-uid"), uid);
            }
        }
    }
    know("credential-id", &format!("JTI={}", claims.text("/jti")));
    Ok(user)
}

/// The user of a token from a Secret, which must still hold it.
fn legacy(store: &Store, token: &str, claims: &Value) -> Result<User, TokenError> {
    let claim = |name: &str| claims[format!("kubernetes.io/serviceaccount/{name}")].as_str();
    let invalid = || TokenError("Token has been invalidated".into());
    let namespace = claim("namespace").unwrap_or_default();
    let name = claim("service-account.name").unwrap_or_default();
    let secret = store.get(&SECRETS, namespace, claim("secret.name").unwrap_or_default());
    let encoded = base64::engine::general_purpose::STANDARD.encode(token);
    if secret.is_none_or(|secret| secret.text("/data/token") != encoded) {
        return Err(invalid());
    }
    let uid = claim("service-account.uid").unwrap_or_default();
    let account = store.get(&SERVICE_ACCOUNTS, namespace, name);
    if account.is_none_or(|account| account.uid() != uid) {
        return Err(invalid());
    }
    Ok(User { uid: uid.to_owned(), ..User::account(namespace, name) })
}
