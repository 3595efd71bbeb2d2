//! What a pod is called, and its `/etc/hosts`, as a kubelet writes it.

use serde_json::Value;

use crate::sandbox::{api::object::Object, layout};

/// The longest host name; of a longer one this much is left.
const LONGEST: usize = 63;

/// A pod's own host name.
pub(super) fn hostname(pod: &Value) -> String {
    if pod["spec"]["hostNetwork"] == true {
        return pod.text("/spec/nodeName").to_owned();
    }
    if let Some(name) = pod.pointer("/spec/hostnameOverride").and_then(Value::as_str) {
        return name.to_owned();
    }
    let own = pod.text("/spec/hostname");
    let name = if own.is_empty() { pod.name() } else { own };
    // Names are ASCII.
    let name = name.get(..LONGEST.min(name.len())).unwrap_or(name);
    name.trim_end_matches(['-', '.']).to_owned()
}

/// What the pod's programs read in `/etc/hosts`.
pub(super) fn hosts(pod: &Value) -> String {
    let host = pod["spec"]["hostNetwork"] == true;
    let kind = if host { " (host network)" } else { "" };
    let mut text = format!(
        "# Kubernetes-managed hosts file{kind}.\n127.0.0.1\tlocalhost\n::1\tlocalhost \
         ip6-localhost ip6-loopback\nfe00::\tip6-localnet\nfe00::\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
    );
    let (name, subdomain) = (hostname(pod), pod.text("/spec/subdomain"));
    for address in pod.items("/status/podIPs").iter().map(|each| each.text("/ip")) {
        if subdomain.is_empty() || host {
            text.push_str(&format!("{address}\t{name}\n"));
        } else {
            let (namespace, domain) = (pod.namespace(), layout::CLUSTER_DOMAIN);
            text.push_str(&format!(
                "{address}\t{name}.{subdomain}.{namespace}.svc.{domain}\t{name}\n"
            ));
        }
    }
    let aliases = pod.items("/spec/hostAliases");
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let names: Vec<_> = alias.items("/hostnames").iter().filter_map(Value::as_str).collect();
        text.push_str(&format!("{}\t{}\n", alias.text("/ip"), names.join("\t")));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pods_hosts_are_itself_and_its_aliases() {
        let ips = json!([{"ip": "10.244.0.5"}, {"ip": "fd00::5"}]);
        for (message, spec, expected) in [
            ("by its name", json!({}), "10.244.0.5\tweb\nfd00::5\tweb\n"),
            (
                "in a subdomain",
                json!({"hostname": "one", "subdomain": "db"}),
                "10.244.0.5\tone.db.shop.svc.cluster.local\tone\n\
                 fd00::5\tone.db.shop.svc.cluster.local\tone\n",
            ),
            (
                "with aliases",
                json!({"hostAliases": [
                    {"ip": "10.1.2.3", "hostnames": ["a.example", "b"]},
                    {"ip": "::5"},
                ]}),
                "10.244.0.5\tweb\nfd00::5\tweb\n\n# Entries added by HostAliases.\n\
                 10.1.2.3\ta.example\tb\n::5\t\n",
            ),
        ] {
            let pod = json!({
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": spec, "status": {"podIPs": ips},
            });
            let text = hosts(&pod);
            assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
            assert!(text.ends_with(&format!("ip6-allrouters\n{expected}")), "{message}: {text}");
        }
    }

    #[test]
    fn a_host_name_is_cut_where_it_is_too_long() {
        let long = format!("{}-x", "a".repeat(62));
        for (name, spec, expected) in [
            ("web", json!({}), "web"),
            ("web", json!({"hostname": "one"}), "one"),
            (&*long, json!({}), &*"a".repeat(62)),
            ("web", json!({"hostNetwork": true, "nodeName": "node-1"}), "node-1"),
        ] {
            let pod = json!({"metadata": {"name": name}, "spec": spec});
            assert_eq!(hostname(&pod), expected, "{name} {spec}");
        }
    }
}
