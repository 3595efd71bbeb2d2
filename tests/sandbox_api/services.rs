//! Services, names and both families, by the API and on the wire.

use kube::api::{DeleteParams, Patch, PatchParams};
use netproof_probe::wire::{
    Probe, Protocol,
    Protocol::{Tcp, Udp},
    Question, Script, Target, Timing, Tls,
};
use serde_json::{Value, json};

use super::kit::{DEADLINE, Lab, agent, agent_on};

fn service(name: &str, app: &str, extra: Value) -> Value {
    let mut spec = json!({"selector": {"app": app}, "ports": [
        {"name": "main", "port": 80, "targetPort": "main"},
        {"name": "udp", "port": 81, "targetPort": 8080, "protocol": "UDP"},
    ]});
    if let (Some(spec), Value::Object(extra)) = (spec.as_object_mut(), extra) {
        spec.extend(extra);
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

/// Dials until the outcome is as expected.
async fn settles(lab: &Lab, from: &str, to: &str, port: u16, expected: &str) {
    let mut last = String::new();
    let dialled = async {
        while last != expected {
            last = lab.dial(from, to, port, Tcp).await;
        }
    };
    if tokio::time::timeout(DEADLINE, dialled).await.is_err() {
        panic!("{from} to {to}:{port} was never {expected}, last {last}");
    }
}

/// An object as JSON.
async fn get(lab: &Lab, group: &str, version: &str, kind: &str, name: &str) -> Value {
    let object = lab.objects(group, version, kind).get(name).await.expect("there");
    serde_json::to_value(object).expect("JSON")
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().into_iter().flatten();
    items.filter_map(|item| item.as_str().or(item["ip"].as_str())).map(str::to_owned).collect()
}

#[tokio::test]
async fn pods_and_services_have_addresses_of_both_families() {
    let lab = Lab::start().await;
    lab.create(service("both", "b", json!({"ipFamilyPolicy": "RequireDualStack"}))).await;
    lab.create(service("six", "b", json!({"ipFamilies": ["IPv6"]}))).await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2")]).await;
    let pod = get(&lab, "", "v1", "Pod", "b").await;
    let own = texts(&pod["status"]["podIPs"]);
    assert_eq!(own.len(), 2, "{own:?}");
    assert_eq!(own[0], pod["status"]["podIP"], "IPv4 comes first");
    assert_eq!(texts(&pod["status"]["hostIPs"]), ["172.18.0.3", "fd00:172:18::3"]);
    for address in &own {
        for protocol in [Tcp, Udp] {
            assert_eq!(lab.dial("a", address, 8080, protocol).await, "b", "{address}");
        }
    }
    let both = get(&lab, "", "v1", "Service", "both").await;
    let addresses = texts(&both["spec"]["clusterIPs"]);
    assert_eq!(addresses.len(), 2, "{both}");
    for address in addresses {
        settles(&lab, "a", &address, 80, "b").await;
        assert_eq!(lab.dial("a", &address, 81, Udp).await, "b", "{address}");
        assert_eq!(lab.dial("a", &address, 82, Tcp).await, "refused", "{address}: no such port");
    }
    assert_eq!(lab.dial("a", "both", 80, Tcp).await, "b, b", "a name of both families");
    assert_eq!(lab.dial("a", "six", 80, Tcp).await, "b", "a name of one");
    let deny = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": "shop"},
        "spec": {"podSelector": {"matchLabels": {"app": "b"}}},
    });
    lab.create(deny).await;
    for address in &own {
        settles(&lab, "a", address, 8080, "timed out").await;
    }
    lab.stop().await;
}

