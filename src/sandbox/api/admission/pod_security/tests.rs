use serde_json::{Value, json};

use super::{
    super::super::{
        resource::{NAMESPACES, PODS, Resource},
        store::Store,
        write::{self, Part, Place, WriteOptions, Written},
    },
    Attempt,
    level::{Level, Policies},
};
use crate::model::Labels;

const KEY: &str = "pod-security.kubernetes.io/";

fn labels(given: &[(&str, &str)]) -> Labels {
    given.iter().map(|(key, value)| (format!("{KEY}{key}"), (*value).to_owned())).collect()
}

/// Each answer is that of the library that checks pods in an API server.
#[test]
fn labels_say_what_is_enforced_and_what_is_warned_of() {
    let cases = [
        ("nothing", &[][..], "privileged:latest", "privileged:latest"),
        (
            "what is enforced is warned of",
            &[("enforce", "restricted"), ("enforce-version", "v1.24")],
            "restricted:v1.24",
            "restricted:v1.24",
        ),
        (
            "by the version that warnings have",
            &[("enforce", "baseline"), ("warn-version", "v1.32")],
            "baseline:latest",
            "baseline:v1.32",
        ),
        (
            "unless it says otherwise",
            &[("enforce", "restricted"), ("warn", "privileged")],
            "restricted:latest",
            "privileged:latest",
        ),
        (
            "an unknown level is enforced at its strictest and not warned of",
            &[("enforce", "foo"), ("warn", "foo")],
            "restricted:latest",
            "privileged:latest",
        ),
        (
            "an unknown version is the latest",
            &[("enforce", "baseline"), ("enforce-version", "v1.01")],
            "baseline:latest",
            "baseline:latest",
        ),
    ];
    for (what, given, enforce, warn) in cases {
        let policies = Policies::of(&labels(given));
        assert_eq!(policies.enforce.to_string(), enforce, "{what}");
        assert_eq!(policies.warn.to_string(), warn, "{what}");
    }
    assert!(Level::Baseline < Level::Restricted);
}

#[test]
fn versions_bring_their_rules() {
    let sysctl = json!({"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}});
    let image = json!({"volumes": [{"name": "v", "image": {"reference": "r"}}]});
    let cases = [
        ("a setting since 1.32", &sysctl, "baseline", "v1.31", vec!["forbidden sysctls"]),
        ("and after", &sysctl, "baseline", "v1.32", vec![]),
        ("in a version to come", &sysctl, "baseline", "v1.99", vec![]),
        ("volumes of images", &image, "restricted", "v1.0", vec!["runAsNonRoot != true"]),
    ];
    for (what, spec, level, version, wanted) in cases {
        let mut spec = spec.clone();
        spec["containers"] = json!([{"name": "a"}]);
        let given = labels(&[("enforce", level), ("enforce-version", version)]);
        let pod = super::Pod::new(&Value::Null, &spec);
        let found = super::violations(&Policies::of(&given).enforce, &pod);
        let found: Vec<_> = found.into_iter().map(|one| one.reason).collect();
        assert_eq!(found, wanted, "{what}");
    }
}

fn put(store: &Store, kind: &'static Resource, object: &Value) -> Result<Written, String> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default().to_owned();
    let options = WriteOptions::default();
    let place = Place { resource: kind, namespace: &namespace, name: &name };
    let known = store.get(kind, &namespace, &name).is_some();
    let written = if known {
        write::update(store, place, Part::Main, &options, |_| Ok(object.clone()))
    } else {
        write::create(store, kind, &namespace, object.clone(), &options)
    };
    written.map_err(|failure| failure.message)
}

#[test]
fn a_new_level_is_told_which_pods_it_would_refuse() {
    let store = Store::new();
    let namespace = |level: &str| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": "n", "labels": {format!("{KEY}enforce"): level},
        }})
    };
    put(&store, &NAMESPACES, &namespace("privileged")).expect("a namespace");
    let refused = put(&store, &NAMESPACES, &namespace("Baseline")).expect_err("no such level");
    assert_eq!(
        refused,
        "Namespace \"n\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid \
         value: \"Baseline\": must be one of privileged, baseline, restricted",
    );
    put(
        &store,
        &super::super::super::resource::SERVICE_ACCOUNTS,
        &json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": "n"},
        }),
    )
    .expect("an account");
    for (name, shared) in [("b", "hostPID"), ("a", "hostPID"), ("c", "hostNetwork")] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "n"},
            "spec": {shared: true, "containers": [{"name": "a", "image": "i"}]},
        });
        put(&store, &PODS, &pod).expect("a pod");
    }
    let written = put(&store, &NAMESPACES, &namespace("baseline")).expect("a known level");
    assert_eq!(
        written.warnings,
        [
            "existing pods in namespace \"n\" violate the new PodSecurity enforce level \
             \"baseline:latest\"",
            "a (and 2 other pods): host namespaces",
        ]
    );
}

#[test]
fn a_pod_is_judged_again_when_it_runs_something_else() {
    let pod = |image: &str, label: &str| {
        json!({
            "metadata": {"labels": {"a": label}},
            "spec": {"containers": [{"name": "a", "image": image}]},
        })
    };
    let before = pod("i:1", "x");
    for (after, judged) in [(pod("i:1", "y"), false), (pod("i:2", "x"), true)] {
        let attempt = Attempt { resource: &PODS, namespace: "", before: Some(&before), user: None };
        assert_eq!(super::pod_spec(&after, &attempt).is_some(), judged, "{after}");
    }
}
