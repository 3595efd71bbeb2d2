//! Reads `http`, `tls`, `dns` and `udp`.

use std::collections::BTreeSet;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Ask, Authority, DnsAsk, DnsExpect, TlsAsk, UdpAsk, http::read_http};
use crate::suite::{
    node::{Node, NodeKind},
    reader::{Fields, Reader},
    source::Span,
};

/// Types of records that can be asked for.
const TYPES: [&str; 9] = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"];

/// Response codes that can be asked for.
const CODES: [&str; 6] = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];

/// The longest datagram: it fits in any packet.
const LONGEST_PAYLOAD: usize = 1_200;

/// The fields of a case that say what is asked.
pub(in crate::suite) struct AskNodes<'n> {
    http: Option<&'n Node>,
    tls: Option<&'n Node>,
    dns: Option<&'n Node>,
    udp: Option<&'n Node>,
}

/// What is asked, and where the suite says so.
#[derive(Default)]
pub(in crate::suite) struct Asked {
    pub(in crate::suite) ask: Ask,
    pub(in crate::suite) http: Option<Span>,
    pub(in crate::suite) tls: Option<Span>,
    pub(in crate::suite) dns: Option<Span>,
    pub(in crate::suite) udp: Option<Span>,
}

impl<'n> AskNodes<'n> {
    pub(in crate::suite) fn of(fields: &mut Fields<'n>) -> Self {
        Self {
            http: fields.optional("http"),
            tls: fields.optional("tls"),
            dns: fields.optional("dns"),
            udp: fields.optional("udp"),
        }
    }

    pub(in crate::suite) fn read(self, reader: &mut Reader) -> Asked {
        let span = |node: Option<&Node>| node.map(|node| node.span.clone());
        Asked {
            http: span(self.http),
            tls: span(self.tls),
            dns: span(self.dns),
            udp: span(self.udp),
            ask: Ask {
                http: self.http.and_then(|node| read_http(reader, node)).map(Box::new),
                tls: self.tls.and_then(|node| read_tls(reader, node)).map(Box::new),
                dns: self.dns.and_then(|node| read_dns(reader, node)).map(Box::new),
                udp: self.udp.and_then(|node| read_udp(reader, node)).map(Box::new),
            },
        }
    }
}

fn read_tls(reader: &mut Reader, node: &Node) -> Option<TlsAsk> {
    let mut fields = reader.fields(node, "`tls`")?;
    let (server_name, verify) = (fields.optional("serverName"), fields.optional("verify"));
    let ca = fields.optional("ca");
    fields.finish(reader, &[]);
    let before = reader.mistakes.len();
    let server_name = server_name.and_then(|node| {
        reader.name(node, "the name of a server", is_host, "a host name or an address")
    });
    let choices = [("true", true), ("false", false)];
    let verify = verify.and_then(|node| reader.choice(node, "verify", &choices)).unwrap_or(true);
    if let Some(ca) = ca.filter(|_| !verify) {
        let mistake = reader.mistake(&ca.span, "`ca` signs nothing that isn't verified");
        mistake.help("leave out `verify: false`, or `ca`");
    }
    let ca = ca.and_then(|node| read_authority(reader, node)).unwrap_or_default();
    let server_name = server_name.map(|word| word.text);
    (reader.mistakes.len() == before).then_some(TlsAsk { server_name, verify, ca })
}

fn read_authority(reader: &mut Reader, node: &Node) -> Option<Authority> {
    let word = reader.text(node, "`cluster`, or certificates as PEM")?;
    let text = word.text.trim();
    if text == "cluster" {
        return Some(Authority::Cluster);
    }
    if text.starts_with("-----BEGIN CERTIFICATE-----") && text.ends_with("-----") {
        return Some(Authority::Pem(word.text));
    }
    reader
        .mistake(&word.span, "this is no certificate as PEM")
        .help("`cluster` is the authority of the kubeconfig")
        .help("or write `ca: |` and below it the lines from `-----BEGIN CERTIFICATE-----` on");
    None
}

