//! What the proxy of every node knows of the Services.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    endpoints::{self, SERVICE_LABEL},
    enforcement::facts::{parsed, transport},
};
use crate::sandbox::{
    api::object::{Object, seconds},
    fault::NetworkFault,
    firewall::{ServiceEntry, ServicePortEntry},
};

/// The endpoint slices of each Service, by namespace and name.
type Slices<'a> = HashMap<(&'a str, &'a str), Vec<&'a Arc<Value>>>;

/// Every Service that has an address, with where it leads.
pub(super) fn services<'a>(
    services: impl Iterator<Item = &'a Arc<Value>>,
    slices: impl Iterator<Item = &'a Arc<Value>>,
) -> Vec<ServiceEntry> {
    let label = format!("/metadata/labels/{}", SERVICE_LABEL.replace('/', "~1"));
    let mut by_service = Slices::new();
    for slice in slices {
        let place = (slice.namespace(), slice.text(&label));
        by_service.entry(place).or_default().push(slice);
    }
    services.filter_map(|service| entry(service, &by_service)).collect()
}

/// Takes the endpoints from Services whose endpoints the proxies are not to know of.
pub(super) fn forget_endpoints(services: &mut [ServiceEntry], faults: &[NetworkFault]) {
    for fault in faults {
        let NetworkFault::EmptyService { namespace, service: name } = fault else { continue };
        let meant = services.iter_mut();
        let meant = meant.filter(|entry| entry.namespace == *namespace && entry.name == *name);
        for port in meant.flat_map(|entry| &mut entry.ports) {
            port.endpoints.clear();
        }
    }
}

fn entry(service: &Value, slices: &Slices<'_>) -> Option<ServiceEntry> {
    let listed = service.items("/spec/clusterIPs").iter().filter_map(Value::as_str);
    let cluster_ips = parsed(listed, service.text("/spec/clusterIP"));
    if cluster_ips.is_empty() {
        return None;
    }
    let place = (service.namespace(), service.name());
    let own = slices.get(&place).map(Vec::as_slice).unwrap_or_default();
    let number = |port: &Value, field: &str| u16::try_from(port.get(field)?.as_u64()?).ok();
    let ports = service
        .items("/spec/ports")
        .iter()
        .filter_map(|port| {
            Some(ServicePortEntry {
                protocol: transport(port.text("/protocol"))?,
                port: number(port, "port")?,
                node_port: number(port, "nodePort").filter(|port| *port > 0),
                endpoints: endpoints::backends(own, port.text("/name")),
            })
        })
        .collect();
    let texts = |pointer| service.items(pointer).iter().filter_map(Value::as_str);
    let ingress = service.items("/status/loadBalancer/ingress").iter();
    let timeout = service.pointer("/spec/sessionAffinityConfig/clientIP/timeoutSeconds");
    Some(ServiceEntry {
        namespace: service.namespace().to_owned(),
        name: service.name().to_owned(),
        cluster_ips,
        external_ips: texts("/spec/externalIPs").filter_map(|ip| ip.parse().ok()).collect(),
        balancer_ips: ingress.filter_map(|place| place.text("/ip").parse().ok()).collect(),
        balancer_sources: texts("/spec/loadBalancerSourceRanges")
            .filter_map(|range| range.trim().parse().ok())
            .collect(),
        internal_local: service.text("/spec/internalTrafficPolicy") == "Local",
        external_local: service.text("/spec/externalTrafficPolicy") == "Local",
        affinity: (service.text("/spec/sessionAffinity") == "ClientIP")
            .then(|| seconds(timeout).unwrap_or(Duration::from_secs(10_800))),
        ports,
    })
}
