//! The objects that a suite creates: from a file beside it, or written inline.

use std::{collections::BTreeMap, collections::HashMap, io, path::Path, sync::Arc};

use serde_json::Value;

use super::{
    mistake::Mistake,
    nearest::listed,
    network_policy,
    node::{Node, NodeKind},
    peers::{alias_of, check_references},
    reader::Reader,
    source::{Source, Span},
    tree,
    types::SetupNamespace,
    words::{DNS_SUBDOMAIN, is_dns_subdomain},
};

/// Kinds that live in a namespace, of those that suites commonly bring.
pub(super) const NAMESPACED: [&str; 25] = [
    "ConfigMap",
    "CronJob",
    "DaemonSet",
    "Deployment",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "Lease",
    "LimitRange",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "ReplicationController",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
];

/// An object with its tree.
pub(super) struct Object {
    pub(super) value: Value,
    pub(super) node: Node,
    pub(super) source: Arc<Source>,
}

impl Object {
    fn text(&self, path: &[&str]) -> &str {
        path.iter()
            .try_fold(&self.value, |value, key| value.get(key))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    pub(super) fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    pub(super) fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    pub(super) fn namespace(&self) -> &str {
        self.text(&["metadata", "namespace"])
    }

    /// The place of the object's name, or of the whole of it.
    pub(super) fn span(&self) -> &Span {
        let name = self.node.get("metadata").and_then(|metadata| metadata.get("name"));
        &name.unwrap_or(&self.node).span
    }
}

/// The objects of one entry of `setup.manifests`.
pub(super) struct Bundle {
    pub(super) source: String,
    pub(super) objects: Vec<Object>,
}

/// Reads manifests on behalf of one suite.
pub(super) struct ManifestReader<'a> {
    /// The suite's namespaces, by alias.
    pub(super) namespaces: &'a BTreeMap<String, SetupNamespace>,
    /// Gives the text of a file, by its path from where netproof stands.
    pub(super) read: &'a dyn Fn(&str) -> io::Result<String>,
}

impl ManifestReader<'_> {
    /// Reads `setup.manifests`. The flag says whether all of it could be read.
    pub(super) fn bundles(&self, reader: &mut Reader, list: &Node) -> (Vec<Bundle>, bool) {
        let mistakes_before = reader.mistakes.len();
        let mut bundles = Vec::new();
        for item in reader.list(list, "a list of manifests") {
            bundles.extend(self.bundle(reader, item));
        }
        find_twins(reader, &bundles);
        (bundles, reader.mistakes.len() == mistakes_before)
    }

    fn bundle(&self, reader: &mut Reader, item: &Node) -> Option<Bundle> {
        let mut fields = reader.fields(item, "a manifest")?;
        let (path, inline) = (fields.optional("path"), fields.optional("inline"));
        let span = fields.span.clone();
        fields.finish(reader, &[]);
        match (path, inline) {
            (Some(path), None) => self.file(reader, path),
            (None, Some(node)) => {
                let nodes = match &node.kind {
                    NodeKind::List(items) => items.clone(),
                    NodeKind::Map(_) => vec![node.clone()],
                    NodeKind::Scalar { .. } => {
                        let found = node.describe();
                        let message =
                            format!("expected an object or a list of them, found {found}");
                        reader.mistake(&node.span, message).help("without `|`, as plain YAML");
                        return None;
                    }
                };
                Some(Bundle { source: "inline".into(), objects: self.objects(reader, nodes) })
            }
            (Some(_), Some(inline)) => {
                reader.mistake(&inline.span, "a manifest is either `path` or `inline`, not both");
                None
            }
            (None, None) => {
                reader.mistake(&span, "a manifest needs `path` or `inline`");
                None
            }
        }
    }

    pub(super) fn file(&self, reader: &mut Reader, path: &Node) -> Option<Bundle> {
        let word = reader.text(path, "a path")?;
        let beside = Path::new(&reader.source.name).parent().unwrap_or(Path::new(""));
        let place = beside.join(&word.text).display().to_string();
        let text = match (self.read)(&place) {
            Ok(text) => text,
            Err(error) => {
                reader.mistake(&word.span, format!("can't read `{place}`: {error}"));
                return None;
            }
        };
        let source = Arc::new(Source::new(place.as_str(), &text));
        let mut own = Reader { source: Arc::clone(&source), mistakes: Vec::new() };
        let nodes = tree::documents(&source, &mut own.mistakes);
        if nodes.is_empty() && own.mistakes.is_empty() {
            own.mistakes.push(Mistake::about_file(&place, "there is no object in this file"));
        }
        let objects = self.objects(&mut own, nodes);
        reader.mistakes.append(&mut own.mistakes);
        Some(Bundle { source: place, objects })
    }

    fn objects(&self, reader: &mut Reader, nodes: Vec<Node>) -> Vec<Object> {
        let mut objects = Vec::new();
        let mut waiting = nodes;
        waiting.reverse();
        while let Some(node) = waiting.pop() {
            if let Some(items) = list_items(&node) {
                waiting.extend(items.iter().rev().cloned());
            } else {
                objects.extend(self.object(reader, node));
            }
        }
        objects
    }

    fn object(&self, reader: &mut Reader, node: Node) -> Option<Object> {
        if !matches!(node.kind, NodeKind::Map(_)) {
            let message = format!("expected a Kubernetes object, found {}", node.describe());
            reader.mistake(&node.span, message);
            return None;
        }
        let before = reader.mistakes.len();
        let mut required = |name: &str| {
            let found = node.get(name);
            if found.is_none() {
                reader.mistake(&node.span, format!("this object needs `{name}`"));
            }
            found
        };
        let (api, kind, metadata) =
            (required("apiVersion"), required("kind"), required("metadata"));
        let api = api.and_then(|node| reader.text(node, "an API version"));
        let kind = kind.and_then(|node| reader.text(node, "a kind"));
        if let Some(metadata) = metadata {
            check_metadata(reader, metadata);
        }
        self.check_references(reader, &node);
        let (api, kind) = (api?, kind?);
        if api.text.starts_with("netproof.dev/") {
            reader.mistake(&api.span, "a suite can't be the manifest of a suite");
        }
        if api.text.starts_with("networking.k8s.io/") || api.text.starts_with("extensions/") {
            network_policy::check(reader, &node, &api, &kind);
        }
        if reader.mistakes.len() > before {
            return None;
        }
        let mut value = node.to_value();
        self.give_namespace(reader, &node, &kind.text, &mut value);
        Some(Object { value, node, source: Arc::clone(&reader.source) })
    }

    /// Namespaces become aliases; an object that names none goes to the suite's only one.
    fn give_namespace(&self, reader: &mut Reader, node: &Node, kind: &str, value: &mut Value) {
        let written = value["metadata"]["namespace"].as_str();
        if let Some(alias) = written.map(|name| alias_of(name, self.namespaces).to_owned()) {
            value["metadata"]["namespace"] = alias.into();
            return;
        }
        if !NAMESPACED.contains(&kind) {
            return;
        }
        let mut aliases = self.namespaces.keys();
        match (aliases.next(), aliases.next()) {
            (Some(only), None) => value["metadata"]["namespace"] = only.as_str().into(),
            _ => {
                let name = node.get("metadata").unwrap_or(node);
                let message = format!("this {kind} names no `namespace`");
                let known = listed(self.namespaces.keys().map(String::as_str));
                reader.mistake(&name.span, message).help(if self.namespaces.is_empty() {
                    "it may be left out only where `setup.namespaces` has exactly one".to_owned()
                } else {
                    format!("the suite has several: {known}")
                });
            }
        }
    }

    /// Every `${namespace:…}` has to name one of the suite's namespaces.
    pub(super) fn check_references(&self, reader: &mut Reader, node: &Node) {
        match &node.kind {
            NodeKind::List(items) => {
                items.iter().for_each(|item| self.check_references(reader, item));
            }
            NodeKind::Map(entries) => {
                entries.iter().for_each(|entry| self.check_references(reader, &entry.value));
            }
            NodeKind::Scalar { .. } => check_references(reader, node, self.namespaces),
        }
    }
}

