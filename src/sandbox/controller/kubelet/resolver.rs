//! A pod's resolver settings.

use serde_json::Value;

use crate::sandbox::{
    api::{object::Object, resource::SERVICES, store::Store},
    layout,
};

/// What the pod's programs read in `/etc/resolv.conf`.
pub(super) fn resolv_conf(store: &Store, pod: &Value) -> String {
    let domain = layout::CLUSTER_DOMAIN;
    let mut servers: Vec<String> = Vec::new();
    let mut searches: Vec<String> = Vec::new();
    let mut options: Vec<String> = Vec::new();
    let policy = pod.text("/spec/dnsPolicy");
    let host = pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true));
    // Nodes have no resolver of their own: `Default` is a pod without names.
    if policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !host) {
        // As a kubelet's `clusterDNS` has it: one address, of the cluster's first family.
        let service = store.get(&SERVICES, "kube-system", "kube-dns");
        let address = service.as_ref().map(|service| service.text("/spec/clusterIP").to_owned());
        servers.push(address.unwrap_or_else(|| layout::DNS.to_string()));
        searches.push(format!("{}.svc.{domain}", pod.namespace()));
        searches.push(format!("svc.{domain}"));
        searches.push(domain.to_owned());
        options.push("ndots:5".to_owned());
    }
    let texts = |pointer: &str| {
        let items = pod.items(pointer).iter();
        items.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    servers.extend(texts("/spec/dnsConfig/nameservers"));
    searches.extend(texts("/spec/dnsConfig/searches"));
    for option in pod.items("/spec/dnsConfig/options") {
        let name = option.text("/name");
        options.retain(|known| known.split(':').next() != Some(name));
        options.push(match option.text("/value") {
            "" => name.to_owned(),
            value => format!("{name}:{value}"),
        });
    }
    let mut text = String::new();
    for server in servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !searches.is_empty() {
        text.push_str(&format!("search {}\n", searches.join(" ")));
    }
    if !options.is_empty() {
        text.push_str(&format!("options {}\n", options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resolver_settings_follow_the_dns_policy() {
        let pod = |spec: Value| json!({"metadata": {"namespace": "shop"}, "spec": spec});
        for (spec, expected) in [
            (
                json!({"dnsPolicy": "ClusterFirst"}),
                "nameserver 10.96.0.10\nsearch shop.svc.cluster.local svc.cluster.local \
                 cluster.local\noptions ndots:5\n",
            ),
            (json!({"dnsPolicy": "Default"}), ""),
            (
                json!({"dnsPolicy": "None", "dnsConfig": {
                    "nameservers": ["10.0.0.1"], "searches": ["example.com"],
                    "options": [{"name": "ndots", "value": "2"}, {"name": "rotate"}],
                }}),
                "nameserver 10.0.0.1\nsearch example.com\noptions ndots:2 rotate\n",
            ),
        ] {
            assert_eq!(resolv_conf(&Store::new(), &pod(spec.clone())), expected, "{spec}");
        }
    }
}
