//! What stands in for a container of an image that isn't there: where it listens, and
//! whether it ends by itself.
//!
//! It listens on the ports that the container declares. Others are inferred, and it is said
//! so: those of the container's own probes, and those to which Services lead that select
//! the pod, which are the first container's.
//!
//! In a pod that may end (`restartPolicy` Never or OnFailure) a stand-in ends by itself, with
//! success, after a second: nothing that a Job or a hook would do is done here, and what
//! waits for it should not wait for ever. A pod that no Job owns and that declares a port is
//! meant to serve, and goes on.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use crate::{
    model::{Port, Protocol},
    sandbox::api::object::Object,
};

/// The probes of a container.
const PROBES: [&str; 3] = ["startupProbe", "readinessProbe", "livenessProbe"];
/// How long a stand-in lives that ends by itself, in seconds.
const MOMENT: u32 = 1;

/// What stands in for one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct StandIn {
    /// Where it must listen.
    declared: Vec<Port>,
    /// Where else it listens, and why.
    inferred: BTreeMap<Port, String>,
    ends: bool,
    /// What is not as it would be with the image.
    assumed: Vec<&'static str>,
}

impl StandIn {
    /// What stands in for a container of a pod, whose namespace has these Services.
    pub(super) fn of(pod: &Value, container: &Value, services: &[Arc<Value>]) -> Self {
        let ports = declared(container);
        let sidecars = pod.items("/spec/initContainers").iter();
        let sidecars = sidecars.filter(|one| one.text("/restartPolicy") == "Always");
        let others = pod.items("/spec/containers").iter().chain(sidecars);
        let others = others.filter(|one| one.text("/name") != container.text("/name"));
        let of_others: Vec<_> = others.flat_map(declared).collect();
        let mut inferred = BTreeMap::new();
        let mut infer = |port: Port, why: String| {
            if !ports.contains(&port) && !of_others.contains(&port) {
                inferred.entry(port).or_insert(why);
            }
        };
        let probes = || PROBES.iter().filter_map(|kind| Some((*kind, container.get(*kind)?)));
        for (kind, probe) in probes() {
            for action in ["httpGet", "tcpSocket", "grpc"] {
                let action = probe.get(action);
                // Where it names a host, it isn't this pod that is asked, but for the node's
                // own addresses.
                let own = action.filter(|action| is_own(pod, action.text("/host")));
                if let Some(port) = own.and_then(|action| number(action.get("port")?)) {
                    infer(port, format!("its {kind}"));
                }
            }
        }
        if pod.items("/spec/containers").first().map(|first| first.text("/name"))
            == Some(container.text("/name"))
        {
            let of_others: Vec<_> = pod.items("/spec/containers").iter().flat_map(known).collect();
            for (port, service) in led_to(pod, services) {
                if !of_others.contains(&port) {
                    infer(port, format!("the Service {service}"));
                }
            }
        }
        let mut assumed = Vec::new();
        if probes().any(|(_, probe)| probe.get("exec").is_some()) {
            assumed.push("its exec probes count as passed");
        }
        if container.get("lifecycle").is_some() {
            assumed.push("its lifecycle hooks are not run");
        }
        Self { declared: ports, inferred, ends: ends(pod), assumed }
    }

    /// Its program's arguments.
    pub(super) fn arguments(&self, identity: String) -> Vec<String> {
        let mut arguments = vec![identity];
        if self.ends {
            arguments.push(format!("--for={MOMENT}"));
        }
        arguments.extend(self.declared.iter().map(Port::to_string));
        arguments.extend(self.inferred.keys().map(|port| format!("?{port}")));
        arguments
    }

    /// The inferred ports that another plan doesn't have.
    pub(super) fn beyond(&self, other: &Self) -> Vec<Port> {
        let new = self.inferred.keys().filter(|port| !other.inferred.contains_key(*port));
        new.copied().collect()
    }

