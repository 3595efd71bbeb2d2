//! Steps as a suite writes them: what is changed, before the claims about it are read.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    change::{Change, Labelled},
    lives::check_lives,
    manifest::{Bundle, ManifestReader},
    node::{Node, NodeKind},
    objects::read_object_names,
    patch::read_patch,
    peers::alias_of,
    reader::{Fields, Reader, Word},
    scope::Scope,
    source::Span,
    types::Manifest,
    wait::read_wait,
    words::{CLAIM_NAME, DNS_LABEL, LABEL_KEY, is_claim_name, is_dns_label, is_label_key},
};

/// The name of the step that top-level cases make.
pub const BASE: &str = "base";

/// The label that the API server itself keeps on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// A step whose claims are not read yet.
pub(super) struct Draft<'n> {
    pub(super) name: Option<Word>,
    pub(super) span: Span,
    pub(super) changes: Vec<Change>,
    /// The objects that it applies, for what they say of Services.
    pub(super) bundles: Vec<Bundle>,
    /// All of the above could be read.
    pub(super) complete: bool,
    /// For its cases that say nothing themselves.
    pub(super) within: Option<Duration>,
    pub(super) cases: Option<&'n Node>,
    pub(super) tables: Option<&'n Node>,
    pub(super) tables_first: bool,
}

/// Reads `steps`, but for their cases.
pub(super) fn read_steps<'n>(
    reader: &mut Reader,
    scope: &Scope,
    manifests: &ManifestReader<'_>,
    node: &'n Node,
) -> Vec<Draft<'n>> {
    let mut drafts: Vec<Draft<'n>> = Vec::new();
    let mut names: BTreeMap<String, Span> = BTreeMap::new();
    for item in reader.list(node, "a list of steps") {
        let Some(draft) = read_step(reader, scope, manifests, item) else { continue };
        if let Some(name) = &draft.name {
            if let Some(first) = names.get(&name.text) {
                let source = std::sync::Arc::clone(&reader.source);
                reader.mistake(&name.span, format!("two steps are called `{}`", name.text)).see(
                    &source,
                    first,
                    "the first is here",
                );
            } else {
                names.insert(name.text.clone(), name.span.clone());
            }
        }
        drafts.push(draft);
    }
    check_lives(reader, &drafts);
    check_ends(reader, &drafts);
    drafts
}

fn read_step<'n>(
    reader: &mut Reader,
    scope: &Scope,
    manifests: &ManifestReader<'_>,
    node: &'n Node,
) -> Option<Draft<'n>> {
    let mut fields = reader.fields(node, "a step")?;
    let name = fields.required("name");
    let changes = ChangeNodes::of(&mut fields);
    let within = fields.optional("within");
    let (cases, tables) = (fields.optional("cases"), fields.optional("tables"));
    let order = fields.key_span("tables").zip(fields.key_span("cases"));
    let span = fields.span.clone();
    fields.finish(reader, &[]);
    let name =
        name.and_then(|node| reader.name(node, "the name of a step", is_claim_name, CLAIM_NAME));
    if let Some(name) = name.as_ref().filter(|name| name.text == BASE) {
        reader
            .mistake(&name.span, format!("no step can be called `{BASE}`"))
            .help("the cases before all steps have that name in their ids");
    }
    let before = reader.mistakes.len();
    let (changes, bundles) = changes.read(reader, scope, manifests);
    Some(Draft {
        complete: reader.mistakes.len() == before,
        within: within.and_then(|node| reader.duration(node, "within")),
        name,
        span,
        changes,
        bundles,
        cases,
        tables,
        tables_first: order.is_some_and(|(tables, cases)| tables.start < cases.start),
    })
}

/// The nodes of a step's changes.
struct ChangeNodes<'n> {
    apply: Option<&'n Node>,
    patch: Option<&'n Node>,
    delete: Option<&'n Node>,
    label: Option<&'n Node>,
    peers: Option<&'n Node>,
    wait: Option<&'n Node>,
}

impl<'n> ChangeNodes<'n> {
    fn of(fields: &mut Fields<'n>) -> Self {
        Self {
            apply: fields.optional("apply"),
            patch: fields.optional("patch"),
            delete: fields.optional("delete"),
            label: fields.optional("label"),
            peers: fields.optional("peers"),
            wait: fields.optional("wait"),
        }
    }

    /// The changes in the order in which they are made.
    fn read(
        self,
        reader: &mut Reader,
        scope: &Scope,
        manifests: &ManifestReader<'_>,
    ) -> (Vec<Change>, Vec<Bundle>) {
        let mut changes = Vec::new();
        let mut applied = Vec::new();
        if let Some(node) = self.apply {
            let (bundles, _) = manifests.bundles(reader, node);
            changes.extend(bundles.iter().map(|bundle| Change::Apply(manifest(bundle))));
            applied = bundles;
        }
        for item in items(reader, self.patch, "a list of patches") {
            changes.extend(read_patch(reader, manifests, item));
        }
        for item in items(reader, self.delete, "a list of objects") {
            let names = read_object_names(reader, manifests, item);
            changes.extend(names.into_iter().map(Change::Delete));
        }
        for item in items(reader, self.label, "a list of changes of labels") {
            changes.extend(read_label(reader, scope, item));
        }
        if let Some(node) = self.peers {
            changes.extend(read_lives(reader, scope, node));
        }
        if let Some(node) = self.wait {
            changes.extend(read_wait(reader, manifests, node).map(Change::Wait));
        }
        (changes, applied)
    }
}

