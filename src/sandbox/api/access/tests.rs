use std::sync::Arc;

use http::{Method, Uri};
use serde_json::{Value, json};

use super::{
    token::{ISSUER, Tokens, Wish},
    *,
};
use crate::sandbox::api::{
    object::Object,
    resource::{
        CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, NAMESPACES, ROLE_BINDINGS, ROLES, Resource,
        SERVICE_ACCOUNTS,
    },
    write::{self, WriteOptions},
};

fn attributes(method: &str, uri: &str) -> Attributes {
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    Attributes::read(&method, &uri.parse::<Uri>().expect("a URI"))
}

#[test]
fn requests_are_about_what_kubernetes_says() {
    for (method, uri, expected) in [
        ("GET", "/api/v1/pods", "list ||pods||"),
        ("GET", "/api/v1/namespaces/shop/pods?watch=true", "watch ||pods|shop|"),
        ("GET", "/api/v1/namespaces/shop/pods/web", "get ||pods|shop|web"),
        ("GET", "/api/v1/namespaces/shop/pods/web/log?follow=true", "get ||pods/log|shop|web"),
        ("POST", "/api/v1/namespaces/shop/pods/web/exec", "create ||pods/exec|shop|web"),
        ("DELETE", "/api/v1/namespaces/shop/pods", "deletecollection ||pods|shop|"),
        ("DELETE", "/api/v1/namespaces/shop/pods/web", "delete ||pods|shop|web"),
        ("GET", "/api/v1/namespaces/shop", "get ||namespaces|shop|shop"),
        ("PUT", "/api/v1/namespaces/shop/finalize", "update ||namespaces/finalize|shop|shop"),
        ("GET", "/api/v1/namespaces", "list ||namespaces||"),
        ("PATCH", "/apis/apps/v1/namespaces/a/deployments/b", "patch |apps|deployments|a|b"),
        ("GET", "/api/v1/pods?fieldSelector=metadata.name%3Dweb", "list ||pods||web"),
        ("GET", "/apis/apps/v1", "get /apis/apps/v1"),
        ("GET", "/healthz", "get /healthz"),
        ("POST", "/api", "post /api"),
    ] {
        let found = attributes(method, uri);
        let text = if found.is_resource {
            let Attributes { verb, group, namespace, name, .. } = &found;
            format!("{verb} |{group}|{}|{namespace}|{name}", found.combined())
        } else {
            format!("{} {}", found.verb, found.path)
        };
        assert_eq!(text, expected, "{method} {uri}");
    }
}

fn store() -> Store {
    let store = Store::new();
    bootstrap(&store);
    for name in ["a", "b"] {
        create(&store, &NAMESPACES, "", json!({"metadata": {"name": name}}));
    }
    store
}

fn create(
    store: &Store,
    resource: &'static Resource,
    namespace: &str,
    object: Value,
) -> Arc<Value> {
    let options = WriteOptions::default();
    write::create(store, resource, namespace, object, &options).expect("created").object
}

fn bind(store: &Store, namespace: &str, kind: &str, role: &str, subject: Value) {
    let resource = if namespace.is_empty() { &CLUSTER_ROLE_BINDINGS } else { &ROLE_BINDINGS };
    let object = json!({
        "metadata": {"name": format!("{role}-binding")}, "subjects": [subject],
        "roleRef": {"apiGroup": rbac::GROUP, "kind": kind, "name": role},
    });
    create(store, resource, namespace, object);
}

fn may(store: &Store, user: &User, method: &str, uri: &str) -> bool {
    rbac::decide(store, user, &attributes(method, uri)).allowed
}

