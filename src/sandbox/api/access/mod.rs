//! Who asks, and what they may: authentication, impersonation, RBAC and the reviews.
//!
//! ```text
//! headers ─▶ authenticate ─▶ impersonate ─▶ rbac ─▶ the request, with its User
//! ```

pub mod attributes;
mod authenticate;
pub mod escalation;
mod impersonate;
pub mod rbac;
mod refusal;
mod request;
pub mod review;
mod roles;
mod rules_review;
pub mod token;
mod user;

use std::sync::Arc;

use http::request::Parts;

pub use attributes::Attributes;
pub use rbac::Decision;
pub use request::request_token;
pub use roles::{aggregate, bootstrap};
pub use user::User;

use super::{failure::Failure, store::Store};
use token::Tokens;

/// What decides about access.
#[derive(Clone, Debug)]
pub struct Access {
    /// The token of the administrator; `None` makes everybody one.
    admin: Option<String>,
    /// Tokens of service accounts.
    pub tokens: Arc<Tokens>,
}

impl Access {
    /// Access for the bearer of a token, and of those that are signed here.
    pub fn new(admin: Option<String>, tokens: Arc<Tokens>) -> Self {
        Self { admin, tokens }
    }

    /// Finds out who asks, and on whose behalf, and whether they may.
    ///
    /// # Errors
    /// 401 for credentials that are none, 403 for what isn't permitted.
    pub fn check(
        &self,
        store: &Store,
        parts: &Parts,
        attributes: &Attributes,
    ) -> Result<User, Box<Refused>> {
        let refused = |user, failure| Box::new(Refused { user, failure });
        let user = self.authenticate(store, &parts.headers);
        let user = user.map_err(|failure| refused(None, failure))?;
        let user = match impersonate::wanted(&parts.headers) {
            Ok(None) => user,
            Ok(Some(wanted)) => {
                let permitted = wanted.permitted(store, &user);
                permitted.map_err(|failure| refused(Some(user), failure))?
            }
            Err(failure) => return Err(refused(Some(user), failure)),
        };
        match authorize(store, &user, attributes) {
            Ok(()) => Ok(user),
            Err(failure) => Err(refused(Some(user), failure)),
        }
    }
}

/// A request that goes no further.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Who asked, if that was found out.
    pub user: Option<User>,
    /// What they hear.
    pub failure: Failure,
}

fn authorize(store: &Store, user: &User, attributes: &Attributes) -> Result<(), Failure> {
    let decision = rbac::decide(store, user, attributes);
    if !decision.allowed {
        return Err(refusal::forbidden(user, attributes, &decision.reason));
    }
    // A websocket's upgrade is a GET, and yet it starts a program: it takes both verbs.
    if attributes.starts_session() {
        let attributes = Attributes { verb: "create".into(), ..attributes.clone() };
        let decision = rbac::decide(store, user, &attributes);
        if !decision.allowed {
            return Err(refusal::forbidden(user, &attributes, &decision.reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
