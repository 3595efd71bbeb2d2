//! The table of resources: one row for each kind that the API serves.
//!
//! Everything else in the API is generic over [`serde_json::Value`] and a row. A row says
//! where the kind stands in URLs, how its objects are brought into canonical form, and
//! which rules are its own. A new kind is one more row.

use k8s_openapi::{
    api::{
        apps::v1 as apps, batch::v1 as batch, coordination::v1 as coordination, core::v1 as core,
        discovery::v1 as discovery, events::v1 as events, networking::v1 as networking,
        policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{rules::Rules, sandbox};

/// A kind of object, and where it stands in the API.
#[derive(Debug)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version in the group.
    pub version: &'static str,
    /// The kind, as objects state it.
    pub kind: &'static str,
    /// The plural, as URLs state it.
    pub plural: &'static str,
    /// What kubectl takes for the plural.
    pub short_names: &'static [&'static str],
    /// The groups of resources that kubectl knows this one under.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether `status` is a subresource, which plain writes leave alone.
    pub status: bool,
    /// Whether changes of the specification are counted in `metadata.generation`.
    pub generation: bool,
    /// What is special about this kind.
    pub rules: Rules,
    canonical: fn(Value) -> Result<Value, serde_json::Error>,
}

impl Resource {
    /// `apiVersion` of the objects: group and version, or the version alone.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The resource's name in messages: `networkpolicies.networking.k8s.io`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The name for one object, as kubectl takes it.
    pub fn singular(&self) -> String {
        self.kind.to_lowercase()
    }

    /// Reads an object by its type and writes it again: wrong types are errors, fields
    /// that the type doesn't have are dropped.
    ///
    /// # Errors
    /// The place and the type that don't fit.
    pub fn canonical(&self, object: Value) -> Result<Value, serde_json::Error> {
        (self.canonical)(object)
    }

    /// The row for a plural in a group and version.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        ALL.iter()
            .copied()
            .find(|row| row.plural == plural && row.group == group && row.version == version)
    }

    const fn of<T>(plural: &'static str) -> Self
    where
        T: k8s_openapi::Resource + Serialize + DeserializeOwned,
    {
        Self {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            plural,
            short_names: &[],
            categories: &[],
            namespaced: true,
            status: false,
            generation: false,
            rules: Rules::NONE,
            canonical: canonical::<T>,
        }
    }

    const fn custom<Spec>(kind: &'static str, plural: &'static str) -> Self
    where
        Spec: Serialize + DeserializeOwned,
    {
        Self {
            group: sandbox::GROUP,
            version: sandbox::VERSION,
            kind,
            plural,
            short_names: &[],
            categories: &[],
            namespaced: false,
            status: false,
            generation: true,
            rules: Rules::NONE,
            canonical: sandbox::canonical::<Spec>,
        }
    }

    const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    const fn generation(mut self) -> Self {
        self.generation = true;
        self
    }

    const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    const fn all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    const fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.group == other.group && self.plural == other.plural
    }
}

impl Eq for Resource {}

fn canonical<T: Serialize + DeserializeOwned>(object: Value) -> Result<Value, serde_json::Error> {
    serde_json::to_value(serde_json::from_value::<T>(object)?)
}

/// Rows that controllers ask for by name.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident = $row:expr;)*) => {
        $($(#[$doc])* pub static $name: Resource = $row;)*
        /// Every row, in the order of discovery.
        pub static ALL: &[&Resource] = &[$(&$name),*];
    };
}

