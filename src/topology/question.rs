//! Which connections a name or an address stands for.

use std::net::IpAddr;

use crate::model::{End, IpProtocol, Service, Target, Topology, Traffic};

/// The Service that a host name means inside the cluster: `db`, `db.shop`, `db.shop.svc`
/// or `db.shop.svc.cluster.local`.
pub fn named_service<'a>(
    topology: &'a Topology,
    host: &str,
    namespace: &str,
) -> Option<&'a Service> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut parts = host.splitn(3, '.');
    let (name, space) = (parts.next()?, parts.next().unwrap_or(namespace));
    match parts.next() {
        None | Some("svc" | "svc.cluster.local") => topology.service(space, name),
        Some(_) => None,
    }
}

/// The Service that has an address.
pub fn service_at(topology: &Topology, address: IpAddr) -> Option<&Service> {
    topology.services().iter().find(|service| service.addresses.contains(&address))
}

/// Who stands behind a Service's port: each with its own port. Where EndpointSlices were
/// read, only whoever is ready.
pub fn behind(
    topology: &Topology,
    service: &Service,
    protocol: IpProtocol,
    number: u16,
) -> Vec<(End, u16)> {
    let is_it =
        |known: &&crate::model::ServicePort| known.number == number && known.protocol == protocol;
    let Some(known) = service.ports.iter().find(is_it) else { return Vec::new() };
    let Some(selector) = &service.selector else {
        let number = match &known.target {
            Target::Number(number) => *number,
            Target::Name(_) => known.number,
        };
        return service.endpoints.iter().map(|end| (End::Address(*end), number)).collect();
    };
    let is_ready = |pod: &crate::model::Pod| {
        service.endpoints.is_empty()
            || pod.addresses.iter().any(|address| service.endpoints.contains(address))
    };
    let selects = |pod: &crate::model::Pod| {
        pod.namespace == service.namespace
            && selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    let pods = topology.pods().iter().enumerate();
    pods.filter(|(_, pod)| selects(pod) && is_ready(pod))
        .filter_map(|(index, pod)| {
            let number = match &known.target {
                Target::Number(number) => *number,
                Target::Name(name) => pod.named_port(name, protocol)?,
            };
            Some((End::Pod(index), number))
        })
        .collect()
}

/// The connections through a Service's port, one for each that stands behind it.
pub fn through(
    topology: &Topology,
    from: &End,
    service: &Service,
    protocol: IpProtocol,
    number: u16,
) -> Vec<Traffic> {
    behind(topology, service, protocol, number)
        .into_iter()
        .map(|(to, number)| {
            Traffic::new(from.clone(), to, protocol, number).through(service.addresses.clone())
        })
        .collect()
}
