//! What the API server refuses is refused, with its words, at its path.

use serde_json::Value;

use super::{super::*, objects};

fn mistakes(text: &str, origin: Origin) -> Vec<String> {
    match PolicySet::read(&objects(text), "default", origin) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes
            .into_iter()
            .map(|mistake| format!("{}: {}", mistake.field, mistake.message))
            .collect(),
    }
}

fn np(spec: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p}}, spec: {spec}}}"
    )
}

fn cnp(spec: &str) -> String {
    format!(
        "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {{name: p}}, spec: {{tier: Admin, priority: 1, subject: {{namespaces: {{}}}}, {spec}}}}}"
    )
}

#[test]
fn network_policies() {
    for (spec, expected) in [
        (
            "{ingress: [{from: [{}]}]}",
            "spec.ingress[0].from[0]: Required value: must specify a peer",
        ),
        (
            "{ingress: [{from: [null]}]}",
            "spec.ingress[0].from[0]: Required value: must specify a peer",
        ),
        (
            "{egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
            "spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer",
        ),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.1/8}}]}]}",
            "spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.0.0.1/8\": must not have bits set beyond the prefix length (should be \"10.0.0.0/8\")",
        ),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0}}]}]}",
            "spec.ingress[0].from[0].ipBlock.cidr: Invalid value: \"10.0.0.0\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
        ),
        (
            "{ingress: [{from: [{ipBlock: {}}]}]}",
            "spec.ingress[0].from[0].ipBlock.cidr: Required value",
        ),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/8]}}]}]}",
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"10.0.0.0/8\": must be a strict subset of `cidr`",
        ),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: ['fd00::/8']}}]}]}",
            "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: \"fd00::/8\": must be a strict subset of `cidr`",
        ),
        (
            "{ingress: [{ports: [{endPort: 9}]}]}",
            "spec.ingress[0].ports[0].port: Required value: must be specified when `endPort` is specified",
        ),
        (
            "{ingress: [{ports: [{port: web, endPort: 9}]}]}",
            "spec.ingress[0].ports[0].endPort: Invalid value: 9: may not be specified when `port` is non-numeric",
        ),
        (
            "{ingress: [{ports: [{port: 9, endPort: 8}]}]}",
            "spec.ingress[0].ports[0].endPort: Invalid value: 8: must be greater than or equal to `port`",
        ),
        (
            "{ingress: [{ports: [{port: 0}]}]}",
            "spec.ingress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            "{ingress: [{ports: [{port: '80'}]}]}",
            "spec.ingress[0].ports[0].port: Invalid value: \"80\": must contain at least one letter (a-z)",
        ),
        (
            "{ingress: [{ports: [{protocol: tcp}]}]}",
            "spec.ingress[0].ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ),
        (
            "{policyTypes: [ingress]}",
            "spec.policyTypes[0]: Unsupported value: \"ingress\": supported values: \"Egress\", \"Ingress\"",
        ),
        (
            "{policyTypes: [Ingress, Egress, Ingress]}",
            "spec.policyTypes: Invalid value: [\"Ingress\",\"Egress\",\"Ingress\"]: may not specify more than two policyTypes",
        ),
        ("{podSelecter: {}}", "spec.podSelecter: unknown field \"spec.podSelecter\""),
        (
            "{podSelector: {matchExpressions: [{key: a, operator: In}]}}",
            "spec.podSelector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            "{podSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}",
            "spec.podSelector.matchExpressions[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
        (
            "{podSelector: {matchExpressions: [{key: a, operator: is}]}}",
            "spec.podSelector.matchExpressions[0].operator: Invalid value: \"is\": not a valid selector operator",
        ),
        ("{podSelector: []}", "spec.podSelector: Invalid value: \"array\": must be of type object"),
        ("{ingress: {}}", "spec.ingress: Invalid value: \"object\": must be of type array"),
        (
            "{podSelector: {matchLabels: {a: 1}}}",
            "spec.podSelector.matchLabels.a: Invalid value: \"number\": must be of type string",
        ),
    ] {
        assert_eq!(mistakes(&np(spec), Origin::Manifest), [expected], "{spec}");
    }
}

