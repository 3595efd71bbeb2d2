//! Load balancers: an address of an outer range for each Service that asks for one, and the
//! way to it from beyond the cluster.
//!
//! One node at a time takes what comes for an address, as with balancers that answer for it
//! in the node's own network; with `externalTrafficPolicy: Local` one that has an endpoint.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::sandbox::{
    api::{
        conditions,
        object::Object,
        resource::{ENDPOINT_SLICES, NODES, SERVICES},
        store::{Event, Store, Writer},
    },
    layout::{self, IpFamily},
    node::Network,
};

/// Which node each address leads to.
type Ways = BTreeMap<IpAddr, String>;

/// Keeps addresses and ways in step with the store until cancelled.
pub async fn balance_load(
    store: Arc<Store>,
    network: Network,
    family: IpFamily,
    cancel: CancellationToken,
) {
    fn wanted(event: &Event) -> bool {
        [&SERVICES, &ENDPOINT_SLICES, &NODES].contains(&event.resource)
    }
    let signal = store.signal(wanted);
    let ranges = layout::balancers(family);
    let mut open = Ways::new();
    loop {
        tokio::select! {
            () = signal.notified() => {}
            () = cancel.cancelled() => return,
        }
        store.write(|writer| assign(writer, &ranges));
        let ways = ways(&store);
        for (address, node) in &ways {
            if open.get(address) != Some(node) {
                match network.lead_in(*address, Some(node)).await {
                    Ok(()) => _ = open.insert(*address, node.clone()),
                    Err(error) => tracing::warn!(%error, %address, "lead to a balancer's node"),
                }
            }
        }
        let gone: Vec<_> =
            open.keys().filter(|address| !ways.contains_key(*address)).copied().collect();
        for address in gone {
            if let Err(error) = network.lead_in(address, None).await {
                tracing::warn!(%error, %address, "forget a balancer's address");
            }
            open.remove(&address);
        }
    }
}

/// Whether this controller looks after a Service.
fn is_ours(service: &Value) -> bool {
    service.text("/spec/type") == "LoadBalancer"
        && service.text("/spec/loadBalancerClass").is_empty()
        && !service.is_deleting()
}

fn addresses(service: &Value) -> Vec<IpAddr> {
    let ingress = service.items("/status/loadBalancer/ingress").iter();
    ingress.filter_map(|place| place.text("/ip").parse().ok()).collect()
}

/// Gives each Service an address of each of its families, and takes away what no Service
/// asks for any more.
fn assign(writer: &mut Writer<'_>, ranges: &[IpNet]) {
    let services = writer.list(&SERVICES, None);
    let ours = services.iter().filter(|service| is_ours(service));
    let mut taken: BTreeSet<IpAddr> = ours.flat_map(|service| addresses(service)).collect();
    for service in services {
        let has = addresses(&service);
        let wanted: Vec<IpAddr> = if is_ours(&service) {
            let families = service.items("/spec/ipFamilies").iter().filter_map(Value::as_str);
            let asked = service.text("/spec/loadBalancerIP").parse::<IpAddr>().ok();
            let of_family = |family: &str| {
                let fits = |address: &IpAddr| address.is_ipv4() == (family == "IPv4");
                let range = ranges.iter().find(|range| fits(&range.addr()))?;
                let kept = has.iter().copied().find(|address| fits(address));
                let asked = asked.filter(|asked| range.contains(asked) && !taken.contains(asked));
                let mut free = range.hosts().skip(1).filter(|address| !taken.contains(address));
                kept.or(asked).or_else(|| free.next())
            };
            let wanted: Vec<_> = families.filter_map(of_family).collect();
            taken.extend(&wanted);
            wanted
        } else if service.text("/spec/type") == "LoadBalancer" {
            // Another class: somebody else's.
            continue;
        } else {
            Vec::new()
        };
        if wanted != has {
            let mut service = Value::clone(&service);
            let ingress: Vec<_> =
                wanted.iter().map(|ip| json!({"ip": ip, "ipMode": "VIP"})).collect();
            let balancer = if ingress.is_empty() { json!({}) } else { json!({"ingress": ingress}) };
            service.section_mut("status").insert("loadBalancer".into(), balancer);
            writer.put(&SERVICES, service);
        }
    }
}