fn read_dns(reader: &mut Reader, node: &Node) -> Option<DnsAsk> {
    let mut fields = reader.fields(node, "`dns`")?;
    let (name, kind) = (fields.required("name"), fields.optional("type"));
    let expect = fields.optional("expect");
    fields.finish(reader, &[]);
    let before = reader.mistakes.len();
    let name = name.and_then(|node| {
        let rule = "a name as DNS has it, whole: no search list is tried";
        reader.name(node, "a name to ask for", is_dns_name, rule)
    });
    let types = TYPES.map(|word| (word, word));
    let kind = kind.and_then(|node| reader.choice(node, "type", &types)).unwrap_or("A");
    let expect = expect.and_then(|node| read_dns_expect(reader, node));
    let name = name?.text;
    (reader.mistakes.len() == before).then(|| DnsAsk { name, kind: kind.to_owned(), expect })
}

fn read_dns_expect(reader: &mut Reader, node: &Node) -> Option<DnsExpect> {
    let NodeKind::List(items) = &node.kind else {
        let codes = CODES.map(|word| (word, word));
        let before = reader.mistakes.len();
        let code = reader.choice(node, "expect", &codes);
        if let Some(mistake) = reader.mistakes.get_mut(before) {
            mistake.help("or a list of records that the answer has to hold: `[10.96.0.10]`");
        }
        return code.map(|code| DnsExpect::Code(code.to_owned()));
    };
    if items.is_empty() {
        reader.mistake(&node.span, "`expect` names no record");
        return None;
    }
    let records: BTreeSet<String> = items
        .iter()
        .filter_map(|item| reader.text(item, "the data of a record"))
        .map(|word| word.text)
        .collect();
    Some(DnsExpect::Records(records))
}

fn read_udp(reader: &mut Reader, node: &Node) -> Option<UdpAsk> {
    let mut fields = reader.fields(node, "`udp`")?;
    let (payload, expect) = (fields.required("payload"), fields.optional("expect"));
    fields.finish(reader, &[]);
    let payload = payload.and_then(|node| read_bytes(reader, node));
    let expect = match expect {
        Some(node) => read_bytes(reader, node),
        None => Some(Vec::new()),
    };
    Some(UdpAsk { payload: payload?, expect: expect? })
}

/// A text, or `{hex: …}`, or `{base64: …}`.
fn read_bytes(reader: &mut Reader, node: &Node) -> Option<Vec<u8>> {
    let (bytes, span) = if matches!(node.kind, NodeKind::Map(_)) {
        let mut fields = reader.fields(node, "a datagram")?;
        let (hex, base64) = (fields.optional("hex"), fields.optional("base64"));
        let span = fields.span.clone();
        fields.finish(reader, &[]);
        match (hex, base64) {
            (Some(node), None) => {
                // Digits alone are a number to YAML, and still what was meant.
                let raw = node.raw().unwrap_or_default().replace([' ', '\n'], "");
                (netproof_probe::wire::hex::decode(&raw).ok_or("hex"), node.span.clone())
            }
            (None, Some(node)) => {
                let raw = node.raw().unwrap_or_default().replace([' ', '\n'], "");
                (STANDARD.decode(raw).map_err(|_| "base64"), node.span.clone())
            }
            _ => {
                reader.mistake(&span, "a datagram is a text, or either `hex` or `base64`");
                return None;
            }
        }
    } else {
        let word = reader.text(node, "a text, `{hex: …}` or `{base64: …}`")?;
        (Ok(word.text.into_bytes()), word.span)
    };
    match bytes {
        Err(what) => {
            reader.mistake(&span, format!("this is no {what}"));
            None
        }
        Ok(bytes) if bytes.is_empty() || bytes.len() > LONGEST_PAYLOAD => {
            let message = format!("a datagram has 1 to {LONGEST_PAYLOAD} bytes here");
            reader.mistake(&span, message);
            None
        }
        Ok(bytes) => Some(bytes),
    }
}

fn is_host(text: &str) -> bool {
    let address = text.parse::<std::net::IpAddr>().is_ok();
    address || (is_dns_name(text) && !text.contains('_'))
}

fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let bare = text.strip_suffix('.').unwrap_or(text);
    text == "." || (bare.len() <= 253 && bare.split('.').all(label))
}
