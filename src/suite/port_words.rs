//! `port` and `protocol` of a claim, before it is known what they mean at its destination.

use std::collections::HashSet;

use super::{
    nearest::{listed, nearest},
    node::{Node, NodeKind},
    reader::{Fields, Reader, Word},
};
use crate::model::Protocol;

/// `port` and `protocol`; ICMP has no ports.
pub(super) fn port_nodes<'n>(fields: &mut Fields<'n>) -> (Option<&'n Node>, Option<&'n Node>) {
    let protocol = fields.optional("protocol");
    if protocol.and_then(spoken) == Some(Protocol::Icmp) {
        (fields.optional("port"), protocol)
    } else {
        (fields.required("port"), protocol)
    }
}

/// The protocol that a node names, in lower case or as Kubernetes writes it.
fn spoken(node: &Node) -> Option<Protocol> {
    let raw = node.raw()?;
    let is = |known: &Protocol| raw == known.name() || raw == known.name().to_uppercase();
    Protocol::ALL.into_iter().find(is)
}

/// The words of `port`, and the protocol of all of them, where one is said.
pub(super) fn read_ports(
    reader: &mut Reader,
    port: Option<&Node>,
    protocol: Option<&Node>,
) -> (Vec<Word>, Option<Protocol>) {
    let words = port.map(|node| read_port_words(reader, node)).unwrap_or_default();
    let Some(node) = protocol else { return (words, None) };
    let Some(protocol) = spoken(node) else {
        let known = Protocol::ALL.map(Protocol::name);
        let lower = node.raw().unwrap_or_default().to_lowercase();
        let near = nearest(&lower, known);
        let message = format!("`protocol` takes {}, not {}", listed(known), node.describe());
        reader.mistake(&node.span, message).did_you_mean(near);
        return (Vec::new(), None);
    };
    if protocol != Protocol::Icmp {
        return (words, Some(protocol));
    }
    if let Some(port) = port {
        reader.mistake(&port.span, "ICMP has no ports").help("leave out `port`");
    }
    let word = Word { text: protocol.name().to_owned(), span: node.span.clone() };
    (vec![word], None)
}

/// `port`: one or a list; what the words mean depends on the destination.
fn read_port_words(reader: &mut Reader, node: &Node) -> Vec<Word> {
    let items = match &node.kind {
        NodeKind::List(items) => &items[..],
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        reader.mistake(&node.span, "`port` names none");
    }
    let mut words: Vec<Word> = Vec::new();
    let mut seen = HashSet::new();
    for item in items {
        let Some(text) = item.raw().filter(|_| !item.is_null()) else {
            let message = format!("expected a port or its name, found {}", item.describe());
            reader.mistake(&item.span, message);
            continue;
        };
        if !seen.insert(text) {
            reader.mistake(&item.span, format!("`{text}` is in this list twice"));
            continue;
        }
        words.push(Word { text: text.to_owned(), span: item.span.clone() });
    }
    words
}
