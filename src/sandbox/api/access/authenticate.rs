//! From a bearer token to a user.

use http::{HeaderMap, header::AUTHORIZATION};

use super::{
    super::{failure::Failure, store::Store},
    Access, User,
};

impl Access {
    /// Who sends a request.
    ///
    /// # Errors
    /// 401 for a token that is none of ours.
    pub(super) fn authenticate(&self, store: &Store, headers: &HeaderMap) -> Result<User, Failure> {
        let Some(admin) = &self.admin else { return Ok(User::admin()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(token) = bearer(given).or_else(|| protocol_token(headers)) else {
            return Ok(User::anonymous());
        };
        if is_same(&token, admin) {
            return Ok(User::admin());
        }
        self.tokens
            .authenticate(store, &token, &[])
            .map(|bearer| bearer.user)
            .map_err(|_| Failure::unauthorized())
    }
}

/// The token in an `Authorization` header. Another scheme is no token.
fn bearer(header: Option<&str>) -> Option<String> {
    let (scheme, token) = header?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| token.to_owned())
}

/// Browsers can't set headers on websockets: they offer the token as a protocol.
fn protocol_token(headers: &HeaderMap) -> Option<String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let offered = headers.get("sec-websocket-protocol")?.to_str().ok()?;
    let encoded = offered
        .split(',')
        .find_map(|one| one.trim().strip_prefix("base64url.bearer.authorization.k8s.io."))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// Compares in a time that doesn't tell how much was right.
fn is_same(given: &str, token: &str) -> bool {
    let difference =
        given.bytes().zip(token.bytes()).fold(0, |sum, (given, token)| sum | (given ^ token));
    given.len() == token.len() && difference == 0
}
