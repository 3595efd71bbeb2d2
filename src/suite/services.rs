//! The Services that a suite's own manifests define, and who stands behind them.

use serde_json::Value;

use super::manifest::{Bundle, Object};
use crate::model::{IpProtocol, Labels};

/// A Service of the suite's manifests.
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
    /// None where the Service has no selector and its endpoints are written by hand.
    pub(super) selector: Option<Labels>,
    pub(super) ports: Vec<ServicePort>,
}

/// A port of a Service.
pub(super) struct ServicePort {
    pub(super) name: String,
    pub(super) number: u16,
    /// None for what isn't known.
    pub(super) transport: Option<IpProtocol>,
    /// What the traffic is sent to at the pods; a number or a port's name.
    pub(super) target: Value,
}

impl ServicePort {
    /// The port as a message names it.
    pub(super) fn describe(&self) -> String {
        let transport = self.transport.map_or("?".into(), |t| t.name().to_lowercase());
        let port = format!("{}/{transport}", self.number);
        if self.name.is_empty() { port } else { format!("{} ({port})", self.name) }
    }
}

impl Service {
    /// The Service that an object is, if it is one.
    fn of(object: &Object) -> Option<Self> {
        if object.kind() != "Service" {
            return None;
        }
        let spec = &object.value["spec"];
        let ports = spec["ports"].as_array().into_iter().flatten().filter_map(|port| {
            let number = u16::try_from(port["port"].as_u64()?).ok()?;
            Some(ServicePort {
                name: port["name"].as_str().unwrap_or_default().to_owned(),
                number,
                transport: match port["protocol"].as_str().unwrap_or("TCP") {
                    "TCP" => Some(IpProtocol::Tcp),
                    "UDP" => Some(IpProtocol::Udp),
                    "SCTP" => Some(IpProtocol::Sctp),
                    _ => None,
                },
                target: match &port["targetPort"] {
                    Value::Null => number.into(),
                    target => target.clone(),
                },
            })
        });
        Some(Self {
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
            selector: labels(&spec["selector"]).filter(|selector| !selector.is_empty()),
            ports: ports.collect(),
        })
    }

    /// Whether pods with these labels stand behind it.
    pub(super) fn selects(&self, namespace: &str, labels: &Labels) -> bool {
        self.namespace == namespace
            && self.selector.as_ref().is_some_and(|selector| {
                selector.iter().all(|(key, value)| labels.get(key) == Some(value))
            })
    }
}

/// What the manifests bring that Services are made of.
#[derive(Default)]
pub(super) struct Services {
    services: Vec<Service>,
    /// Namespaces and labels of the pods that the manifests themselves start.
    pods: Vec<(String, Labels)>,
}

impl Services {
    pub(super) fn of<'b>(bundles: impl IntoIterator<Item = &'b Bundle>) -> Self {
        let mut found = Self::default();
        for object in bundles.into_iter().flat_map(|bundle| &bundle.objects) {
            found.services.extend(Service::of(object));
            let spec = &object.value["spec"];
            let template = match object.kind() {
                "Pod" => &object.value,
                "CronJob" => &spec["jobTemplate"]["spec"]["template"],
                _ => &spec["template"],
            };
            if let Some(labels) = labels(&template["metadata"]["labels"]) {
                found.pods.push((object.namespace().to_owned(), labels));
            }
        }
        found
    }

    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<&Service> {
        // A later step's definition replaces an earlier one.
        self.services.iter().rfind(|one| one.namespace == namespace && one.name == name)
    }

    /// The names of the Services in a namespace.
    pub(super) fn names(&self, namespace: &str) -> impl Iterator<Item = &str> {
        let here = self.services.iter().filter(move |one| one.namespace == namespace);
        here.map(|one| one.name.as_str())
    }

    /// Whether pods that the manifests start stand behind the Service.
    pub(super) fn has_application_pods(&self, service: &Service) -> bool {
        self.pods.iter().any(|(namespace, labels)| service.selects(namespace, labels))
    }
}

fn labels(value: &Value) -> Option<Labels> {
    let entries = value.as_object()?.iter();
    Some(entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.into()))).collect())
}
