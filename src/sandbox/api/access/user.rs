//! Who asks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The group of those who have proven who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// The group of those who have not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The group that may everything.
pub const MASTERS: &str = "system:masters";
/// Who comes without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// What names of service accounts begin with.
pub const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A user, as authentication found it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// `system:serviceaccount:shop:web`, `kubernetes-admin` …
    pub name: String,
    /// Of a service account; else empty.
    pub uid: String,
    /// `system:authenticated` among them.
    pub groups: Vec<String>,
    /// What else is known: the pod and the token behind a service account.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The bearer of the sandbox's own token.
    pub fn admin() -> Self {
        let groups = vec![MASTERS.to_owned(), AUTHENTICATED.to_owned()];
        Self { name: "kubernetes-admin".to_owned(), groups, ..Self::default() }
    }

    /// Whoever comes without credentials.
    pub fn anonymous() -> Self {
        let groups = vec![UNAUTHENTICATED.to_owned()];
        Self { name: ANONYMOUS.to_owned(), groups, ..Self::default() }
    }

    /// A service account.
    pub fn account(namespace: &str, name: &str) -> Self {
        let mut groups = account_groups(namespace);
        groups.push(AUTHENTICATED.to_owned());
        Self { name: format!("{ACCOUNT_PREFIX}{namespace}:{name}"), groups, ..Self::default() }
    }

    /// Whether the user may everything, whatever RBAC says.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// As `UserInfo` has it.
    pub fn info(&self) -> Value {
        let mut info = json!({"username": self.name, "groups": self.groups});
        if !self.uid.is_empty() {
            info["uid"] = self.uid.clone().into();
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// The groups of a namespace's service accounts.
pub fn account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// The namespace and name in the name of a service account.
pub fn account_of(name: &str) -> Option<(&str, &str)> {
    let (namespace, name) = name.strip_prefix(ACCOUNT_PREFIX)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}
