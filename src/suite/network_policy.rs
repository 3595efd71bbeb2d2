//! The shape of a NetworkPolicy, field by field.
//!
//! The API server drops fields that it doesn't know: a misspelt `podSelecter` selects
//! every pod. Values follow the API's own validation.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::{
    addresses::has_references,
    nearest::nearest,
    node::{Node, Scalar},
    reader::{Reader, Word},
    words::{
        DNS_SUBDOMAIN, LABEL_KEY, LABEL_VALUE, PORT_NAME, is_dns_subdomain, is_label_key,
        is_label_value, is_port_name,
    },
};

const KINDS: [&str; 5] = ["NetworkPolicy", "Ingress", "IngressClass", "IPAddress", "ServiceCIDR"];

/// Which way a rule looks.
#[derive(Clone, Copy)]
enum Direction {
    Ingress,
    Egress,
}

/// Checks an object of the group `networking.k8s.io` (or of its predecessor).
pub(super) fn check(reader: &mut Reader, node: &Node, api: &Word, kind: &Word) {
    if !KINDS.contains(&kind.text.as_str()) {
        if let Some(near) = nearest(&kind.text, KINDS) {
            let message = format!("`{}` has no kind `{}`", api.text, kind.text);
            reader.mistake(&kind.span, message).did_you_mean(Some(near));
        }
        return;
    }
    if kind.text != "NetworkPolicy" {
        return;
    }
    if api.text != "networking.k8s.io/v1" {
        let message = format!("`{}` has no NetworkPolicy", api.text);
        reader.mistake(&api.span, message).did_you_mean(Some("networking.k8s.io/v1"));
        return;
    }
    let before = reader.mistakes.len();
    let Some(mut fields) = reader.fields(node, "a NetworkPolicy") else { return };
    let (_, _, _) =
        (fields.optional("apiVersion"), fields.optional("kind"), fields.optional("status"));
    let (metadata, spec) = (fields.required("metadata"), fields.required("spec"));
    fields.finish(reader, &["status"]);
    if let Some(metadata) = metadata {
        check_metadata(reader, metadata);
    }
    if let Some(spec) = spec {
        check_spec(reader, spec);
    }
    if reader.mistakes.len() == before
        && let Err(error) = serde_json::from_value::<NetworkPolicy>(node.to_value())
    {
        reader.mistake(&node.span, format!("this is no NetworkPolicy: {error}"));
    }
}

