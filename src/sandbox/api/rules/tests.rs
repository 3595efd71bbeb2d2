use serde_json::{Value, json};

use super::super::{
    decode::FieldValidation,
    failure::Failure,
    resource::{EXTERNAL_HOSTS, FAULTS, NAMESPACES, NETWORK_POLICIES, PODS, Resource, SERVICES},
    store::Store,
    write::{self, WriteOptions},
};

fn store() -> Store {
    let store = Store::new();
    create(&store, &NAMESPACES, json!({"metadata": {"name": "shop"}})).expect("the namespace");
    store
}

fn create(store: &Store, resource: &'static Resource, object: Value) -> Result<Value, Failure> {
    let namespace = if resource.namespaced { "shop" } else { "" };
    let options = WriteOptions { validation: FieldValidation::Strict, ..WriteOptions::default() };
    let written = write::create(store, resource, namespace, object, &options)?;
    Ok(Value::clone(&written.object))
}

fn policy(spec: Value) -> Value {
    json!({"metadata": {"generateName": "p-"}, "spec": spec})
}

#[test]
fn policies_that_the_api_server_rejects_are_rejected() {
    let peer = |peer: Value| json!({"podSelector": {}, "ingress": [{"from": [peer]}]});
    let port = |port: Value| json!({"podSelector": {}, "egress": [{"ports": [port]}]});
    for (spec, field, detail) in [
        (peer(json!({})), "spec.ingress[0].from[0]", "Required value: must specify a peer"),
        (
            peer(json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
            "spec.ingress[0].from[0]",
            "Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            peer(json!({"ipBlock": {"cidr": "10.0.0.1/8"}})),
            "spec.ingress[0].from[0].ipBlock.cidr",
            "must not have bits set beyond the prefix length",
        ),
        (
            peer(json!({"ipBlock": {"cidr": "ten"}})),
            "spec.ingress[0].from[0].ipBlock.cidr",
            "must be a valid CIDR value",
        ),
        (
            peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}})),
            "spec.ingress[0].from[0].ipBlock.except[0]",
            "must be a strict subset of `cidr`",
        ),
        (
            peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["11.0.0.0/9"]}})),
            "spec.ingress[0].from[0].ipBlock.except[0]",
            "must be a strict subset of `cidr`",
        ),
        (port(json!({"port": 0})), "spec.egress[0].ports[0].port", "must be between 1 and 65535"),
        (
            port(json!({"port": 80, "endPort": 79})),
            "spec.egress[0].ports[0].endPort",
            "must be greater than or equal to `port`",
        ),
        (
            port(json!({"endPort": 79})),
            "spec.egress[0].ports[0].endPort",
            "Invalid value: 79: may not be specified when `port` is not specified",
        ),
        (
            port(json!({"port": "http", "endPort": 79})),
            "spec.egress[0].ports[0].endPort",
            "may not be specified when `port` is non-numeric",
        ),
        (
            port(json!({"port": "HTTP"})),
            "spec.egress[0].ports[0].port",
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            port(json!({"protocol": "ICMP"})),
            "spec.egress[0].ports[0].protocol",
            "Unsupported value: \"ICMP\": supported values: \"TCP\", \"UDP\", \"SCTP\"",
        ),
        (
            json!({"podSelector": {}, "policyTypes": ["Both"]}),
            "spec.policyTypes[0]",
            "Unsupported value: \"Both\"",
        ),
        (
            json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
            "spec.podSelector.matchExpressions[0].values",
            "must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            json!({"podSelector": {"matchLabels": {"a": "no spaces"}}}),
            "spec.podSelector.matchLabels",
            "a valid label must be",
        ),
    ] {
        let failure = create(&store(), &NETWORK_POLICIES, policy(spec.clone())).err();
        let failure = failure.unwrap_or_else(|| panic!("accepted {spec}"));
        assert_eq!((failure.code.as_u16(), failure.reason), (422, "Invalid"), "{spec}");
        let cause = &failure.details["causes"][0];
        assert_eq!(cause["field"], field, "{spec}");
        assert!(cause["message"].as_str().is_some_and(|text| text.contains(detail)), "{cause}");
    }
}

