//! Ports of pods that are their nodes', too, by packets.

use std::net::{IpAddr, Ipv4Addr};

use netproof::{model::Transport, sandbox::firewall::HostPortEntry};

use crate::{
    lab::{Lab, Seen},
    scenario::Outcome,
    services::{Wrong, answer, with_nodes},
};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A port of node one, over TCP and UDP, at one address or at all, before a pod's 8080.
fn port(lab: &Lab, pod: &str, number: u16, at: Option<IpAddr>) -> [HostPortEntry; 2] {
    let fits = |address: &&IpAddr| at.is_none_or(|at| at.is_ipv4() == address.is_ipv4());
    let to = lab.addresses(pod).iter().filter(fits).map(|&address| (address, 8080));
    let to: Vec<_> = to.collect();
    [Transport::Tcp, Transport::Udp].map(|protocol| HostPortEntry {
        namespace: "shop".to_owned(),
        pod: pod.to_owned(),
        node: "one".to_owned(),
        address: at,
        protocol,
        number,
        to: to.clone(),
    })
}

pub async fn they_lead_in_from_everywhere_and_by_loopback() -> Outcome {
    let mut lab = Lab::new().await?;
    with_nodes(&mut lab);
    let own = lab.address("one");
    lab.snapshot.host_ports = [
        port(&lab, "web", 9000, None),
        // One port of two pods, each at an address of its own.
        port(&lab, "web", 9001, Some(own)),
        port(&lab, "api", 9001, Some(LOOPBACK)),
    ]
    .concat();
    lab.apply("").await?;
    let mut wrong = Wrong::default();
    for index in [0, 1] {
        let own = |name: &str| lab.addresses(name)[index];
        // A host outside, another node, the node itself, pods of both.
        for from in ["world", "two", "one", "db", "api"] {
            let expected = answer("web", own(from));
            let seen = lab.tcp(from, own("one"), 9000).await;
            wrong.expect(&format!("{from} to {}", own("one")), seen, expected.clone());
            let seen = lab.udp(from, own("one"), 9000).await;
            wrong.expect(&format!("{from} to {}, udp", own("one")), seen, expected);
            let seen = lab.tcp(from, own("two"), 9000).await;
            wrong.expect(&format!("{from} to another node"), seen, Seen::Refused);
        }
        let by = |seen| match seen {
            Seen::Answer(by, _) => Seen::Answer(by, own("one")),
            other => other,
        };
        let seen = by(lab.tcp("web", own("one"), 9000).await);
        wrong.expect("the pod itself", seen, answer("web", own("one")));
    }
    // The pod can't answer to the node's loopback; the node's own address stands for it.
    for (number, pod) in [(9000, "web"), (9001, "api")] {
        let seen = lab.tcp("one", LOOPBACK, number).await;
        wrong.expect(&format!("loopback, {number}"), seen, answer(pod, own));
        let seen = lab.udp("one", LOOPBACK, number).await;
        wrong.expect(&format!("loopback, {number}, udp"), seen, answer(pod, own));
    }
    for from in ["world", "two", "one"] {
        let seen = lab.tcp(from, own, 9001).await;
        wrong.expect(&format!("{from} to one of two"), seen, answer("web", lab.address(from)));
    }
    let seen = lab.tcp("one", lab.addresses("one")[1], 9001).await;
    wrong.expect("an address that wasn't asked for", seen, Seen::Refused);
    let seen = lab.tcp("two", LOOPBACK, 9000).await;
    wrong.expect("another node's loopback", seen, Seen::Refused);
    lab.apply("{metadata: {name: web}, spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}}")
        .await?;
    let to = (own, 9000).into();
    let seen = lab.expect("world", to, false, &Seen::Silence).await;
    wrong.expect("a policy counts the source", seen, Seen::Silence);
    let seen = lab.tcp("api", own, 9000).await;
    wrong.expect("a policy knows the source", seen, answer("web", lab.address("api")));
    let seen = lab.tcp("one", LOOPBACK, 9000).await;
    wrong.expect("a node reaches its own pods", seen, answer("web", own));
    wrong.outcome()
}
