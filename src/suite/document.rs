//! One document of a suite file, from its tree to a checked [`Suite`].

use std::{collections::BTreeMap, io, time::Duration};

use super::{
    addresses::check_addresses,
    claims::{read_cases, read_tables},
    expand::expand,
    lives::{check_removed_labels, lives},
    manifest::{Bundle, ManifestReader},
    nearest::nearest,
    node::{Entry, Node, NodeKind},
    peers::{read_namespaces, read_peer},
    ports::read_ports,
    reader::{Reader, Word},
    scope::Scope,
    services::Services,
    steps::{manifest, read_steps},
    types::{Case, Peer, Setup, SetupNamespace, Step, Suite},
    words::{DNS_LABEL, PEER_NAME, is_dns_label, is_peer_name},
};
use crate::model::Port;

/// The API version of the only format so far.
const API_VERSION: &str = "netproof.dev/v1alpha1";
/// `defaults.within`, where the suite doesn't say.
const WITHIN: Duration = Duration::from_secs(30);

/// Reads a document. Whether it is free of mistakes, the reader's mistakes say.
pub(super) fn read_suite(
    reader: &mut Reader,
    node: &Node,
    read: &dyn Fn(&str) -> io::Result<String>,
) -> (Option<Suite>, Option<Word>) {
    if !is_suite(reader, node) {
        return (None, None);
    }
    let Some(mut fields) = reader.fields(node, "a suite") else { return (None, None) };
    let (_, _) = (fields.optional("apiVersion"), fields.optional("kind"));
    let metadata = fields.required("metadata");
    let defaults = fields.optional("defaults");
    let setup = fields.optional("setup");
    let peers = fields.required("peers");
    let (cases, tables) = (fields.optional("cases"), fields.optional("tables"));
    let steps = fields.optional("steps");
    let span = fields.span.clone();
    let tables_first = fields.key_span("tables").zip(fields.key_span("cases"));
    let tables_first = tables_first.is_some_and(|(tables, cases)| tables.start < cases.start);
    let before = reader.mistakes.len();
    fields.finish(reader, &[]);
    let misspelt = reader.mistakes.len() > before;

    let (name, description) = metadata.map(|node| read_metadata(reader, node)).unwrap_or_default();
    let (within, default_ports) =
        defaults.map(|node| read_defaults(reader, node)).unwrap_or_default();
    let (namespaces, bundles, complete) = read_setup(reader, setup, read);
    let peers = peers.map(|node| read_peers(reader, node, &default_ports, &namespaces));
    let mut scope = Scope {
        peers,
        default_ports,
        namespaces,
        services: None,
        changes: Vec::new(),
        lives: BTreeMap::new(),
        step: None,
        within: None,
    };
    let manifests = ManifestReader { namespaces: &scope.namespaces, read };
    let drafts = steps.map(|node| read_steps(reader, &scope, &manifests, node)).unwrap_or_default();
    check_removed_labels(reader, &scope, &drafts);
    let complete = complete && drafts.iter().all(|draft| draft.complete);
    scope.lives = lives(&drafts);
    scope.changes = drafts.iter().map(|draft| draft.changes.clone()).collect();
    for object in bundles.iter().flat_map(|bundle| &bundle.objects) {
        check_addresses(reader, &scope, object, None);
    }
    for (step, draft) in drafts.iter().enumerate() {
        for object in draft.bundles.iter().flat_map(|bundle| &bundle.objects) {
            check_addresses(reader, &scope, object, Some(step));
        }
    }
    // A peer may be a Service that only a step brings.
    let of_steps = || drafts.iter().flat_map(|draft| &draft.bundles);
    scope.services = complete.then(|| Services::of(bundles.iter().chain(of_steps())));
    if let Some(node) = node.get("peers") {
        check_namespaces(reader, &scope, node);
    }
    scope.services = complete.then(|| Services::of(&bundles));
    let base = read_claims(reader, &scope, cases, tables, tables_first);
    let mut steps = Vec::new();
    for (place, draft) in drafts.iter().enumerate() {
        scope.step = Some(place);
        scope.within = draft.within;
        let so_far = drafts[..=place].iter().flat_map(|draft| &draft.bundles);
        scope.services = complete.then(|| Services::of(bundles.iter().chain(so_far)));
        let cases = read_claims(reader, &scope, draft.cases, draft.tables, draft.tables_first);
        let name = draft.name.as_ref().map(|name| name.text.clone()).unwrap_or_default();
        steps.push(Step { name, changes: draft.changes.clone(), cases });
    }
    let empty = |list: Option<&Node>| match list.map(|node| &node.kind) {
        Some(NodeKind::List(items)) => items.is_empty(),
        _ => list.is_none_or(Node::is_null),
    };
    if empty(cases) && empty(tables) && drafts.is_empty() && !misspelt {
        reader
            .mistake(&span, "this suite has no cases")
            .help("it needs `cases` or `tables`, or `steps` that have some");
    }
    let suite = name.clone().map(|name| Suite {
        name: name.text,
        description,
        setup: Setup {
            namespaces: scope.namespaces,
            manifests: bundles.iter().map(manifest).collect(),
        },
        peers: scope
            .peers
            .into_iter()
            .flatten()
            .filter_map(|(name, peer)| Some((name, peer?)))
            .collect(),
        cases: base,
        steps,
        within: within.unwrap_or(WITHIN),
    });
    (suite, name)
}