#[test]
fn default_roles_permit_what_they_do_in_every_cluster() {
    let store = store();
    let user = |name: &str| User {
        name: name.into(),
        groups: vec!["system:authenticated".into()],
        ..User::default()
    };
    for name in ["view", "edit", "admin"] {
        let subject = json!({"kind": "User", "name": name, "apiGroup": rbac::GROUP});
        bind(&store, "a", "ClusterRole", name, subject);
    }
    let (pods, secrets) = ("/api/v1/namespaces/a/pods", "/api/v1/namespaces/a/secrets");
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/a/roles";
    let quota = "/api/v1/namespaces/a/resourcequotas";
    for (name, method, uri, expected) in [
        ("view", "GET", pods, true),
        ("view", "POST", pods, false),
        ("view", "GET", secrets, false),
        ("view", "GET", "/api/v1/namespaces/b/pods", false),
        ("view", "GET", "/api/v1/pods", false),
        ("edit", "POST", pods, true),
        ("edit", "GET", pods, true),
        ("edit", "GET", secrets, true),
        ("edit", "POST", roles, false),
        ("admin", "POST", roles, true),
        ("admin", "DELETE", pods, true),
        ("admin", "POST", quota, false),
        ("admin", "GET", quota, true),
        ("nobody", "GET", pods, false),
        ("nobody", "GET", "/api", true),
        ("nobody", "GET", "/apis/apps/v1", true),
        ("nobody", "GET", "/metrics", false),
    ] {
        assert_eq!(may(&store, &user(name), method, uri), expected, "{name}: {method} {uri}");
    }
    assert!(may(&store, &User::admin(), "DELETE", "/api/v1/nodes"), "masters may everything");
    assert!(may(&store, &User::anonymous(), "GET", "/version"));
    assert!(!may(&store, &User::anonymous(), "GET", "/api"));
}

#[test]
fn rules_name_resources_names_and_groups() {
    let store = store();
    let rule = json!({
        "verbs": ["get", "create"], "apiGroups": ["", "apps"],
        "resources": ["pods/exec", "configmaps", "*/scale"], "resourceNames": ["one"],
    });
    create(&store, &ROLES, "a", json!({"metadata": {"name": "narrow"}, "rules": [rule]}));
    let subject = json!({"kind": "ServiceAccount", "name": "robot"});
    bind(&store, "a", "Role", "narrow", subject);
    let robot = User::account("a", "robot");
    for (method, uri, expected) in [
        ("GET", "/api/v1/namespaces/a/configmaps/one", true),
        ("GET", "/api/v1/namespaces/a/configmaps/two", false),
        ("GET", "/api/v1/namespaces/a/configmaps", false),
        ("POST", "/api/v1/namespaces/a/configmaps", false),
        ("GET", "/api/v1/namespaces/a/pods/one", false),
        ("POST", "/api/v1/namespaces/a/pods/one/exec", true),
        ("GET", "/apis/apps/v1/namespaces/a/deployments/one/scale", true),
        ("GET", "/apis/batch/v1/namespaces/a/jobs/one/scale", false),
        ("DELETE", "/api/v1/namespaces/a/configmaps/one", false),
    ] {
        assert_eq!(may(&store, &robot, method, uri), expected, "{method} {uri}");
    }
    let other = User::account("b", "robot");
    assert!(
        !may(&store, &other, "GET", "/api/v1/namespaces/a/configmaps/one"),
        "another's account"
    );
}

#[test]
fn a_refusal_says_who_may_not_do_what() {
    let robot = User::account("a", "b");
    for (method, uri, expected) in [
        (
            "GET",
            "/api/v1/namespaces/c/pods",
            "pods is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \"pods\" \
             in API group \"\" in the namespace \"c\"",
        ),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/c/deployments/web",
            "deployments.apps \"web\" is forbidden: User \"system:serviceaccount:a:b\" cannot \
             delete resource \"deployments\" in API group \"apps\" in the namespace \"c\"",
        ),
        (
            "GET",
            "/api/v1/nodes",
            "nodes is forbidden: User \"system:serviceaccount:a:b\" cannot list resource \
             \"nodes\" in API group \"\" at the cluster scope",
        ),
        (
            "GET",
            "/metrics",
            "forbidden: User \"system:serviceaccount:a:b\" cannot get path \"/metrics\"",
        ),
    ] {
        let failure = refusal::forbidden(&robot, &attributes(method, uri), "");
        assert_eq!(failure.message, expected, "{method} {uri}");
    }
}

#[test]
fn roles_gather_the_rules_of_others() {
    let store = store();
    create(
        &store,
        &CLUSTER_ROLES,
        "",
        json!({
            "metadata": {
                "name": "widgets",
                "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"},
            },
            "rules": [{"verbs": ["get"], "apiGroups": ["acme.io"], "resources": ["widgets"]}],
        }),
    );
    roles::gather(&store);
    for name in ["view", "edit", "admin"] {
        let role = store.get(&CLUSTER_ROLES, "", name).expect("a default role");
        let has = role.items("/rules").iter().any(|rule| rule["resources"] == json!(["widgets"]));
        assert!(has, "{name} gathers what view gathers");
    }
}

