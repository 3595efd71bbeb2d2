//! What the API server does with some kinds and not with others.

use super::Resource;

impl Resource {
    /// Where objects are stored: group and plural. Events of both groups are the same.
    pub fn storage(&self) -> (&'static str, &'static str) {
        match (self.group, self.plural) {
            ("events.k8s.io", "events") => ("", "events"),
            own => own,
        }
    }

    /// Whether an update makes an object that isn't there.
    pub fn is_made_by_update(&self) -> bool {
        const MADE: [(&str, &str); 11] = [
            ("", "endpoints"),
            ("", "events"),
            ("", "limitranges"),
            ("", "podtemplates"),
            ("", "services"),
            ("coordination.k8s.io", "leases"),
            ("rbac.authorization.k8s.io", "clusterrolebindings"),
            ("rbac.authorization.k8s.io", "clusterroles"),
            ("rbac.authorization.k8s.io", "rolebindings"),
            ("rbac.authorization.k8s.io", "roles"),
            ("scheduling.k8s.io", "priorityclasses"),
        ];
        MADE.contains(&self.storage())
    }

    /// Whether an update that names no version takes whatever is there.
    pub fn is_updated_unconditionally(&self) -> bool {
        const NOT: [(&str, &str); 5] = [
            ("apiextensions.k8s.io", "customresourcedefinitions"),
            ("apps", "controllerrevisions"),
            ("coordination.k8s.io", "leases"),
            ("node.k8s.io", "runtimeclasses"),
            ("policy", "poddisruptionbudgets"),
        ];
        self.definition().is_none() && !NOT.contains(&self.storage())
    }

    /// Whether the API server answers a deletion with the object, and not with a `Status`.
    pub fn shows_deleted(&self) -> bool {
        const SHOWN: [(&str, &str); 12] = [
            ("", "persistentvolumeclaims"),
            ("", "persistentvolumes"),
            ("", "pods"),
            ("", "podtemplates"),
            ("", "resourcequotas"),
            ("", "serviceaccounts"),
            ("", "services"),
            ("storage.k8s.io", "csidrivers"),
            ("storage.k8s.io", "csinodes"),
            ("storage.k8s.io", "csistoragecapacities"),
            ("storage.k8s.io", "storageclasses"),
            ("storage.k8s.io", "volumeattachments"),
        ];
        SHOWN.contains(&(self.group, self.plural))
    }
}
