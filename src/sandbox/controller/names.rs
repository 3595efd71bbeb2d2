//! What the cluster's DNS knows, and the pod that serves it.
//!
//! The names are worked out here from the store and sent to the server's standard input,
//! one line for each name that changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    endpoints::SERVICE_LABEL, kubelet::DNS_IMAGE, namespace::create, reconcile::reconcile,
};
use crate::sandbox::{
    api::{
        object::Object,
        resource::{ENDPOINT_SLICES, EXTERNAL_HOSTS, PODS, SERVICES},
        store::{Event, Store},
    },
    dns::{Entry, Update},
    layout,
};

/// Every name with what it stands for. Names are in lower case, without a last dot.
pub type Zone = BTreeMap<String, Entry>;

/// The label of the DNS server's pod.
const APP: &str = "kube-dns";

/// Keeps the names in step with the store, and a DNS server running, until cancelled.
pub async fn name_everything(
    store: Arc<Store>,
    zone: watch::Sender<Arc<Zone>>,
    cancel: CancellationToken,
) {
    fn wanted(event: &Event) -> bool {
        [&SERVICES, &ENDPOINT_SLICES, &PODS, &EXTERNAL_HOSTS].contains(&event.resource)
    }
    let service = json!({
        "metadata": {"name": APP, "labels": {"k8s-app": APP}},
        "spec": {
            "clusterIP": layout::DNS,
            "selector": {"k8s-app": APP},
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    });
    create(&store, &SERVICES, "kube-system", service);
    let signal = store.signal(wanted);
    reconcile(signal, cancel, || {
        let new = names(&store);
        zone.send_if_modified(|zone| {
            let changed = **zone != new;
            if changed {
                *zone = Arc::new(new);
            }
            changed
        });
        keep_server(&store);
    })
    .await;
}

/// Starts a DNS server where none runs.
fn keep_server(store: &Store) {
    let (pods, _) = store.list(&PODS, Some("kube-system"));
    let runs = pods.iter().any(|pod| {
        let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        pod.text("/metadata/labels/k8s-app") == APP && !pod.is_deleting() && !ended
    });
    if runs {
        return;
    }
    let pod = json!({
        "metadata": {"generateName": "coredns-", "labels": {"k8s-app": APP}},
        "spec": {
            // It needs no names itself, and must not wait for any.
            "dnsPolicy": "Default",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"sysctls": [
                {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"},
            ]},
            "containers": [{
                "name": "coredns",
                "image": DNS_IMAGE,
                "ports": [
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                ],
                // The server takes datagrams before it takes connections.
                "readinessProbe": {"tcpSocket": {"port": "dns-tcp"}},
            }],
        },
    });
    create(store, &PODS, "kube-system", pod);
}

/// All names as they should be.
fn names(store: &Store) -> Zone {
    let ([services, slices, pods, hosts], _) =
        store.snapshot([&SERVICES, &ENDPOINT_SLICES, &PODS, &EXTERNAL_HOSTS]);
    let domain = layout::CLUSTER_DOMAIN;
    let mut addresses = BTreeMap::<String, BTreeSet<IpAddr>>::new();
    let mut zone = Zone::new();
    for service in &services {
        let name = format!("{}.{}.svc.{domain}", service.name(), service.namespace());
        let alias = service.text("/spec/externalName");
        if service.text("/spec/type") == "ExternalName" {
            zone.insert(name, Entry::Alias(alias.trim_end_matches('.').to_lowercase()));
        } else if let Ok(address) = service.text("/spec/clusterIP").parse() {
            addresses.entry(name).or_default().insert(address);
        } else {
            // Headless: the pods themselves. The name exists also without any.
            let known = addresses.entry(name.clone()).or_default();
            let mut named = Vec::new();
            for (hostname, address) in endpoints(service, &slices) {
                known.insert(address);
                named.extend(hostname.map(|hostname| (format!("{hostname}.{name}"), address)));
            }
            for (name, address) in named {
                addresses.entry(name).or_default().insert(address);
            }
        }
    }
    for pod in &pods {
        let address = pod.text("/status/podIP");
        let ended = matches!(pod.text("/status/phase"), "Succeeded" | "Failed");
        if let (false, Ok(parsed)) = (ended, address.parse()) {
            let dashed = address.replace(['.', ':'], "-");
            let name = format!("{dashed}.{}.pod.{domain}", pod.namespace());
            addresses.entry(name).or_default().insert(parsed);
        }
    }
    for host in &hosts {
        let texts = |pointer| host.items(pointer).iter().filter_map(Value::as_str);
        for name in texts("/spec/names") {
            let name = name.trim_end_matches('.').to_lowercase();
            let parsed =
                texts("/spec/addresses").filter_map(|address| address.parse::<IpAddr>().ok());
            addresses.entry(name).or_default().extend(parsed);
        }
    }
    zone.extend(
        addresses
            .into_iter()
            .map(|(name, addresses)| (name, Entry::Addresses(addresses.into_iter().collect()))),
    );
    zone
}

/// The ready endpoints of a Service, with the name of each that has one.
fn endpoints(service: &Value, slices: &[Arc<Value>]) -> Vec<(Option<String>, IpAddr)> {
    let own = slices.iter().filter(|slice| {
        slice.namespace() == service.namespace()
            && slice.labels().get(SERVICE_LABEL).is_some_and(|name| name == service.name())
    });
    own.flat_map(|slice| slice.items("/endpoints"))
        .filter(|endpoint| endpoint["conditions"]["ready"] != false)
        .flat_map(|endpoint| {
            let hostname = endpoint["hostname"].as_str().map(str::to_owned);
            let addresses = endpoint.items("/addresses").iter();
            addresses.filter_map(move |address| {
                Some((hostname.clone(), address.as_str()?.parse().ok()?))
            })
        })
        .collect()
}

/// Tells a DNS server all names and then each change, until it no longer listens.
pub(super) async fn feed(mut stdin: ChildStdin, mut zone: watch::Receiver<Arc<Zone>>) {
    let mut told = Arc::new(Zone::new());
    loop {
        let now = Arc::clone(&zone.borrow_and_update());
        let mut text = String::new();
        for update in updates(&told, &now) {
            // Such a value can always be written.
            if let Ok(line) = serde_json::to_string(&update) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        // The server begins with the first line, and so not before all names are there.
        if stdin.write_all(text.as_bytes()).await.is_err() || stdin.flush().await.is_err() {
            return;
        }
        told = now;
        if zone.changed().await.is_err() {
            return;
        }
    }
}

fn updates(before: &Zone, after: &Zone) -> Vec<Update> {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    let gone = gone.map(|name| Update { name: name.clone(), entry: None });
    let new = after.iter().filter(|(name, entry)| before.get(*name) != Some(entry));
    let new = new.map(|(name, entry)| Update { name: name.clone(), entry: Some(entry.clone()) });
    gone.chain(new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_pods_and_hosts_have_names() {
        let store = Store::new();
        store.write(|writer| {
            for (name, spec) in [
                ("web", json!({"clusterIP": "10.96.0.20"})),
                ("db", json!({"clusterIP": "None"})),
                ("empty", json!({"clusterIP": "None"})),
                ("out", json!({"type": "ExternalName", "externalName": "Example.com."})),
            ] {
                let metadata = json!({"name": name, "namespace": "shop"});
                writer.put(&SERVICES, json!({"metadata": metadata, "spec": spec}));
            }
            writer.put(
                &ENDPOINT_SLICES,
                json!({
                    "metadata": {
                        "name": "db-1", "namespace": "shop", "labels": {SERVICE_LABEL: "db"},
                    },
                    "endpoints": [
                        {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "hostname": "db-0"},
                        {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
                    ],
                }),
            );
            let metadata = json!({"name": "p", "namespace": "shop"});
            writer.put(&PODS, json!({"metadata": metadata, "status": {"podIP": "10.0.0.1"}}));
            let spec = json!({"addresses": ["192.0.2.1", "192.0.2.2"], "names": ["Api.Example.com"]});
            writer.put(&EXTERNAL_HOSTS, json!({"metadata": {"name": "api"}, "spec": spec}));
        });
        let found: Vec<_> =
            names(&store).into_iter().map(|(name, entry)| format!("{name} {entry:?}")).collect();
        assert_eq!(
            found,
            [
                "10-0-0-1.shop.pod.cluster.local Addresses([10.0.0.1])",
                "api.example.com Addresses([192.0.2.1, 192.0.2.2])",
                "db-0.db.shop.svc.cluster.local Addresses([10.0.0.1])",
                "db.shop.svc.cluster.local Addresses([10.0.0.1])",
                "empty.shop.svc.cluster.local Addresses([])",
                "out.shop.svc.cluster.local Alias(\"example.com\")",
                "web.shop.svc.cluster.local Addresses([10.96.0.20])",
            ]
        );
    }

    #[test]
    fn only_changes_are_told() {
        let entry = |address: &str| Entry::Addresses(vec![address.parse().expect("an address")]);
        let before = Zone::from([
            ("same".into(), entry("10.0.0.1")),
            ("other".into(), entry("10.0.0.1")),
            ("gone".into(), entry("10.0.0.1")),
        ]);
        let after = Zone::from([
            ("same".into(), entry("10.0.0.1")),
            ("other".into(), entry("10.0.0.2")),
            ("new".into(), entry("10.0.0.3")),
        ]);
        let told: Vec<_> = updates(&before, &after)
            .into_iter()
            .map(|update| (update.name, update.entry.is_some()))
            .collect();
        assert_eq!(
            told,
            [("gone".into(), false), ("new".to_owned(), true), ("other".to_owned(), true)]
        );
    }
}
