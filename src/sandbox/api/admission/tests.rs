use serde_json::{Value, json};

use super::*;
use crate::sandbox::api::{
    object::Object,
    resource::{
        DEPLOYMENTS, FAULTS, LIMIT_RANGES, NAMESPACES, PRIORITY_CLASSES, RESOURCE_QUOTAS, SERVICES,
    },
    store::Store,
    write::{self, WriteOptions, Written},
};

fn create(
    store: &Store,
    resource: &'static Resource,
    namespace: &str,
    object: Value,
) -> Result<Written, Failure> {
    write::create(store, resource, namespace, object, &WriteOptions::default())
}

/// A namespace `lab` with labels.
fn lab(labels: Value) -> Store {
    let store = Store::new();
    let namespace = json!({"metadata": {"name": "lab", "labels": labels}});
    create(&store, &NAMESPACES, "", namespace).expect("a namespace");
    store
}

fn pod(spec: Value) -> Value {
    json!({"metadata": {"name": "web"}, "spec": spec})
}

fn plain() -> Value {
    json!({"containers": [{"name": "app", "image": "app:1"}]})
}

fn hardened() -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "app", "image": "app:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        }}],
    })
}

fn container(extra: Value) -> Value {
    let mut spec = plain();
    for (key, value) in extra.as_object().expect("fields") {
        spec["containers"][0][key] = value.clone();
    }
    spec
}

#[test]
fn levels_forbid_what_they_say_in_kubernetes_words() {
    let with = |field: &str, value: Value| {
        let mut spec = plain();
        spec[field] = value;
        spec
    };
    for (level, spec, expected) in [
        ("privileged", with("hostNetwork", json!(true)), ""),
        ("baseline", plain(), ""),
        ("restricted", hardened(), ""),
        (
            "restricted",
            plain(),
            "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false \
             (container \"app\" must set securityContext.allowPrivilegeEscalation=false), \
             unrestricted capabilities (container \"app\" must set \
             securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \
             \"app\" must set securityContext.runAsNonRoot=true), seccompProfile (pod or \
             container \"app\" must set securityContext.seccompProfile.type to \
             \"RuntimeDefault\" or \"Localhost\")",
        ),
        (
            "baseline",
            json!({"hostNetwork": true, "hostPID": true, "containers": [{
                "name": "app", "image": "app:1", "ports": [{"containerPort": 80, "hostPort": 80}],
                "securityContext": {"privileged": true},
            }]}),
            "violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true, \
             hostPID=true), hostPort (container \"app\" uses hostPort 80), privileged \
             (container \"app\" must not set securityContext.privileged=true)",
        ),
        (
            "baseline",
            with("volumes", json!([{"name": "host", "hostPath": {"path": "/"}}])),
            "violates PodSecurity \"baseline:latest\": hostPath volumes (volume \"host\")",
        ),
        (
            "baseline",
            container(json!({"securityContext": {"capabilities": {"add": ["NET_RAW", "KILL"]}}})),
            "violates PodSecurity \"baseline:latest\": non-default capabilities (container \
             \"app\" must not include \"NET_RAW\" in securityContext.capabilities.add)",
        ),
        (
            "baseline",
            with(
                "securityContext",
                json!({"sysctls": [
                    {"name": "kernel.msgmax", "value": "1"},
                    {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"},
                ]}),
            ),
            "violates PodSecurity \"baseline:latest\": forbidden sysctls (kernel.msgmax)",
        ),
        (
            "baseline",
            with("securityContext", json!({"seccompProfile": {"type": "Unconfined"}})),
            "violates PodSecurity \"baseline:latest\": seccompProfile (pod must not set \
             securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            "baseline",
            container(json!({"livenessProbe": {"tcpSocket": {"port": 1, "host": "10.0.0.1"}}})),
            "violates PodSecurity \"baseline:latest\": probe or lifecycle host (container \"app\" \
             uses probe or lifecycle host \"10.0.0.1\")",
        ),
    ] {
        let store = lab(json!({"pod-security.kubernetes.io/enforce": level}));
        let result = create(&store, &PODS, "lab", pod(spec));
        match (result, expected) {
            (Ok(_), "") => {}
            (Err(failure), expected) => {
                let expected = format!("pods \"web\" is forbidden: {expected}");
                assert_eq!((failure.code.as_u16(), failure.message), (403, expected));
            }
            (Ok(_), expected) => panic!("{level} admits what is {expected}"),
        }
    }
}

#[test]
fn a_version_knows_no_later_check_and_warnings_only_warn() {
    let probe = container(json!({"livenessProbe": {"tcpSocket": {"port": 1, "host": "1.2.3.4"}}}));
    let store = lab(json!({
        "pod-security.kubernetes.io/enforce": "baseline",
        "pod-security.kubernetes.io/enforce-version": "v1.33",
        "pod-security.kubernetes.io/warn": "restricted",
    }));
    let written = create(&store, &PODS, "lab", pod(probe)).expect("1.33 has no such check");
    let [warning] = &written.warnings[..] else { panic!("one warning: {written:?}") };
    assert!(warning.starts_with("would violate PodSecurity \"restricted:latest\": "), "{warning}");
    let deployment = json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": plain()},
    }});
    let written = create(&store, &DEPLOYMENTS, "lab", deployment).expect("only warned about");
    assert_eq!(written.warnings.len(), 1, "{:?}", written.warnings);
}

