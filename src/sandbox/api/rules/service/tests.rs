use serde_json::{Value, json};

use super::*;
use crate::sandbox::{
    api::{
        resource::SERVICE_CIDRS,
        store::Store,
        write::{self, WriteOptions},
    },
    layout::{self, IpFamily},
};

fn store(family: IpFamily) -> Store {
    let store = Store::new();
    store.write(|writer| {
        let ranges = json!({"metadata": {"name": layout::SERVICE_CIDR}, "spec": {"cidrs": layout::services(family)}});
        writer.put(&SERVICE_CIDRS, ranges);
        writer.put(&super::super::super::resource::NAMESPACES, json!({"metadata": {"name": "shop"}}));
    });
    store
}

fn create(store: &Store, name: &str, spec: Value) -> Result<Value, String> {
    let mut object = json!({"metadata": {"name": name}, "spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}});
    for (key, value) in spec.as_object().expect("an object") {
        object["spec"][key] = value.clone();
    }
    write::create(store, &SERVICES, "shop", object, &WriteOptions::default())
        .map(|written| Value::clone(&written.object))
        .map_err(|failure| failure.message)
}

fn families(service: &Value) -> String {
    let list = |pointer| texts(service, pointer).join(" ");
    format!(
        "{}: {} = {}",
        service.text("/spec/ipFamilyPolicy"),
        list("/spec/ipFamilies"),
        list("/spec/clusterIPs")
    )
}

#[test]
fn families_and_addresses_follow_policy_and_cluster() {
    for (family, spec, expected) in [
        (IpFamily::Dual, json!({}), Ok("SingleStack: IPv4 = 10.96.0.17")),
        (
            IpFamily::Dual,
            json!({"ipFamilyPolicy": "PreferDualStack"}),
            Ok("PreferDualStack: IPv4 IPv6 = 10.96.0.17 fd00:10:96::11"),
        ),
        (
            IpFamily::Dual,
            json!({"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6"]}),
            Ok("RequireDualStack: IPv6 IPv4 = fd00:10:96::11 10.96.0.17"),
        ),
        (IpFamily::Dual, json!({"ipFamilies": ["IPv6"]}), Ok("SingleStack: IPv6 = fd00:10:96::11")),
        (
            IpFamily::Dual,
            json!({"clusterIP": "fd00:10:96::77"}),
            Ok("SingleStack: IPv6 = fd00:10:96::77"),
        ),
        (IpFamily::Dual, json!({"clusterIP": "None"}), Ok("SingleStack: IPv4 = None")),
        (
            IpFamily::Ipv4,
            json!({"clusterIP": "None", "selector": {}}),
            Ok("RequireDualStack: IPv4 IPv6 = None"),
        ),
        (IpFamily::Ipv6, json!({}), Ok("SingleStack: IPv6 = fd00:10:96::11")),
        (
            IpFamily::Ipv4,
            json!({"ipFamilyPolicy": "PreferDualStack"}),
            Ok("PreferDualStack: IPv4 = 10.96.0.17"),
        ),
        (
            IpFamily::Ipv4,
            json!({"ipFamilyPolicy": "RequireDualStack"}),
            Err(
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services",
            ),
        ),
        (
            IpFamily::Ipv4,
            json!({"ipFamilies": ["IPv6"]}),
            Err("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
        ),
        (
            IpFamily::Dual,
            json!({"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "SingleStack"}),
            Err(
                "spec.ipFamilyPolicy: Invalid value: \"SingleStack\": must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified",
            ),
        ),
        (
            IpFamily::Dual,
            json!({"ipFamilies": ["IPv5"]}),
            Err(
                "spec.ipFamilies[0]: Unsupported value: \"IPv5\": supported values: \"IPv4\", \"IPv6\"",
            ),
        ),
        (
            IpFamily::Dual,
            json!({"clusterIP": "10.97.0.1"}),
            Err(
                "spec.clusterIPs: Invalid value: [\"10.97.0.1\"]: failed to allocate IP 10.97.0.1: the provided IP (10.97.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16",
            ),
        ),
    ] {
        let found = create(&store(family), "web", spec.clone()).map(|service| families(&service));
        let expected = expected
            .map(str::to_owned)
            .map_err(|message| format!("Service \"web\" is invalid: {message}"));
        assert_eq!(found, expected, "{family} {spec}");
    }
}

#[test]
fn node_ports_are_given_once() {
    let store = store(IpFamily::Dual);
    let spec = |port: u32| {
        json!({"type": "NodePort", "ports": [
            {"name": "a", "port": 80, "nodePort": port}, {"name": "b", "port": 53},
            {"name": "c", "port": 53, "protocol": "UDP"},
        ]})
    };
    let first = create(&store, "first", spec(30_080)).expect("free");
    let given: Vec<_> =
        first.items("/spec/ports").iter().map(|port| port["nodePort"].as_u64()).collect();
    assert_eq!(given[0], Some(30_080));
    assert!((30_000..=32_767).contains(&given[1].expect("a port")), "{given:?}");
    assert_eq!(given[1], given[2], "one number for both transports");
    for (port, message) in [
        (30_080, "provided port is already allocated"),
        (80, "provided port is not in the valid range. The range of valid ports is 30000-32767"),
    ] {
        let error = create(&store, "second", spec(port)).expect_err(message);
        assert!(error.ends_with(message), "{error}");
        assert!(error.contains("spec.ports[0].nodePort: Invalid value"), "{error}");
    }
}

#[test]
fn what_a_service_may_not_say() {
    for (spec, expected) in [
        (json!({"ports": []}), "spec.ports: Required value"),
        (
            json!({"type": "NodePort", "clusterIP": "None"}),
            "spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services",
        ),
        (
            json!({"ports": [{"port": 80, "nodePort": 30_000}]}),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
        ),
        (
            json!({"externalTrafficPolicy": "Local"}),
            "spec.externalTrafficPolicy: Invalid value: \"Local\": may only be set for externally-accessible services",
        ),
        (json!({"type": "ExternalName"}), "spec.externalName: Required value"),
        (
            json!({"sessionAffinity": "Client"}),
            "spec.sessionAffinity: Unsupported value: \"Client\": supported values: \"ClientIP\", \"None\"",
        ),
        (
            json!({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 90_000}}}),
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000: must be greater than 0 and less than 86400",
        ),
        (
            json!({"externalIPs": ["127.0.0.1"]}),
            "spec.externalIPs[0]: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (
            json!({"ports": [{"port": 80, "targetPort": 70_000}]}),
            "spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
    ] {
        let error = create(&store(IpFamily::Dual), "web", spec.clone()).expect_err(expected);
        assert_eq!(error, format!("Service \"web\" is invalid: {expected}"), "{spec}");
    }
}

#[test]
fn an_update_keeps_what_it_leaves_out_and_can_add_a_family() {
    let store = store(IpFamily::Dual);
    let web = create(&store, "web", json!({"type": "NodePort"})).expect("valid");
    let replaced = |change: &dyn Fn(&mut Value)| {
        let mut object = web.clone();
        change(&mut object);
        store.write(|writer| {
            allocate(writer, &mut object, Some(&web))
                .map(|()| object)
                .map_err(|failure| failure.message)
        })
    };
    let without = replaced(&|object| {
        let spec = object.section_mut("spec");
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            spec.remove(field);
        }
        object["spec"]["ports"][0].as_object_mut().expect("a port").remove("nodePort");
    });
    assert_eq!(without.as_ref(), Ok(&web), "all is as it was");
    let dual = replaced(&|object| object["spec"]["ipFamilyPolicy"] = "RequireDualStack".into());
    let dual = families(&dual.expect("an upgrade"));
    assert_eq!(dual, "RequireDualStack: IPv4 IPv6 = 10.96.0.17 fd00:10:96::11");
    let other = replaced(&|object| object["spec"]["clusterIP"] = "10.96.0.99".into());
    let error = other.expect_err("immutable");
    assert!(error.ends_with("may not change once set"), "{error}");
    let plain = replaced(&|object| object["spec"]["type"] = "ClusterIP".into()).expect("valid");
    assert_eq!(plain["spec"]["ports"][0].get("nodePort"), None, "a ClusterIP has no node port");
    assert_eq!(plain["spec"].get("externalTrafficPolicy"), None);
}
