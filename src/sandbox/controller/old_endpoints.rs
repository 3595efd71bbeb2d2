//! Endpoints: what endpoint slices say of a Service, for clients that don't know slices.
//!
//! As in a real cluster they speak of one address family, name at most a thousand
//! addresses, and are made only for Services with a selector.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    endpoints::SERVICE_LABEL,
    events::Recorder,
    worker::{self, Again, Controller, Key},
    workload::Hands,
};
use crate::sandbox::api::{
    failure::Failure,
    object::Object,
    resource::{ENDPOINT_SLICES, ENDPOINTS, Resource, SERVICES},
    store::{Change, Event, Store},
    write::Part,
};

/// The label of the objects that this controller keeps.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
/// The annotation of an object that names only some of the addresses.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// How many addresses an object names.
const LIMIT: usize = 1000;

/// Keeps Endpoints in step with the slices until cancelled.
pub async fn mirror_endpoints(store: Arc<Store>, cancel: CancellationToken) {
    let hands = Hands { store: Arc::clone(&store), events: Recorder::deaf() };
    worker::run(store, Mirror { hands }, cancel).await;
}

struct Mirror {
    hands: Hands,
}

impl Controller for Mirror {
    fn kinds(&self) -> Vec<&'static Resource> {
        vec![&SERVICES]
    }

    fn concerns(&self, event: &Event, add: &mut dyn FnMut(Key)) {
        if event.resource == &SERVICES {
            add(Key::of(&event.object));
        } else if event.resource == &ENDPOINT_SLICES {
            let service = event.object["metadata"]["labels"][SERVICE_LABEL].as_str();
            if let Some(service) = service {
                let namespace = event.object.namespace().to_owned();
                add(Key::Object(namespace, service.to_owned()));
            }
        } else if event.resource == &ENDPOINTS && event.change == Change::Deleted {
            add(Key::of(&event.object));
        }
    }

    fn sync(&self, key: &Key) -> Result<Again, Failure> {
        let (Key::Object(namespace, name) | Key::Orphan(namespace, name)) = key;
        let store = &self.hands.store;
        let before = store.get(&ENDPOINTS, namespace, name);
        let service = store.get(&SERVICES, namespace, name);
        let Some(service) = service.filter(|service| selects(service) && !service.is_deleting())
        else {
            if let Some(before) = before
                && before["metadata"]["labels"][MANAGED_BY] == MANAGER
            {
                let propagation = crate::sandbox::api::delete::Propagation::Background;
                self.hands.delete(&ENDPOINTS, &before, propagation)?;
            }
            return Ok(None);
        };
        let mut slices = store.list(&ENDPOINT_SLICES, Some(namespace)).0;
        slices.retain(|slice| {
            slice["metadata"]["labels"][SERVICE_LABEL] == name.as_str() && is_first(&service, slice)
        });
        let (subsets, over) = subsets(&slices);
        let mut labels = service.labels();
        labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
        if service["spec"]["clusterIP"] == "None" {
            labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
        }
        let fill = |object: &mut Value| {
            object.metadata_mut().insert("labels".into(), json!(labels));
            if over {
                super::workload::mark(object, "annotations", OVER_CAPACITY, "truncated");
            }
            if let Some(map) = object.as_object_mut() {
                if subsets.is_empty() {
                    map.remove("subsets");
                } else {
                    map.insert("subsets".into(), subsets.clone().into());
                }
            }
        };
        match before {
            Some(before) => {
                self.hands.update(&ENDPOINTS, &before, Part::Main, fill)?;
            }
            None => {
                let mut object = json!({"metadata": {"name": name}});
                fill(&mut object);
                self.hands.create(&ENDPOINTS, namespace, object)?;
            }
        }
        Ok(None)
    }
}

fn selects(service: &Value) -> bool {
    let selector = service["spec"]["selector"].as_object();
    selector.is_some_and(|selector| !selector.is_empty())
        && service["spec"]["type"] != "ExternalName"
}