#[test]
fn a_quota_has_room_until_it_has_none() {
    let store = lab(json!({}));
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {
        "pods": "2", "requests.cpu": "1", "limits.memory": "1Gi", "services.nodeports": "0",
    }}});
    create(&store, &RESOURCE_QUOTAS, "lab", quota).expect("a quota");
    let failure = create(&store, &PODS, "lab", pod(plain())).expect_err("it states nothing");
    assert_eq!(
        failure.message,
        "pods \"web\" is forbidden: failed quota: small: must specify limits.memory for: app; \
         requests.cpu for: app"
    );
    let sized = |name: &str, cpu: &str, memory: &str| {
        let spec = container(json!({"resources": {
            "requests": {"cpu": cpu}, "limits": {"memory": memory},
        }}));
        json!({"metadata": {"name": name}, "spec": spec})
    };
    create(&store, &PODS, "lab", sized("a", "600m", "600Mi")).expect("there is room");
    let failure = create(&store, &PODS, "lab", sized("b", "600m", "600Mi")).expect_err("too much");
    assert_eq!(failure.code, 403);
    assert_eq!(
        failure.message,
        "pods \"b\" is forbidden: exceeded quota: small, requested: \
         limits.memory=600Mi,requests.cpu=600m, used: limits.memory=600Mi,requests.cpu=600m, \
         limited: limits.memory=1Gi,requests.cpu=1"
    );
    create(&store, &PODS, "lab", sized("b", "100m", "1Mi")).expect("this one fits");
    let failure = create(&store, &PODS, "lab", sized("c", "1m", "1Mi")).expect_err("three");
    assert!(failure.message.ends_with("requested: pods=1, used: pods=2, limited: pods=2"));
    let service = |name: &str, kind: &str| {
        let port = json!({"port": 80});
        json!({"metadata": {"name": name}, "spec": {"type": kind, "ports": [port]}})
    };
    create(&store, &SERVICES, "lab", service("inside", "ClusterIP")).expect("not counted");
    let failure = create(&store, &SERVICES, "lab", service("out", "NodePort")).expect_err("none");
    assert!(failure.message.contains("requested: services.nodeports=1"), "{}", failure.message);
}

#[test]
fn a_scoped_quota_counts_its_pods_only() {
    let store = lab(json!({}));
    let quota = json!({"metadata": {"name": "short"}, "spec": {
        "hard": {"pods": "0"}, "scopes": ["Terminating"],
    }});
    create(&store, &RESOURCE_QUOTAS, "lab", quota).expect("a quota");
    create(&store, &PODS, "lab", pod(plain())).expect("it has no deadline");
    let mut ending = pod(plain());
    ending["metadata"]["name"] = "ending".into();
    ending["spec"]["activeDeadlineSeconds"] = 60.into();
    create(&store, &PODS, "lab", ending).expect_err("there is no room for these");
}