/// The node for each address: always the same while nothing changes.
fn ways(store: &Store) -> Ways {
    let ([services, slices, nodes], _) = store.snapshot([&SERVICES, &ENDPOINT_SLICES, &NODES]);
    let ready: Vec<_> = nodes
        .iter()
        .filter(|node| conditions::holds(node, "Ready"))
        .map(|node| node.name().to_owned())
        .collect();
    let mut ways = Ways::new();
    for service in services.iter().filter(|service| is_ours(service)) {
        let local = service.text("/spec/externalTrafficPolicy") == "Local";
        let with_endpoints: BTreeSet<&str> = slices
            .iter()
            .filter(|slice| {
                slice.namespace() == service.namespace()
                    && slice.text("/metadata/labels/kubernetes.io~1service-name") == service.name()
            })
            .flat_map(|slice| slice.items("/endpoints"))
            .filter(|endpoint| endpoint["conditions"]["ready"] != false)
            .map(|endpoint| endpoint.text("/nodeName"))
            .collect();
        let fitting: Vec<_> =
            ready.iter().filter(|node| !local || with_endpoints.contains(node.as_str())).collect();
        for address in addresses(service) {
            let last = match address {
                IpAddr::V4(address) => usize::from(address.octets()[3]),
                IpAddr::V6(address) => usize::from(address.octets()[15]),
            };
            if let Some(node) = last.checked_rem(fitting.len()).and_then(|index| fitting.get(index))
            {
                ways.insert(address, (*node).clone());
            }
        }
    }
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, families: Value, kind: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"type": kind, "ipFamilies": families},
        })
    }

    fn given(store: &Store) -> Vec<String> {
        let (services, _) = store.list(&SERVICES, None);
        services
            .iter()
            .map(|service| {
                let all: Vec<_> = addresses(service).iter().map(IpAddr::to_string).collect();
                format!("{} {}", service.name(), all.join(" "))
            })
            .collect()
    }

    #[test]
    fn each_family_gets_an_address_and_keeps_it() {
        let store = Store::new();
        let ranges = layout::balancers(IpFamily::Dual);
        store.write(|writer| {
            writer.put(&SERVICES, service("a", json!(["IPv4"]), "LoadBalancer"));
            writer.put(&SERVICES, service("b", json!(["IPv6", "IPv4"]), "LoadBalancer"));
            writer.put(&SERVICES, service("c", json!(["IPv4"]), "NodePort"));
            assign(writer, &ranges);
        });
        let before = given(&store);
        assert_eq!(before, ["a 172.18.255.2", "b fd00:172:18:ff::1 172.18.255.3", "c "]);
        store.write(|writer| assign(writer, &ranges));
        assert_eq!(given(&store), before);
        store.write(|writer| {
            let mut plain = Value::clone(&writer.get(&SERVICES, "shop", "a").expect("a"));
            plain["spec"]["type"] = "ClusterIP".into();
            writer.put(&SERVICES, plain);
            assign(writer, &ranges);
        });
        assert_eq!(given(&store)[0], "a ");
    }

    #[test]
    fn a_local_service_leads_to_a_node_with_an_endpoint() {
        let store = Store::new();
        store.write(|writer| {
            for name in ["node-1", "node-2"] {
                let mut node = json!({"metadata": {"name": name}});
                conditions::set(&mut node, "Ready", true, "", "");
                writer.put(&NODES, node);
            }
            let mut local = service("a", json!(["IPv4"]), "LoadBalancer");
            local["spec"]["externalTrafficPolicy"] = "Local".into();
            writer.put(&SERVICES, local);
            writer.put(
                &ENDPOINT_SLICES,
                json!({
                    "metadata": {"name": "a-1", "namespace": "shop", "labels": {
                        "kubernetes.io/service-name": "a",
                    }},
                    "endpoints": [{"addresses": ["10.0.0.1"], "nodeName": "node-2"}],
                }),
            );
            assign(writer, &layout::balancers(IpFamily::Ipv4));
        });
        let found = ways(&store);
        assert_eq!(found.values().collect::<Vec<_>>(), ["node-2"]);
    }
}
