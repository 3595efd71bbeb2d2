//! The columns of each kind.

mod custom;
mod storage;

use super::{
    super::{object::Object, resource::Resource},
    cells::{
        Cell::{self, Age, Flag, Number, Of, Text, TextOr},
        Column, balancer, labels, name_of_class, or, plain, selector, some,
    },
    parts::{
        address, amounts, available, capital, controller, endpoints, entries, events, external,
        hosts, kernel, node_roles, node_status, parameters, service_ports, slice_ports, subjects,
    },
    pod, workloads,
};

pub(super) fn text(name: &str, cell: Cell) -> Column {
    Column::new(name, "string", cell)
}

fn count(name: &str, cell: Cell) -> Column {
    Column::new(name, "integer", cell)
}

fn flag(name: &str, cell: Cell) -> Column {
    Column::new(name, "boolean", cell)
}

/// The columns of a kind.
pub(super) fn of(resource: &Resource) -> Vec<Column> {
    let name = || text("Name", Text("/metadata/name"));
    let age = || text("Age", Age);
    let containers = || text("Containers", Of(workloads::names)).wide();
    let images = || text("Images", Of(workloads::images)).wide();
    let pods = || text("Selector", Of(workloads::pods)).wide();
    if let Some(definition) = resource.definition() {
        return custom::of(&definition.version);
    }
    let middle = match (resource.group, resource.kind) {
        ("", "Pod") => {
            return vec![
                name(),
                text("Ready", Of(|object| pod::summary(object).ready.into())),
                text("Status", Of(|object| pod::summary(object).status.into())),
                text("Restarts", Of(|object| pod::summary(object).restarts.into())),
                age(),
                text("IP", TextOr("/status/podIPs/0/ip", "<none>")).wide(),
                text("Node", TextOr("/spec/nodeName", "<none>")).wide(),
                text("Nominated Node", TextOr("/status/nominatedNodeName", "<none>")).wide(),
                text("Readiness Gates", Of(pod::gates)).wide(),
            ];
        }
        ("", "Event") => return events(),
        ("", "Node") => {
            return vec![
                name(),
                text("Status", Of(node_status)),
                text("Roles", Of(node_roles)),
                age(),
                text("Version", Text("/status/nodeInfo/kubeletVersion")),
                text("Internal-IP", Of(|node| address(node, "InternalIP"))).wide(),
                text("External-IP", Of(|node| address(node, "ExternalIP"))).wide(),
                text("OS-Image", TextOr("/status/nodeInfo/osImage", "<unknown>")).wide(),
                text("Kernel-Version", Of(kernel)).wide(),
                text(
                    "Container-Runtime",
                    TextOr("/status/nodeInfo/containerRuntimeVersion", "<unknown>"),
                )
                .wide(),
            ];
        }
        ("", "Service") => vec![
            text("Type", Text("/spec/type")),
            text("Cluster-IP", TextOr("/spec/clusterIPs/0", "<none>")),
            text("External-IP", Of(external)),
            text("Port(s)", Of(service_ports)),
            age(),
            text("Selector", Of(|service| labels(&service["spec"]["selector"]).into())).wide(),
        ],
        ("", "Namespace") => vec![text("Status", Text("/status/phase")), age()],
        ("", "ConfigMap") => {
            vec![
                count("Data", Of(|map| (entries(map, "data") + entries(map, "binaryData")).into())),
                age(),
            ]
        }
        ("", "Secret") => vec![
            text("Type", Text("/type")),
            count("Data", Of(|secret| entries(secret, "data").into())),
            age(),
        ],
        ("", "ServiceAccount") => vec![age()],
        ("", "Endpoints") => vec![text("Endpoints", Of(endpoints)), age()],
        ("", "ResourceQuota") => vec![
            text("Request", Of(|quota| amounts(quota, false))),
            text("Limit", Of(|quota| amounts(quota, true))),
            age(),
        ],
        ("", "PodTemplate") => vec![
            text("Containers", Of(workloads::names)),
            text("Images", Of(workloads::images)),
            text(
                "Pod Labels",
                Of(|object| labels(&object["template"]["metadata"]["labels"]).into()),
            ),
        ],
        ("", "ReplicationController") | ("apps", "ReplicaSet") => vec![
            count("Desired", Number("/spec/replicas")),
            count("Current", Number("/status/replicas")),
            count("Ready", Number("/status/readyReplicas")),
            age(),
            containers(),
            images(),
            if resource.group.is_empty() {
                text("Selector", Of(|object| labels(&object["spec"]["selector"]).into())).wide()
            } else {
                pods()
            },
        ],
        ("apps", "Deployment") => vec![
            text("Ready", Of(workloads::ready)),
            text("Up-to-date", Number("/status/updatedReplicas")),
            text("Available", Number("/status/availableReplicas")),
            age(),
            containers(),
            images(),
            pods(),
        ],
        ("apps", "StatefulSet") => {
            vec![text("Ready", Of(workloads::ready)), age(), containers(), images()]
        }
        ("apps", "DaemonSet") => vec![
            count("Desired", Number("/status/desiredNumberScheduled")),
            count("Current", Number("/status/currentNumberScheduled")),
            count("Ready", Number("/status/numberReady")),
            count("Up-to-date", Number("/status/updatedNumberScheduled")),
            count("Available", Number("/status/numberAvailable")),
            text(
                "Node Selector",
                Of(|set| labels(&set["spec"]["template"]["spec"]["nodeSelector"]).into()),
            ),
            age(),
            containers(),
            images(),
            pods(),
        ],
        ("apps", "ControllerRevision") => {
            vec![text("Controller", Of(controller)), text("Revision", Number("/revision")), age()]
        }
        ("batch", "Job") => vec![
            text("Status", Of(workloads::job_status)),
            text("Completions", Of(workloads::job_completions)),
            text("Duration", Of(workloads::job_duration)),
            age(),
            containers(),
            images(),
            pods(),
        ],
        ("batch", "CronJob") => vec![
            text("Schedule", Text("/spec/schedule")),
            text("Timezone", TextOr("/spec/timeZone", "<none>")),
            flag("Suspend", Of(|cron| capital(cron["spec"]["suspend"] == true))),
            count("Active", Of(|cron| cron.items("/status/active").len().into())),
            text("Last Schedule", Of(workloads::last_schedule)),
            age(),
            containers(),
            images(),
            text(
                "Selector",
                Of(|cron| selector(&cron["spec"]["jobTemplate"]["spec"]["selector"]).into()),
            )
            .wide(),
        ],
        ("autoscaling", _) => vec![
            text(
                "Reference",
                Of(|scaler| {
                    let target = &scaler["spec"]["scaleTargetRef"];
                    format!("{}/{}", target.text("/kind"), target.text("/name")).into()
                }),
            ),
            text("Targets", Of(workloads::metrics)),
            text("MinPods", TextOr("/spec/minReplicas", "<unset>")),
            text("MaxPods", Number("/spec/maxReplicas")),
            text("Replicas", Number("/status/currentReplicas")),
            age(),
        ],
        ("coordination.k8s.io", "Lease") => {
            vec![text("Holder", Text("/spec/holderIdentity")), age()]
        }
        ("discovery.k8s.io", _) => vec![
            text("AddressType", Text("/addressType")),
            text("Ports", Of(slice_ports)),
            text(
                "Endpoints",
                Of(|slice| {
                    let ends = slice.items("/endpoints").iter();
                    let ends = ends.flat_map(|end| end.items("/addresses"));
                    let ends: Vec<_> = ends.map(|address| plain(Some(address))).collect();
                    or(some(&ends, 3), "<unset>").into()
                }),
            ),
            age(),
        ],
        ("networking.k8s.io", "NetworkPolicy") => vec![
            text("Pod-Selector", Of(|policy| selector(&policy["spec"]["podSelector"]).into())),
            age(),
        ],
        ("networking.k8s.io", "Ingress") => vec![
            text("Class", TextOr("/spec/ingressClassName", "<none>")),
            text("Hosts", Of(hosts)),
            text("Address", Of(|ingress| balancer(ingress).into())),
            text(
                "Ports",
                Of(|ingress| {
                    if ingress.items("/spec/tls").is_empty() { "80" } else { "80, 443" }.into()
                }),
            ),
            age(),
        ],
        ("networking.k8s.io", "IngressClass") => {
            return vec![
                text(
                    "Name",
                    Of(|class| name_of_class(class, "ingressclass.kubernetes.io/is-default-class")),
                ),
                text("Controller", Text("/spec/controller")),
                text("Parameters", Of(parameters)),
                age(),
            ];
        }
        ("policy", "PodDisruptionBudget") => vec![
            text("Min Available", TextOr("/spec/minAvailable", "N/A")),
            text("Max Unavailable", TextOr("/spec/maxUnavailable", "N/A")),
            count("Allowed Disruptions", Number("/status/disruptionsAllowed")),
            age(),
        ],
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => vec![
            text(
                "Role",
                Of(|binding| {
                    format!("{}/{}", binding.text("/roleRef/kind"), binding.text("/roleRef/name"))
                        .into()
                }),
            ),
            age(),
            text("Users", Of(|binding| subjects(binding, "User"))).wide(),
            text("Groups", Of(|binding| subjects(binding, "Group"))).wide(),
            text("ServiceAccounts", Of(|binding| subjects(binding, "ServiceAccount"))).wide(),
        ],
        ("storage.k8s.io", "StorageClass") => return storage::class(),
        ("storage.k8s.io", _) | ("", "PersistentVolume" | "PersistentVolumeClaim") => {
            storage::of(resource.kind)
        }
        ("scheduling.k8s.io", "PriorityClass") => vec![
            count("Value", Number("/value")),
            flag("Global-Default", Flag("/globalDefault")),
            age(),
            text("PreemptionPolicy", Text("/preemptionPolicy")),
        ],
        ("node.k8s.io", "RuntimeClass") => vec![text("Handler", Text("/handler")), age()],
        ("admissionregistration.k8s.io", _) => {
            vec![count("Webhooks", Of(|object| object.items("/webhooks").len().into())), age()]
        }
        ("apiregistration.k8s.io", "APIService") => vec![
            text(
                "Service",
                Of(|service| {
                    match service["spec"].get("service") {
                        Some(target) => {
                            format!("{}/{}", target.text("/namespace"), target.text("/name"))
                        }
                        None => "Local".to_owned(),
                    }
                    .into()
                }),
            ),
            text("Available", Of(available)),
            age(),
        ],
        (crate::sandbox::api::sandbox::GROUP, "Fault") => {
            vec![text("Fault", Text("/spec/fault")), age()]
        }
        // As the server shows kinds that have no columns of their own.
        _ => vec![text("Created At", Text("/metadata/creationTimestamp"))],
    };
    let mut columns = vec![name()];
    columns.extend(middle);
    columns
}
