//! Claims as a suite writes them: cases with their lists, and tables.

use std::{collections::HashSet, time::Duration};

use super::{
    ask::{AskNodes, Asked},
    moments::{EstablishedWords, StartupWords, read_established, read_startup, read_timeout},
    nearest::{listed, nearest},
    node::{Node, NodeKind, Scalar, yaml_1_1_bool},
    reader::{Fields, Reader, Word},
    scope::Scope,
    source::Span,
    table,
    types::{Denial, EvidenceRule, Peer},
    words::{CLAIM_NAME, is_claim_name},
};
use crate::model::{Connectivity, Family, Protocol};

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

/// What a case or a table may say besides.
#[derive(Default)]
pub(super) struct Options {
    pub(super) within: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) family: Option<Family>,
    pub(super) because: Option<String>,
    pub(super) evidence: EvidenceRule,
    pub(super) denial: Option<Denial>,
    pub(super) reached_by: Option<Word>,
    pub(super) established: Option<EstablishedWords>,
    pub(super) startup: Option<StartupWords>,
    pub(super) asked: Asked,
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

/// `port` and `protocol`; ICMP has no ports.
fn port_nodes<'n>(fields: &mut Fields<'n>) -> (Option<&'n Node>, Option<&'n Node>) {
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

fn read_ports(
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

/// The nodes of the options, read once it is known what is expected.
struct OptionNodes<'n> {
    within: Option<&'n Node>,
    timeout: Option<&'n Node>,
    family: Option<&'n Node>,
    because: Option<&'n Node>,
    evidence: Option<&'n Node>,
    denial: Option<&'n Node>,
    reached_by: Option<&'n Node>,
    ask: AskNodes<'n>,
    established: Option<&'n Node>,
    startup: Option<&'n Node>,
}

impl<'n> OptionNodes<'n> {
    fn of(fields: &mut Fields<'n>) -> Self {
        Self {
            within: fields.optional("within"),
            timeout: fields.optional("timeout"),
            family: fields.optional("family"),
            because: fields.optional("because"),
            evidence: fields.optional("evidence"),
            denial: fields.optional("denial"),
            reached_by: fields.optional("reachedBy"),
            ask: AskNodes::of(fields),
            established: fields.optional("established"),
            startup: fields.optional("startup"),
        }
    }

    fn read(self, reader: &mut Reader, scope: &Scope, allows_only: bool) -> Options {
        let families = [("ipv4", Family::Ipv4), ("ipv6", Family::Ipv6)];
        let rules = [("controls", EvidenceRule::Controls), ("any", EvidenceRule::Any)];
        let denials = [("drop", Denial::Drop), ("reject", Denial::Reject)];
        for (field, node) in [("evidence", self.evidence), ("denial", self.denial)] {
            if let Some(node) = node.filter(|_| allows_only) {
                let message = format!("`{field}` is about denials, and this expects none");
                reader.mistake(&node.span, message);
            }
        }
        let asked = self.ask.read(reader);
        let because = self.because.and_then(|node| reader.text(node, "a text"));
        Options {
            asked,
            established: self.established.and_then(|node| read_established(reader, node)),
            startup: self.startup.and_then(|node| read_startup(reader, scope, node)),
            within: self.within.and_then(|node| reader.duration(node, "within")),
            timeout: self.timeout.and_then(|node| read_timeout(reader, node)),
            family: self.family.and_then(|node| reader.choice(node, "family", &families)),
            because: because.map(|word| word.text.trim_end().to_owned()),
            evidence: self
                .evidence
                .and_then(|node| reader.choice(node, "evidence", &rules))
                .unwrap_or_default(),
            denial: self.denial.and_then(|node| reader.choice(node, "denial", &denials)),
            reached_by: self.reached_by.and_then(|node| {
                let word = reader.text(node, "the name of a pod peer")?;
                scope.check_source(reader, &word).then_some(word)
            }),
        }
    }
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