#[tokio::test]
async fn node_ports_and_balancers_lead_to_pods() {
    let lab = Lab::start().await;
    lab.create(service(
        "web",
        "web",
        json!({"type": "LoadBalancer", "ports": [
            {"name": "main", "port": 80, "targetPort": "main", "nodePort": 30_080},
        ]}),
    ))
    .await;
    lab.ready([agent_on("a", "node-1"), agent_on("web", "node-2")]).await;
    for node in ["172.18.0.2", "172.18.0.3"] {
        settles(&lab, "a", node, 30_080, "web").await;
    }
    let web = get(&lab, "", "v1", "Service", "web").await;
    let ingress = texts(&web["status"]["loadBalancer"]["ingress"]);
    assert!(ingress.len() == 1 && ingress[0].starts_with("172.18.255."), "{web}");
    settles(&lab, "a", &ingress[0], 80, "web").await;
    assert_eq!(lab.dial("a", &ingress[0], 81, Tcp).await, "refused", "no such port");
    let plain = json!({"spec": {"type": "ClusterIP"}});
    let services = lab.objects("", "v1", "Service");
    services.patch("web", &PatchParams::default(), &Patch::Merge(plain)).await.expect("a patch");
    settles(&lab, "a", "172.18.0.2", 30_080, "refused").await;
    lab.stop().await;
}

#[tokio::test]
async fn headless_services_name_their_pods() {
    let lab = Lab::start().await;
    lab.create(service("db", "db", json!({"clusterIP": "None"}))).await;
    let mut named = agent("db");
    named["spec"]["hostname"] = "first".into();
    named["spec"]["subdomain"] = "db".into();
    lab.ready([agent("a"), named]).await;
    let address = lab.address("db").await;
    let dashed = address.replace('.', "-");
    for name in ["db", "first.db", &format!("{dashed}.shop.pod")] {
        assert_eq!(lab.dial("a", name, 8080, Tcp).await, "db", "{name}");
    }
    // By a slice that somebody else made.
    let mut own = service("own", "", json!({"clusterIP": "None"}));
    own["spec"]["selector"] = Value::Null;
    lab.create(own).await;
    lab.create(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "own-1", "namespace": "shop", "labels": {
            "kubernetes.io/service-name": "own",
        }},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"name": "main", "port": 8080}],
    }))
    .await;
    settles(&lab, "a", "own", 8080, "db").await;
    lab.stop().await;
}

#[tokio::test]
async fn the_api_is_found_by_its_service() {
    let lab = Lab::start().await;
    lab.ready([agent("a")]).await;
    for address in ["10.96.0.1", "fd00:10:96::1"] {
        assert_eq!(lab.dial_foreign("a", address, 443, Tcp).await, "handshake", "{address}");
    }
    let name = "kubernetes.default.svc";
    assert_eq!(lab.dial_foreign("a", name, 443, Tcp).await, "handshake, handshake");
    assert_eq!(lab.dial_foreign("a", "10.96.0.1", 444, Tcp).await, "refused");
    // It is no pod: a policy reaches it by its address alone.
    lab.create(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "pods-only", "namespace": "shop"},
        "spec": {
            "podSelector": {}, "policyTypes": ["Egress"],
            "egress": [{"to": [{"namespaceSelector": {}}]}],
        },
    }))
    .await;
    let closed =
        async { while lab.dial_foreign("a", "10.96.0.1", 443, Tcp).await != "timed out" {} };
    tokio::time::timeout(DEADLINE, closed).await.expect("the policy bites");
    lab.create(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "api", "namespace": "shop"},
        "spec": {
            "podSelector": {}, "policyTypes": ["Egress"],
            "egress": [{
                "to": [{"ipBlock": {"cidr": "172.18.0.254/32"}}], "ports": [{"port": 6443}],
            }],
        },
    }))
    .await;
    let open = async { while lab.dial_foreign("a", "10.96.0.1", 443, Tcp).await != "handshake" {} };
    tokio::time::timeout(DEADLINE, open).await.expect("the address is allowed");
    lab.stop().await;
}

