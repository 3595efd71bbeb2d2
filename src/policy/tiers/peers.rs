//! The peers of a rule.

use serde_json::Value;

use super::{
    super::{
        cluster_policy::{ClusterPeer, Subject},
        fields::{Findings, Origin},
        names::is_domain_name,
        selector,
    },
    at_least_one, at_most, exactly_one, read_pods,
};

pub(super) fn read_peer(
    findings: &mut Findings,
    path: &str,
    egress: bool,
    value: &Value,
) -> Option<ClusterPeer> {
    let mut object = findings.object(path, value);
    let (namespaces, pods) = (object.field("namespaces"), object.field("pods"));
    let (mut nodes, mut networks, mut domains) = (None, None, None);
    if egress {
        nodes = object.field("nodes");
        networks = object.field("networks");
        domains = object.field("domainNames");
    }
    if object.broken {
        return None;
    }
    let known = [namespaces, pods, nodes, networks, domains].iter().flatten().count();
    let unknown = object.unknown();
    match (known, &unknown[..]) {
        // One peer, of a kind that came after this was written.
        (0, [kind]) => return Some(ClusterPeer::Unknown((*kind).to_owned())),
        // The API server has dropped what it didn't know when the object was stored.
        (0, []) if findings.origin == Origin::Stored => {
            return Some(ClusterPeer::Unknown("nothing".to_owned()));
        }
        (found, rest) => exactly_one(findings, path, found + rest.len()),
    }
    let at = |field: &str| format!("{path}.{field}");
    if let Some(value) = namespaces {
        let namespaces = selector::read(findings, &at("namespaces"), value);
        return Some(ClusterPeer::Pods(Subject { namespaces, pods: Default::default() }));
    }
    if let Some(value) = pods {
        return Some(ClusterPeer::Pods(read_pods(findings, &at("pods"), value)));
    }
    if let Some(value) = nodes {
        return Some(ClusterPeer::Nodes(selector::read(findings, &at("nodes"), value)));
    }
    if let Some(value) = networks {
        return Some(ClusterPeer::Networks(read_networks(findings, &at("networks"), value)));
    }
    domains.map(|value| ClusterPeer::DomainNames(read_domains(findings, &at("domainNames"), value)))
}

/// The items of a list that has one to 25.
fn read_items<'v>(findings: &mut Findings, path: &str, value: &'v Value) -> &'v [Value] {
    let items = findings.list(path, value);
    at_least_one(findings, path, items.len());
    at_most(findings, path, items.len(), 25);
    items
}

fn read_networks(findings: &mut Findings, path: &str, value: &Value) -> Vec<ipnet::IpNet> {
    let items = read_items(findings, path, value);
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        // Host bits are no mistake to the CRD's `isCIDR`.
        let Some(text) = findings.text(&path, item) else { continue };
        match text.parse::<ipnet::IpNet>() {
            Ok(block) => found.push(block.trunc()),
            Err(_) => findings.invalid(&path, item, "Invalid CIDR format provided"),
        }
        if items[..index].contains(item) {
            findings.note(&path, format!("Duplicate value: {item}"));
        }
    }
    found
}

fn read_domains(findings: &mut Findings, path: &str, value: &Value) -> Vec<String> {
    let items = read_items(findings, path, value);
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let Some(text) = findings.text(&path, item) else { continue };
        if !is_domain_name(text) {
            let message = "must be a domain name, or `*.` and one (e.g. 'example.com' or \
                           '*.example.com')";
            findings.invalid(&path, item, message);
        }
        found.push(text.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::super::block;

    #[test]
    fn the_readers_of_addresses_are_two_because_the_api_servers_are() {
        // `ipBlock` refuses host bits, `networks` doesn't: see `read_networks`.
        let mut findings = super::Findings::new("a policy".into(), super::Origin::Manifest);
        let value = serde_json::json!(["10.0.0.1/8"]);
        assert!(block::read_cidr(&mut findings, "cidr", &value[0]).is_none(), "refused");
        assert_eq!(super::read_networks(&mut findings, "networks", &value).len(), 1, "taken");
        assert_eq!(findings.mistakes.len(), 1, "{:?}", findings.mistakes);
    }
}
