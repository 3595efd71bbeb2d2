//! Ways into pods that are out of the ordinary: the host's network, one family, Services
//! that stick to a client or lead to pods that aren't ready, names with many addresses.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DeleteParams;
use netproof::sandbox::{layout::IpFamily, process::Options};
use netproof_probe::wire::Protocol::{Tcp, Udp};
use serde_json::{Value, json};

use super::kit::{DEADLINE, Lab, agent, agent_on, condition, is_ready};

fn service(name: &str, app: &str, extra: Value) -> Value {
    let mut spec = json!({"selector": {"app": app}, "ports": [
        {"name": "main", "port": 80, "targetPort": 8080},
        {"name": "udp", "port": 81, "targetPort": 8080, "protocol": "UDP"},
    ]});
    for (key, value) in extra.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

#[tokio::test]
async fn a_pod_on_the_hosts_network_is_its_node() {
    let lab = Lab::start().await;
    let mut host = agent_on("host", "node-2");
    host["spec"]["hostNetwork"] = true.into();
    host["spec"]["dnsPolicy"] = "ClusterFirstWithHostNet".into();
    lab.create(service("host", "host", json!({}))).await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-1"), host]).await;
    assert_eq!(lab.address("host").await, "172.18.0.3");
    for protocol in [Tcp, Udp] {
        assert_eq!(lab.dial("a", "172.18.0.3", 8080, protocol).await, "host");
    }
    lab.settles("a", "host", 80, "host").await;
    let b = lab.address("b").await;
    assert_eq!(lab.dial("host", &b, 8080, Tcp).await, "b");
    assert_eq!(lab.dial("host", "host", 80, Tcp).await, "host", "it knows the cluster's names");

    // No selector chooses it, whatever labels it has.
    let policy = |name: &str, app: &str, spec: Value| {
        let mut all = json!({"podSelector": {"matchLabels": {"app": app}}});
        for (key, value) in spec.as_object().into_iter().flatten() {
            all[key] = value.clone();
        }
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": "shop"}, "spec": all,
        })
    };
    lab.create(policy("host", "host", json!({}))).await;
    let from_host =
        json!({"ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "host"}}}]}]});
    lab.create(policy("b", "b", from_host)).await;
    lab.settles("host", &b, 8080, "timed out").await;
    assert_eq!(lab.dial("a", "172.18.0.3", 8080, Tcp).await, "host", "it is not isolated");
    let block = json!({"ingress": [{"from": [{"ipBlock": {"cidr": "172.18.0.3/32"}}]}]});
    lab.create(policy("b-node", "b", block)).await;
    lab.settles("host", &b, 8080, "b").await;
    lab.stop().await;
}

#[tokio::test]
async fn a_cluster_may_have_one_family() {
    for (family, nodes, dns) in [
        (IpFamily::Ipv4, ["172.18.0.2", "172.18.0.3"], "10.96.0.10"),
        (IpFamily::Ipv6, ["fd00:172:18::2", "fd00:172:18::3"], "fd00:10:96::a"),
    ] {
        let lab = Lab::with(&Options { ip_family: family, ..Options::default() }).await;
        let port = json!({"type": "NodePort", "ports": [
            {"name": "main", "port": 80, "targetPort": 8080, "nodePort": 30_080},
        ]});
        lab.create(service("b", "b", port)).await;
        lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2")]).await;
        let pod = serde_json::to_value(lab.pods().get("b").await.expect("b")).expect("JSON");
        let addresses = pod["status"]["podIPs"].as_array().expect("a list").len();
        assert_eq!(addresses, 1, "{family:?}: {}", pod["status"]);
        lab.settles("a", &lab.address("b").await, 8080, "b").await;
        lab.settles("a", "b.shop.svc.cluster.local", 80, "b").await;
        for node in nodes {
            lab.settles("a", node, 30_080, "b").await;
        }
        let object = lab.objects("", "v1", "Service").get("b").await.expect("b");
        let ips = object.data["spec"]["clusterIPs"].as_array().expect("a list").len();
        assert_eq!(ips, 1, "{family:?}");
        assert_eq!(lab.dial_foreign("a", dns, 53, Udp).await, "application", "{family:?}");
        assert_eq!(
            lab.dial_foreign("a", "kubernetes.default", 443, Tcp).await,
            "handshake",
            "{family:?}"
        );
        lab.stop().await;
    }
}

#[tokio::test]
async fn node_ports_are_of_both_families() {
    let lab = Lab::start().await;
    let port = json!({"type": "NodePort", "ipFamilyPolicy": "RequireDualStack", "ports": [
        {"name": "main", "port": 80, "targetPort": 8080, "nodePort": 30_081},
    ]});
    lab.create(service("b", "b", port)).await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2")]).await;
    for node in ["172.18.0.2", "172.18.0.3", "fd00:172:18::2", "fd00:172:18::3"] {
        lab.settles("a", node, 30_081, "b").await;
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_client_sticks_to_an_endpoint_where_the_service_says_so() {
    let lab = Lab::start().await;
    let labelled = |name: &str| {
        let mut pod = agent(name);
        pod["metadata"]["labels"]["app"] = "web".into();
        pod
    };
    lab.create(service("any", "web", json!({}))).await;
    lab.create(service("same", "web", json!({"sessionAffinity": "ClientIP"}))).await;
    lab.ready([agent("a"), labelled("one"), labelled("two"), labelled("three")]).await;
    let answers = async |name: &str| {
        let mut seen = BTreeSet::new();
        for _ in 0..24 {
            seen.insert(lab.dial("a", name, 80, Tcp).await);
        }
        seen
    };
    // It may still be spreading.
    let spread = async { while answers("any").await.len() < 3 {} };
    tokio::time::timeout(DEADLINE, spread).await.expect("all three answer");
    let same = answers("same").await;
    assert_eq!(same.len(), 1, "{same:?}");
    lab.stop().await;
}

#[tokio::test]
async fn pods_that_are_not_ready_are_reached_where_they_are_published() {
    let lab = Lab::start().await;
    let mut gated = agent("slow");
    gated["spec"]["readinessGates"] = json!([{"conditionType": "example.com/never"}]);
    lab.create(service("kept", "slow", json!({}))).await;
    lab.create(service("published", "slow", json!({"publishNotReadyAddresses": true}))).await;
    let headless = json!({"publishNotReadyAddresses": true, "clusterIP": "None"});
    lab.create(service("named", "slow", headless)).await;
    lab.ready([agent("a")]).await;
    lab.create(gated).await;
    lab.until("slow", "runs", |pod: Option<&Pod>| {
        pod.is_some_and(|pod| condition(pod, "ContainersReady"))
    })
    .await;
    lab.settles("a", "published", 80, "slow").await;
    lab.settles("a", "named", 8080, "slow").await;
    assert_eq!(lab.dial("a", "kept", 80, Tcp).await, "refused", "it has no endpoint");
    lab.stop().await;
}

#[tokio::test]
async fn a_name_may_have_more_addresses_than_a_datagram_holds() {
    let lab = Lab::start().await;
    lab.create(service("many", "", json!({"clusterIP": "None", "selector": null}))).await;
    let endpoints: Vec<_> =
        (1..=200).map(|last| json!({"addresses": [format!("192.0.2.{last}")]})).collect();
    lab.create(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "many-1", "namespace": "shop", "labels": {
            "kubernetes.io/service-name": "many",
        }},
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "main", "port": 8080}],
    }))
    .await;
    lab.ready([agent("a")]).await;
    let count = async || lab.dial("a", "many", 8080, Tcp).await.split(", ").count();
    let mut last = 0;
    let all = async {
        while last != 200 {
            last = count().await;
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, all).await;
    assert!(in_time.is_ok(), "of 200 addresses there were {last}");
    lab.stop().await;
}

