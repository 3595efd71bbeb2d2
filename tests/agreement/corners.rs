//! Which corners of the API a comparison has touched: a table that is printed, and a test
//! that fails where one was never met.

use std::{collections::BTreeMap, fmt};

use netproof::policy::{Compiled, Decision, Outcome, PolicyId, Reason, Side};

use crate::{
    features::Features,
    world::{At, Carrier, Probe},
};

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
        ("tiers: Admin over a NetworkPolicy", final_admin && world.isolates()),
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