fn list_items(node: &Node) -> Option<&[Node]> {
    let kind = node.get("kind")?.raw()?;
    match &node.get("items")?.kind {
        NodeKind::List(items) if kind.ends_with("List") => Some(items),
        _ => None,
    }
}

fn check_metadata(reader: &mut Reader, metadata: &Node) {
    if !matches!(metadata.kind, NodeKind::Map(_)) {
        let message = format!("expected `metadata` (a mapping), found {}", metadata.describe());
        reader.mistake(&metadata.span, message);
        return;
    }
    match metadata.get("name") {
        None => {
            let mistake = reader.mistake(&metadata.span, "`metadata` needs `name`");
            if metadata.get("generateName").is_some() {
                mistake.help("`generateName` leaves the object without a name to speak of");
            }
        }
        Some(name) => {
            reader.text(name, "a name");
        }
    }
    if let Some(namespace) = metadata.get("namespace").filter(|node| !node.is_null())
        && let Some(word) = reader.text(namespace, "a namespace")
        && !word.text.contains("${")
    {
        reader.check_name(&word, "a namespace", is_dns_subdomain, DNS_SUBDOMAIN);
    }
    if let Some(labels) = metadata.get("labels") {
        reader.labels(labels, "labels");
    }
    if let Some(annotations) = metadata.get("annotations") {
        reader.annotations(annotations, "annotations");
    }
}

/// Two objects of the same kind, namespace and name can't both be created.
fn find_twins(reader: &mut Reader, bundles: &[Bundle]) {
    let mut first: HashMap<(&str, &str, &str, &str), &Object> = HashMap::new();
    for object in bundles.iter().flat_map(|bundle| &bundle.objects) {
        let group = object.text(&["apiVersion"]).rsplit_once('/').map_or("", |(group, _)| group);
        let key = (group, object.kind(), object.namespace(), object.name());
        if let Some(twin) = first.get(&key) {
            let message = format!("the {} `{}` is here twice", object.kind(), object.name());
            let mut mistake = Mistake::at(&object.source, object.span(), message);
            mistake.see(&twin.source, twin.span(), "first here");
            reader.mistakes.push(mistake);
        } else {
            first.insert(key, object);
        }
    }
}
