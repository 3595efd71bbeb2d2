use std::collections::HashSet;

use serde_json::json;

use super::{made::slices, *};

fn pod(name: &str, last: u8, ready: bool, port: u16) -> Arc<Value> {
    let mut pod = json!({
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"nodeName": "node-1", "containers": [{"name": "c", "ports": [
            {"name": "http", "containerPort": port, "protocol": "TCP"},
        ]}]},
        "status": {"phase": "Running", "podIP": format!("10.0.0.{last}"), "podIPs": [
            {"ip": format!("10.0.0.{last}")}, {"ip": format!("fd00::{last}")},
        ]},
    });
    conditions::set(&mut pod, "Ready", ready, "", "");
    Arc::new(pod)
}

fn service() -> Value {
    json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "1"},
        "spec": {"selector": {"app": "web"}, "ipFamilies": ["IPv4"], "ports": [
            {"name": "main", "port": 80, "protocol": "TCP", "targetPort": "http"},
        ]},
    })
}

fn of(service: &Value, pods: &[Arc<Value>]) -> Vec<Value> {
    let zones = BTreeMap::from([("node-1".to_owned(), "here".to_owned())]);
    slices(service, &candidates(pods.to_vec()), &zones)
}

/// Where the Service leads; in brackets, what only stands in.
fn leads_to(slices: Vec<Value>) -> Vec<String> {
    let slices: Vec<_> = slices.into_iter().map(Arc::new).collect();
    let slices: Vec<_> = slices.iter().collect();
    let text = |entry: EndpointEntry| {
        let place = std::net::SocketAddr::from((entry.address, entry.port));
        if entry.ready { place.to_string() } else { format!("({place})") }
    };
    backends(&slices, "main").into_iter().map(text).collect()
}

#[test]
fn a_service_leads_to_its_ready_pods_each_by_its_own_port() {
    let pods = [pod("a", 1, true, 8080), pod("b", 2, true, 9090), pod("c", 3, false, 8080)];
    let slices = of(&service(), &pods);
    assert_eq!(slices.len(), 2, "two ways to map the port");
    assert_eq!(leads_to(slices), ["10.0.0.1:8080", "10.0.0.2:9090"]);
}

#[test]
fn each_family_has_slices_of_its_own() {
    let mut service = service();
    service["spec"]["ipFamilies"] = json!(["IPv6", "IPv4"]);
    service["spec"]["trafficDistribution"] = "PreferSameZone".into();
    let slices = of(&service, &[pod("a", 1, true, 8080)]);
    let kinds: Vec<_> = slices.iter().map(|slice| slice.text("/addressType")).collect();
    assert_eq!(kinds, ["IPv6", "IPv4"]);
    let names: HashSet<_> = slices.iter().map(Object::name).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let endpoint = &slices[0]["endpoints"][0];
    assert_eq!(endpoint["zone"], "here");
    assert_eq!(endpoint["hints"], json!({"forZones": [{"name": "here"}]}));
    assert_eq!(leads_to(slices), ["10.0.0.1:8080", "[fd00::1]:8080"]);
}

#[test]
fn many_endpoints_fill_several_slices() {
    let pods: Vec<_> = (0..=u8::MAX).map(|last| pod("p", last, true, 8080)).collect();
    let slices = of(&service(), &pods);
    let sizes: Vec<_> = slices.iter().map(|slice| slice.items("/endpoints").len()).collect();
    assert_eq!(sizes, [100, 100, 56]);
}

#[test]
fn published_addresses_need_not_be_ready() {
    let mut service = service();
    service["spec"]["publishNotReadyAddresses"] = true.into();
    let pods = [pod("c", 3, false, 8080)];
    assert_eq!(leads_to(of(&service, &pods)), ["10.0.0.3:8080"]);
}

#[test]
fn a_service_without_pods_has_an_empty_slice_and_leads_nowhere() {
    let slices = of(&service(), &[]);
    assert_eq!(slices.len(), 1);
    assert_eq!(leads_to(slices), [""; 0]);
}

#[test]
fn a_terminating_pod_only_stands_in() {
    let mut ending = Value::clone(&pod("a", 1, true, 8080));
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let pods = [Arc::new(ending), pod("b", 2, true, 8080)];
    assert_eq!(leads_to(of(&service(), &pods)), ["(10.0.0.1:8080)", "10.0.0.2:8080"]);
}
