//! Acting as somebody else: `kubectl --as`.

use std::collections::BTreeMap;

use http::HeaderMap;

use super::{
    super::{failure::Failure, store::Store},
    Attributes, User, authorize,
    user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, account_groups, account_of},
};

const USER: &str = "impersonate-user";
const UID: &str = "impersonate-uid";
const GROUP: &str = "impersonate-group";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// Who a request wants to be.
#[derive(Debug)]
pub(super) struct Impersonation {
    user: User,
}

/// Reads the headers. `None` if nobody else is to be acted as.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<Impersonation>, Failure> {
    let texts = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values.filter_map(|value| Some(value.to_str().ok()?.to_owned())).collect()
    };
    let mut extra = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in headers {
        if let Some(key) = name.as_str().strip_prefix(EXTRA)
            && let Ok(value) = value.to_str()
        {
            let key = super::super::request::unescape(key);
            extra.entry(key).or_default().push(value.to_owned());
        }
    }
    let name = texts(USER).pop().unwrap_or_default();
    let uid = texts(UID).pop().unwrap_or_default();
    let groups = texts(GROUP);
    if name.is_empty() {
        if groups.is_empty() && extra.is_empty() && uid.is_empty() {
            return Ok(None);
        }
        let what = "without impersonating a user name";
        return Err(Failure::internal(format!("requested groups, a uid or extras {what}")));
    }
    Ok(Some(Impersonation { user: User { name, uid, groups, extra } }))
}

impl Impersonation {
    /// Checks that somebody may act so, each part of it by itself.
    ///
    /// # Errors
    /// 403 for the first part that isn't permitted.
    pub(super) fn permitted(self, store: &Store, by: &User) -> Result<User, Failure> {
        let mut user = self.user;
        let ask = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
            let attributes = Attributes {
                verb: "impersonate".into(),
                is_resource: true,
                group: group.into(),
                version: "v1".into(),
                resource: resource.into(),
                subresource: subresource.into(),
                namespace: namespace.into(),
                name: name.into(),
                path: String::new(),
            };
            authorize(store, by, &attributes)
        };
        match account_of(&user.name) {
            Some((namespace, name)) => ask("", "serviceaccounts", "", namespace, name)?,
            None => ask("", "users", "", "", &user.name)?,
        }
        for group in &user.groups {
            ask("", "groups", "", "", group)?;
        }
        if !user.uid.is_empty() {
            ask(AUTHENTICATION, "uids", "", "", &user.uid)?;
        }
        for (key, values) in &user.extra {
            for value in values {
                ask(AUTHENTICATION, "userextras", key, "", value)?;
            }
        }
        if let (Some((namespace, _)), true) = (account_of(&user.name), user.groups.is_empty()) {
            user.groups = account_groups(namespace);
        }
        let everyone = if user.name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        let stated = [AUTHENTICATED, UNAUTHENTICATED];
        if !user.groups.iter().any(|group| stated.contains(&group.as_str())) {
            user.groups.push(everyone.to_owned());
        }
        Ok(user)
    }
}
