//! Kinds of policy that decide about traffic too, and are not understood here.

/// Groups, and which of their kinds decide. Kinds that a CNI computes from others, or only
/// shows, are not among them.
const KINDS: [(&str, &[&str]); 17] = [
    ("cilium.io", &["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"]),
    ("crd.projectcalico.org", &["NetworkPolicy", "GlobalNetworkPolicy"]),
    ("projectcalico.org", &["NetworkPolicy", "GlobalNetworkPolicy"]),
    ("crd.antrea.io", &["NetworkPolicy", "ClusterNetworkPolicy"]),
    ("k8s.ovn.org", &["EgressFirewall"]),
    ("network.openshift.io", &["EgressNetworkPolicy"]),
    ("k8s.cni.cncf.io", &["MultiNetworkPolicy"]),
    ("networking.gke.io", &["FQDNNetworkPolicy"]),
    ("networking.k8s.aws", &["ClusterNetworkPolicy", "ApplicationNetworkPolicy"]),
    ("crd.nsx.vmware.com", &["SecurityPolicy"]),
    ("kubeovn.io", &["SecurityGroup"]),
    ("security.istio.io", &["AuthorizationPolicy", "PeerAuthentication"]),
    ("policy.linkerd.io", &["AuthorizationPolicy", "ServerAuthorization", "Server"]),
    ("kuma.io", &["MeshTrafficPermission", "TrafficPermission"]),
    ("consul.hashicorp.com", &["ServiceIntentions"]),
    // Of the cluster itself, in versions that are not read here.
    (
        "policy.networking.k8s.io",
        &["ClusterNetworkPolicy", "AdminNetworkPolicy", "BaselineAdminNetworkPolicy"],
    ),
    // Shows what Antrea has computed of all others.
    ("controlplane.antrea.io", &[]),
];

/// What is read, by version and kind.
const READ: [(&str, &str); 5] = [
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"),
    // The same fields with the same meaning.
    ("policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy"),
    ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"),
    ("policy.networking.k8s.io/v1alpha1", "BaselineAdminNetworkPolicy"),
];

/// True for a kind of policy that may decide about traffic and is not understood here: a
/// known one, or one of a group that nobody here has heard of whose name says so.
pub fn is_foreign_kind(api_version: &str, kind: &str) -> bool {
    if READ.contains(&(api_version, kind)) {
        return false;
    }
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    match KINDS.iter().find(|(known, _)| *known == group) {
        Some((_, kinds)) => kinds.contains(&kind),
        None => kind.ends_with("NetworkPolicy") && !is_native(group) && !is_staged(kind),
    }
}

/// True for a kind, in a version, that is understood here.
pub fn is_read_kind(api_version: &str, kind: &str) -> bool {
    READ.contains(&(api_version, kind))
}

/// True for a group of the API that may have such kinds: a known one, or one whose name
/// tells of networks or policies.
pub fn is_foreign_group(group: &str) -> bool {
    const WORDS: [&str; 7] = ["network", "polic", "security", "firewall", "mesh", "cni", "net."];
    match KINDS.iter().find(|(known, _)| *known == group) {
        Some((_, kinds)) => !kinds.is_empty(),
        None => !is_native(group) && WORDS.iter().any(|word| group.contains(word)),
    }
}

/// Of Kubernetes itself: other versions of the same objects.
fn is_native(group: &str) -> bool {
    matches!(group, "" | "networking.k8s.io" | "extensions" | "policy")
}

/// Calico's rehearsals, which decide nothing.
fn is_staged(kind: &str) -> bool {
    kind.starts_with("Staged")
}

/// Policies of other kinds that only mirror one that is read here: Calico's API server
/// lists Kubernetes' own as if they were its own.
pub(super) fn is_mirror(group: &str, name: &str) -> bool {
    group.ends_with("projectcalico.org")
        && ["knp.", "kanp.", "kbanp.", "kcnp."].iter().any(|prefix| name.starts_with(prefix))
}

/// Istio's policies in its root namespace are of the whole mesh.
pub(super) fn is_wide(group: &str, namespace: &str) -> bool {
    group == "security.istio.io" && namespace == "istio-system"
}

#[cfg(test)]
mod tests {
    use super::is_foreign_kind;

    #[test]
    fn kinds_that_decide_are_told_from_those_that_are_read_or_only_shown() {
        for (version, kind, expected) in [
            ("networking.k8s.io/v1", "NetworkPolicy", false),
            ("policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy", false),
            ("policy.networking.k8s.io/v1beta1", "ClusterNetworkPolicy", false),
            ("policy.networking.k8s.io/v1", "ClusterNetworkPolicy", true),
            ("policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy", false),
            ("policy.networking.k8s.io/v1alpha2", "AdminNetworkPolicy", true),
            ("cilium.io/v2", "CiliumNetworkPolicy", true),
            ("cilium.io/v2", "CiliumEndpoint", false),
            ("crd.projectcalico.org/v1", "NetworkPolicy", true),
            ("projectcalico.org/v3", "StagedNetworkPolicy", false),
            ("controlplane.antrea.io/v1beta2", "NetworkPolicy", false),
            ("crd.antrea.io/v1beta1", "ClusterNetworkPolicy", true),
            ("security.istio.io/v1", "AuthorizationPolicy", true),
            ("security.istio.io/v1", "RequestAuthentication", false),
            ("acme.example/v1", "AcmeNetworkPolicy", true),
            ("acme.example/v1", "StagedNetworkPolicy", false),
            ("apps/v1", "Deployment", false),
            ("policy/v1", "PodDisruptionBudget", false),
            ("extensions/v1beta1", "NetworkPolicy", false),
        ] {
            assert_eq!(is_foreign_kind(version, kind), expected, "{version} {kind}");
        }
    }
}
