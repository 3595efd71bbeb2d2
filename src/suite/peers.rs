//! Peers and namespaces, as a suite writes them.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    namespaces::namespace_references,
    nearest::{listed, nearest},
    node::{Entry, Node},
    ports::read_ports,
    reader::Reader,
    types::{Peer, PodPeer, ServicePeer, SetupNamespace},
    words::{
        DNS_LABEL, DNS_SUBDOMAIN, host_error, is_dns_label, is_dns_subdomain, is_service_name,
    },
};
use crate::model::Port;

/// Kinds of peers that the format has, but this version does not.
const LATER: [&str; 3] = ["select", "like", "attach"];

/// Reads `setup.namespaces`.
pub(super) fn read_namespaces(
    reader: &mut Reader,
    node: &Node,
) -> BTreeMap<String, SetupNamespace> {
    let mut found: BTreeMap<String, SetupNamespace> = BTreeMap::new();
    for entry in reader.entries(node, "namespaces by alias (a mapping)") {
        if !is_dns_label(&entry.key) {
            let message = format!("`{}` can't be the alias of a namespace", entry.key);
            reader.mistake(&entry.key_span, message).help(DNS_LABEL);
        }
        let namespace = read_namespace(reader, entry, &found);
        found.insert(entry.key.clone(), namespace);
    }
    found
}

fn read_namespace(
    reader: &mut Reader,
    entry: &Entry,
    others: &BTreeMap<String, SetupNamespace>,
) -> SetupNamespace {
    let mut namespace = SetupNamespace::default();
    if entry.value.is_null() {
        return namespace;
    }
    let Some(mut fields) = reader.fields(&entry.value, "a namespace") else { return namespace };
    let name = fields.optional("name");
    let (labels, annotations) = (fields.optional("labels"), fields.optional("annotations"));
    fields.finish(reader, &[]);
    if let Some(node) = name {
        let word = reader.name(node, "the name of a namespace", is_dns_label, DNS_LABEL);
        if let Some(word) = word {
            let twin = others.iter().find(|(_, other)| other.name.as_ref() == Some(&word.text));
            if let Some((alias, _)) = twin {
                let message = format!("`{alias}` has this name already");
                reader.mistake(&word.span, message);
            } else if word.text == "default" || word.text.starts_with("kube-") {
                let message = format!("`{}` belongs to the cluster", word.text);
                reader
                    .mistake(&word.span, message)
                    .help("a namespace in `setup` is created by the run, and never taken over");
            }
            namespace.name = Some(word.text);
        }
    }
    if let Some(node) = labels {
        namespace.labels = reader.labels(node, "labels");
    }
    if let Some(node) = annotations {
        namespace.annotations = reader.annotations(node, "annotations");
    }
    namespace
}

/// The alias of a namespace that may be written by its alias or, where it has a fixed
/// one, by its name.
pub(super) fn alias_of<'a>(
    written: &'a str,
    namespaces: &'a BTreeMap<String, SetupNamespace>,
) -> &'a str {
    if namespaces.contains_key(written) {
        return written;
    }
    let named = |namespace: &SetupNamespace| namespace.name.as_deref() == Some(written);
    let found = namespaces.iter().find(|(_, namespace)| named(namespace));
    found.map_or(written, |(alias, _)| alias)
}

/// Every `${namespace:…}` in a text has to name one of the suite's namespaces.
pub(super) fn check_references(
    reader: &mut Reader,
    node: &Node,
    namespaces: &BTreeMap<String, SetupNamespace>,
) {
    for alias in namespace_references(node.raw().unwrap_or_default()) {
        if namespaces.contains_key(alias) {
            continue;
        }
        let written = format!("${{namespace:{alias}}}");
        let text = reader.source.text.get(node.span.clone()).unwrap_or_default();
        let span = text.find(&written).map_or(node.span.clone(), |at| {
            node.span.start + at..node.span.start + at + written.len()
        });
        let near = nearest(alias, namespaces.keys().map(String::as_str));
        let message = format!("`{alias}` is no namespace of `setup.namespaces`");
        reader.mistake(&span, message).did_you_mean(near);
    }
}