#[test]
fn policies_that_the_api_server_accepts_are_accepted_with_its_defaults() {
    for (spec, types) in [
        (json!({}), json!(["Ingress"])),
        (json!({"podSelector": {}, "egress": []}), json!(["Ingress"])),
        (json!({"podSelector": {}, "egress": [{}]}), json!(["Ingress", "Egress"])),
        (json!({"podSelector": {}, "policyTypes": ["Egress"]}), json!(["Egress"])),
        (
            json!({"ingress": [{"from": [{"podSelector": {}}], "ports": [{"port": "http"}]}]}),
            json!(["Ingress"]),
        ),
    ] {
        let created = create(&store(), &NETWORK_POLICIES, policy(spec.clone()));
        let created = created.unwrap_or_else(|failure| panic!("{spec}: {failure}"));
        assert_eq!(created["spec"]["policyTypes"], types, "{spec}");
        assert!(created["spec"]["podSelector"].is_object(), "{spec}");
    }
}

#[test]
fn a_port_without_protocol_is_tcp() {
    let created = create(
        &store(),
        &NETWORK_POLICIES,
        policy(json!({"podSelector": {}, "ingress": [{"ports": [{}, {"port": 53}]}]})),
    );
    let ports = created.expect("valid")["spec"]["ingress"][0]["ports"].clone();
    assert_eq!(ports, json!([{"protocol": "TCP"}, {"port": 53, "protocol": "TCP"}]));
}

#[test]
fn host_bits_are_tolerated_where_they_are_stored_already() {
    let block = |cidr: &str| json!({"egress": [{"to": [{"ipBlock": {"cidr": cidr}}]}]});
    let before = json!({"spec": block("10.0.0.1/8")});
    let validate = NETWORK_POLICIES.rules.validate;
    assert!(validate(&before, Some(&before)).is_empty(), "the same block as before");
    let after = json!({"spec": block("10.0.0.2/8")});
    assert_eq!(validate(&after, Some(&before)).len(), 1, "another block");
}

#[test]
fn unknown_fields_and_wrong_types_are_refused() {
    for (resource, object, detail) in [
        (
            &NETWORK_POLICIES,
            policy(json!({"podSelectr": {"matchLabels": {"a": "b"}}})),
            "unknown field \"spec.podSelectr\"",
        ),
        (&NETWORK_POLICIES, policy(json!({"ingress": "all"})), "cannot be handled as"),
        (
            &SERVICES,
            json!({"metadata": {"name": "a"}, "spec": {"ports": [{"port": "http"}]}}),
            "cannot be handled as a Service",
        ),
    ] {
        let failure = create(&store(), resource, object).expect_err(detail);
        assert_eq!((failure.code.as_u16(), failure.reason), (400, "BadRequest"), "{detail}");
        assert!(failure.message.contains(detail), "{}", failure.message);
    }
}

#[test]
fn services_get_addresses_of_their_own() {
    let store = store();
    let service = |name: &str, address: Value| {
        let mut spec = json!({"ports": [{"port": 80}], "selector": {"app": "web"}});
        if !address.is_null() {
            spec["clusterIP"] = address;
        }
        json!({"metadata": {"name": name}, "spec": spec})
    };
    let address = |service: &Value| service["spec"]["clusterIP"].as_str().map(str::to_owned);
    let first = create(&store, &SERVICES, service("a", Value::Null)).expect("a");
    let second = create(&store, &SERVICES, service("b", Value::Null)).expect("b");
    assert_ne!(address(&first), address(&second));
    assert_eq!(first["spec"]["ports"][0]["targetPort"], 80, "the target is the port itself");
    let asked = create(&store, &SERVICES, service("c", "10.96.0.10".into())).expect("c");
    assert_eq!(address(&asked).as_deref(), Some("10.96.0.10"));
    let headless = create(&store, &SERVICES, service("d", "None".into())).expect("d");
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    for (taken, detail) in
        [("10.96.0.10", "already allocated"), ("10.0.0.1", "not in the valid range")]
    {
        let failure = create(&store, &SERVICES, service("e", taken.into())).expect_err(detail);
        assert!(failure.message.contains(detail), "{}", failure.message);
    }
}

