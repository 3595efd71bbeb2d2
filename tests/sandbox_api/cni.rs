//! What the CNI does and tells, as a client of the API sees it.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use kube::api::DeleteParams;
use netproof_probe::wire::{Probe, Protocol::Tcp, Protocol::Udp, Question, Target, Timing};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::kit::{DEADLINE, Lab, agent, agent_on};

fn policy(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec,
    })
}

fn fault(fault: &str) -> Value {
    json!({
        "apiVersion": "sandbox.netproof.dev/v1alpha1", "kind": "Fault",
        "metadata": {"name": "it"}, "spec": {"fault": fault},
    })
}

fn request(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(format!("/apis/sandbox.netproof.dev/v1alpha1/{path}"))
        .body(Vec::new())
        .expect("a request")
}

/// Knocks on a pod's door for as long as it takes to come up.
fn knock(id: u64, last: u8, window: u32) -> Probe {
    Probe {
        id,
        target: Target::Address([10, 244, 1, last].into()),
        family: None,
        port: 8080,
        protocol: Tcp,
        question: Question::Keyed { nonce: "1".repeat(32) },
        script: Default::default(),
        timing: Timing { window, attempts: 100, reply: 1_000 },
    }
}

#[tokio::test]
async fn none_of_fifty_pods_is_ever_open_in_a_namespace_that_is_closed() {
    const PODS: u8 = 50;
    let lab = Lab::start().await;
    lab.create(policy(
        "deny",
        json!({"podSelector": {"matchExpressions": [
        {"key": "app", "operator": "NotIn", "values": ["client"]}]}}),
    ))
    .await;
    lab.ready([agent_on("client", "node-1")]).await;
    // A node gives its addresses in order, the first to its DNS, so that they are known before
    // there are pods.
    let lasts: Vec<u8> = (3..3 + PODS).collect();
    // At each door thrice, in different steps.
    let knocks = lasts.iter().flat_map(|&last| {
        [10_000, 9_700, 9_300]
            .map(|window| knock(u64::from(window) << 8 | u64::from(last), last, window))
    });
    let knocks = knocks.collect();
    let pods = (0..PODS).map(|number| agent_on(&format!("pod-{number}"), "node-2"));
    let (answers, ()) = tokio::join!(lab.probes("client", knocks), lab.ready(pods));
    let mut addresses = Vec::new();
    for number in 0..PODS {
        addresses.push(lab.address(&format!("pod-{number}")).await);
    }
    addresses.sort_unstable();
    let mut knocked: Vec<_> = lasts.iter().map(|last| format!("10.244.1.{last}")).collect();
    knocked.sort_unstable();
    assert_eq!(addresses, knocked, "all were knocked on");
    let open: Vec<_> = answers
        .iter()
        .filter(|answer| !["timed out", "no route"].contains(&answer.as_str()))
        .collect();
    assert_eq!(open.len(), 0, "{open:?}");

    // The contrary shows that an open door would have been found; also by a slow machine, for
    // which the door stays open, and which knocks until it is.
    lab.create(fault("late-isolation=60s")).await;
    let last = 3 + PODS;
    let late = [agent_on("late", "node-2")];
    let found = async {
        let mut number = 0;
        while lab.probe("client", knock(number << 8 | u64::from(last), last, 2_000)).await != "late"
        {
            number += 1;
        }
    };
    let (found, ()) = tokio::join!(timeout(DEADLINE, found), lab.ready(late));
    found.expect("isolation comes late");
    lab.stop().await;
}

