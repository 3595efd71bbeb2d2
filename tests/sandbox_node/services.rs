//! Services, by packets: every address that leads to them, from everywhere.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use netproof::{
    model::Transport,
    sandbox::firewall::{EndpointEntry, NodeEntry, ServiceEntry, ServicePortEntry},
};

use crate::{
    lab::{Lab, NODES, Seen},
    scenario::{Outcome, text},
};

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 96, 0, last).into()
}

fn v6(last: u8) -> IpAddr {
    Ipv6Addr::new(0xfd96, 0, 0, 0, 0, 0, 0, last.into()).into()
}

/// A Service at port 80 of two addresses, before pods' port 8080.
fn service(lab: &Lab, last: u8, pods: &[&str]) -> ServiceEntry {
    let endpoints = pods.iter().flat_map(|pod| {
        let node = lab.pod(pod).node();
        lab.addresses(pod).iter().map(move |&address| EndpointEntry {
            address,
            port: 8080,
            node: node.to_owned(),
            ready: true,
        })
    });
    let endpoints: Vec<_> = endpoints.collect();
    ServiceEntry {
        namespace: "shop".to_owned(),
        name: format!("service-{last}"),
        cluster_ips: vec![v4(last), v6(last)],
        ports: [Transport::Tcp, Transport::Udp]
            .map(|protocol| ServicePortEntry {
                protocol,
                port: 80,
                node_port: None,
                endpoints: endpoints.clone(),
            })
            .into(),
        ..ServiceEntry::default()
    }
}

/// Claims that didn't hold.
#[derive(Default)]
pub struct Wrong(pub Vec<String>);

impl Wrong {
    pub fn expect(&mut self, what: &str, seen: Seen, wanted: Seen) {
        if seen != wanted {
            self.0.push(format!("{what}: {seen:?}, expected {wanted:?}"));
        }
    }

    pub fn outcome(self) -> Outcome {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\n")) }
    }
}

pub fn answer(by: &str, source: IpAddr) -> Seen {
    Seen::Answer(by.to_owned(), source)
}

pub async fn they_translate_and_preserve_the_source() -> Outcome {
    let mut lab = Lab::new().await?;
    lab.snapshot.services = vec![
        service(&lab, 1, &["db"]),
        service(&lab, 2, &["db", "job", "web"]),
        service(&lab, 3, &[]),
    ];
    lab.apply("").await?;
    let mut wrong = Wrong::default();
    for (index, address) in [v4 as fn(u8) -> IpAddr, v6].into_iter().enumerate() {
        let own = |name: &str| lab.addresses(name)[index];
        for from in ["web", "job", "one", "two"] {
            let what = |claim: &str| format!("{from} to {}, {claim}", address(1));
            let expected = answer("db", own(from));
            wrong.expect(&what("tcp"), lab.tcp(from, address(1), 80).await, expected.clone());
            wrong.expect(&what("udp"), lab.udp(from, address(1), 80).await, expected);
            let none = lab.tcp(from, address(3), 80).await;
            wrong.expect(&what("no endpoints"), none, Seen::Refused);
            let no_port = lab.tcp(from, address(1), 81).await;
            wrong.expect(&what("no such port"), no_port, Seen::Refused);
            // The kernel tells a node's own sockets of a refusal otherwise (EPERM).
            if !NODES.contains(&from) {
                let none = lab.udp(from, address(3), 80).await;
                wrong.expect(&what("no endpoints, udp"), none, Seen::Refused);
            }
        }
        let itself = lab.tcp("db", address(1), 80).await;
        wrong.expect("a pod to itself through a Service", itself, answer("db", own("two")));
        let mut by = BTreeSet::new();
        // Missing one of three endpoints 100 times has a chance of 10⁻¹⁷.
        for _ in 0..100 {
            if let Seen::Answer(name, _) = lab.tcp("api", address(2), 80).await {
                by.insert(name);
            }
        }
        if by.iter().ne(["db", "job", "web"]) {
            wrong.0.push(format!("three endpoints of {}: only {by:?} answered", address(2)));
        }
    }
    lab.apply(
        "
metadata: {name: db}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 8080}]}]
",
    )
    .await?;
    for (index, address) in [v4(1), v6(1)].into_iter().enumerate() {
        let seen = lab.tcp("web", address, 80).await;
        let expected = answer("db", lab.addresses("web")[index]);
        wrong.expect("policy sees the pod's port, not the Service's", seen, expected);
        let seen = lab.expect("api", (address, 80).into(), false, &Seen::Silence).await;
        wrong.expect("a denied pod through a Service", seen, Seen::Silence);
    }
    wrong.outcome()
}

/// Tells the lab's nodes who they are.
pub fn with_nodes(lab: &mut Lab) {
    for (number, name) in (1..).zip(NODES) {
        let range = |text: String| text.parse().expect("a range");
        let entry = NodeEntry {
            addresses: lab.addresses(name).to_vec(),
            pod_cidrs: vec![
                range(format!("10.77.{number}.0/24")),
                range(format!("fd77:10:77:{number}::/64")),
            ],
        };
        lab.snapshot.nodes.insert(name.to_owned(), entry);
    }
}