rows! {
    /// Where the others live.
    NAMESPACES = Resource::of::<core::Namespace>("namespaces").cluster().status()
        .short(&["ns"]).rules(Rules::NAMESPACE);
    /// The two or more nodes.
    NODES = Resource::of::<core::Node>("nodes").cluster().status().short(&["no"]);
    /// Pods, run by the kubelet controller.
    PODS = Resource::of::<core::Pod>("pods").status().generation().short(&["po"]).all()
        .rules(Rules::POD);
    /// Services, put on the nodes by the firewall.
    SERVICES = Resource::of::<core::Service>("services").status().short(&["svc"]).all()
        .rules(Rules::SERVICE);
    /// Configuration; the runner's owner object.
    CONFIG_MAPS = Resource::of::<core::ConfigMap>("configmaps").short(&["cm"]);
    /// Stored.
    SECRETS = Resource::of::<core::Secret>("secrets").rules(Rules::SECRET);
    /// One `default` in each namespace.
    SERVICE_ACCOUNTS = Resource::of::<core::ServiceAccount>("serviceaccounts").short(&["sa"]);
    /// Events of the core group.
    EVENTS = Resource::of::<core::Event>("events").short(&["ev"]).rules(Rules::EVENT);
    /// Stored.
    REPLICATION_CONTROLLERS = Resource::of::<core::ReplicationController>("replicationcontrollers")
        .status().generation().short(&["rc"]).all().rules(Rules::REPLICATION_CONTROLLER);
    /// Stored.
    RESOURCE_QUOTAS = Resource::of::<core::ResourceQuota>("resourcequotas").status().short(&["quota"]);
    /// Stored.
    LIMIT_RANGES = Resource::of::<core::LimitRange>("limitranges").short(&["limits"])
        .rules(Rules::LIMIT_RANGE);
    /// Bound as soon as they are there; no volume is behind them.
    PERSISTENT_VOLUME_CLAIMS = Resource::of::<core::PersistentVolumeClaim>("persistentvolumeclaims")
        .status().short(&["pvc"]).rules(Rules::VOLUME_CLAIM);
    /// Stored; the endpoint slices count.
    ENDPOINTS = Resource::of::<core::Endpoints>("endpoints").short(&["ep"]);
    /// Stored.
    DEPLOYMENTS = Resource::of::<apps::Deployment>("deployments").status().generation()
        .short(&["deploy"]).all().rules(Rules::DEPLOYMENT);
    /// Stored.
    REPLICA_SETS = Resource::of::<apps::ReplicaSet>("replicasets").status().generation()
        .short(&["rs"]).all().rules(Rules::REPLICA_SET);
    /// Stored.
    STATEFUL_SETS = Resource::of::<apps::StatefulSet>("statefulsets").status().generation()
        .short(&["sts"]).all().rules(Rules::STATEFUL_SET);
    /// Stored.
    DAEMON_SETS = Resource::of::<apps::DaemonSet>("daemonsets").status().generation()
        .short(&["ds"]).all().rules(Rules::DAEMON_SET);
    /// Stored.
    CONTROLLER_REVISIONS = Resource::of::<apps::ControllerRevision>("controllerrevisions");
    /// Stored.
    JOBS = Resource::of::<batch::Job>("jobs").status().generation().all()
        .rules(Rules::JOB);
    /// Stored.
    CRON_JOBS = Resource::of::<batch::CronJob>("cronjobs").status().generation().short(&["cj"]).all()
        .rules(Rules::CRON_JOB);
    /// A run's heartbeat.
    LEASES = Resource::of::<coordination::Lease>("leases");
    /// Where a Service leads, made by the endpoint slice controller.
    ENDPOINT_SLICES = Resource::of::<discovery::EndpointSlice>("endpointslices")
        .rules(Rules::ENDPOINT_SLICE);
    /// Events of their own group.
    NEW_EVENTS = Resource::of::<events::Event>("events").short(&["ev"]).rules(Rules::EVENT);
    /// What all this is about.
    NETWORK_POLICIES = Resource::of::<networking::NetworkPolicy>("networkpolicies").generation()
        .short(&["netpol"]).rules(Rules::NETWORK_POLICY);
    /// Stored.
    INGRESSES = Resource::of::<networking::Ingress>("ingresses").status().generation().short(&["ing"]);
    /// Stored.
    POD_DISRUPTION_BUDGETS = Resource::of::<policy::PodDisruptionBudget>("poddisruptionbudgets")
        .status().generation().short(&["pdb"]).rules(Rules::DISRUPTION_BUDGET);
    /// How important pods are.
    PRIORITY_CLASSES = Resource::of::<scheduling::PriorityClass>("priorityclasses").cluster()
        .generation().short(&["pc"]);
    /// What may be done in a namespace.
    ROLES = Resource::of::<rbac::Role>("roles").rules(Rules::RBAC);
    /// Stored.
    ROLE_BINDINGS = Resource::of::<rbac::RoleBinding>("rolebindings").rules(Rules::RBAC);
    /// Stored.
    CLUSTER_ROLES = Resource::of::<rbac::ClusterRole>("clusterroles").cluster().rules(Rules::RBAC);
    /// Stored.
    CLUSTER_ROLE_BINDINGS = Resource::of::<rbac::ClusterRoleBinding>("clusterrolebindings").cluster().rules(Rules::RBAC);
    /// Stored.
    CUSTOM_RESOURCE_DEFINITIONS =
        Resource::of::<apiextensions::CustomResourceDefinition>("customresourcedefinitions")
            .cluster().status().generation().short(&["crd", "crds"]);
    /// Hosts outside the cluster.
    EXTERNAL_HOSTS = Resource::custom::<sandbox::ExternalHostSpec>("ExternalHost", "externalhosts")
        .rules(Rules::EXTERNAL_HOST);
    /// What is broken on purpose.
    FAULTS = Resource::custom::<sandbox::FaultSpec>("Fault", "faults").rules(Rules::FAULT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_place_and_no_two_share_one() {
        for row in ALL {
            let found = Resource::find(row.group, row.version, row.plural);
            assert!(found.is_some_and(|found| std::ptr::eq(found, *row)), "{}", row.qualified());
        }
    }
}