#[tokio::test]
async fn an_application_in_a_pod_speaks_tls_as_policies_let_it() {
    let lab = Lab::start().await;
    lab.ready([agent("a")]).await;
    lab.create(json!({
        "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "ExternalHost",
        "metadata": {"name": "plain"},
        "spec": {"addresses": ["192.0.2.1"], "ports": ["443/http"]},
    }))
    .await;
    let roots = get(&lab, "", "v1", "ConfigMap", "kube-root-ca.crt").await;
    let ca = roots["data"]["ca.crt"].as_str().expect("the cluster's authority").to_owned();
    let speak = async |to: &str, ca: Option<&String>| {
        let target = match to.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Name(to.to_owned()),
        };
        let tls = Tls { server_name: None, verify: true, ca: ca.cloned() };
        let probe = Probe {
            id: 1,
            target,
            family: None,
            port: 443,
            protocol: Protocol::Http,
            question: Question::Bare,
            script: Script { tls: Some(tls), ..Script::default() },
            timing: Timing::default(),
        };
        lab.probe("a", probe).await
    };
    for (to, expected) in [
        ("kubernetes.default", "application, application"),
        ("kubernetes.default.svc.cluster.local", "application, application"),
        ("10.96.0.1", "application"),
        ("fd00:10:96::1", "application"),
    ] {
        assert_eq!(speak(to, Some(&ca)).await, expected, "{to}, whose authority is known");
    }
    let seen = speak("10.96.0.1", None).await;
    assert!(seen.contains("TlsFailed"), "of no authority that the world knows: {seen}");
    let plain = async { while !speak("192.0.2.1", Some(&ca)).await.contains("TlsFailed") {} };
    tokio::time::timeout(DEADLINE, plain).await.expect("who speaks no TLS is told apart");
    lab.create(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "names-only", "namespace": "shop"},
        "spec": {
            "podSelector": {}, "policyTypes": ["Egress"],
            "egress": [{"ports": [{"protocol": "UDP", "port": 53}]}],
        },
    }))
    .await;
    let closed =
        async { while speak("kubernetes.default", Some(&ca)).await != "timed out, timed out" {} };
    tokio::time::timeout(DEADLINE, closed).await.expect("a policy closes it");
    lab.stop().await;
}

#[tokio::test]
async fn external_hosts_have_addresses_of_their_own() {
    let lab = Lab::start().await;
    lab.ready([agent("a")]).await;
    let host = |name: &str, addresses: Value| {
        json!({
            "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "ExternalHost",
            "metadata": {"name": name},
            "spec": {"addresses": addresses, "names": ["www.example.com"], "ports": ["443/tcp"]},
        })
    };
    lab.create(host("one", json!(["192.0.2.1", "2001:db8::1"]))).await;
    let reached =
        async { while lab.dial_foreign("a", "2001:db8::1", 443, Tcp).await != "handshake" {} };
    tokio::time::timeout(DEADLINE, reached).await.expect("the host comes up");
    let outcome = lab.dial_foreign("a", "www.example.com", 443, Tcp).await;
    assert_eq!(outcome, "handshake, handshake");
    let hosts = lab.objects("sandbox.netproof.dev", "v1alpha1", "ExternalHost");
    for (addresses, expected) in [
        (json!(["192.0.2.1"]), "the address is that of the external host \"one\""),
        (json!(["192.0.2.9", "2001:db8:0::1"]), "the address is that of the external host \"one\""),
        (json!(["192.0.2.9", "192.0.2.9"]), "Duplicate value"),
        (json!(["10.244.0.9"]), "the address lies in one of the cluster's own ranges"),
        (json!(["ff02::1"]), "no host can have this address"),
    ] {
        let object = serde_json::from_value(host("two", addresses.clone())).expect("an object");
        let error = hosts.create(&Default::default(), &object).await.expect_err(expected);
        assert!(error.to_string().contains(expected), "{addresses}: {error}");
    }
    hosts.delete("one", &DeleteParams::default()).await.expect("there");
    let again = async {
        let object = serde_json::from_value(host("two", json!(["192.0.2.1"]))).expect("an object");
        while hosts.create(&Default::default(), &object).await.is_err() {}
        while lab.dial_foreign("a", "192.0.2.1", 443, Tcp).await != "handshake" {}
    };
    tokio::time::timeout(DEADLINE, again).await.expect("the address is free again");
    lab.stop().await;
}
