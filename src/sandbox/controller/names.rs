//! What the cluster's DNS knows, and the pod that serves it.
//!
//! The names are worked out here from the store and sent to the server's standard input,
//! one line for each name that changes.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{kubelet::DNS_IMAGE, namespace::create, reconcile::reconcile};
use crate::sandbox::{
    api::{
        object::Object,
        resource::{DEPLOYMENTS, ENDPOINT_SLICES, EXTERNAL_HOSTS, NAMESPACES, SERVICES},
        store::{Event, Store},
    },
    dns::{Entry, Service, Update},
    layout::{self, IpFamily},
};

/// Every name with what it stands for. Names are in lower case, without a last dot.
pub type Zone = BTreeMap<String, Entry>;

/// The label of the DNS server's pods, and the name of the Service before them.
const APP: &str = "kube-dns";
const DOMAIN: &str = layout::CLUSTER_DOMAIN;
/// Where a slice names its Service.
const SERVICE_POINTER: &str = "/metadata/labels/kubernetes.io~1service-name";

/// Keeps the names in step with the store, and a DNS server running, until cancelled.
pub async fn name_everything(
    store: Arc<Store>,
    family: IpFamily,
    zone: watch::Sender<Arc<Zone>>,
    cancel: CancellationToken,
) {
    fn wanted(event: &Event) -> bool {
        [&SERVICES, &ENDPOINT_SLICES, &NAMESPACES, &EXTERNAL_HOSTS, &DEPLOYMENTS]
            .contains(&event.resource)
    }
    let service = json!({
        "metadata": {"name": APP, "labels": {
            "k8s-app": APP, "kubernetes.io/name": "CoreDNS",
            "kubernetes.io/cluster-service": "true",
        }},
        "spec": {
            "clusterIPs": layout::dns(family),
            "ipFamilyPolicy": "PreferDualStack",
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
        keep_servers(&store);
    })
    .await;
}

/// Makes the Deployment of the DNS servers where it isn't there.
fn keep_servers(store: &Store) {
    if store.get(&DEPLOYMENTS, "kube-system", "coredns").is_some() {
        return;
    }
    let labels = json!({"k8s-app": APP});
    let deployment = json!({
        "metadata": {"name": "coredns", "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {
                // It needs no names itself, and must not wait for any.
                "dnsPolicy": "Default",
                "terminationGracePeriodSeconds": 1,
                "priorityClassName": "system-cluster-critical",
                "tolerations": [{"operator": "Exists"}],
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
            }},
        },
    });
    create(store, &DEPLOYMENTS, "kube-system", deployment);
}

/// All names as they should be, as CoreDNS has them.
fn names(store: &Store) -> Zone {
    let ([services, slices, namespaces, hosts], _) =
        store.snapshot([&SERVICES, &ENDPOINT_SLICES, &NAMESPACES, &EXTERNAL_HOSTS]);
    let mut zone = Zone::new();
    let text = Some("1.1.0".to_owned());
    zone.insert(format!("dns-version.{DOMAIN}"), Entry { text, ..Entry::default() });
    for kind in ["svc", "pod"] {
        zone.entry(format!("{kind}.{DOMAIN}")).or_default();
    }
    for namespace in &namespaces {
        zone.entry(format!("{}.svc.{DOMAIN}", namespace.name())).or_default();
        zone.entry(format!("{}.pod.{DOMAIN}", namespace.name())).or_default().pods = true;
    }
    let mut by_service = BTreeMap::<(&str, &str), Vec<&Value>>::new();
    for slice in &slices {
        by_service.entry((slice.namespace(), slice.text(SERVICE_POINTER))).or_default().push(slice);
    }
    for service in &services {
        let name = format!("{}.{}.svc.{DOMAIN}", service.name(), service.namespace());
        let alias = service.text("/spec/externalName");
        if service.text("/spec/type") == "ExternalName" {
            let alias = Some(alias.trim_end_matches('.').to_lowercase());
            zone.insert(name, Entry { alias, ..Entry::default() });
            continue;
        }
        let slices = by_service.get(&(service.namespace(), service.name()));
        let slices = slices.map(Vec::as_slice).unwrap_or_default();
        let addresses = cluster_addresses(service);
        if !addresses.is_empty() {
            for port in service.items("/spec/ports") {
                offer(&mut zone, &name, port, &name, &addresses);
            }
            for address in &addresses {
                point(&mut zone, *address, &name);
            }
            if service.name() == APP && service.namespace() == "kube-system" {
                let server = zone.entry(format!("ns.dns.{DOMAIN}")).or_default();
                server.addresses.extend(addresses.iter().copied());
            }
            zone.entry(name.clone()).or_default().addresses.extend(addresses.iter().copied());
        }
        for slice in slices {
            endpoints(&mut zone, &name, slice, addresses.is_empty());
        }
    }
    for host in &hosts {
        let texts = |pointer| host.items(pointer).iter().filter_map(Value::as_str);
        for name in texts("/spec/names") {
            let name = name.trim_end_matches('.').to_lowercase();
            let parsed =
                texts("/spec/addresses").filter_map(|address| address.parse::<IpAddr>().ok());
            zone.entry(name).or_default().addresses.extend(parsed);
        }
    }
    zone
}

