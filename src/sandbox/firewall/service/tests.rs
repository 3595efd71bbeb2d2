use std::time::Duration;

use insta::assert_snapshot;

use super::*;
use crate::sandbox::firewall::{HostPortEntry, NodeEntry, Ruleset};

fn address(text: &str) -> IpAddr {
    text.parse().expect(text)
}

/// A Service with endpoints on both nodes, in both families.
fn service() -> ServiceEntry {
    let endpoint = |ip: &str, node: &str, ready| EndpointEntry {
        address: address(ip),
        port: 8080,
        node: node.to_owned(),
        ready,
    };
    ServiceEntry {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        cluster_ips: vec![address("10.96.0.1"), address("fd96::1")],
        ports: vec![ServicePortEntry {
            protocol: Transport::Tcp,
            port: 80,
            node_port: None,
            endpoints: vec![
                endpoint("10.0.1.2", "node-1", true),
                endpoint("10.0.2.2", "node-2", true),
                endpoint("10.0.2.3", "node-2", false),
                endpoint("fd00::2", "node-2", true),
            ],
        }],
        ..ServiceEntry::default()
    }
}

fn table(services: Vec<ServiceEntry>, node: &str) -> String {
    table_with(services, Vec::new(), node)
}

fn table_with(services: Vec<ServiceEntry>, host_ports: Vec<HostPortEntry>, node: &str) -> String {
    let entry = |number: u8| NodeEntry {
        addresses: vec![address(&format!("172.18.0.{number}"))],
        pod_cidrs: vec![format!("10.0.{number}.0/24").parse().expect("a range")],
    };
    let snapshot = Snapshot {
        services,
        host_ports,
        nodes: [1, 2].map(|number| (format!("node-{number}"), entry(number))).into(),
        ranges: vec!["10.0.0.0/8".parse().expect("a range")],
        ..Snapshot::default()
    };
    let Translation { sets, chains, refusals } = translation(&snapshot, node, false);
    let filter = Chain { name: "filter".to_owned(), base: None, rules: refusals };
    Ruleset { sets, chains: [chains, vec![filter]].concat() }.to_nft()
}

#[test]
fn a_cluster_address_leads_to_what_is_ready() {
    assert_snapshot!(table(vec![service()], "node-1"));
}

#[test]
fn addresses_from_outside_masquerade_or_stay_on_the_node() {
    let mut everywhere = service();
    everywhere.ports[0].node_port = Some(30_080);
    everywhere.external_ips = vec![address("203.0.113.1")];
    let mut local = ServiceEntry { name: "local".to_owned(), ..everywhere.clone() };
    local.cluster_ips = vec![address("10.96.0.2")];
    local.ports[0].node_port = Some(30_081);
    local.external_ips = Vec::new();
    local.external_local = true;
    local.balancer_ips = vec![address("172.18.255.1")];
    local.balancer_sources = vec!["203.0.113.0/24".parse().expect("a range")];
    assert_snapshot!(table(vec![everywhere, local], "node-1"));
}

#[test]
fn a_client_is_led_to_the_endpoint_that_it_had() {
    let mut service = service();
    service.affinity = Some(Duration::from_secs(60));
    service.cluster_ips.truncate(1);
    assert_snapshot!(table(vec![service], "node-1"));
}

#[test]
fn without_an_endpoint_here_a_local_service_drops_and_without_any_it_refuses() {
    let mut away = service();
    away.cluster_ips.truncate(1);
    away.internal_local = true;
    away.ports[0].endpoints.remove(0);
    let mut none = ServiceEntry { name: "none".to_owned(), ..service() };
    none.external_ips = vec![address("203.0.113.1")];
    none.ports[0].endpoints.clear();
    assert_snapshot!(table(vec![away, none], "node-1"));
}

#[test]
fn a_nodes_port_leads_to_its_own_pod_as_it_is() {
    let port = |node: &str, number, only: Option<&str>| HostPortEntry {
        namespace: "shop".to_owned(),
        pod: format!("edge-{number}"),
        node: node.to_owned(),
        address: only.map(address),
        protocol: Transport::Tcp,
        number,
        to: vec![(address("10.0.1.7"), 8080)],
    };
    let ports = vec![
        port("node-1", 80, None),
        port("node-1", 81, Some("172.18.0.1")),
        port("node-1", 82, Some("203.0.113.1")),
        port("node-2", 83, None),
    ];
    assert_snapshot!(table_with(Vec::new(), ports, "node-1"));
}
