use super::*;
use crate::model::{IpProtocol, Target};

fn built(text: &str) -> Built {
    let objects = parse("manifests", text).expect("good YAML");
    build(&objects, "default")
}

#[test]
fn every_kind_of_workload_becomes_pods() {
    let template = "{metadata: {labels: {app: x}}, spec: {containers: [{name: c}]}}";
    let text = format!(
        "
{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: d}}, spec: {{replicas: 5, template: {template}}}}}
---
{{apiVersion: apps/v1, kind: StatefulSet, metadata: {{name: s}}, spec: {{template: {template}}}}}
---
{{apiVersion: apps/v1, kind: DaemonSet, metadata: {{name: ds}}, spec: {{template: {template}}}}}
---
{{apiVersion: v1, kind: ReplicationController, metadata: {{name: rc}}, spec: {{replicas: 0, template: {template}}}}}
---
{{apiVersion: batch/v1, kind: CronJob, metadata: {{name: cj}}, spec: {{jobTemplate: {{spec: {{template: {template}}}}}}}}}
---
{{apiVersion: example.com/v1, kind: Rollout, metadata: {{name: ro}}, spec: {{replicas: 1, template: {template}}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: c}}]}}}}
---
{{apiVersion: v1, kind: Pod, metadata: {{name: done}}, spec: {{}}, status: {{phase: Succeeded}}}}
"
    );
    let built = built(&text);
    let names: Vec<_> = built.topology.pods().iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["cj-0", "d-0", "d-1", "ds-0", "ds-1", "p", "ro-0", "s-0"]);
    assert_eq!(
        built.notes.len(),
        3,
        "no replicas, a kind by its shape, a namespace: {:?}",
        built.notes
    );
}

#[test]
fn pods_that_are_there_need_nothing_to_stand_for_them() {
    let built = built(
        "
{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {template: {spec: {containers: []}}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: d-5f, ownerReferences: [{kind: Deployment, name: d, controller: true}]}, spec: {template: {spec: {containers: []}}}}
---
apiVersion: v1
kind: Pod
metadata:
  name: d-5f-x
  labels: {pod-template-hash: 5f}
  ownerReferences: [{kind: ReplicaSet, name: d-5f, controller: true}]
spec: {nodeName: one, hostNetwork: true, containers: []}
status: {podIP: 10.0.0.1, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}
",
    );
    let [pod] = built.topology.pods() else { panic!("{:?}", built.topology.pods()) };
    let workload = pod.workload.as_ref().expect("an owner");
    assert_eq!((workload.kind.as_str(), workload.name.as_str()), ("Deployment", "d"));
    assert_eq!(pod.addresses.len(), 2, "one a family");
    assert!(pod.host_network && pod.node.as_deref() == Some("one"));
}

#[test]
fn namespaces_have_their_name_as_a_label_and_services_their_targets() {
    let built = built(
        "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}}}
- apiVersion: v1
  kind: Service
  metadata: {name: db, namespace: shop}
  spec: {selector: {app: db}, ports: [{port: 80, targetPort: http}, {port: 53, protocol: UDP}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: shop}
  spec:
    containers: [{name: c, ports: [{containerPort: 8080, name: http}]}]
    initContainers: [{name: s, restartPolicy: Always, ports: [{containerPort: 9, name: side, protocol: UDP}]}, {name: i, ports: [{containerPort: 7, name: gone}]}]
",
    );
    let labels = &built.topology.namespaces()["shop"];
    assert_eq!(labels.get("kubernetes.io/metadata.name").map(String::as_str), Some("shop"));
    assert_eq!(labels.get("team").map(String::as_str), Some("a"));
    let service = built.topology.service("shop", "db").expect("the Service");
    assert_eq!(service.ports[0].target, Target::Name("http".into()));
    assert_eq!(service.ports[1].target, Target::Number(53));
    let pod = &built.topology.pods()[0];
    for (name, protocol, expected) in [
        ("http", IpProtocol::Tcp, Some(8080)),
        ("http", IpProtocol::Udp, None),
        ("side", IpProtocol::Udp, Some(9)),
        ("gone", IpProtocol::Tcp, None),
    ] {
        assert_eq!(pod.named_port(name, protocol), expected, "{name}/{protocol}");
    }
    assert!(built.notes.is_empty(), "{:?}", built.notes);
}

#[test]
fn broken_manifests_name_the_document() {
    for (text, part) in [
        ("a: [", "document 1"),
        ("kind: A\n---\nkind: [\n", "document 2"),
        ("just words", "no object"),
        ("a: 1", "without `kind`"),
    ] {
        let error = parse("x.yaml", text).expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
    assert_eq!(parse("x.yaml", "\n---\n---\n# nothing\n").expect("empty").len(), 0);
}
