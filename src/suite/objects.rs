//! Objects that a step names: what it deletes, patches or waits for.

use super::{
    change::ObjectName,
    manifest::{ManifestReader, NAMESPACED, Object},
    nearest::{listed, nearest},
    node::Node,
    peers::alias_of,
    reader::{Fields, Reader},
    words::{DNS_SUBDOMAIN, is_dns_subdomain},
};

/// Kinds whose API version goes without saying.
const VERSIONS: &[(&str, &str)] = &[
    ("AdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1"),
    ("BaselineAdminNetworkPolicy", "policy.networking.k8s.io/v1alpha1"),
    ("CiliumClusterwideNetworkPolicy", "cilium.io/v2"),
    ("CiliumNetworkPolicy", "cilium.io/v2"),
    ("ClusterNetworkPolicy", "policy.networking.k8s.io/v1alpha2"),
    ("ConfigMap", "v1"),
    ("CronJob", "batch/v1"),
    ("DaemonSet", "apps/v1"),
    ("Deployment", "apps/v1"),
    ("EndpointSlice", "discovery.k8s.io/v1"),
    ("Endpoints", "v1"),
    ("Ingress", "networking.k8s.io/v1"),
    ("Job", "batch/v1"),
    ("Namespace", "v1"),
    ("NetworkPolicy", "networking.k8s.io/v1"),
    ("Pod", "v1"),
    ("ReplicaSet", "apps/v1"),
    ("Secret", "v1"),
    ("Service", "v1"),
    ("ServiceAccount", "v1"),
    ("StatefulSet", "apps/v1"),
];

/// The nodes of an object's name.
pub(super) struct NameNodes<'n> {
    api_version: Option<&'n Node>,
    kind: Option<&'n Node>,
    namespace: Option<&'n Node>,
    name: Option<&'n Node>,
}

impl<'n> NameNodes<'n> {
    pub(super) fn of(fields: &mut Fields<'n>) -> Self {
        Self {
            api_version: fields.optional("apiVersion"),
            kind: fields.required("kind"),
            namespace: fields.optional("namespace"),
            name: fields.required("name"),
        }
    }

    /// The object that is meant; an object that names no namespace is in the suite's only one.
    pub(super) fn read(
        self,
        reader: &mut Reader,
        manifests: &ManifestReader<'_>,
    ) -> Option<ObjectName> {
        let api_version = self.api_version.map(|node| reader.text(node, "an API version"));
        let kind = self.kind.and_then(|node| reader.text(node, "a kind"));
        let name = self.name.and_then(|node| {
            reader.name(node, "the name of an object", is_dns_subdomain, DNS_SUBDOMAIN)
        });
        let namespace = self
            .namespace
            .map(|node| reader.name(node, "a namespace", is_dns_subdomain, DNS_SUBDOMAIN));
        let kind = kind?;
        let api_version = match api_version {
            Some(written) => written.map(|word| word.text),
            None => {
                let known = VERSIONS.iter().find(|(of, _)| *of == kind.text);
                if known.is_none() {
                    let near = nearest(&kind.text, VERSIONS.iter().map(|(of, _)| *of));
                    reader
                        .mistake(&kind.span, format!("`{}` needs an `apiVersion`", kind.text))
                        .did_you_mean(near);
                }
                known.map(|(_, version)| (*version).to_owned())
            }
        };
        let namespace = match namespace {
            Some(written) => Some(alias_of(&written?.text, manifests.namespaces).to_owned()),
            None if NAMESPACED.contains(&kind.text.as_str()) => {
                let mut aliases = manifests.namespaces.keys();
                match (aliases.next(), aliases.next()) {
                    (Some(only), None) => Some(only.clone()),
                    _ => {
                        let message = format!("this {} names no `namespace`", kind.text);
                        reader.mistake(&kind.span, message).help(
                            if manifests.namespaces.is_empty() {
                                "it may be left out only where `setup.namespaces` has exactly one"
                                    .to_owned()
                            } else {
                                let all = manifests.namespaces.keys().map(String::as_str);
                                format!("the suite has several: {}", listed(all))
                            },
                        );
                        return None;
                    }
                }
            }
            None => None,
        };
        Some(ObjectName { api_version: api_version?, kind: kind.text, namespace, name: name?.text })
    }
}

/// An entry of `delete`: an object by its name, or all objects of a manifest file.
pub(super) fn read_object_names(
    reader: &mut Reader,
    manifests: &ManifestReader<'_>,
    node: &Node,
) -> Vec<ObjectName> {
    let by_path = node.get("path").is_some();
    let Some(mut fields) = reader.fields(node, "an object to delete") else { return Vec::new() };
    if by_path {
        let path = fields.optional("path");
        fields.finish(reader, &[]);
        let bundle = path.and_then(|path| manifests.file(reader, path));
        let objects = bundle.into_iter().flat_map(|bundle| bundle.objects);
        return objects.map(|object| name_of(&object)).collect();
    }
    let names = NameNodes::of(&mut fields);
    fields.finish(reader, &["path"]);
    names.read(reader, manifests).into_iter().collect()
}

fn name_of(object: &Object) -> ObjectName {
    let namespace = object.namespace();
    ObjectName {
        api_version: object.api_version().to_owned(),
        kind: object.kind().to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: object.name().to_owned(),
    }
}