#[test]
fn limit_ranges_fill_in_and_refuse() {
    let store = lab(json!({}));
    let range = json!({"metadata": {"name": "range"}, "spec": {"limits": [{
        "type": "Container", "max": {"memory": "1Gi"}, "min": {"memory": "10Mi"},
        "default": {"memory": "100Mi"}, "defaultRequest": {"cpu": "50m"},
    }]}});
    create(&store, &LIMIT_RANGES, "lab", range).expect("a range");
    let written = create(&store, &PODS, "lab", pod(plain())).expect("within");
    let resources = &written.object["spec"]["containers"][0]["resources"];
    assert_eq!(resources["limits"], json!({"memory": "100Mi"}));
    assert_eq!(resources["requests"], json!({"cpu": "50m", "memory": "100Mi"}));
    assert_eq!(written.object["status"]["qosClass"], "Burstable", "what is filled in counts");
    let large = container(json!({"resources": {"limits": {"memory": "2Gi"}}}));
    let failure = create(&store, &PODS, "lab", pod(large)).expect_err("too large");
    assert_eq!(
        failure.message,
        "pods \"web\" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi"
    );
    let small = container(json!({"resources": {"limits": {"memory": "1Mi"}}}));
    let failure = create(&store, &PODS, "lab", pod(small)).expect_err("too small");
    assert_eq!(
        failure.message,
        "pods \"web\" is forbidden: minimum memory usage per Container is 10Mi, but request is 1Mi"
    );
}

#[test]
fn accounts_and_classes_must_be_there() {
    let store = lab(json!({}));
    let mut spec = plain();
    spec["serviceAccountName"] = "robot".into();
    let failure = create(&store, &PODS, "lab", pod(spec)).expect_err("no such account");
    assert_eq!(
        failure.message,
        "pods \"web\" is forbidden: error looking up service account lab/robot: serviceaccount \
         \"robot\" not found"
    );
    let mut spec = plain();
    spec["priorityClassName"] = "gold".into();
    let failure = create(&store, &PODS, "lab", pod(spec.clone())).expect_err("no such class");
    let text = "pods \"web\" is forbidden: no PriorityClass with name gold was found";
    assert_eq!(failure.message, text);
    let class = json!({"metadata": {"name": "gold"}, "value": 7});
    create(&store, &PRIORITY_CLASSES, "", class).expect("a class");
    let written = create(&store, &PODS, "lab", pod(spec)).expect("there now");
    assert_eq!(written.object["spec"]["priority"], 7);
}

#[test]
fn a_token_is_mounted_unless_nobody_wants_it() {
    let store = lab(json!({}));
    let written = create(&store, &PODS, "lab", pod(plain())).expect("a pod");
    let mounts = written.object.items("/spec/containers/0/volumeMounts");
    assert_eq!(mounts[0]["mountPath"], "/var/run/secrets/kubernetes.io/serviceaccount");
    let volume = &written.object["spec"]["volumes"][0];
    assert_eq!(volume["name"], mounts[0]["name"]);
    let mut spec = plain();
    spec["automountServiceAccountToken"] = false.into();
    let none = json!({"metadata": {"name": "none"}, "spec": spec});
    let written = create(&store, &PODS, "lab", none).expect("a pod");
    assert!(written.object["spec"].get("volumes").is_none());
}

#[test]
fn faults_deny_and_change_pods() {
    let store = lab(json!({}));
    let fault =
        |name: &str, fault: &str| json!({"metadata": {"name": name}, "spec": {"fault": fault}});
    create(&store, &FAULTS, "", fault("deny", "deny-pods=not today")).expect("a fault");
    let failure = create(&store, &PODS, "lab", pod(plain())).expect_err("denied");
    assert_eq!(
        failure.message,
        "admission webhook \"pods.sandbox.netproof.dev\" denied the request: not today"
    );
    store.write(|writer| writer.remove(&FAULTS, "", "deny"));
    create(&store, &FAULTS, "", fault("label", "label-pods=mesh:on")).expect("a fault");
    create(&store, &FAULTS, "", fault("car", "inject-sidecar")).expect("a fault");
    let written = create(&store, &PODS, "lab", pod(plain())).expect("changed, not denied");
    assert_eq!(written.object.labels().get("mesh").map(String::as_str), Some("on"));
    let names: Vec<_> =
        written.object.items("/spec/containers").iter().map(|one| one.text("/name")).collect();
    assert_eq!(names, ["app", "istio-proxy"]);
}
