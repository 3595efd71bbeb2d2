//! Claims as a suite writes them: cases with their lists, and tables.

use std::collections::HashSet;

use super::{
    nearest::{listed, nearest},
    node::{Node, NodeKind, Scalar, yaml_1_1_bool},
    options::{OptionNodes, Options},
    port_words::{port_nodes, read_ports},
    reader::{Reader, Word},
    scope::Scope,
    source::Span,
    table,
    types::Peer,
    words::{CLAIM_NAME, is_claim_name},
};
use crate::model::{Connectivity, Protocol};

/// One entry of `cases`, or one table: pairs of peers that share everything else.
pub(super) struct Claim {
    pub(super) pairs: Vec<Pair>,
    pub(super) ports: Vec<Word>,
    /// How all ports are spoken to, where the claim says so.
    pub(super) protocol: Option<Protocol>,
    pub(super) options: Options,
}

/// Who, to whom, and what is to come of it.
pub(super) struct Pair {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) expect: Connectivity,
    /// The place that messages about this pair point at.
    pub(super) span: Span,
}

/// Reads `cases`.
pub(super) fn read_cases(reader: &mut Reader, scope: &Scope, node: &Node) -> Vec<Claim> {
    let items = reader.list(node, "a list of cases");
    items.iter().filter_map(|item| read_case(reader, scope, item)).collect()
}

/// Reads `tables`.
pub(super) fn read_tables(reader: &mut Reader, scope: &Scope, node: &Node) -> Vec<Claim> {
    let items = reader.list(node, "a list of tables");
    items.iter().filter_map(|item| read_table(reader, scope, item)).collect()
}

fn read_case(reader: &mut Reader, scope: &Scope, node: &Node) -> Option<Claim> {
    let mut fields = reader.fields(node, "a case")?;
    let name = fields.required("name");
    let (from, to) = (fields.required("from"), fields.required("to"));
    let (port, protocol) = port_nodes(&mut fields);
    let expect = fields.required("expect");
    let options = OptionNodes::of(&mut fields);
    fields.finish(reader, &[]);

    let name =
        name.and_then(|node| reader.name(node, "the name of a case", is_claim_name, CLAIM_NAME));
    let from = from.and_then(|node| read_ends(reader, scope, node, "from"));
    let to = to.and_then(|node| read_ends(reader, scope, node, "to"));
    let (ports, protocol) = read_ports(reader, port, protocol);
    let expect = expect.and_then(|node| read_expect(reader, node));
    let options = options.read(reader, scope, expect == Some(Connectivity::Allowed));

    let (name, from, to, expect) = (name?, from?, to?, expect?);
    let mut pairs: Vec<Pair> = Vec::new();
    for source in from.peers(scope) {
        for destination in to.peers(scope) {
            // `all` means every other one; a pair that is written out is judged later.
            let either_all = from.is_all() || to.is_all();
            if either_all && scope.same_pod(&source, &destination) {
                continue;
            }
            pairs.push(Pair {
                name: format!("{}-{source}-{destination}", name.text),
                from: source.clone(),
                to: destination,
                expect,
                span: name.span.clone(),
            });
            if scope.too_many(reader, pairs.len(), &name.span) {
                return None;
            }
        }
    }
    match &mut pairs[..] {
        [] if from.is_all() || to.is_all() => {
            reader.mistake(&name.span, "`all` is every other pod peer, and there is none");
            return None;
        }
        [only] => {
            only.name = name.text;
            only.span = to.span;
        }
        _ => {}
    }
    Some(Claim { pairs, ports, protocol, options })
}

fn read_table(reader: &mut Reader, scope: &Scope, node: &Node) -> Option<Claim> {
    let mut fields = reader.fields(node, "a table")?;
    let name = fields.required("name");
    let (port, protocol) = port_nodes(&mut fields);
    let rows = fields.required("rows");
    let options = OptionNodes::of(&mut fields);
    let of_cells = ["from", "to", "expect"].map(|field| fields.key_span(field));
    fields.finish(reader, &["from", "to", "expect"]);
    for span in of_cells.into_iter().flatten() {
        reader
            .mistake(span, "a table says this by its rows, columns and cells")
            .help("`.` is allow, `X` is deny, `-` is not claimed");
    }
    let name =
        name.and_then(|node| reader.name(node, "the name of a table", is_claim_name, CLAIM_NAME));
    let (ports, protocol) = read_ports(reader, port, protocol);
    let cells = rows.and_then(|node| table::read_cells(reader, scope, node));
    let allows_only = cells.as_ref().is_some_and(|cells| {
        !cells.is_empty() && cells.iter().all(|cell| cell.expect == Connectivity::Allowed)
    });
    let options = options.read(reader, scope, allows_only);
    let (name, cells) = (name?, cells?);
    let pairs = cells
        .into_iter()
        .map(|cell| Pair {
            name: format!("{}-{}-{}", name.text, cell.from, cell.to),
            from: cell.from,
            to: cell.to,
            expect: cell.expect,
            span: cell.span,
        })
        .collect();
    Some(Claim { pairs, ports, protocol, options })
}

