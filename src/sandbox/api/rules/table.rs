//! The rules of each kind that has some.

use serde_json::Value;

use super::{
    super::{
        custom,
        failure::{Cause, Failure},
        object::{Object, object_mut},
        store::Writer,
    },
    config, endpoints, event, external_host, ingress, namespace, network_policy, pod, pod_defaults,
    rbac, service, stored, workload,
};
use crate::sandbox::fault::Fault;

/// What is special about a kind.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Fills in what the object leaves open. Applied at every write.
    pub default: fn(&mut Value),
    /// Sets what a new object starts with, whatever its creator says: status, finalizers.
    pub prepare: fn(&mut Value),
    /// What is wrong with the object, given its state before the write.
    pub validate: fn(&Value, Option<&Value>) -> Vec<Cause>,
    /// The last step of a create or an update, which sees the store: allocations.
    pub allocate: fn(&Writer<'_>, &mut Value, Option<&Value>) -> Result<(), Failure>,
    /// Whether field selectors know a field, beside name and namespace.
    pub selectable: fn(&str) -> bool,
    /// The form that names have to have.
    pub names: Names,
}

/// Forms of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Lowercase words, joined by dashes and dots; at most 253 characters.
    Subdomain,
    /// Lowercase word with dashes; at most 63 characters.
    Label,
    /// Whatever can be a segment of a path (RBAC).
    Segment,
}

impl Rules {
    /// Nothing special.
    pub const NONE: Self = Self {
        default: |_| {},
        prepare: |_| {},
        validate: |_, _| Vec::new(),
        allocate: |_, _, _| Ok(()),
        selectable: |_| false,
        names: Names::Subdomain,
    };

    /// Namespaces.
    pub const NAMESPACE: Self = Self {
        default: namespace::default,
        prepare: namespace::prepare,
        selectable: |field| field == "status.phase",
        names: Names::Label,
        ..Self::NONE
    };

    /// Pods.
    pub const POD: Self = Self {
        default: pod_defaults::default,
        prepare: pod::prepare,
        validate: pod::validate,
        selectable: pod::selectable,
        ..Self::NONE
    };

    /// Services.
    pub const SERVICE: Self = Self {
        default: service::default,
        prepare: |service| {
            object_mut(service).insert("status".into(), serde_json::json!({"loadBalancer": {}}));
        },
        // It judges as well, once the addresses are there.
        allocate: service::allocate,
        selectable: |field| matches!(field, "spec.clusterIP" | "spec.type"),
        names: Names::Label,
        ..Self::NONE
    };

    /// NetworkPolicies.
    pub const NETWORK_POLICY: Self =
        Self { default: network_policy::default, validate: network_policy::validate, ..Self::NONE };

    /// Endpoint slices.
    pub const ENDPOINT_SLICE: Self = Self {
        default: endpoints::default_slice,
        validate: endpoints::validate_slice,
        ..Self::NONE
    };

    /// Endpoints.
    pub const ENDPOINTS: Self = Self { default: endpoints::default_endpoints, ..Self::NONE };

    /// ConfigMaps.
    pub const CONFIG_MAP: Self = Self { validate: config::validate_map, ..Self::NONE };

    /// Ingresses.
    pub const INGRESS: Self =
        Self { prepare: ingress::prepare, validate: ingress::validate, ..Self::NONE };

    /// Secrets.
    pub const SECRET: Self = Self {
        default: config::default_secret,
        validate: config::validate_secret,
        selectable: |field| field == "type",
        ..Self::NONE
    };

    /// Events of either group.
    pub const EVENT: Self = Self {
        default: event::default,
        selectable: |field| {
            field.starts_with("involvedObject.")
                || field.starts_with("regarding.")
                || matches!(field, "reason" | "type" | "reportingComponent" | "source")
        },
        ..Self::NONE
    };

    /// Deployments.
    pub const DEPLOYMENT: Self = Self {
        default: workload::default_deployment,
        validate: workload::validate_deployment,
        ..Self::NONE
    };

    /// ReplicaSets.
    pub const REPLICA_SET: Self = Self {
        default: workload::default_replicas,
        prepare: workload::no_replicas_yet,
        validate: workload::validate_replica_set,
        selectable: |field| field == "status.replicas",
        ..Self::NONE
    };

    /// ReplicationControllers.
    pub const REPLICATION_CONTROLLER: Self = Self {
        default: workload::default_replication_controller,
        prepare: workload::no_replicas_yet,
        validate: workload::validate_replication_controller,
        selectable: |field| field == "status.replicas",
        ..Self::NONE
    };

