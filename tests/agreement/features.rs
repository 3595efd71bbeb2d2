//! Which corners of the API stand in the policies of a world, by their text alone.

use std::collections::BTreeMap;

use netproof::policy::{Compiled, PolicyId};
use serde_json::Value;

use crate::world::World;

/// What stands in the policies of a world.
pub struct Features {
    /// By kind and name, and direction.
    corners: BTreeMap<(String, &'static str), Vec<&'static str>>,
    tiers: BTreeMap<String, String>,
    networks: usize,
}

impl Features {
    pub fn of_world(world: &World) -> Self {
        let mut features = Self { corners: BTreeMap::new(), tiers: BTreeMap::new(), networks: 0 };
        for policy in &world.policies {
            let name = policy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            if let Some(tier) = policy["spec"]["tier"].as_str() {
                features.tiers.insert(name.clone(), tier.to_owned());
            } else {
                features.networks += 1;
            }
            for direction in ["ingress", "egress"] {
                let mut found = corners(policy, direction);
                found.sort_unstable();
                found.dedup();
                features.corners.insert((name.clone(), direction), found);
            }
        }
        features
    }

    pub fn of(&self, compiled: &Compiled, id: PolicyId, field: &'static str) -> Vec<&'static str> {
        let name = name(compiled, id);
        self.corners.get(&(name, field)).cloned().unwrap_or_default()
    }

    pub fn tier(&self, compiled: &Compiled, id: PolicyId) -> String {
        self.tiers.get(&name(compiled, id)).cloned().unwrap_or_default()
    }

    pub fn isolates(&self) -> bool {
        self.networks > 0
    }

    pub fn has_tier(&self, tier: &str) -> bool {
        self.tiers.values().any(|found| found == tier)
    }

    pub fn has_two_of_a_tier(&self) -> bool {
        ["Admin", "Baseline"]
            .iter()
            .any(|tier| self.tiers.values().filter(|found| found == tier).count() > 1)
    }
}

fn name(compiled: &Compiled, id: PolicyId) -> String {
    compiled.policy(id).map(|policy| policy.name().to_owned()).unwrap_or_default()
}

fn items<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value[field].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn corners(policy: &Value, direction: &str) -> Vec<&'static str> {
    let spec = &policy["spec"];
    let mut found = Vec::new();
    let peers = if direction == "ingress" { "from" } else { "to" };
    if spec["tier"].is_string() {
        cluster_corners(spec, direction, peers, &mut found);
        return found;
    }
    if spec.is_null() {
        found.push("NetworkPolicy: spec left out");
    }
    match &spec["podSelector"] {
        Value::Null => found.push("NetworkPolicy: podSelector left out or null"),
        Value::Object(map) if map.is_empty() => found.push("NetworkPolicy: podSelector {}"),
        selector => selectors(selector, &mut found),
    }
    if items(spec, "policyTypes").is_empty() {
        found.push("NetworkPolicy: policyTypes left out, null or empty");
    } else if items(spec, "policyTypes").len() == 1
        && ["ingress", "egress"].iter().all(|field| !items(spec, field).is_empty())
    {
        found.push("NetworkPolicy: policyTypes without a direction that has rules");
    }
    match &spec[direction] {
        Value::Null => found.push("NetworkPolicy: rules of a direction left out or null"),
        Value::Array(rules) if rules.is_empty() => found.push("NetworkPolicy: rules []"),
        _ => {}
    }
    for rule in items(spec, direction) {
        if rule.as_object().is_some_and(serde_json::Map::is_empty) {
            found.push("NetworkPolicy: rule {}");
        }
        found.extend(match &rule[peers] {
            Value::Null => Some("NetworkPolicy: peers left out or null"),
            Value::Array(peers) if peers.is_empty() => Some("NetworkPolicy: peers []"),
            Value::Array(peers) if peers.len() > 1 => Some("NetworkPolicy: several peers"),
            _ => None,
        });
        for peer in items(rule, peers) {
            let has = |field: &str| !peer[field].is_null();
            found.push(match (has("namespaceSelector"), has("podSelector")) {
                (true, true) => "NetworkPolicy: peer with both selectors",
                (true, false) => "NetworkPolicy: peer namespaceSelector",
                (false, true) => "NetworkPolicy: peer podSelector",
                (false, false) => "NetworkPolicy: peer ipBlock",
            });
            let except = items(&peer["ipBlock"], "except");
            if !except.is_empty() {
                found.push("NetworkPolicy: ipBlock with except");
            }
            if except.iter().any(|block| block.as_str().is_some_and(|it| it.ends_with(".0/25")))
                && except.len() == 2
            {
                found.push("NetworkPolicy: except of both halves");
            }
            for field in ["namespaceSelector", "podSelector"] {
                selectors(&peer[field], &mut found);
            }
        }
        ports(rule, &mut found);
    }
    found
}

fn ports(rule: &Value, found: &mut Vec<&'static str>) {
    found.extend(match &rule["ports"] {
        Value::Null => Some("NetworkPolicy: ports left out or null"),
        Value::Array(ports) if ports.is_empty() => Some("NetworkPolicy: ports []"),
        _ => None,
    });
    for port in items(rule, "ports") {
        if port.as_object().is_some_and(serde_json::Map::is_empty) {
            found.push("NetworkPolicy: port {}");
        }
        match port["protocol"].as_str() {
            None => found.push("NetworkPolicy: protocol left out or null"),
            Some("SCTP") => found.push("NetworkPolicy: protocol SCTP"),
            Some(_) => {}
        }
        found.push(match &port["port"] {
            Value::Null => "NetworkPolicy: every port of a protocol",
            Value::String(_) => "NetworkPolicy: port by name",
            _ if !port["endPort"].is_null() => "NetworkPolicy: port range",
            _ => "NetworkPolicy: port by number",
        });
    }
}

fn cluster_corners(spec: &Value, direction: &str, peers: &str, found: &mut Vec<&'static str>) {
    found.push(match spec["tier"].as_str() {
        Some("Admin") => "ClusterNetworkPolicy: Admin",
        _ => "ClusterNetworkPolicy: Baseline",
    });
    found.push(match &spec["subject"]["pods"] {
        Value::Null => "ClusterNetworkPolicy: subject namespaces",
        _ => "ClusterNetworkPolicy: subject pods",
    });
    pods_or_spaces(&spec["subject"], found);
    for rule in items(spec, direction) {
        for peer in items(rule, peers) {
            let kinds = [
                ("namespaces", "ClusterNetworkPolicy: peer namespaces"),
                ("pods", "ClusterNetworkPolicy: peer pods"),
                ("nodes", "ClusterNetworkPolicy: peer nodes"),
                ("networks", "ClusterNetworkPolicy: peer networks"),
                ("domainNames", "ClusterNetworkPolicy: peer domainNames"),
            ];
            let kind = kinds.into_iter().find(|(field, _)| !peer[*field].is_null());
            found.push(kind.map_or("ClusterNetworkPolicy: peer of an unknown kind", |it| it.1));
            pods_or_spaces(peer, found);
            selectors(&peer["nodes"], found);
        }
        if rule["protocols"].is_null() {
            found.push("ClusterNetworkPolicy: protocols left out");
        }
        for protocol in items(rule, "protocols") {
            let carrier = ["tcp", "udp"].iter().find(|carrier| !protocol[**carrier].is_null());
            found.push(match carrier {
                _ if !protocol["destinationNamedPort"].is_null() => {
                    "ClusterNetworkPolicy: port by name"
                }
                None => "ClusterNetworkPolicy: sctp",
                Some(carrier) if !protocol[*carrier]["destinationPort"]["range"].is_null() => {
                    "ClusterNetworkPolicy: port range"
                }
                Some(_) => "ClusterNetworkPolicy: port by number",
            });
        }
    }
}

fn pods_or_spaces(peer: &Value, found: &mut Vec<&'static str>) {
    selectors(&peer["namespaces"], found);
    let pods = &peer["pods"];
    if !pods.is_null() {
        if pods["namespaceSelector"].is_null() {
            found.push("ClusterNetworkPolicy: namespaceSelector left out");
        }
        selectors(&pods["namespaceSelector"], found);
        selectors(&pods["podSelector"], found);
    }
}

fn selectors(selector: &Value, found: &mut Vec<&'static str>) {
    let Some(map) = selector.as_object() else { return };
    if map.is_empty() {
        found.push("selector: {}");
    }
    let labels = selector["matchLabels"].as_object();
    if labels.is_some_and(|labels| !labels.is_empty()) {
        found.push("selector: matchLabels");
    }
    if labels.is_some_and(|labels| labels.contains_key("kubernetes.io/metadata.name")) {
        found.push("selector: the namespace's name");
    }
    for requirement in items(selector, "matchExpressions") {
        found.extend(match requirement["operator"].as_str() {
            Some("In") => Some("selector: In"),
            Some("NotIn") => Some("selector: NotIn"),
            Some("Exists") => Some("selector: Exists"),
            Some("DoesNotExist") => Some("selector: DoesNotExist"),
            _ => None,
        });
    }
}
