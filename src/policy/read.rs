//! Objects of the API to a set of policies.

use serde_json::Value;

use super::{
    cluster_policy::ClusterKind,
    fields::{Findings, Mistake, Origin},
    foreign::{is_foreign_kind, is_mirror, is_wide},
    names::{is_dns_subdomain, subdomain_message},
    network_policy,
    set::{Foreign, Policy, PolicySet},
    tiers,
};

/// What an object is to the evaluator.
enum Kind {
    Network,
    Cluster(ClusterKind),
    Foreign,
    /// A policy, but of a version that no API server of today has.
    Outdated(&'static str),
    Other,
}

fn kind(object: &Value, origin: Origin) -> Kind {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api, kind) = (text("apiVersion"), text("kind"));
    let group = group_of(object);
    match (api, group, kind) {
        ("networking.k8s.io/v1", _, "NetworkPolicy") => Kind::Network,
        (_, "networking.k8s.io" | "extensions", "NetworkPolicy") => {
            Kind::Outdated("networking.k8s.io/v1")
        }
        (
            "policy.networking.k8s.io/v1alpha2" | "policy.networking.k8s.io/v1beta1",
            _,
            "ClusterNetworkPolicy",
        ) => Kind::Cluster(ClusterKind::ClusterNetworkPolicy),
        ("policy.networking.k8s.io/v1alpha1", _, "AdminNetworkPolicy") => {
            Kind::Cluster(ClusterKind::AdminNetworkPolicy)
        }
        ("policy.networking.k8s.io/v1alpha1", _, "BaselineAdminNetworkPolicy") => {
            Kind::Cluster(ClusterKind::BaselineAdminNetworkPolicy)
        }
        // A cluster that has such a version knows what it means.
        (_, "policy.networking.k8s.io", _)
            if origin == Origin::Stored && is_foreign_kind(api, kind) =>
        {
            Kind::Foreign
        }
        (_, "policy.networking.k8s.io", "ClusterNetworkPolicy") => {
            Kind::Outdated("policy.networking.k8s.io/v1alpha2")
        }
        (_, "policy.networking.k8s.io", "AdminNetworkPolicy" | "BaselineAdminNetworkPolicy") => {
            Kind::Outdated("policy.networking.k8s.io/v1alpha1")
        }
        _ if is_foreign_kind(api, kind)
            && !is_mirror(group, metadata(object, "name").unwrap_or_default()) =>
        {
            Kind::Foreign
        }
        _ => Kind::Other,
    }
}

fn group_of(object: &Value) -> &str {
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    version.rsplit_once('/').map_or("", |(group, _)| group)
}

impl PolicySet {
    /// Reads the policies among objects; other objects are passed over. A NetworkPolicy
    /// without a namespace gets the one given here, as `kubectl apply` would give it.
    ///
    /// # Errors
    /// Everything that the API server would refuse, each with its field.
    pub fn read<'a>(
        objects: impl IntoIterator<Item = &'a Value>,
        namespace: &str,
        origin: Origin,
    ) -> Result<Self, Vec<Mistake>> {
        let (mut policies, mut foreign, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
        for object in objects {
            match kind(object, origin) {
                Kind::Other => {}
                Kind::Foreign => foreign.push(read_foreign(object, namespace, origin)),
                kind => {
                    policies.extend(read_policy(object, namespace, origin, kind, &mut mistakes))
                }
            }
        }
        let mut set = Self::new(policies);
        for pair in set.policies.windows(2) {
            if pair[0].order(&pair[1]).is_eq() {
                let object = format!("{} {}", pair[1].kind(), pair[1]);
                let message = "it is here twice".to_owned();
                mistakes.push(Mistake { object, field: String::new(), message });
            }
        }
        foreign.sort();
        set.foreign = foreign;
        if mistakes.is_empty() { Ok(set) } else { Err(mistakes) }
    }
}

fn metadata<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object.get("metadata")?.get(field)?.as_str().filter(|text| !text.is_empty())
}

fn read_foreign(object: &Value, namespace: &str, origin: Origin) -> Foreign {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let namespace = match (metadata(object, "namespace"), origin) {
        (Some(written), _) if is_wide(group_of(object), written) => None,
        (Some(written), _) => Some(written),
        // The server writes one where there is one.
        (None, Origin::Stored) => None,
        (None, Origin::Manifest) => {
            let is_wide = kind.contains("Cluster") || kind.contains("Global");
            (!is_wide).then_some(namespace)
        }
    };
    Foreign {
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: metadata(object, "name").unwrap_or_default().to_owned(),
    }
}

fn read_policy(
    object: &Value,
    namespace: &str,
    origin: Origin,
    kind: Kind,
    mistakes: &mut Vec<Mistake>,
) -> Option<Policy> {
    let name = metadata(object, "name").unwrap_or_default();
    let namespace = metadata(object, "namespace").unwrap_or(namespace);
    let called = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let called = match kind {
        Kind::Cluster(_) => format!("{called} {name}"),
        _ => format!("{called} {namespace}/{name}"),
    };
    let mut findings = Findings::new(called, origin);
    if name.is_empty() {
        findings.required("metadata.name", "name or generateName is required");
    } else if !is_dns_subdomain(name) {
        findings.invalid("metadata.name", &name.into(), subdomain_message());
    }
    let mut fields = findings.object("", object);
    for field in ["apiVersion", "kind", "metadata", "status"] {
        fields.field(field);
    }
    let spec = fields.field("spec").unwrap_or(&Value::Null);
    fields.finish(&mut findings);
    let policy = match kind {
        Kind::Network => {
            Some(Policy::Network(network_policy::read(&mut findings, namespace, name, spec)))
        }
        Kind::Cluster(kind) => Some(Policy::Cluster(tiers::read(&mut findings, kind, name, spec))),
        Kind::Outdated(wanted) => {
            let found = object.get("apiVersion").cloned().unwrap_or_default();
            findings.unsupported("apiVersion", &found, &[wanted]);
            None
        }
        Kind::Foreign | Kind::Other => None,
    };
    mistakes.append(&mut findings.mistakes);
    policy
}