/// Reads one peer.
pub(super) fn read_peer(
    reader: &mut Reader,
    node: &Node,
    default_ports: &BTreeMap<String, Port>,
    namespaces: &BTreeMap<String, SetupNamespace>,
) -> Option<Peer> {
    let mut fields = reader.fields(node, "a peer")?;
    let kinds = ["pod", "service", "ip", "host"];
    let found: Vec<(&str, &Node)> =
        kinds.iter().filter_map(|kind| Some((*kind, fields.optional(kind)?))).collect();
    let later = LATER.iter().find_map(|kind| fields.key_span(kind));
    let span = fields.span.clone();
    let before = reader.mistakes.len();
    fields.finish(reader, &LATER);
    if let Some(span) = later {
        let kind = &reader.source.text[span.clone()];
        let message = format!("{kind} peers are not part of this version");
        reader.mistake(span, message).help(format!("peers are one of {}", listed(kinds)));
        return None;
    }
    match found[..] {
        [("pod", node)] => {
            let pod = read_pod(reader, node, default_ports)?;
            let namespace = alias_of(&pod.namespace, namespaces).to_owned();
            Some(Peer::Pod(PodPeer { namespace, ..pod }))
        }
        [("service", node)] => {
            let service = read_service(reader, node)?;
            let namespace = alias_of(&service.namespace, namespaces).to_owned();
            Some(Peer::Service(ServicePeer { namespace, ..service }))
        }
        [("ip", node)] => read_ip(reader, node).map(Peer::Ip),
        [("host", node)] => read_host(reader, node, namespaces).map(Peer::Host),
        [] => {
            if reader.mistakes.len() == before {
                let message = format!("a peer needs one of {}", listed(kinds));
                reader.mistake(&span, message);
            }
            None
        }
        [_, (_, second), ..] => {
            let message = format!("a peer is exactly one of {}", listed(kinds));
            reader.mistake(&second.span, message);
            None
        }
        [_] => None,
    }
}

fn read_pod(
    reader: &mut Reader,
    node: &Node,
    default_ports: &BTreeMap<String, Port>,
) -> Option<PodPeer> {
    let mut fields = reader.fields(node, "a pod")?;
    let namespace = fields.required("namespace");
    let labels = fields.optional("labels");
    let ports = fields.optional("ports");
    let service_account = fields.optional("serviceAccount");
    let (placement, annotations) = (fields.optional("node"), fields.optional("annotations"));
    fields.finish(reader, &[]);
    let service_account = service_account.and_then(|node| {
        reader.name(node, "the name of a service account", is_dns_subdomain, DNS_SUBDOMAIN)
    });
    let pod = PodPeer {
        namespace: String::new(),
        labels: labels.map(|node| reader.labels(node, "labels")).unwrap_or_default(),
        service_account: service_account.map(|word| word.text),
        ports: ports.map_or_else(|| default_ports.clone(), |node| read_ports(reader, node)),
        node: placement.map(|node| reader.labels(node, "labels of a node")),
        annotations: annotations
            .map(|node| reader.annotations(node, "annotations"))
            .unwrap_or_default(),
    };
    let namespace = reader.name(namespace?, "a namespace", is_dns_label, DNS_LABEL)?;
    Some(PodPeer { namespace: namespace.text, ..pod })
}

fn read_service(reader: &mut Reader, node: &Node) -> Option<ServicePeer> {
    let mut fields = reader.fields(node, "a service")?;
    let (namespace, name) = (fields.required("namespace"), fields.required("name"));
    fields.finish(reader, &[]);
    let namespace = namespace.and_then(|n| reader.name(n, "a namespace", is_dns_label, DNS_LABEL));
    let name = name.and_then(|n| reader.name(n, "a Service's name", is_service_name, DNS_LABEL));
    Some(ServicePeer { namespace: namespace?.text, name: name?.text })
}

fn read_ip(reader: &mut Reader, node: &Node) -> Option<IpAddr> {
    let word = reader.text(node, "an IP address")?;
    let Ok(address) = word.text.parse::<IpAddr>() else {
        let message = format!("`{}` is no IP address", word.text);
        let mistake = reader.mistake(&word.span, message);
        if word.text.contains('/') {
            mistake.help("one address, not a block of them");
        } else if host_error(&word.text).is_none()
            && word.text.contains(|character: char| character.is_ascii_alphabetic())
        {
            mistake.help("a name is written as `host:`");
        }
        return None;
    };
    if address.is_loopback() || address.is_unspecified() {
        let message = format!("`{address}` is the source pod itself");
        reader.mistake(&word.span, message).help("a pod can always reach itself");
        return None;
    }
    if address.is_multicast() || address == IpAddr::from([255; 4]) {
        reader.mistake(&word.span, format!("`{address}` is no address of one host"));
        return None;
    }
    Some(address)
}

fn read_host(
    reader: &mut Reader,
    node: &Node,
    namespaces: &BTreeMap<String, SetupNamespace>,
) -> Option<String> {
    let word = reader.text(node, "a host name")?;
    check_references(reader, node, namespaces);
    if let Some(help) = host_error(&word.text) {
        let message = format!("`{}` is no host name", word.text);
        reader.mistake(&word.span, message).help(help);
        return None;
    }
    Some(word.text)
}