    /// StatefulSets.
    pub const STATEFUL_SET: Self = Self {
        default: workload::default_stateful_set,
        prepare: workload::no_replicas_yet,
        validate: workload::validate_stateful_set,
        ..Self::NONE
    };

    /// DaemonSets.
    pub const DAEMON_SET: Self = Self {
        default: workload::default_daemon_set,
        prepare: workload::nothing_scheduled_yet,
        validate: workload::validate_daemon_set,
        allocate: workload::count_templates,
        ..Self::NONE
    };

    /// Jobs.
    pub const JOB: Self = Self {
        default: workload::default_job,
        prepare: workload::select_by_uid,
        validate: workload::validate_job,
        selectable: |field| field == "status.successful",
        ..Self::NONE
    };

    /// CronJobs.
    pub const CRON_JOB: Self = Self {
        default: workload::default_cron_job,
        validate: workload::validate_cron_job,
        ..Self::NONE
    };

    /// Claims of volumes.
    pub const VOLUME_CLAIM: Self = Self {
        default: |claim| fill(claim.section_mut("spec"), "volumeMode", "Filesystem"),
        prepare: |claim| {
            object_mut(claim).insert("status".into(), serde_json::json!({"phase": "Pending"}));
        },
        validate: stored::validate_claim,
        ..Self::NONE
    };

    /// PodDisruptionBudgets.
    pub const DISRUPTION_BUDGET: Self = Self {
        prepare: workload::nothing_disrupted_yet,
        validate: workload::validate_disruption_budget,
        ..Self::NONE
    };

    /// Limit ranges, whose defaults follow from their bounds.
    pub const LIMIT_RANGE: Self = Self { default: super::limit_range::default, ..Self::NONE };

    /// Roles, whose names may have colons.
    pub const ROLE: Self =
        Self { validate: rbac::validate_role, names: Names::Segment, ..Self::NONE };

    /// Bindings of roles.
    pub const ROLE_BINDING: Self = Self {
        default: rbac::default_binding,
        validate: rbac::validate_binding,
        names: Names::Segment,
        ..Self::NONE
    };

    /// CustomResourceDefinitions.
    pub const CUSTOM_RESOURCE_DEFINITION: Self = Self {
        default: custom::default,
        prepare: custom::prepare,
        validate: custom::validate_definition,
        selectable: custom::selectable,
        ..Self::NONE
    };

    /// StorageClasses.
    pub const STORAGE_CLASS: Self =
        Self { default: stored::default_class, validate: stored::validate_class, ..Self::NONE };

    /// PersistentVolumes.
    pub const PERSISTENT_VOLUME: Self =
        Self { default: stored::default_volume, prepare: stored::pending, ..Self::NONE };

    /// PriorityClasses.
    pub const PRIORITY_CLASS: Self = Self { default: stored::default_priority, ..Self::NONE };

    /// CSIDrivers.
    pub const CSI_DRIVER: Self = Self { default: stored::default_driver, ..Self::NONE };

    /// ValidatingWebhookConfigurations.
    pub const VALIDATING: Self = Self { default: stored::default_validating, ..Self::NONE };

    /// MutatingWebhookConfigurations.
    pub const MUTATING: Self = Self { default: stored::default_mutating, ..Self::NONE };

    /// APIServices.
    pub const API_SERVICE: Self = Self { default: stored::default_api_service, ..Self::NONE };

    /// HorizontalPodAutoscalers, in version 2.
    pub const AUTOSCALER: Self = Self {
        default: stored::default_scaler,
        prepare: stored::prepare_scaler,
        validate: stored::validate_scaler,
        ..Self::NONE
    };

    /// External hosts.
    pub const EXTERNAL_HOST: Self =
        Self { validate: external_host::validate, allocate: external_host::allocate, ..Self::NONE };

    /// Faults.
    pub const FAULT: Self = Self { validate: fault, ..Self::NONE };
}

fn fault(fault: &Value, _: Option<&Value>) -> Vec<Cause> {
    let text = fault.text("/spec/fault");
    let mut causes = Vec::new();
    if let Err(error) = text.parse::<Fault>() {
        causes.push(Cause::invalid("spec.fault", &text.into(), &error.to_string()));
    }
    causes
}

/// Sets a field that is missing or null.
pub(super) fn fill(map: &mut serde_json::Map<String, Value>, key: &str, value: impl Into<Value>) {
    let place = map.entry(key).or_insert(Value::Null);
    if place.is_null() {
        *place = value.into();
    }
}
