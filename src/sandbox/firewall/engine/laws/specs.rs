//! What policies may say.

use serde_json::json;

/// How many texts there are for NetworkPolicies.
pub(super) const SPECS: u8 = 10;

pub(super) fn spec(which: u8) -> serde_json::Value {
    let label = |value: u8| json!({"matchLabels": {"app": value.to_string()}});
    match which {
        0 => json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}),
        1 => json!({"podSelector": label(0), "ingress": [{}]}),
        2 => json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": label(1)}]}]}),
        3 => json!({"podSelector": label(1), "ingress": [
            {"from": [{"namespaceSelector": label(0)}], "ports": [{"port": "main"}]}]}),
        4 => json!({"podSelector": label(2), "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {}, "podSelector": label(0)}],
             "ports": [{"port": "main"}, {"port": 80, "endPort": 90, "protocol": "UDP"}]}]}),
        5 => json!({"podSelector": {}, "egress": [
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.3/32"]}},
                    {"ipBlock": {"cidr": "fd00::/16"}}, {"podSelector": label(2)}]},
            {"ports": [{"port": "main"}]}]}),
        6 => json!({"podSelector": label(0), "ingress": [{"ports": [{"port": "main"}]}],
                    "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]}),
        7 => {
            json!({"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["0"]}]},
                    "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ports": [{"port": "main"}]}]})
        }
        8 => {
            json!({"podSelector": label(1), "ingress": [{"from": [{"namespaceSelector": label(1), "podSelector": {}}]}]})
        }
        _ => json!({}),
    }
}

/// How many texts there are for policies of the cluster.
pub(super) const CLUSTER_SPECS: u8 = 6;

pub(super) fn cluster_spec(which: u8, priority: u8) -> serde_json::Value {
    let label = |value: u8| json!({"matchLabels": {"app": value.to_string()}});
    let mut spec = match which {
        0 => json!({"tier": "Admin", "subject": {"namespaces": {}}, "ingress": [
            {"action": "Deny", "from": [{"namespaces": label(0)}]}]}),
        1 => json!({"tier": "Baseline", "subject": {"namespaces": label(1)}, "egress": [
            {"action": "Pass", "to": [{"nodes": label(0)}, {"networks": ["10.0.0.4/30", "fd00::/16"]}]},
            {"name": "x", "action": "Accept", "to": [{"domainNames": ["*.example.com"]}]},
            {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}]}),
        2 => json!({"tier": "Admin",
            "subject": {"pods": {"namespaceSelector": {}, "podSelector": label(1)}},
            "ingress": [{"action": "Pass", "from": [{"namespaces": {}}],
                "protocols": [{"destinationNamedPort": "main"}]}],
            "egress": [{"action": "Accept", "to": [{"pods": {"podSelector": label(2)}}],
                "protocols": [{"destinationNamedPort": "main"},
                    {"udp": {"destinationPort": {"range": {"start": 1, "end": 99}}}}]}]}),
        3 => json!({"tier": "Baseline", "subject": {"namespaces": label(2)},
            "ingress": [{"action": "Deny", "from": [{}]}, {"action": "Accept", "from": [{}]}],
            "egress": [{"action": "Deny", "to": [{"namespaces": {}}],
                "protocols": [{"sctp": {"destinationPort": {"number": 80}}}]}]}),
        4 => json!({"tier": "Admin", "subject": {"namespaces": label(0)}}),
        _ => json!({"tier": "Admin", "subject": {"namespaces": label(0)}, "egress": [
            {"action": "Deny", "to": [{"nodes": {}}]}]}),
    };
    spec["priority"] = priority.into();
    spec
}