/// The addresses of a Service; none if it is headless.
fn cluster_addresses(service: &Value) -> Vec<IpAddr> {
    let listed = service.items("/spec/clusterIPs").iter().filter_map(Value::as_str);
    let addresses: Vec<_> = listed.filter_map(|address| address.parse().ok()).collect();
    if addresses.is_empty() {
        service.text("/spec/clusterIP").parse().into_iter().collect()
    } else {
        addresses
    }
}

/// The ready endpoints of a Service have names by which their addresses are known; of a
/// headless one they are also what its own name stands for.
fn endpoints(zone: &mut Zone, service: &str, slice: &Value, headless: bool) {
    let ready = slice.items("/endpoints").iter();
    for endpoint in ready.filter(|endpoint| endpoint["conditions"]["ready"] != false) {
        for address in endpoint.items("/addresses").iter().filter_map(Value::as_str) {
            let Ok(parsed) = address.parse::<IpAddr>() else { continue };
            let hostname = match endpoint.text("/hostname") {
                "" => address.replace(['.', ':'], "-"),
                hostname => hostname.to_lowercase(),
            };
            let own = format!("{hostname}.{service}");
            point(zone, parsed, &own);
            if headless {
                for port in slice.items("/ports") {
                    offer(zone, service, port, &own, &[parsed]);
                }
                zone.entry(own).or_default().addresses.insert(parsed);
                zone.entry(service.to_owned()).or_default().addresses.insert(parsed);
            }
        }
    }
}

/// A port with a name can be asked for; all ports can be by the Service's own name.
fn offer(zone: &mut Zone, service: &str, port: &Value, host: &str, addresses: &[IpAddr]) {
    let number = port.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let Some(number) = number else { return };
    let offered = Service { host: host.to_owned(), port: number };
    zone.entry(service.to_owned()).or_default().services.insert(offered.clone());
    let name = port.text("/name").to_lowercase();
    if !name.is_empty() {
        let protocol = port.text("/protocol").to_lowercase();
        let entry = zone.entry(format!("_{name}._{protocol}.{service}")).or_default();
        entry.services.insert(offered);
        entry.addresses.extend(addresses);
    }
}