fn items<'n>(reader: &mut Reader, node: Option<&'n Node>, what: &str) -> &'n [Node] {
    node.map(|node| reader.list(node, what)).unwrap_or_default()
}

pub(super) fn manifest(bundle: &Bundle) -> Manifest {
    let objects = bundle.objects.iter().map(|object| object.value.clone()).collect();
    Manifest { source: bundle.source.clone(), objects }
}

fn read_label(reader: &mut Reader, scope: &Scope, node: &Node) -> Option<Change> {
    let mut fields = reader.fields(node, "a change of labels")?;
    let (peer, namespace) = (fields.optional("peer"), fields.optional("namespace"));
    let (set, remove) = (fields.optional("set"), fields.optional("remove"));
    let span = fields.span.clone();
    fields.finish(reader, &[]);
    let of = match (peer, namespace) {
        (Some(peer), None) => {
            let word = reader.text(peer, "the name of a pod peer")?;
            scope.check_pod(reader, &word).then_some(Labelled::Peer(word.text))
        }
        (None, Some(namespace)) => {
            let word = reader.name(namespace, "a namespace", is_dns_label, DNS_LABEL);
            word.map(|word| Labelled::Namespace(alias_of(&word.text, &scope.namespaces).to_owned()))
        }
        (Some(_), Some(second)) => {
            reader.mistake(&second.span, "labels are of a `peer` or of a `namespace`, not of both");
            None
        }
        (None, None) => {
            reader.mistake(&span, "a change of labels needs `peer` or `namespace`");
            None
        }
    };
    let set = set.map(|node| reader.labels(node, "labels")).unwrap_or_default();
    let remove = remove.map(|node| read_keys(reader, node)).unwrap_or_default();
    if set.is_empty() && remove.is_empty() {
        reader.mistake(&span, "this changes no label").help("it needs `set` or `remove`");
    }
    for key in set.keys().filter(|key| remove.contains(*key)) {
        reader.mistake(&span, format!("the label `{key}` is both set and removed"));
    }
    let keys = || set.keys().chain(&remove);
    if matches!(of, Some(Labelled::Namespace(_))) && keys().any(|key| key == NAME_LABEL) {
        reader.mistake(&span, format!("the API server itself keeps the label `{NAME_LABEL}`"));
    }
    if let Some(key) = keys().find(|key| key.starts_with("netproof.dev/")) {
        reader.mistake(&span, format!("the label `{key}` is netproof's own"));
    }
    Some(Change::Label { of: of?, set, remove })
}

fn read_keys(reader: &mut Reader, node: &Node) -> BTreeSet<String> {
    let items = match &node.kind {
        NodeKind::List(items) => &items[..],
        _ => std::slice::from_ref(node),
    };
    let mut keys = BTreeSet::new();
    for item in items {
        let key = reader.name(item, "the key of a label", is_label_key, LABEL_KEY);
        keys.extend(key.map(|word| word.text));
    }
    keys
}

/// `peers: {delete: […], create: […]}` of a step.
fn read_lives(reader: &mut Reader, scope: &Scope, node: &Node) -> Vec<Change> {
    let Some(mut fields) = reader.fields(node, "`peers` of a step") else { return Vec::new() };
    let (delete, create) = (fields.optional("delete"), fields.optional("create"));
    fields.finish(reader, &[]);
    let mut changes = Vec::new();
    for (nodes, change) in
        [(delete, Change::DeletePeer as fn(String) -> Change), (create, Change::CreatePeer)]
    {
        let Some(node) = nodes else { continue };
        let items = match &node.kind {
            NodeKind::List(items) => &items[..],
            _ => std::slice::from_ref(node),
        };
        for item in items {
            let Some(word) = reader.text(item, "the name of a pod peer") else { continue };
            if scope.check_pod(reader, &word) {
                changes.push(change(word.text));
            }
        }
    }
    changes
}

/// Changes after the last case would be made for nothing.
fn check_ends(reader: &mut Reader, drafts: &[Draft<'_>]) {
    let asks = |draft: &Draft<'_>| draft.cases.is_some() || draft.tables.is_some();
    let last = drafts.iter().rposition(asks).map_or(0, |last| last + 1);
    for draft in &drafts[last..] {
        reader
            .mistake(&draft.span, "no case follows what this step changes")
            .help("a step has `cases` or `tables`, or a later one has");
    }
}
