//! The API as the cluster's own workloads find it: the Service `kubernetes` and where it
//! leads.

use std::net::IpAddr;

use serde_json::json;

use super::namespace::create;
use crate::sandbox::{
    api::{
        resource::{ENDPOINT_SLICES, ENDPOINTS},
        store::Store,
    },
    layout,
};

/// Makes the slices of the Service `kubernetes`, one for each family of the addresses at
/// which the API listens. Nobody else looks after them: the Service has no selector.
pub fn publish_api(store: &Store, addresses: &[IpAddr]) {
    let port = json!([{"name": "https", "port": layout::API_PORT, "protocol": "TCP"}]);
    for (index, address) in addresses.iter().enumerate() {
        let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        let name = match index {
            0 => "kubernetes".to_owned(),
            _ => format!("kubernetes-{}", family.to_lowercase()),
        };
        let slice = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": family,
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
            "ports": port,
        });
        create(store, &ENDPOINT_SLICES, "default", slice);
    }
    let first = addresses.first().map(|ip| json!({"addresses": [{"ip": ip}], "ports": port}));
    let endpoints = json!({
        "metadata": {"name": "kubernetes", "labels": {
            "endpointslice.kubernetes.io/skip-mirror": "true",
        }},
        "subsets": first.into_iter().collect::<Vec<_>>(),
    });
    create(store, &ENDPOINTS, "default", endpoints);
}