#[test]
fn cluster_network_policies() {
    let rule = |peer: &str| format!("egress: [{{action: Accept, to: [{peer}]}}]");
    for (spec, expected) in [
        ("ingress: [{action: Allow, from: [{namespaces: {}}]}]".to_owned(), "spec.ingress[0].action: Unsupported value: \"Allow\": supported values: \"Accept\", \"Deny\", \"Pass\""),
        ("ingress: [{action: Deny}]".to_owned(), "spec.ingress[0].from: Required value"),
        ("ingress: [{action: Deny, from: []}]".to_owned(), "spec.ingress[0].from: Invalid value: 0: spec.ingress[0].from in body should have at least 1 items"),
        (rule("{}"), "spec.egress[0].to[0]: Invalid value: 0: spec.egress[0].to[0] in body should have at least 1 properties"),
        (rule("{namespaces: {}, pods: {podSelector: {}}}"), "spec.egress[0].to[0]: Too many: 2: must have at most 1 item"),
        (rule("{pods: {namespaceSelector: {}}}"), "spec.egress[0].to[0].pods.podSelector: Required value"),
        (rule("{networks: [everywhere]}"), "spec.egress[0].to[0].networks[0]: Invalid value: \"everywhere\": Invalid CIDR format provided"),
        ("egress: [{action: Accept, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: web}]}]".to_owned(), "spec.egress[0]: Invalid value: \"object\": networks/nodes/domainNames peer cannot be set with namedPorts since there are no namedPorts for networks/nodes/domainNames"),
        ("ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {}}]}]".to_owned(), "spec.ingress[0].protocols[0].tcp: Invalid value: 0: spec.ingress[0].protocols[0].tcp in body should have at least 1 properties"),
        ("ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 9, end: 9}}}}]}]".to_owned(), "spec.ingress[0].protocols[0].tcp.destinationPort.range: Invalid value: \"object\": Start port must be less than End port"),
        ("priority: 1001".to_owned(), "spec.priority: Invalid value: 1001: spec.priority in body should be less than or equal to 1000"),
        (format!("ingress: [{}]", "{action: Deny, from: [{namespaces: {}}]},".repeat(26)), "spec.ingress: Too many: 26: must have at most 25 items"),
    ] {
        let text = cnp(&spec).replace("priority: 1, ", if spec.starts_with("priority") { "" } else { "priority: 1, " });
        assert_eq!(mistakes(&text, Origin::Manifest), [expected], "{spec}");
    }
    let anp = "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {name: p}, spec: {subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}}";
    assert_eq!(mistakes(anp, Origin::Manifest).len(), 2, "not its name, and Baseline has no Pass");
}

#[test]
fn what_is_stored_may_be_older() {
    for text in [
        np("{ingress: [{from: [{ipBlock: {cidr: 10.0.0.1/8}}]}]}"),
        np("{ingress: [{from: [{ipBlock: {cidr: '::ffff:10.0.0.0/104'}}]}]}"),
        cnp("ingress: [{action: Deny, from: [{}]}]"),
    ] {
        assert!(!mistakes(&text, Origin::Manifest).is_empty(), "{text}");
        assert_eq!(mistakes(&text, Origin::Stored), [""; 0], "{text}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_each_object_is_named() {
    let text = format!(
        "{}\n---\n{}\n---\n{{apiVersion: networking.k8s.io/v1beta1, kind: NetworkPolicy, metadata: {{name: old}}}}",
        np("{policyTypes: [a, b]}"),
        np("{}")
    );
    let found = PolicySet::read(&objects(&text), "shop", Origin::Manifest).expect_err("mistakes");
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].starts_with("NetworkPolicy shop/p: spec.policyTypes[0]: "), "{}", lines[0]);
    assert!(lines.iter().any(|line| line.ends_with("it is here twice")), "{lines:#?}");
}

/// JSON made of the words that policies are made of.
fn anything() -> impl proptest::strategy::Strategy<Value = Value> {
    use proptest::prelude::*;
    let words = vec![
        "spec",
        "podSelector",
        "namespaceSelector",
        "matchLabels",
        "matchExpressions",
        "key",
        "operator",
        "values",
        "ingress",
        "egress",
        "from",
        "to",
        "ports",
        "port",
        "endPort",
        "protocol",
        "ipBlock",
        "cidr",
        "except",
        "policyTypes",
        "subject",
        "namespaces",
        "pods",
        "nodes",
        "networks",
        "domainNames",
        "protocols",
        "tcp",
        "destinationPort",
        "number",
        "range",
        "start",
        "end",
        "destinationNamedPort",
        "action",
        "tier",
        "priority",
        "name",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "In",
            "TCP",
            "10.0.0.0/8",
            "::/0",
            "Accept",
            "Admin",
            "a",
            "\u{0}"
        ])
        .prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(7, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(prop::sample::select(words.clone()), inner, 0..6)
                .prop_map(|map| map
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()),
        ]
    });
    (value, 0..4_usize).prop_map(|(spec, kind)| {
        let (version, kind) = [
            ("networking.k8s.io/v1", "NetworkPolicy"),
            ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
            ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
            ("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"),
        ][kind];
        serde_json::json!({"apiVersion": version, "kind": kind, "metadata": {"name": "default"}, "spec": spec})
    })
}

proptest::proptest! {
    #[test]
    fn no_object_is_too_strange(object in anything()) {
        for origin in [Origin::Manifest, Origin::Stored] {
            let _ = PolicySet::read([&object], "default", origin);
        }
    }
}

#[test]
fn a_pod_that_is_not_there_is_no_panic() {
    use crate::model::{End, IpProtocol};
    let all = Compiled::new(PolicySet::default(), Topology::default());
    for (from, to) in [(End::Pod(0), End::Pod(7)), (End::Pod(3), End::Host("x".into()))] {
        let traffic = Traffic::new(from, to, IpProtocol::Tcp, 80);
        let decision = all.decide(&traffic);
        assert_eq!(decision.outcome, Outcome::Allowed);
        all.explain(&traffic, &decision);
    }
}
