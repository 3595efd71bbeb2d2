//! The definition of ClusterNetworkPolicies, which a cluster has from the start whose CNI
//! enforces them. The fields, limits and rules are those of the Network Policy API's own
//! definition, of its experimental channel.

use serde_json::{Value, json};

use super::expression::{BLOCK, NAMED_PORTS, RANGE};

/// Its plural and its group.
pub const NAME: (&str, &str) = ("clusternetworkpolicies", "policy.networking.k8s.io");

/// The definition, as somebody would apply it.
pub fn definition() -> Value {
    let (plural, group) = NAME;
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            "annotations": {
                "api-approved.kubernetes.io":
                    "https://github.com/kubernetes-sigs/network-policy-api/pull/300",
                "policy.networking.k8s.io/channel": "experimental",
            },
        },
        "spec": {
            "group": group,
            "scope": "Cluster",
            "names": {
                "kind": "ClusterNetworkPolicy", "listKind": "ClusterNetworkPolicyList",
                "plural": plural, "singular": "clusternetworkpolicy", "shortNames": ["cnp"],
            },
            "versions": VERSIONS.map(version),
        },
    })
}

/// The versions that are served, the stored one last. They have the same fields.
const VERSIONS: [&str; 2] = ["v1alpha2", "v1beta1"];

fn version(name: &str) -> Value {
    json!({
        "name": name, "served": true, "storage": name == VERSIONS[1],
        "additionalPrinterColumns": [
            {"jsonPath": ".spec.tier", "name": "Tier", "type": "string"},
            {"jsonPath": ".spec.priority", "name": "Priority", "type": "string"},
            {"jsonPath": ".metadata.creationTimestamp", "name": "Age", "type": "date"},
        ],
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": schema()},
    })
}

fn schema() -> Value {
    json!({
        "description": "A network policy of the whole cluster.",
        "type": "object",
        "required": ["metadata", "spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {
                "description": "What the policy says.",
                "type": "object",
                "required": ["priority", "subject", "tier"],
                "properties": {
                    "tier": {
                        "description": "Admin is judged before NetworkPolicies, Baseline where \
                                        none of them isolates the pod.",
                        "type": "string", "enum": ["Admin", "Baseline"],
                    },
                    "priority": {
                        "description": "Within the tier, lower first.",
                        "type": "integer", "format": "int32", "minimum": 0, "maximum": 1000,
                    },
                    "subject": one_of("Whose traffic it judges.", json!({
                        "namespaces": selector("All pods of these namespaces."),
                        "pods": pods(),
                    })),
                    "ingress": rules("from", ingress_peer()),
                    "egress": rules("to", egress_peer()),
                },
            },
            "status": {
                "type": "object",
                "required": ["conditions"],
                "properties": {"conditions": conditions()},
            },
        },
    })
}

/// An object with exactly one of its fields.
fn one_of(description: &str, properties: Value) -> Value {
    json!({
        "description": description,
        "type": "object", "minProperties": 1, "maxProperties": 1,
        "properties": properties,
    })
}

/// A list of one to 25.
fn some(items: &Value) -> Value {
    json!({"type": "array", "minItems": 1, "maxItems": 25, "items": items})
}

fn rules(peers: &str, peer: Value) -> Value {
    let mut rule = json!({
        "description": "What becomes of traffic with these peers by these protocols.",
        "type": "object",
        "required": ["action", peers],
        "properties": {
            "name": {
                "description": "A name for people.", "type": "string", "maxLength": 100,
            },
            "action": {
                "description": "Accept and Deny are final; Pass leaves it to the next tier.",
                "type": "string", "enum": ["Accept", "Deny", "Pass"],
            },
            "protocols": some(&protocol()),
        },
    });
    rule["properties"][peers] = some(&peer);
    if peers == "to" {
        rule["x-kubernetes-validations"] = json!([{
            "rule": NAMED_PORTS,
            "message": "networks/nodes/domainNames peer cannot be set with namedPorts since \
                        there are no namedPorts for networks/nodes/domainNames",
        }]);
    }
    json!({
        "description": "Rules in their order; the first that matches counts.",
        "type": "array", "maxItems": 25, "items": rule,
    })
}

fn ingress_peer() -> Value {
    one_of(
        "Who sends.",
        json!({
            "namespaces": selector("All pods of these namespaces."),
            "pods": pods(),
        }),
    )
}

fn egress_peer() -> Value {
    let block = json!({
        "type": "string", "maxLength": 43,
        "x-kubernetes-validations": [{"rule": BLOCK, "message": "Invalid CIDR format provided"}],
    });
    let name =
        r"([a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9]([-a-zA-Z0-9_]*[a-zA-Z0-9])?";
    let mut networks = some(&block);
    networks["description"] = "Blocks of addresses, those of pods included.".into();
    let mut names = some(&json!({"type": "string", "pattern": format!(r"^(\*\.)?{name}\.?$")}));
    names["description"] = "Names of hosts; only for Accept.".into();
    for set in [&mut networks, &mut names] {
        set["x-kubernetes-list-type"] = "set".into();
    }
    one_of(
        "Who receives.",
        json!({
            "namespaces": selector("All pods of these namespaces."),
            "pods": pods(),
            "nodes": selector("Nodes, by their addresses."),
            "networks": networks,
            "domainNames": names,
        }),
    )
}

fn pods() -> Value {
    json!({
        "description": "Pods of namespaces.",
        "type": "object",
        "required": ["podSelector"],
        "properties": {
            "namespaceSelector": selector("Which namespaces; all where it is empty."),
            "podSelector": selector("Which pods; all where it is empty."),
        },
    })
}

fn selector(description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {"type": "object", "additionalProperties": {"type": "string"}},
            "matchExpressions": {
                "type": "array", "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string"},
                        "operator": {"type": "string"},
                        "values": {
                            "type": "array", "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string"},
                        },
                    },
                },
            },
        },
    })
}

fn protocol() -> Value {
    let number = json!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 65535});
    let range = json!({
        "type": "object",
        "required": ["end", "start"],
        "properties": {"start": number, "end": number},
        "x-kubernetes-validations": [
            {"rule": RANGE, "message": "Start port must be less than End port"},
        ],
    });
    let port = one_of("One number or a range.", json!({"number": number, "range": range}));
    let carrier = json!({
        "type": "object", "minProperties": 1, "properties": {"destinationPort": port},
    });
    one_of(
        "A protocol and its ports, or a port by its name.",
        json!({
            "tcp": carrier,
            "udp": carrier,
            "sctp": carrier,
            "destinationNamedPort": {
                "description": "The port that each destination pod calls so.", "type": "string",
            },
        }),
    )
}

fn conditions() -> Value {
    json!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "pattern":
                    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "reason": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern":
                    "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
                "message": {"type": "string", "maxLength": 32768},
            },
        },
    })
}