pub async fn node_ports_lead_in_from_everywhere() -> Outcome {
    let mut lab = Lab::new().await?;
    with_nodes(&mut lab);
    let mut everywhere = service(&lab, 1, &["db"]);
    let mut local = service(&lab, 2, &["db"]);
    local.external_local = true;
    for (service, port) in [(&mut everywhere, 30_001), (&mut local, 30_002)] {
        for each in &mut service.ports {
            each.node_port = Some(port);
        }
    }
    lab.snapshot.services = vec![everywhere, local];
    lab.apply("").await?;
    let mut wrong = Wrong::default();
    for index in [0, 1] {
        let own = |name: &str| lab.addresses(name)[index];
        for (from, node) in
            [("world", "one"), ("world", "two"), ("job", "one"), ("api", "two"), ("two", "one")]
        {
            // The answer passes by the node again, for it has put itself in between.
            let seen = lab.tcp(from, own(node), 30_001).await;
            wrong.expect(&format!("{from} by {node}"), seen, answer("db", own(node)));
            let seen = lab.udp(from, own(node), 30_001).await;
            wrong.expect(&format!("{from} by {node}, udp"), seen, answer("db", own(node)));
        }
        let seen = lab.tcp("world", own("two"), 30_002).await;
        wrong.expect("local, where the endpoint is", seen, answer("db", own("world")));
        let nowhere = (own("one"), 30_002).into();
        let seen = lab.expect("world", nowhere, false, &Seen::Silence).await;
        wrong.expect("local, where none is", seen, Seen::Silence);
        let seen = lab.tcp("web", own("one"), 30_002).await;
        wrong.expect("local, from a pod", seen, answer("db", own("web")));
    }
    wrong.outcome()
}

pub async fn a_client_stays_with_its_endpoint() -> Outcome {
    let mut lab = Lab::new().await?;
    let mut sticky = service(&lab, 1, &["db", "job", "web"]);
    sticky.affinity = Some(Duration::from_secs(2));
    lab.snapshot.services = vec![sticky];
    lab.apply("").await?;
    for address in [v4(1), v6(1)] {
        let mut by = BTreeSet::new();
        for _ in 0..40 {
            by.insert(lab.tcp("api", address, 80).await.to_string());
        }
        // Forty times the same by chance: 3⁻³⁹.
        if by.len() != 1 {
            return Err(format!("{address}: {by:?}"));
        }
    }
    // Seven clients' worth of forgetting: the same endpoint ten times has a chance of 3⁻⁹.
    let mut by = BTreeSet::new();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(2_100)).await;
        by.insert(lab.tcp("guest", v4(1), 80).await.to_string());
        if by.len() > 1 {
            return Ok(());
        }
    }
    Err(format!("it is never forgotten: {by:?}"))
}

pub async fn a_local_service_stays_on_the_node() -> Outcome {
    let mut lab = Lab::new().await?;
    let mut local = service(&lab, 1, &["db", "web"]);
    local.internal_local = true;
    let mut away = service(&lab, 2, &["db"]);
    away.internal_local = true;
    lab.snapshot.services = vec![local, away];
    lab.apply("").await?;
    let mut wrong = Wrong::default();
    for (index, address) in [v4 as fn(u8) -> IpAddr, v6].into_iter().enumerate() {
        let own = |name: &str| lab.addresses(name)[index];
        for (from, by) in [("api", "web"), ("one", "web"), ("job", "db"), ("guest", "db")] {
            let seen = lab.tcp(from, address(1), 80).await;
            wrong.expect(&format!("{from} on its node"), seen, answer(by, own(from)));
        }
        let seen = lab.expect("api", (address(2), 80).into(), false, &Seen::Silence).await;
        wrong.expect("no endpoint on the node", seen, Seen::Silence);
    }
    wrong.outcome()
}

pub async fn pods_seem_to_be_their_node_outside_the_cluster() -> Outcome {
    let mut lab = Lab::new().await?;
    with_nodes(&mut lab);
    lab.snapshot.ranges = ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"]
        .map(|range| range.parse().expect(range))
        .into();
    lab.apply("").await?;
    let mut wrong = Wrong::default();
    for index in [0, 1] {
        let own = |name: &str| lab.addresses(name)[index];
        for (from, to, source) in [
            ("web", "world", "one"),
            ("db", "world", "two"),
            ("web", "db", "web"),
            ("web", "api", "web"),
            ("web", "two", "web"),
            ("world", "db", "world"),
            ("one", "world", "one"),
        ] {
            let seen = lab.tcp(from, own(to), 8080).await;
            wrong.expect(&format!("{from} to {to}"), seen, answer(to, own(source)));
            let seen = lab.udp(from, own(to), 8080).await;
            wrong.expect(&format!("{from} to {to}, udp"), seen, answer(to, own(source)));
        }
    }
    // With the fault it is so inside as well, and a rule by labels fits on one node alone.
    lab.faults = vec!["masquerade".parse().map_err(text)?];
    lab.apply("{metadata: {name: it}, spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {}}]}]}}")
        .await?;
    for index in [0, 1] {
        let own = |name: &str| lab.addresses(name)[index];
        for (from, to, source) in [
            ("web", "world", Some("one")),
            ("web", "api", Some("web")),
            ("web", "two", Some("one")),
            ("web", "guest", Some("one")),
            ("guest", "web", Some("two")),
            ("db", "guest", Some("db")),
            ("world", "web", Some("world")),
            ("web", "db", None),
            ("job", "db", Some("job")),
        ] {
            let expected = source.map_or(Seen::Silence, |source| answer(to, own(source)));
            let seen = lab.expect(from, (own(to), 8080).into(), false, &expected).await;
            wrong.expect(&format!("{from} to {to}, masqueraded"), seen, expected.clone());
            let seen = lab.expect(from, (own(to), 8080).into(), true, &expected).await;
            wrong.expect(&format!("{from} to {to}, udp, masqueraded"), seen, expected);
        }
    }
    wrong.outcome()
}
