//! The rows: what there is, in the order of discovery.

use k8s_openapi::{
    api::{
        admissionregistration::v1 as admission, apps::v1 as apps, autoscaling, batch::v1 as batch,
        certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as core,
        discovery::v1 as discovery, events::v1 as events, networking::v1 as networking,
        node::v1 as node, policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling,
        storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions,
    kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration,
};

use super::{
    super::{
        rules::{self, Rules},
        sandbox,
    },
    Hub, Resource,
    below::{BELOW_ACCOUNTS, BELOW_NAMESPACES, BELOW_NODES, BELOW_PODS, BELOW_SERVICES},
};

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
        .short(&["ns"]).extra(BELOW_NAMESPACES).rules(Rules::NAMESPACE);
    /// The two or more nodes.
    NODES = Resource::of::<core::Node>("nodes").cluster().status().short(&["no"])
        .extra(BELOW_NODES);
    /// Pods, run by the kubelet controller.
    PODS = Resource::of::<core::Pod>("pods").status().generation().short(&["po"]).all()
        .extra(BELOW_PODS).rules(Rules::POD);
    /// Services, put on the nodes by the firewall.
    SERVICES = Resource::of::<core::Service>("services").status().short(&["svc"]).all()
        .extra(BELOW_SERVICES)
        .rules(Rules::SERVICE);
    /// Configuration; the runner's owner object.
    CONFIG_MAPS = Resource::of::<core::ConfigMap>("configmaps").short(&["cm"])
        .rules(Rules::CONFIG_MAP);
    /// Stored.
    SECRETS = Resource::of::<core::Secret>("secrets").rules(Rules::SECRET);
    /// One `default` in each namespace.
    SERVICE_ACCOUNTS = Resource::of::<core::ServiceAccount>("serviceaccounts").short(&["sa"])
        .extra(BELOW_ACCOUNTS);
    /// Events of the core group.
    EVENTS = Resource::of::<core::Event>("events").short(&["ev"]).rules(Rules::EVENT);
    /// Pods of one template, as ReplicaSets, from older times.
    REPLICATION_CONTROLLERS = Resource::of::<core::ReplicationController>("replicationcontrollers")
        .status().scale().generation().short(&["rc"]).all().rules(Rules::REPLICATION_CONTROLLER);
    /// Stored.
    RESOURCE_QUOTAS = Resource::of::<core::ResourceQuota>("resourcequotas").status().short(&["quota"]);
    /// Stored.
    LIMIT_RANGES = Resource::of::<core::LimitRange>("limitranges").short(&["limits"])
        .rules(Rules::LIMIT_RANGE);
    /// Bound as soon as they are there; no volume is behind them.
    PERSISTENT_VOLUME_CLAIMS = Resource::of::<core::PersistentVolumeClaim>("persistentvolumeclaims")
        .status().short(&["pvc"]).rules(Rules::VOLUME_CLAIM);
    /// What slices say, for clients that don't know them.
    ENDPOINTS = Resource::of::<core::Endpoints>("endpoints").short(&["ep"])
        .rules(Rules::ENDPOINTS);
    /// A ReplicaSet for each revision.
    DEPLOYMENTS = Resource::of::<apps::Deployment>("deployments").status().scale().generation()
        .short(&["deploy"]).all().rules(Rules::DEPLOYMENT);
    /// So many pods of one template.
    REPLICA_SETS = Resource::of::<apps::ReplicaSet>("replicasets").status().scale().generation()
        .short(&["rs"]).all().rules(Rules::REPLICA_SET);
    /// Pods with names that stay.
    STATEFUL_SETS = Resource::of::<apps::StatefulSet>("statefulsets").status().scale().generation()
        .short(&["sts"]).all().rules(Rules::STATEFUL_SET);
    /// A pod on each node.
    DAEMON_SETS = Resource::of::<apps::DaemonSet>("daemonsets").status().generation()
        .short(&["ds"]).all().rules(Rules::DAEMON_SET);
    /// Templates that StatefulSets and DaemonSets have had.
    CONTROLLER_REVISIONS = Resource::of::<apps::ControllerRevision>("controllerrevisions");
    /// Pods that are to succeed.
    JOBS = Resource::of::<batch::Job>("jobs").status().generation().all()
        .rules(Rules::JOB);
    /// A Job at each time of a schedule.
    CRON_JOBS = Resource::of::<batch::CronJob>("cronjobs").status().generation().short(&["cj"]).all()
        .rules(Rules::CRON_JOB);
    /// A run's heartbeat.
    LEASES = Resource::of::<coordination::Lease>("leases");
    /// Where a Service leads, made by the endpoint slice controller.
    ENDPOINT_SLICES = Resource::of::<discovery::EndpointSlice>("endpointslices")
        .rules(Rules::ENDPOINT_SLICE);
    /// Events of their own group.
    NEW_EVENTS = Resource::of::<events::Event>("events").short(&["ev"]).rules(Rules::EVENT)
        .stored_as(Hub {
            version: rules::STORED_EVENTS, newer: rules::stored_event, older: rules::newer_event,
        });
    /// What all this is about.
    NETWORK_POLICIES = Resource::of::<networking::NetworkPolicy>("networkpolicies").generation()
        .short(&["netpol"]).rules(Rules::NETWORK_POLICY);
    /// The ranges of ClusterIPs: one object, made at the start.
    SERVICE_CIDRS = Resource::of::<networking::ServiceCIDR>("servicecidrs").cluster().status();
    /// Stored.
    INGRESSES = Resource::of::<networking::Ingress>("ingresses").status().generation().short(&["ing"])
        .rules(Rules::INGRESS);
    /// How many pods may be evicted.
    POD_DISRUPTION_BUDGETS = Resource::of::<policy::PodDisruptionBudget>("poddisruptionbudgets")
        .status().generation().short(&["pdb"]).rules(Rules::DISRUPTION_BUDGET);
    /// How important pods are.
    PRIORITY_CLASSES = Resource::of::<scheduling::PriorityClass>("priorityclasses").cluster()
        .generation().short(&["pc"]).rules(Rules::PRIORITY_CLASS);
    /// What may be done in a namespace.
    ROLES = Resource::of::<rbac::Role>("roles").rules(Rules::ROLE);
    /// Stored.
    ROLE_BINDINGS = Resource::of::<rbac::RoleBinding>("rolebindings")
        .rules(Rules::ROLE_BINDING);
    /// Stored.
    CLUSTER_ROLES = Resource::of::<rbac::ClusterRole>("clusterroles").cluster()
        .rules(Rules::ROLE);
    /// Stored.
    CLUSTER_ROLE_BINDINGS = Resource::of::<rbac::ClusterRoleBinding>("clusterrolebindings")
        .cluster().rules(Rules::ROLE_BINDING);
    /// Stored.
    CUSTOM_RESOURCE_DEFINITIONS =
        Resource::of::<apiextensions::CustomResourceDefinition>("customresourcedefinitions")
            .cluster().status().generation().short(&["crd", "crds"]).categories(&["api-extensions"])
            .rules(Rules::CUSTOM_RESOURCE_DEFINITION);
    /// Stored; scaling by load would need load.
    HORIZONTAL_POD_AUTOSCALERS =
        Resource::of::<autoscaling::v2::HorizontalPodAutoscaler>("horizontalpodautoscalers")
            .status().short(&["hpa"]).all().rules(Rules::AUTOSCALER);
    /// The same in the older version.
    OLD_AUTOSCALERS =
        Resource::of::<autoscaling::v1::HorizontalPodAutoscaler>("horizontalpodautoscalers")
            .status().short(&["hpa"]).all().rules(Rules::AUTOSCALER).stored_as(Hub {
                version: "autoscaling/v2", newer: rules::newer_scaler, older: rules::older_scaler,
            });
    /// Stored.
    INGRESS_CLASSES = Resource::of::<networking::IngressClass>("ingressclasses").cluster().generation();
    /// Stored.
    RUNTIME_CLASSES = Resource::of::<node::RuntimeClass>("runtimeclasses").cluster();
    /// Stored.
    STORAGE_CLASSES = Resource::of::<storage::StorageClass>("storageclasses").cluster()
        .short(&["sc"]).rules(Rules::STORAGE_CLASS);
    /// Stored.
    CSI_DRIVERS = Resource::of::<storage::CSIDriver>("csidrivers").cluster().rules(Rules::CSI_DRIVER);
    /// Stored.
    CSI_NODES = Resource::of::<storage::CSINode>("csinodes").cluster();
    /// Stored.
    CSI_STORAGE_CAPACITIES = Resource::of::<storage::CSIStorageCapacity>("csistoragecapacities");
    /// Stored.
    VOLUME_ATTACHMENTS = Resource::of::<storage::VolumeAttachment>("volumeattachments").cluster().status();
    /// Stored; bound by nobody.
    PERSISTENT_VOLUMES = Resource::of::<core::PersistentVolume>("persistentvolumes").cluster()
        .status().short(&["pv"]).rules(Rules::PERSISTENT_VOLUME);
    /// Stored.
    POD_TEMPLATES = Resource::of::<core::PodTemplate>("podtemplates").generation();
    /// Stored; called by nobody.
    VALIDATING_WEBHOOKS =
        Resource::of::<admission::ValidatingWebhookConfiguration>("validatingwebhookconfigurations")
            .cluster().generation().categories(&["api-extensions"]).rules(Rules::VALIDATING);
    /// Stored; called by nobody.
    MUTATING_WEBHOOKS =
        Resource::of::<admission::MutatingWebhookConfiguration>("mutatingwebhookconfigurations")
            .cluster().generation().categories(&["api-extensions"]).rules(Rules::MUTATING);
    /// Stored; evaluated by nobody.
    VALIDATING_POLICIES =
        Resource::of::<admission::ValidatingAdmissionPolicy>("validatingadmissionpolicies")
            .cluster().status().generation().categories(&["api-extensions"]);
    /// Stored; evaluated by nobody.
    VALIDATING_POLICY_BINDINGS =
        Resource::of::<admission::ValidatingAdmissionPolicyBinding>("validatingadmissionpolicybindings")
            .cluster().generation().categories(&["api-extensions"]);
    /// Stored; served by nobody.
    API_SERVICES = Resource::of::<apiregistration::APIService>("apiservices").cluster().status()
        .categories(&["api-extensions"]).rules(Rules::API_SERVICE);
    /// Stored; signed by nobody.
    CERTIFICATE_REQUESTS =
        Resource::of::<certificates::CertificateSigningRequest>("certificatesigningrequests")
            .cluster().status().short(&["csr"]);
    /// Hosts outside the cluster.
    EXTERNAL_HOSTS = Resource::custom::<sandbox::ExternalHostSpec>("ExternalHost", "externalhosts")
        .rules(Rules::EXTERNAL_HOST);
    /// What is broken on purpose.
    FAULTS = Resource::custom::<sandbox::FaultSpec>("Fault", "faults").rules(Rules::FAULT);
}