#[tokio::test]
async fn the_flow_log_says_who_reached_whom_and_which_policy_decided() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2"), agent_on("c", "node-1")]).await;
    let allow = json!({
        "podSelector": {"matchLabels": {"app": "b"}},
        "ingress": [{"ports": [{"port": 1}]}, {"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}],
    });
    lab.create(policy("b", allow)).await;
    let stream = lab.client.request_stream(request("flows?follow=true")).await.expect("a stream");
    let mut lines = stream.lines();
    let (a, b) = (lab.address("a").await, lab.address("b").await);
    let dialled = async { while lab.dial("c", &b, 8080, Tcp).await != "timed out" {} };
    timeout(DEADLINE, dialled).await.expect("the policy bites");
    assert_eq!(lab.dial("a", &b, 8080, Udp).await, "b");

    let mut wanted = vec![
        ("leaves its pod, on which there is no policy", "FORWARDED", "EGRESS", "c", "TCP"),
        ("is dropped on its way in", "DROPPED", "INGRESS", "c", "TCP"),
        ("is allowed on its way in", "FORWARDED", "INGRESS", "a", "UDP"),
    ];
    let mut found = Vec::new();
    let read = async {
        while !wanted.is_empty() {
            let line = lines.try_next().await.expect("a line").expect("the log goes on");
            let flow: Value = serde_json::from_str(&line).expect("JSON");
            let is = |wanted: &(&str, &str, &str, &str, &str)| {
                flow["verdict"] == wanted.1
                    && flow["traffic_direction"] == wanted.2
                    && flow["source"]["pod_name"] == wanted.3
                    && flow["destination"]["pod_name"] == "b"
                    && flow["l4"][wanted.4]["destination_port"] == 8080
            };
            if let Some(index) = wanted.iter().position(is) {
                wanted.remove(index);
                found.push(flow);
            }
        }
    };
    if timeout(DEADLINE, read).await.is_err() {
        panic!("never seen: {wanted:?}");
    }
    let by = |verdict: &str, direction: &str| {
        let is =
            |flow: &&Value| flow["verdict"] == verdict && flow["traffic_direction"] == direction;
        found.iter().find(is).expect("found above")
    };
    let dropped = by("DROPPED", "INGRESS");
    assert_eq!(dropped["drop_reason_desc"], "POLICY_DENIED");
    assert_eq!(
        dropped["ingress_denied_by"],
        json!([{"kind": "NetworkPolicy", "namespace": "shop", "name": "b"}])
    );
    assert_eq!(dropped["node_name"], "node-2");
    assert_eq!(dropped["l4"]["TCP"]["flags"], json!({"SYN": true}));
    let allowed = by("FORWARDED", "INGRESS");
    assert_eq!(
        allowed["ingress_allowed_by"],
        json!([{"kind": "NetworkPolicy", "namespace": "shop", "name": "b", "rule": 1}])
    );
    assert_eq!(allowed["IP"], json!({"source": a, "destination": b, "ipVersion": "IPv4"}));
    assert_eq!(
        allowed["source"]["labels"],
        json!(["k8s:app=a", "k8s:io.kubernetes.pod.namespace=shop"])
    );
    let left = by("FORWARDED", "EGRESS");
    assert_eq!(left["node_name"], "node-1");
    assert!(left["egress_allowed_by"].is_null(), "{left}");
    // Without following it ends, with all that was.
    let all = lab.client.request_text(request("flows")).await.expect("the log");
    assert!(all.lines().count() >= 3, "{all}");
    lab.stop().await;
}

#[tokio::test]
async fn a_node_tells_its_rules_each_with_the_policy_that_made_it() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1")]).await;
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}]}]});
    lab.create(policy("all-namespaces", spec)).await;
    let rules = async {
        loop {
            let rules =
                lab.client.request_text(request("nodes/node-1/rules")).await.expect("rules");
            if rules.contains("comment \"shop/all-namespaces ingress[0]\"") {
                return rules;
            }
        }
    };
    let rules = timeout(DEADLINE, rules).await.expect("the policy's rule");
    assert!(rules.contains("comment \"shop/a\" : jump ingress/shop"), "{rules}");
    match loads(&rules) {
        Some(Ok(())) => {}
        Some(Err(error)) => panic!("{error}\n{rules}"),
        None => eprintln!("there is no nft to read the rules"),
    }
    let error = lab.client.request_text(request("nodes/node-9/rules")).await.expect_err("no node");
    assert!(error.to_string().contains("nodes \"node-9\" not found"), "{error}");
    lab.objects("networking.k8s.io", "v1", "NetworkPolicy")
        .delete("all-namespaces", &DeleteParams::default())
        .await
        .expect("there");
    lab.stop().await;
}