fn read_expect(reader: &mut Reader, node: &Node) -> Option<Connectivity> {
    let choices = [("allow", Connectivity::Allowed), ("deny", Connectivity::Blocked)];
    let raw = node.raw().unwrap_or_default();
    let meant = match raw.to_lowercase().as_str() {
        "yes" | "true" | "on" | "ok" | "pass" | "open" | "accept" | "connected" => Some("allow"),
        "no" | "false" | "off" | "fail" | "closed" | "block" | "blocked" | "denied" | "drop"
        | "reject" | "refused" | "timeout" => Some("deny"),
        _ => None,
    };
    let before = reader.mistakes.len();
    let found = reader.choice(node, "expect", &choices);
    if let Some(mistake) = reader.mistakes.get_mut(before) {
        mistake.did_you_mean(meant);
        if matches!(node.scalar(), Some(Scalar::Text(_))) && yaml_1_1_bool(raw).is_some() {
            mistake
                .help(format!("YAML 1.1 reads a plain `{raw}` as a boolean, YAML 1.2 as a text"));
        }
    }
    found
}

/// `from` or `to`.
struct Ends {
    /// None for `all`.
    names: Option<Vec<String>>,
    span: Span,
}

impl Ends {
    fn is_all(&self) -> bool {
        self.names.is_none()
    }

    fn peers(&self, scope: &Scope) -> Vec<String> {
        self.names.clone().unwrap_or_else(|| scope.pods().map(str::to_owned).collect())
    }
}

fn read_ends(reader: &mut Reader, scope: &Scope, node: &Node, field: &str) -> Option<Ends> {
    let what = "the name of a peer, a list of names, or `all`";
    let span = node.span.clone();
    let items = match &node.kind {
        NodeKind::List(items) => &items[..],
        _ => std::slice::from_ref(node),
    };
    if items.is_empty() {
        reader.mistake(&span, format!("`{field}` names nobody"));
        return None;
    }
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    let mut good = true;
    for item in items {
        let Some(word) = reader.text(item, what) else {
            good = false;
            continue;
        };
        if word.text == "all" {
            if items.len() > 1 {
                reader.mistake(&word.span, "`all` stands alone").help(format!("`{field}: all`"));
                return None;
            }
            return Some(Ends { names: None, span });
        }
        if !seen.insert(word.text.clone()) {
            reader.mistake(&word.span, format!("`{}` is in this list twice", word.text));
            good = false;
        } else if field == "from" {
            good &= scope.check_source(reader, &word);
        } else {
            good &= scope.check_peer(reader, &word);
        }
        names.push(word.text);
    }
    good.then_some(Ends { names: Some(names), span })
}

/// Notes that a name is no peer.
pub(super) fn unknown_peer<'a>(
    reader: &mut Reader,
    word: &Word,
    known: impl Iterator<Item = &'a str> + Clone,
) {
    let near = nearest(&word.text, known.clone());
    let mistake = reader.mistake(&word.span, format!("there is no peer `{}`", word.text));
    mistake.did_you_mean(near);
    if near.is_none() {
        mistake.help(format!("the peers are {}", listed(known)));
    }
}

/// Notes that a peer can't be a source.
pub(super) fn no_source(reader: &mut Reader, word: &Word, peer: &Peer) {
    let kind = match peer {
        Peer::Pod(_) => return,
        Peer::Service(_) => "a Service",
        Peer::Ip(_) => "an address",
        Peer::Host(_) => "a host",
    };
    let message = format!("`{}` is {kind}; only a pod can dial", word.text);
    reader.mistake(&word.span, message);
}
