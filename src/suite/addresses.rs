//! Addresses of probe pods in manifests: `${ip:web}`, and `${cidr:web/24}` for the block of
//! that length around it. They are known only once the pods run.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;
use serde_json::Value;

use super::{
    manifest::Object,
    mistake::Mistake,
    nearest::nearest,
    node::{Node, NodeKind},
    reader::Reader,
    scope::Scope,
    types::{Peer, Suite},
};
use crate::{model::Family, suite::Change};

/// One reference: `${ip:web}`, `${ipv6:web}`, `${cidr:web}`, `${cidr:web/24}`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Reference<'t> {
    /// Its whole text.
    text: &'t str,
    /// Its first word.
    word: &'t str,
    /// Whose address.
    peer: &'t str,
    /// The block's length, where one is written.
    prefix: Option<&'t str>,
}

/// The words that stand for addresses.
const WORDS: [&str; 4] = ["ip", "ipv4", "ipv6", "cidr"];

fn references(text: &str) -> impl Iterator<Item = Reference<'_>> {
    text.match_indices("${").filter_map(|(at, _)| {
        let rest = &text[at..];
        let text = &rest[..=rest.find('}')?];
        let (word, peer) = text[2..text.len() - 1].split_once(':')?;
        if !WORDS.contains(&word) {
            return None;
        }
        let (peer, prefix) = match peer.split_once('/') {
            Some((peer, prefix)) => (peer, Some(prefix)),
            None => (peer, None),
        };
        Some(Reference { text, word, peer, prefix })
    })
}

/// Whether a text holds an address that isn't known yet.
pub(super) fn has_references(text: &str) -> bool {
    references(text).next().is_some()
}

/// Whether some text of an object does.
pub fn waits_for_addresses(value: &Value) -> bool {
    match value {
        Value::String(text) => has_references(text),
        Value::Array(items) => items.iter().any(waits_for_addresses),
        Value::Object(fields) => fields.values().any(waits_for_addresses),
        _ => false,
    }
}

/// The peers whose addresses a suite's objects and patches hold.
pub fn addressed_peers(suite: &Suite) -> Vec<String> {
    let mut peers = Vec::new();
    let of_setup = suite.setup.manifests.iter().flat_map(|manifest| &manifest.objects);
    let of_steps = suite.changes().flatten().flat_map(|change| match change {
        Change::Apply(manifest) => manifest.objects.iter().collect(),
        Change::Patch { patch, .. } => vec![patch.body()],
        _ => Vec::new(),
    });
    of_setup.chain(of_steps).for_each(|value| collect(value, &mut peers));
    peers
}

fn collect(value: &Value, peers: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            peers.extend(references(text).map(|reference| reference.peer.to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, peers)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, peers)),
        _ => {}
    }
}

/// Writes other names for the peers of references, such as those of their pods.
pub fn rename_addressed(value: &mut Value, names: &BTreeMap<String, String>) {
    let renamed = |reference: &Reference<'_>| {
        let Reference { text, word, peer, prefix } = reference;
        let prefix = prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
        Ok(names
            .get(*peer)
            .map_or_else(|| (*text).to_owned(), |name| format!("${{{word}:{name}{prefix}}}")))
    };
    // It never fails.
    let _: Result<(), String> = rewrite(value, &renamed);
}

/// Writes the addresses themselves. `address` gives that of a name and, where one is asked
/// for, of a family.
///
/// # Errors
/// A name without such an address, or a length that its family doesn't have.
pub fn fill_addresses(
    value: &mut Value,
    address: &dyn Fn(&str, Option<Family>) -> Option<IpAddr>,
) -> Result<(), String> {
    rewrite(value, &|reference| {
        let Reference { text, word, peer, prefix } = reference;
        let family = match *word {
            "ipv4" => Some(Family::Ipv4),
            "ipv6" => Some(Family::Ipv6),
            _ => None,
        };
        let address =
            address(peer, family).ok_or_else(|| format!("{text}: there is no such address"))?;
        if *word != "cidr" {
            return Ok(address.to_string());
        }
        let whole = IpNet::from(address);
        let length = match prefix {
            None => whole.prefix_len(),
            Some(prefix) => prefix.parse().map_err(|_| format!("{text}: no length of a block"))?,
        };
        let block = IpNet::new(address, length)
            .map_err(|_| format!("{text}: {address} has no block of that length"))?;
        Ok(block.trunc().to_string())
    })
}