    /// What one should know of it: `web (nginx:1.25) listens on 80/tcp`.
    pub(super) fn describe(&self, container: &Value) -> String {
        let mut parts = Vec::new();
        let declared: Vec<_> = self.declared.iter().map(Port::to_string).collect();
        if !declared.is_empty() {
            parts.push(format!("listens on {}", declared.join(", ")));
        }
        let inferred: Vec<_> =
            self.inferred.iter().map(|(port, why)| format!("{port} for {why}")).collect();
        if !inferred.is_empty() {
            parts.push(format!("listens, undeclared, on {}", inferred.join(", ")));
        }
        if self.ends {
            parts.push("ends with success by itself".to_owned());
        }
        if parts.is_empty() {
            parts.push("does nothing".to_owned());
        }
        parts.extend(self.assumed.iter().map(|text| (*text).to_owned()));
        format!("{} ({}) {}", container.text("/name"), container.text("/image"), parts.join(", "))
    }
}

/// Whether a probe that names this host asks the pod itself.
fn is_own(pod: &Value, host: &str) -> bool {
    let of_node = pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
    host.is_empty() || of_node && ["127.0.0.1", "::1", "localhost"].contains(&host)
}

/// Of what a pod's stand-in ends by itself; see the module.
fn ends(pod: &Value) -> bool {
    let finite = matches!(pod.text("/spec/restartPolicy"), "Never" | "OnFailure");
    let of_a_job = pod.owners().iter().any(|owner| owner.text("/kind") == "Job");
    let serves = pod.items("/spec/containers").iter().any(|own| !own.items("/ports").is_empty());
    finite && (of_a_job || !serves)
}