/// Whether a slice is of the Service's first address family.
fn is_first(service: &Value, slice: &Value) -> bool {
    let first = service["spec"]["ipFamilies"][0].as_str().unwrap_or("IPv4");
    slice["addressType"] == first
}

/// The addresses by their ports, each ready or not; and whether there were too many.
fn subsets(slices: &[Arc<Value>]) -> (Vec<Value>, bool) {
    // Ports as text, so that they can be compared; then ready and unready addresses.
    let mut groups = BTreeMap::<String, (Vec<Value>, [BTreeMap<String, Value>; 2])>::new();
    let mut count = 0;
    let mut seen = BTreeSet::new();
    for slice in slices {
        let mut ports: Vec<_> = slice
            .items("/ports")
            .iter()
            .map(|port| {
                let mut port = port.clone();
                if let Some(map) = port.as_object_mut() {
                    // A port without a name has none here.
                    map.retain(|_, value| !value.is_null() && value != "");
                }
                port
            })
            .collect();
        ports.sort_by_key(Value::to_string);
        let key = json!(ports).to_string();
        for endpoint in slice.items("/endpoints") {
            if endpoint["conditions"]["terminating"] == true
                && endpoint["conditions"]["ready"] != true
            {
                continue;
            }
            for address in endpoint.items("/addresses").iter().filter_map(Value::as_str) {
                if !seen.insert((key.clone(), address.to_owned())) {
                    continue;
                }
                count += 1;
                if count > LIMIT {
                    continue;
                }
                let mut entry = json!({"ip": address});
                for field in ["hostname", "nodeName", "targetRef"] {
                    if let Some(value) = endpoint.get(field) {
                        entry[field] = value.clone();
                    }
                }
                let unready = usize::from(endpoint["conditions"]["ready"] == false);
                let group = groups
                    .entry(key.clone())
                    .or_insert_with(|| (ports.clone(), Default::default()));
                group.1[unready].insert(address.to_owned(), entry);
            }
        }
    }
    let subsets = groups.into_values().map(|(ports, [ready, unready])| {
        let mut subset = json!({});
        for (field, entries) in [("addresses", ready), ("notReadyAddresses", unready)] {
            if !entries.is_empty() {
                subset[field] = entries.into_values().collect();
            }
        }
        if !ports.is_empty() {
            subset["ports"] = ports.into();
        }
        subset
    });
    (subsets.collect(), count > LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_grouped_by_ports_and_readiness() {
        let slice = |port: u16, endpoints: Value| {
            Arc::new(json!({
                "addressType": "IPv4", "ports": [{"name": "", "port": port, "protocol": "TCP"}],
                "endpoints": endpoints,
            }))
        };
        let endpoint = |address: &str, ready: bool| json!({"addresses": [address], "conditions": {"ready": ready}, "nodeName": "n"});
        let (found, over) = subsets(&[
            slice(80, json!([endpoint("10.0.0.2", true), endpoint("10.0.0.1", false)])),
            slice(90, json!([endpoint("10.0.0.3", true)])),
        ]);
        assert!(!over);
        assert_eq!(
            found,
            [
                json!({
                    "addresses": [{"ip": "10.0.0.2", "nodeName": "n"}],
                    "notReadyAddresses": [{"ip": "10.0.0.1", "nodeName": "n"}],
                    "ports": [{"port": 80, "protocol": "TCP"}],
                }),
                json!({
                    "addresses": [{"ip": "10.0.0.3", "nodeName": "n"}],
                    "ports": [{"port": 90, "protocol": "TCP"}],
                }),
            ]
        );
        let many = (0..1001).map(|n| endpoint(&format!("10.1.{}.{}", n / 250, n % 250), true));
        let (found, over) = subsets(&[slice(80, many.collect())]);
        assert!(over && found[0].items("/addresses").len() == LIMIT);
    }
}
