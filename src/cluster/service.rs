//! A Service as it stands, with its endpoints.

use std::net::IpAddr;

use k8s_openapi::api::{
    core::v1::Service,
    discovery::v1::{Endpoint as ApiEndpoint, EndpointSlice},
};
use kube::{Api, api::ListParams};

use super::{Cluster, Error, ErrorKind, RunContext};
use crate::model::IpProtocol;

/// A Service and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// Its cluster IPs, at most one of each family; empty if headless.
    pub cluster_ips: Vec<IpAddr>,
    /// Its ports: name (may be empty), number, transport.
    pub ports: Vec<(String, u16, IpProtocol)>,
    /// What its EndpointSlices list.
    pub endpoints: Vec<Endpoint>,
    /// True for `clusterIP: None`.
    pub headless: bool,
}

/// One backend of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Its address.
    pub address: IpAddr,
    /// The pod behind it, if it is one: namespace and name.
    pub pod: Option<(String, String)>,
    /// The node that it is on.
    pub node: Option<String>,
    /// True if it takes traffic.
    pub ready: bool,
    /// Its own ports, by the names of the Service's: name (may be empty), number, transport.
    pub ports: Vec<(String, u16, IpProtocol)>,
}

impl RunContext {
    /// Reads a Service and its EndpointSlices; none if it doesn't exist.
    ///
    /// # Errors
    /// They can't be read.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Option<ServiceView>, Error> {
        let services: Api<Service> = Api::namespaced(self.client(), namespace);
        let slices: Api<EndpointSlice> = Api::namespaced(self.client(), namespace);
        let of_service =
            ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
        let (service, slices) = tokio::join!(
            Cluster::call(format!("get service {namespace}/{name}"), services.get(name)),
            Cluster::call(
                format!("list endpointslices of service {namespace}/{name}"),
                slices.list(&of_service)
            ),
        );
        match service {
            Ok(service) => Ok(Some(view(&service, &slices?.items))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn view(service: &Service, slices: &[EndpointSlice]) -> ServiceView {
    let spec = service.spec.clone().unwrap_or_default();
    let written = spec.cluster_ips.unwrap_or_else(|| spec.cluster_ip.into_iter().collect());
    let ports = spec.ports.unwrap_or_default().into_iter().filter_map(|port| {
        let transport = transport(port.protocol.as_deref())?;
        let number = u16::try_from(port.port).ok()?;
        Some((port.name.unwrap_or_default(), number, transport))
    });
    let mut endpoints: Vec<Endpoint> = slices
        .iter()
        .flat_map(|slice| slice.endpoints.iter().flatten().map(move |endpoint| (slice, endpoint)))
        .flat_map(|(slice, endpoint)| backends(slice, endpoint))
        .collect();
    // Slices list a backend again while they are being rearranged.
    endpoints.sort();
    endpoints.dedup_by(|later, kept| {
        let same = later.address == kept.address && later.pod == kept.pod;
        if same {
            kept.ready |= later.ready;
            let new = later.ports.drain(..).filter(|port| !kept.ports.contains(port));
            let new: Vec<_> = new.collect();
            kept.ports.extend(new);
        }
        same
    });
    ServiceView {
        headless: written.iter().any(|address| address == "None"),
        cluster_ips: written.iter().filter_map(|address| address.parse().ok()).collect(),
        ports: ports.collect(),
        endpoints,
    }
}

fn transport(protocol: Option<&str>) -> Option<IpProtocol> {
    match protocol {
        None | Some("TCP") => Some(IpProtocol::Tcp),
        Some("UDP") => Some(IpProtocol::Udp),
        Some("SCTP") => Some(IpProtocol::Sctp),
        Some(_) => None,
    }
}

fn backends(slice: &EndpointSlice, endpoint: &ApiEndpoint) -> impl Iterator<Item = Endpoint> {
    let ports = slice.ports.iter().flatten().filter_map(|port| {
        let transport = transport(port.protocol.as_deref())?;
        let number = u16::try_from(port.port?).ok()?;
        Some((port.name.clone().unwrap_or_default(), number, transport))
    });
    let ports: Vec<_> = ports.collect();
    let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
    // No condition means ready, as the API says.
    let ready = endpoint.conditions.as_ref().and_then(|now| now.ready).unwrap_or(true);
    endpoint.addresses.iter().filter_map(move |address| {
        Some(Endpoint {
            // An FQDN slice has names here; nothing is known of what they stand for.
            address: address.parse().ok()?,
            pod: pod.and_then(|pod| Some((pod.namespace.clone()?, pod.name.clone()?))),
            node: endpoint.node_name.clone(),
            ready,
            ports: ports.clone(),
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_seen_with_its_backends() {
        let service = json!({"spec": {
            "clusterIP": "10.96.0.7",
            "clusterIPs": ["10.96.0.7", "fd00::7"],
            "ports": [
                {"name": "web", "port": 80, "protocol": "TCP"},
                {"port": 53, "protocol": "UDP"},
                {"port": 9, "protocol": "SCTP"},
            ],
        }});
        let ports = json!([{"name": "web", "port": 8080, "protocol": "TCP"}]);
        let slice = json!({"addressType": "IPv4", "ports": ports, "endpoints": [
            {
                "addresses": ["10.0.0.5"],
                "conditions": {"ready": true},
                "nodeName": "node-1",
                "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-0"},
            },
            {"addresses": ["10.0.0.6"], "conditions": {"ready": false}},
            {"addresses": ["192.0.2.1"], "conditions": {}},
        ]});
        let slice: EndpointSlice = serde_json::from_value(slice).unwrap();
        let seen = view(&serde_json::from_value(service).unwrap(), &[slice.clone(), slice]);
        insta::assert_debug_snapshot!(seen);
    }

    #[test]
    fn a_headless_service_has_no_address() {
        let service = json!({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}});
        let seen = view(&serde_json::from_value(service).unwrap(), &[]);
        assert!(seen.headless && seen.cluster_ips.is_empty(), "{seen:?}");
    }
}