#[test]
fn tokens_end_with_their_time_their_account_and_their_pod() {
    let store = store();
    let tokens = Tokens::generate().expect("a key");
    let account = create(&store, &SERVICE_ACCOUNTS, "a", json!({"metadata": {"name": "robot"}}));
    let wish = Wish { seconds: 600, ..Wish::default() };
    let (token, _) = tokens.issue(&account, &wish).expect("a token");
    let bearer = tokens.authenticate(&store, &token, &[]).expect("a good token");
    assert_eq!(bearer.user.name, "system:serviceaccount:a:robot");
    assert!(bearer.user.groups.contains(&"system:serviceaccounts:a".to_owned()));
    assert_eq!(bearer.audiences, [ISSUER]);

    let wrong = tokens.authenticate(&store, &token, &["vault".into()]);
    assert!(wrong.is_err(), "another audience: {wrong:?}");
    let (late, _) = tokens.issue(&account, &Wish { seconds: -1, ..Wish::default() }).expect("one");
    let late = tokens.authenticate(&store, &late, &[]).expect_err("its time is over");
    assert!(late.to_string().contains("expired"), "{late}");
    let foreign = Tokens::generate().expect("a key").issue(&account, &wish).expect("a token").0;
    assert!(tokens.authenticate(&store, &foreign, &[]).is_err(), "another key");
    let mut forged = token.clone();
    forged.replace_range(40..41, if &token[40..41] == "A" { "B" } else { "A" });
    assert!(tokens.authenticate(&store, &forged, &[]).is_err(), "a changed claim");

    store.write(|writer| writer.remove(&SERVICE_ACCOUNTS, "a", "robot"));
    assert!(tokens.authenticate(&store, &token, &[]).is_err(), "the account is gone");
    create(&store, &SERVICE_ACCOUNTS, "a", json!({"metadata": {"name": "robot"}}));
    assert!(tokens.authenticate(&store, &token, &[]).is_err(), "another account of that name");
}

#[test]
fn nobody_grants_what_they_lack() {
    let store = store();
    let robot = User::account("a", "robot");
    let rules = json!([
        {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]},
        {"verbs": ["create"], "apiGroups": [rbac::GROUP], "resources": ["roles", "rolebindings"]},
    ]);
    create(&store, &ROLES, "a", json!({"metadata": {"name": "own"}, "rules": rules}));
    bind(&store, "a", "Role", "own", json!({"kind": "ServiceAccount", "name": "robot"}));
    let role = |verbs: &[&str], resource: &str| {
        json!({
            "metadata": {"name": "new", "namespace": "a"},
            "rules": [{"verbs": verbs, "apiGroups": [""], "resources": [resource]}],
        })
    };
    let check = |user: &User, resource, object: &Value| {
        store.write(|writer| escalation::check(writer, user, resource, object, None))
    };
    assert!(check(&robot, &ROLES, &role(&["list"], "pods")).is_ok());
    let refused = check(&robot, &ROLES, &role(&["get", "delete"], "pods")).expect_err("too much");
    assert_eq!(
        refused.message,
        "roles.rbac.authorization.k8s.io \"new\" is forbidden: user \
         \"system:serviceaccount:a:robot\" (groups=[\"system:serviceaccounts\" \
         \"system:serviceaccounts:a\" \"system:authenticated\"]) is attempting to grant RBAC \
         permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], \
         Verbs:[\"delete\"]}"
    );
    assert!(check(&User::admin(), &ROLES, &role(&["*"], "*")).is_ok());
    let binding = |role: &str| {
        json!({
            "metadata": {"name": "new", "namespace": "a"},
            "subjects": [{"kind": "User", "name": "friend"}],
            "roleRef": {"apiGroup": rbac::GROUP, "kind": "ClusterRole", "name": role},
        })
    };
    assert!(check(&robot, &ROLE_BINDINGS, &binding("edit")).is_err());
    let none = check(&robot, &ROLE_BINDINGS, &binding("none")).expect_err("no such role");
    assert_eq!(none.code, 404);
    let rule = json!({
        "verbs": ["bind"], "apiGroups": [rbac::GROUP], "resources": ["clusterroles"],
        "resourceNames": ["edit"],
    });
    create(&store, &ROLES, "a", json!({"metadata": {"name": "binder"}, "rules": [rule]}));
    bind(&store, "a", "Role", "binder", json!({"kind": "ServiceAccount", "name": "robot"}));
    assert!(check(&robot, &ROLE_BINDINGS, &binding("edit")).is_ok(), "who may bind it");
    assert!(check(&robot, &ROLE_BINDINGS, &binding("admin")).is_err(), "but not another");
}