/// Whether `nft` takes the rules, in a namespace of its own; none where it isn't there.
fn loads(rules: &str) -> Option<Result<(), String>> {
    let mut child = Command::new("unshare")
        .args(["--map-root-user", "--net", "nft", "-c", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(rules.as_bytes()).ok()?;
    let output = child.wait_with_output().ok()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Some(Ok(()))
    } else if error.contains("failed to execute") || error.contains("unshare failed") {
        None
    } else {
        Some(Err(error))
    }
}

#[tokio::test]
async fn stale_labels_and_policies_are_in_force_until_the_fault_ends() {
    let lab = Lab::start().await;
    lab.ready([agent("a"), agent("b")]).await;
    let b = lab.address("b").await;
    lab.create(policy("deny", json!({"podSelector": {"matchLabels": {"app": "b"}}}))).await;
    let closed = async { while lab.dial("a", &b, 8080, Tcp).await != "timed out" {} };
    timeout(DEADLINE, closed).await.expect("the policy bites");
    lab.create(fault("stale-policies")).await;
    let policies = lab.objects("networking.k8s.io", "v1", "NetworkPolicy");
    policies.delete("deny", &DeleteParams::default()).await.expect("there");
    assert_eq!(lab.dial("a", &b, 8080, Tcp).await, "timed out", "the policy is stale");
    let faults = lab.objects("sandbox.netproof.dev", "v1alpha1", "Fault");
    faults.delete("it", &DeleteParams::default()).await.expect("there");
    let open = async { while lab.dial("a", &b, 8080, Tcp).await != "b" {} };
    timeout(DEADLINE, open).await.expect("the fault has ended");
    lab.stop().await;
}

#[tokio::test]
async fn policies_of_the_cluster_stand_before_and_behind_those_of_namespaces() {
    let lab = Lab::start().await;
    lab.ready([agent_on("a", "node-1"), agent_on("b", "node-2")]).await;
    let b = lab.address("b").await;
    let until = async |expected: &str, what: &str| {
        let dialled = async { while lab.dial("a", &b, 8080, Tcp).await != expected {} };
        timeout(DEADLINE, dialled).await.unwrap_or_else(|_| panic!("never `{expected}`: {what}"));
    };
    let guard = |name: &str, tier: &str, action: &str| {
        json!({
            "apiVersion": "policy.networking.k8s.io/v1beta1", "kind": "ClusterNetworkPolicy",
            "metadata": {"name": name},
            "spec": {
                "tier": tier, "priority": 10, "subject": {"namespaces": {}},
                "ingress": [{
                    "name": "all", "action": action, "from": [{"namespaces": {}}],
                    "protocols": [{"tcp": {"destinationPort": {"number": 8080}}}],
                }],
            },
        })
    };
    // Made in one version and changed in the other.
    let policies = lab.objects("policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy");
    let gone = async |name: &str| {
        policies.delete(name, &DeleteParams::default()).await.expect("deleted");
    };
    lab.create(policy("b", json!({"podSelector": {}, "ingress": [{}]}))).await;
    until("b", "the namespace's policy allows it").await;
    lab.create(guard("first", "Admin", "Deny")).await;
    until("timed out", "the Admin tier comes first").await;
    let flows = async {
        loop {
            let flows = lab.client.request_text(request("flows")).await.expect("the log");
            let mut flows = flows.lines().map(|line| serde_json::from_str(line).expect("JSON"));
            let by = json!([{"kind": "ClusterNetworkPolicy", "name": "first", "rule": 0}]);
            if flows.any(|flow: Value| flow["ingress_denied_by"] == by) {
                return;
            }
        }
    };
    timeout(DEADLINE, flows).await.expect("the flow log names the policy");
    let patch = json!({"spec": {"ingress": [{"action": "Pass", "from": [{"namespaces": {}}]}]}});
    let patch = kube::api::Patch::Merge(patch);
    policies.patch("first", &Default::default(), &patch).await.expect("patched");
    until("b", "it is left to the namespace's policy").await;
    lab.create(guard("last", "Baseline", "Deny")).await;
    lab.objects("networking.k8s.io", "v1", "NetworkPolicy")
        .delete("b", &DeleteParams::default())
        .await
        .expect("deleted");
    until("timed out", "no policy of the namespace isolates any more").await;
    let rules = lab.client.request_text(request("nodes/node-2/rules")).await.expect("rules");
    assert!(rules.contains("comment \"ClusterNetworkPolicy last ingress[0] all\""), "{rules}");
    let refused = policies
        .create(
            &Default::default(),
            &serde_json::from_value(json!({
                "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
                "metadata": {"name": "odd"},
                "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": [{
                    "action": "Deny", "to": [{"networks": ["nothing"]}],
                }]},
            }))
            .expect("an object"),
        )
        .await;
    let refused = refused.expect_err("the definition's rules").to_string();
    assert!(refused.contains("Invalid CIDR format provided"), "{refused}");
    gone("last").await;
    until("b", "nothing is left that denies it").await;
    lab.stop().await;
}