/// An address leads back to a name. Services come first, and then their endpoints don't
/// share the address.
fn point(zone: &mut Zone, address: IpAddr, to: &str) {
    let reversed = match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let digits = address.octets().iter().rev().fold(String::new(), |text, octet| {
                text + &format!("{:x}.{:x}.", octet & 0xf, octet >> 4)
            });
            format!("{digits}ip6.arpa")
        }
    };
    zone.entry(reversed).or_default().pointers.insert(to.to_owned());
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

    fn written(entry: &Entry) -> String {
        let addresses = entry.addresses.iter().map(IpAddr::to_string);
        let services = entry.services.iter().map(|one| format!("{}:{}", one.host, one.port));
        let pointers = entry.pointers.iter().map(|one| format!("<{one}>"));
        let alias = entry.alias.iter().map(|one| format!("={one}"));
        let pods = entry.pods.then(|| "pods".to_owned());
        let text = entry.text.clone();
        let all: Vec<_> = addresses
            .chain(services)
            .chain(pointers)
            .chain(alias)
            .chain(pods)
            .chain(text)
            .collect();
        all.join(" ")
    }

    #[test]
    fn services_endpoints_and_hosts_have_names() {
        let store = Store::new();
        store.write(|writer| {
            writer.put(&NAMESPACES, json!({"metadata": {"name": "shop"}}));
            for (name, spec) in [
                (
                    "web",
                    json!({"clusterIPs": ["10.96.0.20", "fd00:10:96::20"], "ports": [
                        {"name": "http", "port": 80, "protocol": "TCP"},
                    ]}),
                ),
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
                    "metadata": {"name": "db-1", "namespace": "shop", "labels": {
                        "kubernetes.io/service-name": "db",
                    }},
                    "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
                    "endpoints": [
                        {"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "hostname": "db-0"},
                        {"addresses": ["10.0.0.2"], "conditions": {"ready": false}},
                        {"addresses": ["10.0.0.3"], "conditions": {}},
                    ],
                }),
            );
            let spec = json!({"addresses": ["192.0.2.1", "2001:db8::1"], "names": ["Api.Example.com"]});
            writer.put(&EXTERNAL_HOSTS, json!({"metadata": {"name": "api"}, "spec": spec}));
        });
        let found: Vec<_> = names(&store)
            .iter()
            .map(|(name, entry)| format!("{name}: {}", written(entry)))
            .collect();
        let web = "web.shop.svc.cluster.local";
        let six = format!("0.2.{}6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa", "0.".repeat(18));
        assert_eq!(
            found,
            [
                format!("{six}: <{web}>"),
                "1.0.0.10.in-addr.arpa: <db-0.db.shop.svc.cluster.local>".to_owned(),
                "10-0-0-3.db.shop.svc.cluster.local: 10.0.0.3".to_owned(),
                format!("20.0.96.10.in-addr.arpa: <{web}>"),
                "3.0.0.10.in-addr.arpa: <10-0-0-3.db.shop.svc.cluster.local>".to_owned(),
                format!("_http._tcp.{web}: 10.96.0.20 fd00:10:96::20 {web}:80"),
                "_sql._tcp.db.shop.svc.cluster.local: 10.0.0.1 10.0.0.3 \
                 10-0-0-3.db.shop.svc.cluster.local:5432 db-0.db.shop.svc.cluster.local:5432"
                    .to_owned(),
                "api.example.com: 192.0.2.1 2001:db8::1".to_owned(),
                "db-0.db.shop.svc.cluster.local: 10.0.0.1".to_owned(),
                "db.shop.svc.cluster.local: 10.0.0.1 10.0.0.3 \
                 10-0-0-3.db.shop.svc.cluster.local:5432 db-0.db.shop.svc.cluster.local:5432"
                    .to_owned(),
                "dns-version.cluster.local: 1.1.0".to_owned(),
                "out.shop.svc.cluster.local: =example.com".to_owned(),
                "pod.cluster.local: ".to_owned(),
                "shop.pod.cluster.local: pods".to_owned(),
                "shop.svc.cluster.local: ".to_owned(),
                "svc.cluster.local: ".to_owned(),
                format!("{web}: 10.96.0.20 fd00:10:96::20 {web}:80"),
            ]
        );
    }

    #[test]
    fn only_changes_are_told() {
        let entry = |address: &str| Entry {
            addresses: [address.parse().expect("an address")].into(),
            ..Entry::default()
        };
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