/// The cases of one step, in the order of the file.
fn read_claims(
    reader: &mut Reader,
    scope: &Scope,
    cases: Option<&Node>,
    tables: Option<&Node>,
    tables_first: bool,
) -> Vec<Case> {
    let mut claims = cases.map(|node| read_cases(reader, scope, node)).unwrap_or_default();
    let of_tables = tables.map(|node| read_tables(reader, scope, node)).unwrap_or_default();
    // Reports list cases as the file does.
    claims.splice(if tables_first { 0..0 } else { claims.len()..claims.len() }, of_tables);
    expand(reader, scope, claims)
}

/// Whether the document means to be a suite; a misspelt one does.
fn is_suite(reader: &mut Reader, node: &Node) -> bool {
    if !matches!(node.kind, NodeKind::Map(_)) {
        let message = format!("expected a suite (a mapping), found {}", node.describe());
        reader.mistake(&node.span, message);
        return false;
    }
    let mut meant = true;
    for (field, wanted) in [("apiVersion", API_VERSION), ("kind", "Suite")] {
        let Some(found) = node.get(field) else {
            let message = format!("a suite needs `{field}: {wanted}`");
            reader.mistake(&node.span, message);
            meant &= node.get("cases").or(node.get("tables")).or(node.get("peers")).is_some();
            continue;
        };
        let text = found.raw().unwrap_or_default();
        if text == wanted {
            continue;
        }
        let near = nearest(text, [wanted]).is_some() || text.starts_with("netproof.dev/");
        let what = found.describe();
        let mistake =
            reader.mistake(&found.span, format!("`{field}` of a suite is `{wanted}`, not {what}"));
        if near {
            mistake.did_you_mean(Some(wanted));
        } else {
            if field == "kind" {
                mistake.help("Kubernetes objects belong into a suite's `setup.manifests`");
            }
            meant = false;
        }
    }
    meant
}

fn read_metadata(reader: &mut Reader, node: &Node) -> (Option<Word>, Option<String>) {
    let Some(mut fields) = reader.fields(node, "metadata") else { return (None, None) };
    let (name, description) = (fields.required("name"), fields.optional("description"));
    fields.finish(reader, &[]);
    let name =
        name.and_then(|node| reader.name(node, "the name of a suite", is_dns_label, DNS_LABEL));
    let description = description.and_then(|node| reader.text(node, "a text"));
    (name, description.map(|word| word.text.trim_end().to_owned()))
}

fn read_defaults(reader: &mut Reader, node: &Node) -> (Option<Duration>, BTreeMap<String, Port>) {
    let Some(mut fields) = reader.fields(node, "defaults") else { return Default::default() };
    let (within, ports) = (fields.optional("within"), fields.optional("ports"));
    fields.finish(reader, &[]);
    (
        within.and_then(|node| reader.duration(node, "within")),
        ports.map(|node| read_ports(reader, node)).unwrap_or_default(),
    )
}

