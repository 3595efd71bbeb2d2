//! Which corners of the API a comparison has touched: a table that is printed, and a test
//! that fails where one was never met.

use std::{collections::BTreeMap, fmt};

use netproof::policy::{Compiled, Decision, Outcome, PolicyId, Reason, Side};
use serde_json::Value;

use crate::world::{At, Carrier, Probe, World};

/// How many connections have touched a corner: allowed, denied.
#[derive(Clone, Debug, Default)]
pub struct Coverage(BTreeMap<&'static str, (u64, u64)>);

/// Corners that a connection can be allowed in, and denied.
const BOTH: &[&str] = &[
    "NetworkPolicy: spec left out",
    "NetworkPolicy: podSelector left out or null",
    "NetworkPolicy: podSelector {}",
    "NetworkPolicy: policyTypes left out, null or empty",
    "NetworkPolicy: policyTypes without a direction that has rules",
    "NetworkPolicy: rules of a direction left out or null",
    "NetworkPolicy: rules []",
    "NetworkPolicy: rule {}",
    "NetworkPolicy: peers left out or null",
    "NetworkPolicy: peers []",
    "NetworkPolicy: ports left out or null",
    "NetworkPolicy: ports []",
    "NetworkPolicy: port {}",
    "NetworkPolicy: protocol left out or null",
    "NetworkPolicy: every port of a protocol",
    "NetworkPolicy: port by number",
    "NetworkPolicy: port by name",
    "NetworkPolicy: port range",
    "NetworkPolicy: protocol SCTP",
    "NetworkPolicy: peer podSelector",
    "NetworkPolicy: peer namespaceSelector",
    "NetworkPolicy: peer with both selectors",
    "NetworkPolicy: peer ipBlock",
    "NetworkPolicy: ipBlock with except",
    "NetworkPolicy: except of both halves",
    "NetworkPolicy: several peers",
    "NetworkPolicy: several policies isolate a pod",
    "ClusterNetworkPolicy: Admin",
    "ClusterNetworkPolicy: Baseline",
    "ClusterNetworkPolicy: Accept",
    "ClusterNetworkPolicy: Pass",
    "ClusterNetworkPolicy: subject namespaces",
    "ClusterNetworkPolicy: subject pods",
    "ClusterNetworkPolicy: namespaceSelector left out",
    "ClusterNetworkPolicy: peer namespaces",
    "ClusterNetworkPolicy: peer pods",
    "ClusterNetworkPolicy: peer nodes",
    "ClusterNetworkPolicy: peer networks",
    "ClusterNetworkPolicy: peer domainNames",
    "ClusterNetworkPolicy: peer of an unknown kind",
    "ClusterNetworkPolicy: protocols left out",
    "ClusterNetworkPolicy: port by number",
    "ClusterNetworkPolicy: port by name",
    "ClusterNetworkPolicy: port range",
    "ClusterNetworkPolicy: sctp",
    "tiers: Pass, then a NetworkPolicy",
    "tiers: Pass, then Baseline",
    "tiers: Admin over a NetworkPolicy",
    "tiers: Baseline where nothing isolates",
    "tiers: Baseline under a NetworkPolicy",
    "tiers: several policies of one tier",
    "selector: matchLabels",
    "selector: In",
    "selector: NotIn",
    "selector: Exists",
    "selector: DoesNotExist",
    "selector: the namespace's name",
    "selector: {}",
    "ends: one namespace",
    "ends: two namespaces",
    "ends: one node",
    "ends: two nodes",
    "ends: from outside",
    "ends: to outside",
    "ends: to another node",
    "ends: from another node",
    "wire: TCP",
    "wire: UDP",
    "wire: IPv4",
    "wire: IPv6",
];

/// Corners in which nothing is ever denied.
const ALLOWED: &[&str] = &["ends: itself", "ends: from the own node"];
/// Corners of which one outcome does.
const ANY: &[&str] = &["ClusterNetworkPolicy: Deny", "ends: to the own node", "ends: host network"];

impl Coverage {
    /// Notes a connection on which both sides agreed.
    pub fn note(&mut self, world: &Features, compiled: &Compiled, probe: &Probe, said: &Decision) {
        let denied = said.outcome == Outcome::Denied;
        let mut touch = |corner: &'static str| {
            let counts = self.0.entry(corner).or_default();
            if denied { counts.1 += 1 } else { counts.0 += 1 }
        };
        ends(probe).into_iter().for_each(&mut touch);
        for side in [&said.egress, &said.ingress] {
            let found = side_corners(world, compiled, side);
            found.into_iter().for_each(&mut touch);
        }
    }

    /// What was never met, in which outcome.
    pub fn missing(&self) -> Vec<String> {
        let count = |corner: &&str| self.0.get(corner).copied().unwrap_or_default();
        let never = |corner: &&'static str, what: &str| format!("{corner}: never {what}");
        let both = BOTH.iter().flat_map(|corner| {
            let (allowed, denied) = count(corner);
            let allowed = (allowed == 0).then(|| never(corner, "allowed"));
            allowed.into_iter().chain((denied == 0).then(|| never(corner, "denied")))
        });
        let allowed = ALLOWED.iter().filter(|corner| count(corner).0 == 0);
        let any = ANY.iter().filter(|corner| count(corner) == (0, 0));
        both.chain(allowed.map(|corner| never(corner, "allowed")))
            .chain(any.map(|corner| never(corner, "met")))
            .collect()
    }

    /// One line each, for the way back from a child.
    pub fn lines(&self) -> String {
        let line = |(corner, (allowed, denied)): (&&str, &(u64, u64))| {
            format!("{allowed}\t{denied}\t{corner}\n")
        };
        self.0.iter().map(line).collect()
    }

    /// Reads such lines.
    pub fn read(text: &str) -> Self {
        let known = || BOTH.iter().chain(ALLOWED).chain(ANY);
        let line = |line: &str| {
            let mut words = line.splitn(3, '\t');
            let (allowed, denied) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            let corner = words.next()?;
            Some((*known().find(|known| **known == corner)?, (allowed, denied)))
        };
        Self(text.lines().filter_map(line).collect())
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<64}{:>12}{:>12}", "corner", "allowed", "denied")?;
        for corner in BOTH.iter().chain(ALLOWED).chain(ANY) {
            let (allowed, denied) = self.0.get(corner).copied().unwrap_or_default();
            writeln!(f, "{corner:<64}{allowed:>12}{denied:>12}")?;
        }
        Ok(())
    }
}