#[test]
fn pods_get_the_defaults_of_the_api_server() {
    let pod = json!({"metadata": {"name": "web"}, "spec": {"containers": [{
        "name": "web", "image": "web:1", "ports": [{"containerPort": 80}],
        "readinessProbe": {"tcpSocket": {"port": 80}},
    }]}});
    let pod = create(&store(), &PODS, pod).expect("valid");
    for (pointer, expected) in [
        ("/spec/restartPolicy", json!("Always")),
        ("/spec/dnsPolicy", json!("ClusterFirst")),
        ("/spec/terminationGracePeriodSeconds", json!(30)),
        ("/spec/serviceAccountName", json!("default")),
        ("/spec/containers/0/imagePullPolicy", json!("IfNotPresent")),
        ("/spec/containers/0/ports/0/protocol", json!("TCP")),
        ("/spec/containers/0/readinessProbe/periodSeconds", json!(10)),
        ("/spec/containers/0/readinessProbe/failureThreshold", json!(3)),
        ("/status/phase", json!("Pending")),
        ("/status/qosClass", json!("BestEffort")),
        ("/metadata/generation", json!(1)),
    ] {
        assert_eq!(pod.pointer(pointer), Some(&expected), "{pointer}");
    }
}

#[test]
fn pods_that_make_no_sense_are_refused() {
    let container = json!({"name": "a", "image": "a"});
    for (spec, field) in [
        (json!({"containers": []}), "spec.containers"),
        (json!({"containers": [{"name": "a"}]}), "spec.containers[0].image"),
        (json!({"containers": [container, container]}), "spec.containers[1].name"),
        (json!({"containers": [{"name": "A", "image": "a"}]}), "spec.containers[0].name"),
        (json!({"containers": [container], "restartPolicy": "Maybe"}), "spec.restartPolicy"),
        (
            json!({"containers": [{"name": "a", "image": "a", "ports": [{"containerPort": 0}]}]}),
            "spec.containers[0].ports[0].containerPort",
        ),
    ] {
        let pod = json!({"metadata": {"name": "web"}, "spec": spec});
        let failure = create(&store(), &PODS, pod).expect_err(field);
        assert_eq!(failure.details["causes"][0]["field"], field, "{}", failure.message);
    }
}

#[test]
fn hosts_and_faults_are_checked_when_they_are_written() {
    let host = |address: &str| json!({"addresses": [address]});
    for (resource, spec, expected) in [
        (&EXTERNAL_HOSTS, host("192.0.2.1"), None),
        (&EXTERNAL_HOSTS, host("169.254.169.254"), None),
        (&EXTERNAL_HOSTS, host("10.96.0.10"), Some("one of the cluster's own ranges")),
        (&EXTERNAL_HOSTS, host("10.244.0.2"), Some("one of the cluster's own ranges")),
        (&EXTERNAL_HOSTS, host("2001:db8::1"), None),
        (&EXTERNAL_HOSTS, host("fd00:10:96::a"), Some("one of the cluster's own ranges")),
        (&EXTERNAL_HOSTS, json!({"addresses": []}), Some("at least one address")),
        (&FAULTS, json!({"fault": "loss=10%"}), None),
        (&FAULTS, json!({"fault": "loss"}), Some("is no percentage")),
        (&FAULTS, json!({"fault": "ignore-egres"}), Some("is no fault")),
    ] {
        let object = json!({"metadata": {"name": "a"}, "spec": spec});
        let message = create(&store(), resource, object).err().map(|failure| failure.message);
        match (message, expected) {
            (None, None) => {}
            (Some(message), Some(expected)) => assert!(message.contains(expected), "{message}"),
            (message, expected) => panic!("{spec}: {message:?}, not {expected:?}"),
        }
    }
}