/// The namespaces, the manifests, and whether all of the latter could be read.
fn read_setup(
    reader: &mut Reader,
    node: Option<&Node>,
    read: &dyn Fn(&str) -> io::Result<String>,
) -> (BTreeMap<String, SetupNamespace>, Vec<Bundle>, bool) {
    let Some(mut fields) =
        node.filter(|node| !node.is_null()).and_then(|node| reader.fields(node, "setup"))
    else {
        return (BTreeMap::new(), Vec::new(), node.is_none());
    };
    let (namespaces, manifests) = (fields.optional("namespaces"), fields.optional("manifests"));
    fields.finish(reader, &[]);
    let namespaces = namespaces.map(|node| read_namespaces(reader, node)).unwrap_or_default();
    let (bundles, complete) = match manifests {
        Some(list) => ManifestReader { namespaces: &namespaces, read }.bundles(reader, list),
        None => (Vec::new(), true),
    };
    (namespaces, bundles, complete)
}

fn read_peers(
    reader: &mut Reader,
    node: &Node,
    default_ports: &BTreeMap<String, Port>,
    namespaces: &BTreeMap<String, SetupNamespace>,
) -> BTreeMap<String, Option<Peer>> {
    let mut peers = BTreeMap::new();
    let entries = reader.entries(node, "peers by name (a mapping)");
    if entries.is_empty() && (node.is_null() || matches!(node.kind, NodeKind::Map(_))) {
        reader.mistake(&node.span, "this suite has no peers");
    }
    for entry in entries {
        if entry.key == "all" {
            reader.mistake(&entry.key_span, "no peer can be called `all`: that means every pod");
        } else if !is_peer_name(&entry.key) {
            let message = format!("`{}` can't be the name of a peer", entry.key);
            reader.mistake(&entry.key_span, message).help(PEER_NAME);
        }
        peers.insert(entry.key.clone(), read_peer(reader, &entry.value, default_ports, namespaces));
    }
    peers
}

/// Namespaces and Services that the peers name.
fn check_namespaces(reader: &mut Reader, scope: &Scope, peers: &Node) {
    let NodeKind::Map(entries) = &peers.kind else { return };
    for Entry { key, value: node, .. } in entries {
        let Some(peer) = scope.peer(key) else { continue };
        let place = |field: &str| {
            let inner = node.get("pod").or(node.get("service"));
            inner.and_then(|inner| inner.get(field)).map_or(&node.span, |node| &node.span)
        };
        let namespace = match peer {
            Peer::Pod(pod) => &pod.namespace,
            Peer::Service(service) => &service.namespace,
            _ => continue,
        };
        let own = scope.namespaces.contains_key(namespace);
        if !own {
            if let Some(alias) = slip_of(namespace, scope.namespaces.keys()) {
                let message = format!("`{namespace}` is no namespace of `setup.namespaces`");
                reader
                    .mistake(place("namespace"), message)
                    .did_you_mean(Some(alias))
                    .help("an existing namespace may be meant: then rename the alias");
            }
            continue;
        }
        let (Peer::Service(service), Some(services)) = (peer, &scope.services) else { continue };
        if services.get(namespace, &service.name).is_none() {
            let near = nearest(&service.name, services.names(namespace));
            let message = format!("no manifest defines the Service `{}`", service.name);
            let mistake = reader.mistake(place("name"), message).did_you_mean(near);
            mistake.help(format!(
                "the run creates `{namespace}`, so `setup.manifests` has to bring its Services"
            ));
        }
    }
}

/// The alias that a namespace's name is one slip of the finger from: a letter too many or
/// too few, or two letters swapped. `team-a` and `team-b` are two names, not a slip.
fn slip_of<'a>(word: &str, aliases: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    aliases.map(String::as_str).find(|alias| {
        let swapped = alias.len() == word.len() && {
            let (mut one, mut other) = (alias.as_bytes().to_vec(), word.as_bytes().to_vec());
            one.sort_unstable();
            other.sort_unstable();
            one == other
        };
        let lengths = alias.len().abs_diff(word.len()) == 1;
        alias.len() >= 4 && (swapped || lengths) && strsim::osa_distance(alias, word) == 1
    })
}