fn ends(probe: &Probe) -> Vec<&'static str> {
    let Probe { from, to, carrier, six, .. } = *probe;
    let mut found = vec![if six { "wire: IPv6" } else { "wire: IPv4" }];
    found.push(match carrier {
        Carrier::Tcp => "wire: TCP",
        Carrier::Udp => "wire: UDP",
        Carrier::Icmp => return Vec::new(),
    });
    let own = from.node() == to.node();
    let between = match (from, to) {
        _ if from.is_host() && to.is_host() => return found,
        (At::World, _) => "ends: from outside",
        (_, At::World) => "ends: to outside",
        (At::Node(_), _) if own => "ends: from the own node",
        (At::Node(_), _) => "ends: from another node",
        (_, At::Node(_)) if own => "ends: to the own node",
        (_, At::Node(_)) => "ends: to another node",
        (At::Pod(from), At::Pod(to)) if from == to => "ends: itself",
        (At::Pod(_), At::Pod(_)) if from.is_host() || to.is_host() => "ends: host network",
        (At::Pod(from), At::Pod(to)) => {
            found.push(if own { "ends: one node" } else { "ends: two nodes" });
            if from / 2 == to / 2 { "ends: one namespace" } else { "ends: two namespaces" }
        }
    };
    found.push(between);
    found
}

fn side_corners(world: &Features, compiled: &Compiled, side: &Side) -> Vec<&'static str> {
    let field = side.direction.field();
    let of = |id: PolicyId| world.of(compiled, id, field);
    let mut found: Vec<&'static str> = Vec::new();
    for id in &side.isolated_by {
        found.extend(of(*id));
    }
    if side.isolated_by.len() > 1 {
        found.push("NetworkPolicy: several policies isolate a pod");
    }
    let mut tiers = Vec::new();
    for reason in &side.reasons {
        let Reason::Rule(rule) = reason else { continue };
        if side.isolated_by.contains(&rule.policy) {
            continue;
        }
        found.extend(of(rule.policy));
        let action = rule.action.to_string();
        found.push(match action.as_str() {
            "Accept" => "ClusterNetworkPolicy: Accept",
            "Deny" => "ClusterNetworkPolicy: Deny",
            _ => "ClusterNetworkPolicy: Pass",
        });
        tiers.push((world.tier(compiled, rule.policy), action));
    }
    let passed = tiers.iter().any(|(tier, action)| tier == "Admin" && action == "Pass");
    let final_admin = tiers.iter().any(|(tier, action)| tier == "Admin" && action != "Pass");
    let baseline = tiers.iter().any(|(tier, _)| tier == "Baseline");
    let isolated = !side.isolated_by.is_empty();
    for (corner, met) in [
        ("tiers: Pass, then a NetworkPolicy", passed && isolated),
        ("tiers: Pass, then Baseline", passed && baseline),
        ("tiers: Admin over a NetworkPolicy", final_admin && world.isolates(field)),
        ("tiers: Baseline where nothing isolates", baseline && !isolated),
        ("tiers: Baseline under a NetworkPolicy", isolated && world.has_tier("Baseline")),
        ("tiers: several policies of one tier", !tiers.is_empty() && world.has_two_of_a_tier()),
    ] {
        if met {
            found.push(corner);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

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

    fn of(&self, compiled: &Compiled, id: PolicyId, field: &'static str) -> Vec<&'static str> {
        let name = name(compiled, id);
        self.corners.get(&(name, field)).cloned().unwrap_or_default()
    }

    fn tier(&self, compiled: &Compiled, id: PolicyId) -> String {
        self.tiers.get(&name(compiled, id)).cloned().unwrap_or_default()
    }

    fn isolates(&self, _: &str) -> bool {
        self.networks > 0
    }

    fn has_tier(&self, tier: &str) -> bool {
        self.tiers.values().any(|found| found == tier)
    }

    fn has_two_of_a_tier(&self) -> bool {
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