#[tokio::test]
async fn a_host_port_leads_to_the_pod_and_its_policies_count_the_source() {
    let lab = Lab::start().await;
    let mut web = agent_on("web", "node-1");
    web["spec"]["containers"][0]["ports"] = json!([
        {"name": "main", "containerPort": 8080, "hostPort": 9090},
        {"name": "udp", "containerPort": 8080, "hostPort": 9091, "protocol": "UDP"},
        {"name": "one", "containerPort": 8080, "hostPort": 9092, "hostIP": "172.18.0.2"},
        {"name": "other", "containerPort": 8080, "hostPort": 9093, "hostIP": "172.18.0.99"},
    ]);
    let mut node = agent_on("node", "node-2");
    node["spec"]["hostNetwork"] = json!(true);
    let friends = ["friend", "stranger"].map(|name| agent_on(name, "node-2"));
    lab.ready([web, agent_on("near", "node-1"), node].into_iter().chain(friends)).await;
    for from in ["friend", "near", "node", "web"] {
        for address in ["172.18.0.2", "fd00:172:18::2"] {
            lab.settles(from, address, 9090, "web").await;
            assert_eq!(lab.dial(from, address, 9091, Udp).await, "web", "{from} {address}");
        }
        assert_eq!(lab.dial(from, "172.18.0.2", 9092, Tcp).await, "web", "{from}: its address");
        let other = lab.dial(from, "fd00:172:18::2", 9092, Tcp).await;
        assert_eq!(other, "refused", "{from}: not this address");
        let other = lab.dial(from, "172.18.0.2", 9093, Tcp).await;
        assert_eq!(other, "refused", "{from}: nobody's address");
        let other = lab.dial(from, "172.18.0.3", 9090, Tcp).await;
        assert_eq!(other, "refused", "{from}: another node");
    }
    lab.create(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "friends"},
        "spec": {
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}]}],
        },
    }))
    .await;
    lab.settles("stranger", "172.18.0.2", 9090, "timed out").await;
    assert_eq!(lab.dial("friend", "172.18.0.2", 9090, Tcp).await, "web", "by its own address");
    assert_eq!(lab.dial("stranger", "172.18.0.2", 9091, Udp).await, "timed out");
    // A second pod with the port has no place but the other node.
    let mut second = agent("second");
    second["spec"]["containers"][0]["ports"] = json!([{"containerPort": 1, "hostPort": 9090}]);
    let mut third = second.clone();
    third["metadata"]["name"] = json!("third");
    lab.ready([second]).await;
    lab.create(third).await;
    let told = lab.until("third", "is told", |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| {
            let message = condition.message.as_deref().unwrap_or_default();
            message.contains("2 node(s) didn't have free ports for the requested pod ports")
        })
    });
    told.await;
    lab.pods().delete("web", &DeleteParams::default()).await.expect("there");
    lab.until("third", "has the port", |pod: Option<&Pod>| pod.is_some_and(is_ready)).await;
    lab.settles("friend", "172.18.0.2", 9090, "refused").await;
    lab.stop().await;
}

#[tokio::test]
async fn a_pod_knows_itself_and_its_aliases_by_its_hosts_file() {
    let lab = Lab::start().await;
    let mut client = agent("client");
    client["spec"]["hostname"] = json!("me");
    client["spec"]["subdomain"] = json!("us");
    lab.ready([agent("web")]).await;
    let address = lab.address("web").await;
    client["spec"]["hostAliases"] = json!([{"ip": address, "hostnames": ["db.example", "Legacy"]}]);
    lab.ready([client]).await;
    for (name, expected) in [
        ("db.example", "web"),
        ("legacy", "web"),
        ("me", "client, client"),
        ("me.us.shop.svc.cluster.local", "client, client"),
        ("localhost", "client, client"),
        ("other.example", "no address"),
    ] {
        let said = lab.dial("client", name, 8080, Tcp).await;
        assert_eq!(said, expected, "{name}");
    }
    assert_eq!(lab.dial("web", "db.example", 8080, Tcp).await, "no address", "its own alone");
    lab.stop().await;
}