fn rewrite(
    value: &mut Value,
    with: &dyn Fn(&Reference<'_>) -> Result<String, String>,
) -> Result<(), String> {
    match value {
        Value::String(text) => {
            let mut written = text.clone();
            for reference in references(text) {
                written = written.replace(reference.text, &with(&reference)?);
            }
            *text = written;
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| rewrite(item, with)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| rewrite(field, with)),
        _ => Ok(()),
    }
}

/// Every reference of an object has to name a pod peer that is there when it is sent.
pub(super) fn check_addresses(
    reader: &mut Reader,
    scope: &Scope,
    object: &Object,
    step: Option<usize>,
) {
    check_node(reader, scope, object, &object.node, step);
}

fn check_node(
    reader: &mut Reader,
    scope: &Scope,
    object: &Object,
    node: &Node,
    step: Option<usize>,
) {
    match &node.kind {
        NodeKind::List(items) => {
            items.iter().for_each(|item| check_node(reader, scope, object, item, step));
        }
        NodeKind::Map(entries) => {
            entries.iter().for_each(|entry| check_node(reader, scope, object, &entry.value, step));
        }
        NodeKind::Scalar { text, .. } => {
            for reference in references(text) {
                let Err((message, near)) = check(scope, &reference, step) else { continue };
                let written = object.source.text.get(node.span.clone()).unwrap_or_default();
                let begin = node.span.start + written.find(reference.text).unwrap_or_default();
                let span = begin..(begin + reference.text.len()).min(node.span.end);
                let mut mistake = Mistake::at(&object.source, &span, message);
                mistake.did_you_mean(near.as_deref());
                reader.mistakes.push(mistake);
            }
        }
    }
}

fn check(
    scope: &Scope,
    reference: &Reference<'_>,
    step: Option<usize>,
) -> Result<(), (String, Option<String>)> {
    let Reference { word, peer, prefix, .. } = reference;
    let Some(peers) = &scope.peers else { return Ok(()) };
    match peers.get(*peer) {
        None => {
            let near = nearest(peer, peers.keys().map(String::as_str)).map(str::to_owned);
            return Err((format!("there is no peer `{peer}`"), near));
        }
        Some(Some(Peer::Pod(_)) | None) => {}
        Some(Some(_)) => {
            return Err((format!("`{peer}` is no pod peer, which alone have addresses"), None));
        }
    }
    if !scope.is_there_in(peer, step.and_then(|step| step.checked_sub(1)))
        && !scope.is_there_in(peer, step)
    {
        return Err((format!("`{peer}` isn't there when this is sent"), None));
    }
    match prefix {
        Some(_) if *word != "cidr" => {
            Err((format!("only a block has a length: `${{cidr:{peer}/…}}`"), None))
        }
        Some(prefix) if !prefix.parse::<u8>().is_ok_and(|length| length <= 128) => {
            Err((format!("`{prefix}` is no length of a block"), None))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_become_addresses_and_blocks() {
        let names = BTreeMap::from([("web".to_owned(), "np-x-web-0".to_owned())]);
        let address = |name: &str, family: Option<Family>| match (name, family) {
            ("np-x-web-0", None | Some(Family::Ipv4)) => "10.244.1.7".parse().ok(),
            ("np-x-web-0", Some(Family::Ipv6)) => "fd00::7".parse().ok(),
            _ => None,
        };
        for (written, expected) in [
            ("${ip:web}", Ok("10.244.1.7")),
            ("${ipv6:web}", Ok("fd00::7")),
            ("http://${ip:web}:80/${namespace:shop}", Ok("http://10.244.1.7:80/${namespace:shop}")),
            ("${cidr:web}", Ok("10.244.1.7/32")),
            ("${cidr:web/24}", Ok("10.244.1.0/24")),
            (
                "${cidr:web/40}",
                Err("${cidr:np-x-web-0/40}: 10.244.1.7 has no block of that length"),
            ),
            ("${ip:other}", Err("${ip:other}: there is no such address")),
            ("$${}${ip:", Ok("$${}${ip:")),
        ] {
            let mut value = json!({"spec": [written]});
            rename_addressed(&mut value, &names);
            let filled = fill_addresses(&mut value, &address);
            let found = filled.map(|()| value["spec"][0].as_str().unwrap_or_default().to_owned());
            assert_eq!(found, expected.map(str::to_owned).map_err(str::to_owned), "{written}");
        }
    }
}
