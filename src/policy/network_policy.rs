//! `NetworkPolicy` of `networking.k8s.io/v1`.

use serde_json::Value;

use super::{
    block::{self, IpBlock},
    decision::Direction,
    fields::Findings,
    ports::{self, PortMatch},
    selector::{self, Selector},
};

/// A NetworkPolicy: whom it isolates, and what it allows all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// The namespace whose pods it selects.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Which pods of its namespace it selects.
    pub pod_selector: Selector,
    /// What may come in; nothing where it doesn't isolate for ingress.
    pub ingress: Option<Vec<Rule>>,
    /// What may go out; nothing where it doesn't isolate for egress.
    pub egress: Option<Vec<Rule>>,
}

/// A rule: peers, ports, or all of either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The other ends; any where absent.
    pub peers: Option<Vec<Peer>>,
    /// The ports; any, and anything without ports, where absent.
    pub ports: Option<Vec<PortMatch>>,
}

/// Other ends of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Pods of some namespaces.
    Pods {
        /// Which namespaces; the policy's own where absent.
        namespaces: Option<Selector>,
        /// Which pods in them; all where absent.
        pods: Option<Selector>,
    },
    /// Addresses.
    Block(IpBlock),
}

impl NetworkPolicy {
    /// The rules of a direction, if it isolates for it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// Reads the `spec`; everything is read, also what will be ignored, because the API server
/// refuses it all the same.
pub(super) fn read(
    findings: &mut Findings,
    namespace: &str,
    name: &str,
    spec: &Value,
) -> NetworkPolicy {
    let mut object = findings.object("spec", spec);
    let selector = object.field("podSelector");
    let (ingress, egress) = (object.field("ingress"), object.field("egress"));
    let types = object.field("policyTypes");
    object.finish(findings);
    let pod_selector = selector.map_or_else(Selector::default, |value| {
        selector::read(findings, "spec.podSelector", value)
    });
    let ingress = read_rules(findings, "spec.ingress", "from", ingress);
    let egress = read_rules(findings, "spec.egress", "to", egress);
    let (isolates_ingress, isolates_egress) = match read_types(findings, types) {
        Some(types) => types,
        None => (true, !egress.is_empty()),
    };
    NetworkPolicy {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        pod_selector,
        ingress: isolates_ingress.then_some(ingress),
        egress: isolates_egress.then_some(egress),
    }
}

/// Which directions `policyTypes` names, if it names any.
fn read_types(findings: &mut Findings, types: Option<&Value>) -> Option<(bool, bool)> {
    let types = findings.list("spec.policyTypes", types?);
    if types.len() > 2 {
        let list = Value::from(types);
        findings.invalid("spec.policyTypes", &list, "may not specify more than two policyTypes");
    }
    let (mut ingress, mut egress) = (false, false);
    for (index, value) in types.iter().enumerate() {
        match value.as_str() {
            Some("Ingress") => ingress = true,
            Some("Egress") => egress = true,
            _ => {
                let path = format!("spec.policyTypes[{index}]");
                findings.unsupported(&path, value, &["Egress", "Ingress"]);
            }
        }
    }
    (!types.is_empty()).then_some((ingress, egress))
}

fn read_rules(
    findings: &mut Findings,
    path: &str,
    peers: &'static str,
    value: Option<&Value>,
) -> Vec<Rule> {
    let Some(value) = value else { return Vec::new() };
    let items = findings.list(path, value).iter().enumerate();
    items
        .map(|(index, item)| {
            let mut object = findings.object(&format!("{path}[{index}]"), item);
            let (at_peers, at_ports) = (object.at(peers), object.at("ports"));
            let (peers, ports) = (object.field(peers), object.field("ports"));
            object.finish(findings);
            Rule {
                peers: read_list(findings, &at_peers, peers, read_peer),
                ports: read_list(findings, &at_ports, ports, ports::read),
            }
        })
        .collect()
}

/// A list that stands for "any" where it is absent, null or empty.
fn read_list<T>(
    findings: &mut Findings,
    path: &str,
    value: Option<&Value>,
    read: fn(&mut Findings, &str, &Value) -> Option<T>,
) -> Option<Vec<T>> {
    let items = findings.list(path, value?);
    let read = |(index, item)| read(findings, &format!("{path}[{index}]"), item);
    (!items.is_empty()).then(|| items.iter().enumerate().filter_map(read).collect())
}

fn read_peer(findings: &mut Findings, path: &str, value: &Value) -> Option<Peer> {
    let mut object = findings.object(path, value);
    let (pods, namespaces) = (object.field("podSelector"), object.field("namespaceSelector"));
    let block = object.field("ipBlock");
    let (at_pods, at_namespaces) = (object.at("podSelector"), object.at("namespaceSelector"));
    let at_block = object.at("ipBlock");
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    let pods = pods.map(|value| selector::read(findings, &at_pods, value));
    let namespaces = namespaces.map(|value| selector::read(findings, &at_namespaces, value));
    let selects = pods.is_some() || namespaces.is_some();
    match block {
        Some(_) if selects => {
            findings.note(path, "Forbidden: may not specify both ipBlock and another peer");
            None
        }
        Some(value) => block::read(findings, &at_block, value).map(Peer::Block),
        None if selects => Some(Peer::Pods { namespaces, pods }),
        None => {
            findings.required(path, "must specify a peer");
            None
        }
    }
}
