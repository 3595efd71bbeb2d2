//! What the API says of the network is true on the wire.

use kube::api::{DeleteParams, Patch, PatchParams};
use netproof_probe::wire::{
    self, Probe,
    Protocol::{Http, Tcp, Udp},
    Question, Target, Timing,
};
use serde_json::{Value, json};

use super::kit::{DEADLINE, Lab, agent, agent_on};

fn policy(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

fn deny_ingress(app: &str) -> Value {
    policy("deny", json!({"podSelector": {"matchLabels": {"app": app}}}))
}

/// Dials until the outcome is as expected.
async fn settles(lab: &Lab, from: &str, to: &str, expected: &str) {
    let dialled = async { while lab.dial(from, to, 8080, Tcp).await != expected {} };
    let message = format!("{from} to {to} was never {expected}");
    tokio::time::timeout(DEADLINE, dialled).await.expect(&message);
}

#[tokio::test]
async fn pods_reach_each_other_on_one_node_and_across_nodes() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-1"), agent_on("c", "node-2")]).await;
    for to in ["b", "c"] {
        let address = lab.address(to).await;
        assert_eq!(lab.dial("a", &address, 8080, Tcp).await, to);
        assert_eq!(lab.dial("a", &address, 8080, Udp).await, to);
        assert_eq!(lab.dial("a", &address, 8081, Tcp).await, "refused", "nothing listens there");
    }
    lab.stop().await;
}

#[tokio::test]
async fn policies_bite_and_let_go() {
    let lab = Lab::start().await;
    lab.ready([agent("a"), agent("b")]).await;
    let address = lab.address("b").await;
    assert_eq!(lab.dial("a", &address, 8080, Tcp).await, "b");
    lab.create(deny_ingress("b")).await;
    settles(&lab, "a", &address, "timed out").await;
    let allow = json!({
        "podSelector": {"matchLabels": {"app": "b"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "a"}}}],
                     "ports": [{"port": "main"}]}],
    });
    lab.create(policy("allow", allow)).await;
    settles(&lab, "a", &address, "b").await;
    let relabel = Patch::Merge(json!({"metadata": {"labels": {"app": "x"}}}));
    lab.pods().patch("a", &PatchParams::default(), &relabel).await.expect("a patch");
    settles(&lab, "a", &address, "timed out").await;
    let policies = lab.objects("networking.k8s.io", "v1", "NetworkPolicy");
    for name in ["allow", "deny"] {
        policies.delete(name, &DeleteParams::default()).await.expect("there");
    }
    settles(&lab, "a", &address, "b").await;
    lab.stop().await;
}

#[tokio::test]
async fn a_new_pod_is_isolated_before_its_first_process_starts() {
    let lab = Lab::start().await;
    lab.create(deny_ingress("b")).await;
    // So many rules take their time to be in force.
    for number in 0..200 {
        let peer = json!({"ipBlock": {"cidr": format!("198.51.{number}.0/24")}});
        let mut many = policy("many", json!({"podSelector": {}, "ingress": [{"from": [peer]}]}));
        many["metadata"]["name"] = format!("many-{number}").into();
        lab.create(many).await;
    }
    lab.ready([agent_on("a", "node-1")]).await;
    // A node's next address is known before there is a pod that has it: its DNS server has
    // the first.
    let knock = Probe {
        id: 1,
        target: Target::Address([10, 244, 1, 3].into()),
        family: None,
        port: 8080,
        protocol: wire::Protocol::Tcp,
        question: Question::Keyed { nonce: "1".repeat(32) },
        script: Default::default(),
        timing: Timing { window: 2_000, attempts: 100, reply: 1_000 },
    };
    let (answer, ()) = tokio::join!(lab.probe("a", knock), lab.ready([agent_on("b", "node-2")]));
    assert_eq!(lab.address("b").await, "10.244.1.3");
    assert!(["timed out", "no route"].contains(&answer.as_str()), "{answer}");
    lab.stop().await;
}

#[tokio::test]
async fn services_lead_to_ready_pods_by_address_and_by_name() {
    let lab = Lab::start().await;
    let mut gated = agent("gated");
    gated["metadata"]["labels"]["app"] = "web".into();
    gated["spec"]["readinessGates"] = json!([{"conditionType": "netproof.dev/guest"}]);
    lab.create(gated).await;
    let service = |name: &str, app: &str, extra: Value| {
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
    };
    lab.create(service("web", "web", json!({}))).await;
    lab.create(service("direct", "web", json!({"clusterIP": "None"}))).await;
    lab.create(service("nobody", "nobody", json!({}))).await;
    lab.ready([agent("a"), agent("web")]).await;
    for name in ["web", "web.shop", "web.shop.svc.cluster.local"] {
        assert_eq!(lab.dial("a", name, 80, Tcp).await, "web", "{name}");
    }
    assert_eq!(lab.dial("a", "web", 81, Udp).await, "web");
    assert_eq!(lab.dial("a", "direct", 8080, Tcp).await, "web", "the one pod that is ready");
    assert_eq!(lab.dial("a", "nobody", 80, Tcp).await, "refused", "a Service without pods");
    assert_eq!(lab.dial("a", "no-such-name", 80, Tcp).await, "no address");
    lab.stop().await;
}

#[tokio::test]
async fn external_hosts_answer_by_address_and_by_name_until_they_go() {
    let lab = Lab::start().await;
    lab.ready([agent("a")]).await;
    lab.create(json!({
        "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "ExternalHost",
        "metadata": {"name": "api"},
        "spec": {
            "addresses": ["192.0.2.1", "169.254.169.254"], "names": ["api.example.com"],
            "ports": ["80/http", "443/tcp", "53/udp"],
        },
    }))
    .await;
    let reached = async {
        while lab.dial_foreign("a", "169.254.169.254", 80, Http).await != "application" {}
    };
    tokio::time::timeout(DEADLINE, reached).await.expect("the host comes up");
    let both = |outcome: &str| format!("{outcome}, {outcome}");
    for (port, protocol, expected) in [
        (80, Http, both("application")),
        (443, Tcp, both("handshake")),
        (53, Udp, both("application")),
        (444, Tcp, both("refused")),
    ] {
        let outcome = lab.dial_foreign("a", "api.example.com", port, protocol).await;
        assert_eq!(outcome, expected, "port {port}");
    }
    let hosts = lab.objects("sandbox.netproof.dev", "v1alpha1", "ExternalHost");
    hosts.delete("api", &DeleteParams::default()).await.expect("there");
    let gone =
        async { while lab.dial_foreign("a", "192.0.2.1", 80, Http).await == "application" {} };
    tokio::time::timeout(DEADLINE, gone).await.expect("the host goes");
    lab.stop().await;
}

#[tokio::test]
async fn faults_are_switched_on_and_off_while_it_runs() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2")]).await;
    let address = lab.address("b").await;
    lab.create(deny_ingress("b")).await;
    settles(&lab, "a", &address, "timed out").await;
    let faults = lab.objects("sandbox.netproof.dev", "v1alpha1", "Fault");
    for (fault, expected) in
        [("enforce-nothing", "b"), ("ignore-ingress", "b"), ("reject", "refused")]
    {
        lab.create(json!({
            "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "Fault",
            "metadata": {"name": fault}, "spec": {"fault": fault},
        }))
        .await;
        settles(&lab, "a", &address, expected).await;
        faults.delete(fault, &DeleteParams::default()).await.expect("there");
        settles(&lab, "a", &address, "timed out").await;
    }
    lab.stop().await;
}
