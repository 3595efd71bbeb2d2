//! What programs would make that don't run here.
//!
//! Applications make Secrets for themselves: a hook's Job makes the certificate that the
//! application mounts, an init container its password. A stand-in makes nothing. A program
//! that makes objects needs leave to: where an account in the cluster, beside Kubernetes'
//! own, may create such objects in a namespace, what is missing there counts as made.

use crate::sandbox::api::{
    access::{Attributes, User, rbac},
    object::Object,
    resource::{Resource, SERVICE_ACCOUNTS},
    store::Store,
};

/// Whether a missing object may be one that a program would have made.
pub(super) fn counts_as_made(store: &Store, resource: &Resource, namespace: &str) -> bool {
    let attributes = Attributes {
        verb: "create".to_owned(),
        is_resource: true,
        version: resource.version.to_owned(),
        resource: resource.plural.to_owned(),
        namespace: namespace.to_owned(),
        ..Attributes::default()
    };
    let (accounts, _) = store.list(&SERVICE_ACCOUNTS, None);
    accounts.iter().filter(|account| !account.namespace().starts_with("kube-")).any(|account| {
        let user = User::account(account.namespace(), account.name());
        rbac::decide(store, &user, &attributes).allowed
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sandbox::api::resource::{CONFIG_MAPS, ROLE_BINDINGS, ROLES, SECRETS};

    #[test]
    fn who_may_create_it_counts_as_having_done_so() {
        let store = Store::new();
        assert!(!counts_as_made(&store, &SECRETS, "shop"), "an empty cluster");
        let place = json!({"name": "hook", "namespace": "shop"});
        store.write(|writer| {
            writer.put(&SERVICE_ACCOUNTS, json!({"metadata": place}));
            let rule = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]});
            writer.put(&ROLES, json!({"metadata": place, "rules": [rule]}));
        });
        assert!(!counts_as_made(&store, &SECRETS, "shop"), "a role that nobody has");
        store.write(|writer| {
            writer.put(
                &ROLE_BINDINGS,
                json!({
                    "metadata": place,
                    "roleRef": {"kind": "Role", "name": "hook"},
                    "subjects": [{"kind": "ServiceAccount", "name": "hook", "namespace": "shop"}],
                }),
            );
        });
        for (message, resource, namespace, expected) in [
            ("its own", &SECRETS, "shop", true),
            ("another namespace", &SECRETS, "other", false),
            ("another kind", &CONFIG_MAPS, "shop", false),
        ] {
            assert_eq!(counts_as_made(&store, resource, namespace), expected, "{message}");
        }
    }
}
