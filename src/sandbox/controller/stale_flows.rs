//! Datagrams to a Service or a node's port whose endpoint is gone find a new one.
//!
//! The kernel leads a flow of datagrams to where its first one went, for as long as it goes
//! on. What begins anew with each connection, as TCP does, needs no help.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{enforcement::facts, proxy};
use crate::{
    model::Transport,
    sandbox::{
        api::{
            object::Object,
            resource::{ENDPOINT_SLICES, NODES, PODS, SERVICES},
            store::{Event, Store},
        },
        node::{Network, conntrack::Flow},
    },
};

const UDP: u8 = 17;

/// An endpoint, and the port of the Service that leads to it.
type Lead = (IpAddr, u16, BTreeSet<(IpAddr, u16)>);

/// Lets the nodes forget flows to endpoints that are gone, until cancelled. The rules that
/// lead elsewhere must be in force first.
pub async fn forget_stale_flows(
    store: Arc<Store>,
    network: Network,
    mut applied: watch::Receiver<u64>,
    cancel: CancellationToken,
) {
    fn wanted(event: &Event) -> bool {
        [&SERVICES, &ENDPOINT_SLICES].contains(&event.resource)
            || (event.resource == &PODS && facts::has_host_port(&event.object))
    }
    let signal = store.signal(wanted);
    let mut before = BTreeSet::new();
    loop {
        tokio::select! {
            () = signal.notified() => {}
            () = cancel.cancelled() => return,
        }
        let (now, version) = leads(&store);
        let gone: Vec<Lead> = before.difference(&now).cloned().collect();
        before = now;
        if gone.is_empty() {
            continue;
        }
        let in_force = tokio::select! {
            reached = applied.wait_for(|applied| *applied >= version) => reached.is_ok(),
            () = cancel.cancelled() => false,
        };
        if !in_force {
            return;
        }
        network.forget(move |flow| gone.iter().any(|lead| is_led(flow, lead))).await;
    }
}

/// Whether a flow goes to one of a Service's places and was led to this endpoint.
fn is_led(flow: &Flow, (endpoint, port, places): &Lead) -> bool {
    flow.protocol == UDP
        && flow.reply.source == *endpoint
        && flow.reply.source_port == *port
        && places.contains(&(flow.original.destination, flow.original.destination_port))
}

/// Every endpoint that takes datagrams, with the places from which it is led to.
fn leads(store: &Store) -> (BTreeSet<Lead>, u64) {
    let ([services, slices, pods, nodes], version) =
        store.snapshot([&SERVICES, &ENDPOINT_SLICES, &PODS, &NODES]);
    let mut leads = BTreeSet::new();
    for service in proxy::services(services.iter(), slices.iter()) {
        let addresses: Vec<_> =
            [&service.cluster_ips, &service.external_ips, &service.balancer_ips]
                .into_iter()
                .flatten()
                .copied()
                .collect();
        for port in service.ports.iter().filter(|port| port.protocol == Transport::Udp) {
            let places: BTreeSet<_> =
                addresses.iter().map(|address| (*address, port.port)).collect();
            for endpoint in &port.endpoints {
                leads.insert((endpoint.address, endpoint.port, places.clone()));
            }
        }
    }
    let ports = pods.iter().flat_map(|pod| facts::host_ports(pod));
    for port in ports.filter(|port| port.protocol == Transport::Udp) {
        let node = nodes.iter().find(|node| node.name() == port.node);
        let own = node.map(|node| facts::node(node).1).unwrap_or_default();
        let places: BTreeSet<_> = own.into_iter().map(|one| (one, port.number)).collect();
        leads.extend(port.to.iter().map(|&(address, to)| (address, to, places.clone())));
    }
    (leads, version)
}
