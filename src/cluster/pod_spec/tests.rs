//! What a probe pod is sent as.

use std::time::Duration;

use super::*;
use crate::{model::Port, plan::Role};

fn planned(ports: &[(&str, &str)]) -> PlannedPod {
    PlannedPod {
        name: "np-abcdef-web-0".into(),
        namespace: "shop".into(),
        namespace_created: false,
        labels: BTreeMap::from([("app".into(), "web".into())]),
        annotations: BTreeMap::from([("note".into(), "mine".into())]),
        service_account: Some("web".into()),
        ports: ports
            .iter()
            .map(|&(name, port)| (name.to_owned(), port.parse::<Port>().unwrap()))
            .collect(),
        pings: false,
        node: "node-1".into(),
        role: Role::Peer { names: vec!["web".into()] },
    }
}

fn agent() -> AgentSettings {
    AgentSettings {
        image: "netproof-probe:test".into(),
        pull_policy: Some("Never".into()),
        key: "00ff".into(),
        idle_limit: Duration::from_mins(10),
        active_deadline: Duration::from_hours(1),
    }
}

#[test]
fn a_guest_in_somebody_elses_namespace() {
    let run: RunId = "abcdef".parse().unwrap();
    let owner = OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: "np-abcdef".into(),
        uid: "1-2-3".into(),
        ..OwnerReference::default()
    };
    let guest = Guest { run: &run, agent: &agent(), owner: Some(owner), gate: true, startup: None };
    let pod = manifest(&planned(&[("main", "8080/http"), ("dns", "53/udp")]), guest);
    insta::assert_json_snapshot!(pod);
}

#[test]
fn a_peer_in_the_runs_own_namespace_has_no_gate_and_no_sysctl() {
    let run: RunId = "abcdef".parse().unwrap();
    let guest = Guest { run: &run, agent: &agent(), owner: None, gate: false, startup: None };
    let spec = manifest(&planned(&[("main", "8080/tcp")]), guest).spec.unwrap();
    assert_eq!(spec.readiness_gates, None);
    assert_eq!(spec.security_context.unwrap().sysctls, None);
}

#[test]
fn who_pings_has_the_sysctl_for_it() {
    let run: RunId = "abcdef".parse().unwrap();
    let guest = Guest { run: &run, agent: &agent(), owner: None, gate: false, startup: None };
    let pinging = PlannedPod { pings: true, ..planned(&[]) };
    let spec = manifest(&pinging, guest).spec.unwrap();
    let sysctls = spec.security_context.unwrap().sysctls.unwrap();
    let names: Vec<_> = sysctls.iter().map(|sysctl| sysctl.name.as_str()).collect();
    assert_eq!(names, ["net.ipv4.ping_group_range"]);
}

#[test]
fn the_control_port_gives_way() {
    for (ports, expected) in [
        (&[("main", "8080/tcp")][..], 61_000),
        (&[("main", "61000/tcp")], 61_001),
        (&[("main", "61000/tcp"), ("other", "61001/udp")], 61_002),
    ] {
        assert_eq!(control_port(&planned(ports)), expected, "{ports:?}");
    }
}

#[test]
fn only_names_that_kubernetes_takes_are_port_names() {
    for (name, expected) in [
        ("main", true),
        ("http-1", true),
        ("8080", false),
        ("Main", false),
        ("a--b", false),
        ("-a", false),
        ("a-name-too-long-x", false),
        ("", false),
    ] {
        assert_eq!(is_port_name(name), expected, "{name:?}");
    }
}
