//! What is claimed of the evaluator.

mod cluster;
mod conformance;
mod corners;
mod laws;
mod misses;
mod random;
mod refusals;
mod sentences;

use serde_json::Value;

use super::*;
use crate::model::{End, IpProtocol};

/// A cluster in YAML: namespaces, pods, nodes and policies in one text.
pub(super) struct Lab {
    pub(super) all: Compiled,
}

impl Lab {
    pub(super) fn new(text: &str) -> Self {
        let objects = objects(text);
        let topology = topology(&objects);
        let policies = PolicySet::read(&objects, "default", Origin::Manifest)
            .unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        Self { all: Compiled::new(policies, topology) }
    }

    /// `namespace/pod`, an address, or a host's name.
    pub(super) fn end(&self, text: &str) -> End {
        if let Ok(address) = text.parse() {
            return End::Address(address);
        }
        match text.split_once('/') {
            Some((namespace, name)) => End::Pod(
                self.all.topology().pod(namespace, name).unwrap_or_else(|| panic!("{text}")),
            ),
            None => End::Host(text.to_owned()),
        }
    }

    /// `5432/tcp`.
    pub(super) fn traffic(&self, from: &str, to: &str, port: &str) -> Traffic {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let protocol: IpProtocol = protocol.parse().expect(port);
        let number = number.parse().unwrap_or_default();
        Traffic::new(self.end(from), self.end(to), protocol, number)
    }

    pub(super) fn decide(&self, from: &str, to: &str, port: &str) -> Decision {
        self.all.decide(&self.traffic(from, to, port))
    }

    /// Rows of from, to, port and what is expected: `.` allowed, `X` denied, `?` neither.
    pub(super) fn expect(&self, rows: &[(&str, &str, &str, char)]) {
        for (from, to, port, expected) in rows {
            let decision = self.decide(from, to, port);
            let found = letter(decision.outcome);
            assert_eq!(found, *expected, "{from} to {to} on {port}: {decision:#?}");
        }
    }
}

pub(super) fn letter(outcome: Outcome) -> char {
    match outcome {
        Outcome::Allowed => '.',
        Outcome::Denied => 'X',
        Outcome::Undetermined => '?',
    }
}

pub(super) fn objects(text: &str) -> Vec<Value> {
    use serde::Deserialize;
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("good YAML"))
        .filter(|object| !object.is_null())
        .collect()
}

/// A plain reader of pods, namespaces and nodes: `topology` isn't to be imported here.
fn topology(objects: &[Value]) -> Topology {
    use crate::model::{Labels, NamedPort, Node, Pod};
    let labels = |object: &Value, at: &str| -> Labels {
        let labels = object.pointer(at).cloned().unwrap_or_else(|| serde_json::json!({}));
        serde_json::from_value(labels).expect("labels")
    };
    let text =
        |object: &Value, at: &str| object.pointer(at).and_then(Value::as_str).map(str::to_owned);
    let addresses = |object: &Value, at: &str| {
        let list = object.pointer(at).and_then(Value::as_array).cloned().unwrap_or_default();
        list.iter().map(|text| text.as_str().expect("text").parse().expect("address")).collect()
    };
    let (mut namespaces, mut pods, mut nodes) = (std::collections::BTreeMap::new(), vec![], vec![]);
    for object in objects {
        let name = text(object, "/metadata/name").expect("a name");
        match object["kind"].as_str() {
            Some("Namespace") => {
                namespaces.insert(name, labels(object, "/metadata/labels"));
            }
            Some("Node") => nodes.push(Node {
                name,
                labels: labels(object, "/metadata/labels"),
                addresses: addresses(object, "/ips"),
            }),
            Some("Pod") => {
                let ports = object.get("ports").and_then(Value::as_array).cloned();
                let port = |port: &Value| NamedPort {
                    name: text(port, "/name"),
                    number: port["port"].as_u64().expect("a number") as u16,
                    protocol: text(port, "/protocol")
                        .as_deref()
                        .unwrap_or("TCP")
                        .parse()
                        .expect("it"),
                };
                pods.push(Pod {
                    namespace: text(object, "/metadata/namespace").expect("a namespace"),
                    name,
                    labels: labels(object, "/metadata/labels"),
                    addresses: addresses(object, "/ips"),
                    ports: ports.iter().flatten().map(port).collect(),
                    host_network: object["hostNetwork"] == true,
                    node: text(object, "/node"),
                    ..Pod::default()
                });
            }
            _ => {}
        }
    }
    Topology::new(namespaces, pods, nodes, Vec::new())
}
