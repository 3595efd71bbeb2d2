//! How lists and maps of the known kinds are merged.
//!
//! The facts are the API's own `x-kubernetes-list-type`, `patchMergeKey` and
//! `x-kubernetes-map-type`. A list that isn't listed here is replaced as a whole.

/// How a list is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// Replaced as a whole.
    Atomic,
    /// A set of plain values.
    Set,
    /// Objects, known by the values of these keys. Strategic merge uses the first alone.
    Keyed(&'static [&'static str]),
}

/// The end of a path of field names, and the list that stands there.
const LISTS: &[(&[&str], List)] = &[
    (&["metadata", "ownerReferences"], List::Keyed(&["uid"])),
    (&["metadata", "finalizers"], List::Set),
    (&["containers"], List::Keyed(&["name"])),
    (&["initContainers"], List::Keyed(&["name"])),
    (&["ephemeralContainers"], List::Keyed(&["name"])),
    (&["containers", "ports"], List::Keyed(&["containerPort", "protocol"])),
    (&["initContainers", "ports"], List::Keyed(&["containerPort", "protocol"])),
    (&["spec", "ports"], List::Keyed(&["port", "protocol"])),
    (&["env"], List::Keyed(&["name"])),
    (&["volumeMounts"], List::Keyed(&["mountPath"])),
    (&["volumeDevices"], List::Keyed(&["devicePath"])),
    (&["spec", "volumes"], List::Keyed(&["name"])),
    (&["imagePullSecrets"], List::Keyed(&["name"])),
    (&["hostAliases"], List::Keyed(&["ip"])),
    (&["topologySpreadConstraints"], List::Keyed(&["topologyKey", "whenUnsatisfiable"])),
    (&["readinessGates"], List::Atomic),
    (&["status", "conditions"], List::Keyed(&["type"])),
    (&["status", "podIPs"], List::Keyed(&["ip"])),
    (&["status", "hostIPs"], List::Keyed(&["ip"])),
    (&["status", "addresses"], List::Keyed(&["type"])),
    (&["secrets"], List::Keyed(&["name"])),
    (&["spec", "podCIDRs"], List::Set),
    (&["volumeClaimTemplates"], List::Atomic),
];

/// Maps that are one value.
const ATOMIC_MAPS: &[&str] = &[
    "podSelector",
    "namespaceSelector",
    "labelSelector",
    "selector",
    "nodeSelector",
    "configMapKeyRef",
    "secretKeyRef",
    "fieldRef",
    "resourceFieldRef",
];

/// The kind of the list at a path.
pub(super) fn list(path: &[&str]) -> List {
    let fitting = LISTS.iter().filter(|(end, _)| path.ends_with(end));
    fitting.max_by_key(|(end, _)| end.len()).map_or(List::Atomic, |(_, list)| *list)
}

/// Whether the map at a path is one value for server-side apply.
pub(super) fn is_atomic_map(path: &[&str]) -> bool {
    path.last().is_some_and(|last| ATOMIC_MAPS.contains(last))
}