fn check_metadata(reader: &mut Reader, node: &Node) {
    let Some(mut fields) = reader.fields(node, "metadata") else { return };
    let name = fields.optional("name");
    for field in ["namespace", "labels", "annotations", "finalizers", "ownerReferences"] {
        fields.optional(field);
    }
    // What `kubectl get -o yaml` adds; nobody writes it, so nobody is offered it.
    let of_the_server = [
        "creationTimestamp",
        "generateName",
        "generation",
        "managedFields",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    fields.finish(reader, &of_the_server);
    if let Some(name) = name.and_then(Node::raw).filter(|name| !name.contains("${"))
        && !is_dns_subdomain(name)
    {
        let message = format!("`{name}` can't be the name of a NetworkPolicy");
        let span = node.get("name").map_or(&node.span, |name| &name.span);
        reader.mistake(span, message).help(DNS_SUBDOMAIN);
    }
}

fn check_spec(reader: &mut Reader, node: &Node) {
    let Some(mut fields) = reader.fields(node, "a NetworkPolicy's spec") else { return };
    let (selector, types) = (fields.optional("podSelector"), fields.optional("policyTypes"));
    let (ingress, egress) = (fields.optional("ingress"), fields.optional("egress"));
    fields.finish(reader, &[]);
    if let Some(selector) = selector {
        check_selector(reader, selector);
    }
    for item in types.map_or(&[][..], |types| reader.list(types, "a list of policy types")) {
        reader.choice(item, "policyTypes", &[("Ingress", ()), ("Egress", ())]);
    }
    for (rules, direction) in [(ingress, Direction::Ingress), (egress, Direction::Egress)] {
        for rule in rules.map_or(&[][..], |rules| reader.list(rules, "a list of rules")) {
            check_rule(reader, rule, direction);
        }
    }
}

fn check_rule(reader: &mut Reader, node: &Node, direction: Direction) {
    let (what, peers) = match direction {
        Direction::Ingress => ("an ingress rule", "from"),
        Direction::Egress => ("an egress rule", "to"),
    };
    let Some(mut fields) = reader.fields(node, what) else { return };
    let (peers, ports) = (fields.optional(peers), fields.optional("ports"));
    fields.finish(reader, &[]);
    for peer in peers.map_or(&[][..], |peers| reader.list(peers, "a list of peers")) {
        check_peer(reader, peer);
    }
    for port in ports.map_or(&[][..], |ports| reader.list(ports, "a list of ports")) {
        check_port(reader, port);
    }
}

fn check_peer(reader: &mut Reader, node: &Node) {
    let Some(mut fields) = reader.fields(node, "a NetworkPolicy's peer") else { return };
    let present = |node: Option<&'_ Node>| node.is_some_and(|node| !node.is_null());
    let pods = fields.optional("podSelector");
    let namespaces = fields.optional("namespaceSelector");
    let block = fields.optional("ipBlock");
    let span = fields.span.clone();
    let before = reader.mistakes.len();
    fields.finish(reader, &[]);
    let selectors = present(pods) || present(namespaces);
    if present(block) && selectors {
        reader.mistake(&span, "`ipBlock` can't stand beside selectors in one peer");
    } else if !present(block) && !selectors && reader.mistakes.len() == before {
        reader
            .mistake(&span, "an empty peer is refused by the API server")
            .help("all pods of the namespace: `podSelector: {}`; anybody: leave out the list");
    }
    for selector in [pods, namespaces].into_iter().flatten() {
        check_selector(reader, selector);
    }
    if let Some(block) = block.filter(|block| !block.is_null()) {
        check_block(reader, block);
    }
}

fn check_selector(reader: &mut Reader, node: &Node) {
    if node.is_null() {
        return;
    }
    let Some(mut fields) = reader.fields(node, "a selector") else { return };
    let (labels, expressions) =
        (fields.optional("matchLabels"), fields.optional("matchExpressions"));
    fields.finish(reader, &[]);
    if let Some(labels) = labels {
        check_match_labels(reader, labels);
    }
    let what = "a list of requirements";
    for item in expressions.map_or(&[][..], |list| reader.list(list, what)) {
        check_requirement(reader, item);
    }
}

fn check_match_labels(reader: &mut Reader, node: &Node) {
    // `${namespace:…}` becomes a valid value later.
    let open = node.describe() == "a mapping"
        && reader.source.text.get(node.span.clone()).is_some_and(|text| text.contains("${"));
    if open {
        reader.annotations(node, "a selector's labels");
    } else {
        reader.labels(node, "a selector's labels");
    }
}

fn check_requirement(reader: &mut Reader, node: &Node) {
    let Some(mut fields) = reader.fields(node, "a requirement") else { return };
    let (key, operator) = (fields.required("key"), fields.required("operator"));
    let values = fields.optional("values");
    let span = fields.span.clone();
    fields.finish(reader, &[]);
    if let Some(key) = key {
        reader.name(key, "the key of a label", is_label_key, LABEL_KEY);
    }
    let operators = [("In", true), ("NotIn", true), ("Exists", false), ("DoesNotExist", false)];
    let takes_values =
        operator.and_then(|operator| reader.choice(operator, "operator", &operators));
    let items = values.map_or(&[][..], |values| reader.list(values, "a list of values"));
    for item in items {
        if let Some(word) = reader.text(item, "a label's value")
            && !word.text.contains("${")
        {
            reader.check_name(&word, "the value of a label", is_label_value, LABEL_VALUE);
        }
    }
    match takes_values {
        Some(true) if items.is_empty() => {
            reader.mistake(&span, "`In` and `NotIn` need `values`");
        }
        Some(false) if !items.is_empty() => {
            reader.mistake(&span, "`Exists` and `DoesNotExist` take no `values`");
        }
        _ => {}
    }
}

fn check_block(reader: &mut Reader, node: &Node) {
    let Some(mut fields) = reader.fields(node, "an ipBlock") else { return };
    let (cidr, except) = (fields.required("cidr"), fields.optional("except"));
    fields.finish(reader, &[]);
    let block = cidr.and_then(|cidr| read_cidr(reader, cidr));
    for item in except.map_or(&[][..], |except| reader.list(except, "a list of CIDRs")) {
        let (Some(part), Some(block)) = (read_cidr(reader, item), block) else { continue };
        if !(block.contains(&part) && block != part) {
            let message = format!("`{part}` is no strict part of `{block}`");
            reader.mistake(&item.span, message);
        }
    }
}

fn read_cidr(reader: &mut Reader, node: &Node) -> Option<IpNet> {
    let word = reader.text(node, "a CIDR")?;
    // An address that is known only once the pods run; its peer is looked for later.
    if has_references(&word.text) {
        return None;
    }
    let Ok(net) = word.text.parse::<IpNet>() else {
        let address: Option<std::net::IpAddr> = word.text.parse().ok();
        let meant = address.map(|address| IpNet::from(address).to_string());
        let message = format!("`{}` is no CIDR such as `10.0.0.0/8`", word.text);
        reader.mistake(&word.span, message).did_you_mean(meant.as_deref());
        return None;
    };
    if net.trunc() != net {
        let meant = net.trunc().to_string();
        let message = format!("`{net}` has bits set behind its prefix");
        reader.mistake(&word.span, message).did_you_mean(Some(&meant));
        return None;
    }
    Some(net)
}

fn check_port(reader: &mut Reader, node: &Node) {
    let Some(mut fields) = reader.fields(node, "a NetworkPolicy's port") else { return };
    let (port, end) = (fields.optional("port"), fields.optional("endPort"));
    let protocol = fields.optional("protocol");
    fields.finish(reader, &[]);
    if let Some(protocol) = protocol.filter(|protocol| !protocol.is_null()) {
        reader.choice(protocol, "protocol", &[("TCP", ()), ("UDP", ()), ("SCTP", ())]);
    }
    let port = port.filter(|port| !port.is_null());
    let number = port.and_then(|port| match port.scalar() {
        Some(Scalar::Number(_)) => port_number(reader, port),
        Some(Scalar::Text(text))
            if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) =>
        {
            let message = format!("\"{text}\" in quotes is the name of a port, not its number");
            reader.mistake(&port.span, message).did_you_mean(Some(text));
            None
        }
        _ => {
            reader.name(port, "the name of a port", is_port_name, PORT_NAME);
            None
        }
    });
    let Some(end) = end.filter(|end| !end.is_null()) else { return };
    let Some(end_number) = port_number(reader, end) else { return };
    match number {
        Some(number) if end_number < number => {
            reader.mistake(&end.span, format!("`endPort` is below `port` ({number})"));
        }
        None if port.is_none_or(|port| !matches!(port.scalar(), Some(Scalar::Number(_)))) => {
            reader.mistake(&end.span, "`endPort` needs a numeric `port`");
        }
        _ => {}
    }
}

fn port_number(reader: &mut Reader, node: &Node) -> Option<u16> {
    let number = node.to_value().as_u64().and_then(|number| u16::try_from(number).ok());
    let number = number.filter(|number| *number > 0);
    if number.is_none() {
        let message = format!("expected a number from 1 to 65535, found {}", node.describe());
        reader.mistake(&node.span, message);
    }
    number
}
