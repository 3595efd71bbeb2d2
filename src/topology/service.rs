//! Services, and where they lead.

use std::net::IpAddr;

use serde_json::Value;

use super::build::{map, namespace, text};
use crate::model::{IpProtocol, Service, ServicePort, Target};

/// Reads a Service.
pub(super) fn read(object: &Value, default: &str) -> Service {
    let ports = object.pointer("/spec/ports").and_then(Value::as_array);
    let listed = object.pointer("/spec/clusterIPs").and_then(Value::as_array);
    let mut addresses: Vec<IpAddr> = listed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .chain([text(object, "/spec/clusterIP")])
        .filter_map(|text| text.parse().ok())
        .collect();
    addresses.dedup();
    let is_external = text(object, "/spec/type") == "ExternalName";
    let selector = map(object.pointer("/spec/selector"));
    Service {
        namespace: namespace(object, default).to_owned(),
        name: text(object, "/metadata/name").to_owned(),
        addresses,
        selector: (!selector.is_empty() && !is_external).then_some(selector),
        ports: ports.into_iter().flatten().filter_map(port).collect(),
        external_name: is_external.then(|| text(object, "/spec/externalName").to_owned()),
        endpoints: Vec::new(),
    }
}

fn port(port: &Value) -> Option<ServicePort> {
    let small = |value: Option<&Value>| value.and_then(Value::as_u64)?.try_into().ok();
    let number = small(port.get("port"))?;
    let target = match port.get("targetPort") {
        Some(Value::String(name)) => Target::Name(name.clone()),
        other => Target::Number(small(other).filter(|target| *target > 0).unwrap_or(number)),
    };
    let protocol = match text(port, "/protocol") {
        "" => IpProtocol::Tcp,
        text => text.parse().ok()?,
    };
    let name = Some(text(port, "/name")).filter(|name| !name.is_empty());
    Some(ServicePort { name: name.map(str::to_owned), number, protocol, target })
}

/// Whoever is ready behind each Service, as EndpointSlices tell.
pub(super) fn add_endpoints(services: &mut [Service], objects: &[&Value], default: &str) {
    for object in objects {
        if text(object, "/kind") != "EndpointSlice" {
            continue;
        }
        let name = object
            .pointer("/metadata/labels")
            .and_then(|labels| labels.get("kubernetes.io/service-name"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let space = namespace(object, default);
        let is_its = |service: &&mut Service| service.namespace == space && service.name == name;
        let Some(service) = services.iter_mut().find(is_its) else { continue };
        let endpoints = object.get("endpoints").and_then(Value::as_array);
        // Absent is ready.
        let ready =
            |endpoint: &&Value| endpoint.pointer("/conditions/ready") != Some(&false.into());
        for endpoint in endpoints.into_iter().flatten().filter(ready) {
            let addresses = endpoint.get("addresses").and_then(Value::as_array);
            let addresses = addresses.into_iter().flatten().filter_map(Value::as_str);
            service.endpoints.extend(addresses.filter_map(|text| text.parse::<IpAddr>().ok()));
        }
    }
}