fn declared(container: &Value) -> Vec<Port> {
    let port = |port: &Value| of(port.get("containerPort")?, port.text("/protocol"));
    let mut ports = Vec::new();
    for port in container.items("/ports").iter().filter_map(port) {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

/// All that a container declares or is probed on.
fn known(container: &Value) -> Vec<Port> {
    let mut ports = declared(container);
    for probe in PROBES.iter().filter_map(|kind| container.get(*kind)) {
        for action in ["httpGet", "tcpSocket", "grpc"] {
            ports.extend(probe.get(action).and_then(|action| number(action.get("port")?)));
        }
    }
    ports
}

/// The ports to which Services lead that select a pod, by number, and the Service of each.
fn led_to(pod: &Value, services: &[Arc<Value>]) -> Vec<(Port, String)> {
    let labels = pod.labels();
    let selects = |service: &Value| {
        let selector = service.pointer("/spec/selector").and_then(Value::as_object);
        service.text("/spec/type") != "ExternalName"
            && selector.is_some_and(|selector| {
                !selector.is_empty()
                    && selector
                        .iter()
                        .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
            })
    };
    let mut found = Vec::new();
    for service in services.iter().filter(|service| selects(service)) {
        for port in service.items("/spec/ports") {
            let target = port.get("targetPort").or(port.get("port"));
            let target = target.and_then(|target| of(target, port.text("/protocol")));
            found.extend(target.map(|target| (target, service.name().to_owned())));
        }
    }
    found
}

/// A TCP port that is given by its number.
fn number(port: &Value) -> Option<Port> {
    of(port, "TCP")
}

/// A port that is given by its number, of a protocol that can be spoken here.
fn of(port: &Value, protocol: &str) -> Option<Port> {
    let number = u16::try_from(port.as_u64()?).ok().filter(|number| *number > 0)?;
    let protocol = match protocol {
        "" | "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        _ => return None,
    };
    Some(Port { number, protocol })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(spec: Value) -> Value {
        json!({"metadata": {"name": "p", "namespace": "shop", "labels": {"app": "p"}}, "spec": spec})
    }

    fn words(pod: &Value, index: usize, services: &[Arc<Value>]) -> Vec<String> {
        let container = &pod.items("/spec/containers")[index];
        StandIn::of(pod, container, services).arguments("p".into()).split_off(1)
    }

    #[test]
    fn it_listens_where_the_image_would() {
        let services = [
            json!({"metadata": {"name": "s"}, "spec": {"selector": {"app": "p"}, "ports": [
                {"port": 80, "targetPort": 8080}, {"port": 7000}, {"port": 1, "targetPort": "web"},
                {"port": 53, "protocol": "UDP"}, {"port": 9, "protocol": "SCTP"}]}}),
            json!({"metadata": {"name": "other"}, "spec": {"selector": {"app": "q"},
                "ports": [{"port": 1000}]}}),
            json!({"metadata": {"name": "none"}, "spec": {"ports": [{"port": 1001}]}}),
        ]
        .map(Arc::new);
        let pod = pod(json!({"restartPolicy": "Always", "containers": [
            {"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP", "name": "dns"}],
             "readinessProbe": {"httpGet": {"port": 9000}},
             "livenessProbe": {"tcpSocket": {"port": "dns"}},
             "startupProbe": {"grpc": {"port": 9001}}},
            {"name": "b", "ports": [{"containerPort": 8080}],
             "livenessProbe": {"httpGet": {"port": 9002, "host": "elsewhere"}}},
        ]}));
        assert_eq!(
            words(&pod, 0, &services),
            ["53/udp", "?7000/tcp", "?9000/tcp", "?9001/tcp"],
            "8080 is the other container's"
        );
        assert_eq!(words(&pod, 1, &services), ["8080/tcp"]);
        let plan = StandIn::of(&pod, &pod.items("/spec/containers")[0], &services);
        assert_eq!(
            plan.describe(&json!({"name": "a", "image": "nginx"})),
            "a (nginx) listens on 53/udp, listens, undeclared, on 7000/tcp for the Service s, \
             9000/tcp for its readinessProbe, 9001/tcp for its startupProbe"
        );
        let before = StandIn::of(&pod, &pod.items("/spec/containers")[0], &[]);
        let new: Vec<_> = plan.beyond(&before).iter().map(Port::to_string).collect();
        assert_eq!(new, ["7000/tcp"]);
    }

    #[test]
    fn a_probe_asks_the_container_that_has_the_port() {
        let probe = |host: &str| json!({"httpGet": {"port": 9000, "host": host}});
        let spec = |host: &str, of_node: bool| {
            json!({"restartPolicy": "Always", "hostNetwork": of_node,
                "initContainers": [{"name": "s", "restartPolicy": "Always",
                    "ports": [{"containerPort": 9003}]},
                    {"name": "i", "ports": [{"containerPort": 9004}]}],
                "containers": [
                    {"name": "a", "readinessProbe": probe(host), "livenessProbe":
                        {"tcpSocket": {"port": 9002}}, "startupProbe": {"grpc": {"port": 9003}}},
                    {"name": "b", "ports": [{"containerPort": 9002}],
                        "livenessProbe": {"tcpSocket": {"port": 9004}}}]})
        };
        for (message, host, of_node, expected) in [
            ("its own", "", false, &["?9000/tcp"][..]),
            ("the node's, which is the pod", "127.0.0.1", true, &["?9000/tcp"]),
            ("the node's, which is not", "127.0.0.1", false, &[]),
            ("somebody else's", "10.0.0.1", true, &[]),
        ] {
            let pod = pod(spec(host, of_node));
            assert_eq!(words(&pod, 0, &[]), expected, "{message}");
            assert_eq!(words(&pod, 1, &[]), ["9002/tcp", "?9004/tcp"], "an init container's");
        }
    }

    #[test]
    fn it_ends_where_the_pod_is_meant_to() {
        let port = json!([{"containerPort": 80}]);
        for (case, policy, owner, ports, expected) in [
            ("an application", "Always", "ReplicaSet", json!([]), false),
            ("a Job", "Never", "Job", json!([]), true),
            ("a Job that declares a port", "OnFailure", "Job", port.clone(), true),
            ("a task", "Never", "", json!([]), true),
            ("a lone server", "Never", "", port, false),
        ] {
            let mut pod = pod(
                json!({"restartPolicy": policy, "containers": [{"name": "a", "ports": ports}]}),
            );
            if !owner.is_empty() {
                pod["metadata"]["ownerReferences"] = json!([{"kind": owner}]);
            }
            assert_eq!(ends(&pod), expected, "{case}");
        }
    }

    #[test]
    fn what_is_assumed_is_said() {
        let container = json!({"name": "a", "image": "i", "lifecycle": {"preStop": {}},
            "livenessProbe": {"exec": {"command": ["true"]}}});
        let pod = pod(json!({"containers": [container]}));
        let text = StandIn::of(&pod, &container, &[]).describe(&container);
        assert_eq!(
            text,
            "a (i) does nothing, its exec probes count as passed, its lifecycle hooks are not run"
        );
    }
}
