//! The HTTP request of a case.

use std::collections::{BTreeMap, BTreeSet};

use super::HttpAsk;
use crate::suite::{
    node::{Node, NodeKind},
    reader::Reader,
};

/// Headers that the probe itself needs.
const OWN: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// Reads `http`.
pub(in crate::suite) fn read_http(reader: &mut Reader, node: &Node) -> Option<HttpAsk> {
    let mut fields = reader.fields(node, "`http`")?;
    let (method, path) = (fields.optional("method"), fields.optional("path"));
    let (host, headers) = (fields.optional("host"), fields.optional("headers"));
    let status = fields.optional("status");
    fields.finish(reader, &[]);
    let before = reader.mistakes.len();
    let method = method.and_then(|node| {
        reader.name(node, "an HTTP method", is_token, "capital letters: `GET`, `POST`")
    });
    let path = path.and_then(|node| {
        reader.name(node, "the path of a request", is_path, "it begins with `/`, without spaces")
    });
    let host = host.and_then(|node| {
        reader.name(node, "the name of a server", is_value, "a name, and `:port` where need be")
    });
    let headers = headers.map(|node| read_headers(reader, node)).unwrap_or_default();
    let status = status.map(|node| read_statuses(reader, node)).unwrap_or_default();
    (reader.mistakes.len() == before).then(|| HttpAsk {
        method: method.map_or_else(|| "GET".to_owned(), |word| word.text),
        path: path.map_or_else(|| "/".to_owned(), |word| word.text),
        host: host.map(|word| word.text),
        headers,
        status,
    })
}

fn read_headers(reader: &mut Reader, node: &Node) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for entry in reader.entries(node, "headers (a mapping)") {
        let lower = entry.key.to_lowercase();
        if OWN.contains(&lower.as_str()) || lower.starts_with("netproof") {
            let message = format!("the probe itself sets `{}`", entry.key);
            let mistake = reader.mistake(&entry.key_span, message);
            if lower == "host" {
                mistake.help("`host` of `http` says what the server is called");
            }
        } else if entry.key.is_empty()
            || !entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        {
            reader.mistake(&entry.key_span, format!("`{}` is no HTTP header", entry.key));
        } else if let Some(value) = reader.name(
            &entry.value,
            "the value of a header",
            is_value,
            "printable characters, on one line",
        ) {
            headers.insert(entry.key.clone(), value.text);
        }
    }
    headers
}

/// One status, or a list of those that are right.
fn read_statuses(reader: &mut Reader, node: &Node) -> BTreeSet<u16> {
    let items = match &node.kind {
        NodeKind::List(items) => &items[..],
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        reader.mistake(&node.span, "`status` names none");
    }
    items.iter().filter_map(|item| read_status(reader, item)).collect()
}

fn read_status(reader: &mut Reader, node: &Node) -> Option<u16> {
    let number = node.raw().and_then(|text| text.parse().ok());
    let status = number.filter(|number| (100..=599).contains(number));
    if status.is_none() {
        let message = format!("expected an HTTP status, found {}", node.describe());
        reader.mistake(&node.span, message).help("a number from 100 to 599");
    }
    status
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn is_path(text: &str) -> bool {
    text.starts_with('/') && text.len() <= 2_000 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_value(text: &str) -> bool {
    text.len() <= 2_000 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}
