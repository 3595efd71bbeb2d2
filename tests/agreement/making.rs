//! Worlds by chance, small enough that policies meet pods often.

use std::collections::BTreeMap;

use netproof::model::Labels;
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::world::{PODS, PORTS, Pod, Port, SPACES, World};

/// A field of an object: absent, null, or with a value.
fn field(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Field {
    (0..10_u8, value)
        .prop_map(move |(how, value)| match how {
            0 => None,
            1 => Some((name, Value::Null)),
            _ => Some((name, value)),
        })
        .boxed()
}

/// A field that is there.
fn always(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Field {
    value.prop_map(move |value| Some((name, value))).boxed()
}

/// A field that may be left out.
fn perhaps(name: &'static str, value: impl Strategy<Value = Value> + 'static) -> Field {
    prop::option::of(value).prop_map(move |value| value.map(|value| (name, value))).boxed()
}

type Field = BoxedStrategy<Option<(&'static str, Value)>>;

fn object(fields: Vec<Field>) -> BoxedStrategy<Value> {
    fields
        .prop_map(|fields| {
            let fields = fields.into_iter().flatten();
            Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect())
        })
        .boxed()
}

fn list(item: impl Strategy<Value = Value> + 'static, most: usize) -> BoxedStrategy<Value> {
    vec(item, 0..=most).prop_map(Value::from).boxed()
}

fn some(item: impl Strategy<Value = Value> + 'static, most: usize) -> BoxedStrategy<Value> {
    vec(item, 1..=most).prop_map(Value::from).boxed()
}

fn word(words: &'static [&'static str]) -> BoxedStrategy<Value> {
    select(words).prop_map(Value::from).boxed()
}

const KEYS: &[&str] = &["a", "b"];
const VALUES: &[&str] = &["1", "2", ""];
const NAMES: &[&str] = &["web", "alt"];

fn labels() -> impl Strategy<Value = Labels> {
    let key = select(KEYS).prop_map(str::to_owned);
    let value = select(VALUES).prop_map(str::to_owned);
    prop::collection::btree_map(key, value, 0..=2)
}

fn requirement() -> BoxedStrategy<Value> {
    let values = vec(select(VALUES), 1..=2);
    (select(KEYS), 0..4_u8, values, any::<bool>())
        .prop_map(|(key, operator, values, listed)| match (operator, listed) {
            (0, _) => json!({"key": key, "operator": "In", "values": values}),
            (1, _) => json!({"key": key, "operator": "NotIn", "values": values}),
            (2, true) => json!({"key": key, "operator": "Exists", "values": []}),
            (2, false) => json!({"key": key, "operator": "Exists"}),
            (_, true) => json!({"key": key, "operator": "DoesNotExist", "values": null}),
            (_, false) => json!({"key": key, "operator": "DoesNotExist"}),
        })
        .boxed()
}

/// Mostly narrow ones; `{}` often enough.
fn selector() -> BoxedStrategy<Value> {
    let labels = || labels().prop_map(|labels| json!(labels));
    let by_name = select(&SPACES[..])
        .prop_map(|name| json!({"matchLabels": {"kubernetes.io/metadata.name": name}}));
    prop_oneof![
        2 => Just(json!({})),
        2 => labels().prop_map(|labels| json!({"matchLabels": labels})),
        2 => requirement().prop_map(|one| json!({"matchExpressions": [one]})),
        1 => object(vec![
            field("matchLabels", labels()),
            field("matchExpressions", list(requirement(), 2)),
        ]),
        1 => by_name,
    ]
    .boxed()
}

/// Blocks around the addresses that there are.
fn block() -> BoxedStrategy<Value> {
    let blocks: Vec<Value> = vec![
        json!({"cidr": "0.0.0.0/0"}),
        json!({"cidr": "::/0"}),
        json!({"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.0.0/16"]}),
        json!({"cidr": "::/0", "except": ["fd77::/16"]}),
        json!({"cidr": "203.0.113.0/24", "except": ["203.0.113.8/31"]}),
        json!({"cidr": "203.0.113.0/24", "except": ["203.0.113.0/25", "203.0.113.128/25"]}),
        json!({"cidr": "203.0.113.9/32", "except": []}),
        json!({"cidr": "203.0.113.8/31", "except": null}),
        json!({"cidr": "2001:db8::/32", "except": ["2001:db8::8/126"]}),
        json!({"cidr": "2001:db8::/32", "except": ["2001:db8::8/128"]}),
        json!({"cidr": "10.77.1.0/24"}),
        json!({"cidr": "10.77.0.0/16", "except": ["10.77.2.0/24"]}),
        json!({"cidr": "fd77:10:77:2::/64"}),
        json!({"cidr": "192.168.77.0/24", "except": ["192.168.77.2/32"]}),
        json!({"cidr": "fd77:168::/32"}),
    ];
    select(blocks).boxed()
}

fn peer() -> BoxedStrategy<Value> {
    prop_oneof![
        3 => selector().prop_map(|pods| json!({"podSelector": pods})),
        3 => selector().prop_map(|spaces| json!({"namespaceSelector": spaces})),
        3 => (selector(), selector())
            .prop_map(|(spaces, pods)| json!({"namespaceSelector": spaces, "podSelector": pods})),
        1 => selector().prop_map(|pods| json!({"podSelector": pods, "namespaceSelector": null})),
        3 => block().prop_map(|block| json!({"ipBlock": block})),
    ]
    .boxed()
}

fn port() -> BoxedStrategy<Value> {
    let numbered = || select(&PORTS[..]).prop_map(Value::from);
    let protocol = || field("protocol", word(&["TCP", "UDP", "TCP", "UDP", "SCTP"]));
    prop_oneof![
        1 => Just(json!({})),
        2 => object(vec![protocol()]),
        3 => object(vec![protocol(), always("port", numbered())]),
        3 => object(vec![protocol(), always("port", word(NAMES))]),
        2 => (object(vec![protocol()]), 8079..=8082_u16, 0..=2_u16).prop_map(
            |(mut port, first, more)| {
                port["port"] = first.into();
                port["endPort"] = (first + more).into();
                port
            }
        ),
    ]
    .boxed()
}

fn rules(peers: &'static str) -> BoxedStrategy<Value> {
    let rule = object(vec![field(peers, list(peer(), 2)), field("ports", list(port(), 2))]);
    list(rule, 2)
}

/// A NetworkPolicy.
fn network(number: usize) -> BoxedStrategy<Value> {
    let types =
        vec![json!(["Ingress"]), json!(["Egress"]), json!(["Ingress", "Egress"]), json!([])];
    let spec = object(vec![
        field("podSelector", selector()),
        perhaps("policyTypes", prop_oneof![6 => select(types), 1 => Just(Value::Null)]),
        field("ingress", rules("from")),
        field("egress", rules("to")),
    ]);
    (select(&SPACES[..]), spec, 0..12_u8)
        .prop_map(move |(space, spec, without)| {
            let mut policy = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": format!("np-{number}"), "namespace": space},
            });
            if without > 0 {
                policy["spec"] = spec;
            }
            policy
        })
        .boxed()
}

fn pods() -> BoxedStrategy<Value> {
    object(vec![perhaps("namespaceSelector", selector()), always("podSelector", selector())])
}

fn pods_or_spaces() -> BoxedStrategy<Value> {
    prop_oneof![
        selector().prop_map(|spaces| json!({"namespaces": spaces})),
        pods().prop_map(|pods| json!({"pods": pods})),
    ]
    .boxed()
}

fn networks() -> BoxedStrategy<Value> {
    let blocks = vec![
        "0.0.0.0/0",
        "::/0",
        "203.0.113.8/30",
        "2001:db8::/64",
        "10.77.1.0/24",
        "10.77.0.0/17",
        "fd77:10:77:1::/64",
        "192.168.77.1/32",
        "fd77:168::/64",
        "10.77.1.10/31",
        "10.77.2.99/24",
    ];
    prop::sample::subsequence(blocks, 1..=3).prop_map(|blocks| json!({"networks": blocks})).boxed()
}

fn names() -> BoxedStrategy<Value> {
    let names = vec![
        "*.example.com",
        "www.example.com",
        "WWW.Example.com.",
        "example.com",
        "*.a.example.com",
    ];
    prop::sample::subsequence(names, 1..=2).prop_map(|names| json!({"domainNames": names})).boxed()
}

fn egress_peer() -> BoxedStrategy<Value> {
    prop_oneof![
        5 => pods_or_spaces(),
        2 => networks(),
        2 => selector().prop_map(|nodes| json!({"nodes": nodes})),
        1 => names(),
        1 => Just(json!({})),
    ]
    .boxed()
}

fn ingress_peer() -> BoxedStrategy<Value> {
    prop_oneof![12 => pods_or_spaces(), 1 => Just(json!({}))].boxed()
}

fn protocol() -> BoxedStrategy<Value> {
    let number = || select(&PORTS[..]).prop_map(|number| json!({"number": number}));
    let range = (8079..=8081_u16, 1..=2_u16)
        .prop_map(|(start, more)| json!({"range": {"start": start, "end": start + more}}));
    let port = prop_oneof![2 => number(), 1 => range];
    prop_oneof![
        4 => (select(vec!["tcp", "udp", "tcp", "udp", "sctp"]), port).prop_map(
            |(carrier, port)| {
                Value::Object(Map::from_iter([(
                    carrier.to_owned(),
                    json!({"destinationPort": port}),
                )]))
            }
        ),
        2 => select(NAMES).prop_map(|name| json!({"destinationNamedPort": name})),
    ]
    .boxed()
}

fn cluster_rules(peers: &'static str, peer: fn() -> BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let rule = object(vec![
        always("action", word(&["Accept", "Deny", "Pass"])),
        always(peers, some(peer(), 2)),
        perhaps("protocols", some(protocol(), 2)),
    ]);
    let rule = rule.prop_map(move |mut rule| {
        let nameless = ["networks", "nodes", "domainNames"];
        let is_nameless = |peer: &Value| nameless.iter().any(|kind| peer.get(kind).is_some());
        let named = |port: &Value| port.get("destinationNamedPort").is_some();
        let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let both = all(&rule[peers]).iter().any(is_nameless);
        // The API refuses names of ports beside peers that have none.
        if both
            && all(&rule["protocols"]).iter().any(named)
            && let Some(rule) = rule.as_object_mut()
        {
            rule.remove("protocols");
        }
        rule
    });
    list(rule, 3)
}

/// A ClusterNetworkPolicy.
fn cluster(number: usize) -> BoxedStrategy<Value> {
    let spec = object(vec![
        always("tier", word(&["Admin", "Baseline"])),
        // Ties are few: what they mean is left open.
        always("priority", (0..1000_u16).prop_map(Value::from)),
        always("subject", pods_or_spaces()),
        field("ingress", cluster_rules("from", ingress_peer)),
        field("egress", cluster_rules("to", egress_peer)),
    ]);
    spec.prop_map(move |spec| {
        json!({
            "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
            "metadata": {"name": format!("cnp-{number}")}, "spec": spec,
        })
    })
    .boxed()
}

fn pod() -> impl Strategy<Value = Pod> {
    let port = (select(NAMES), any::<bool>(), select(&PORTS[..]));
    (labels(), vec(port, 0..=3)).prop_map(|(labels, ports)| {
        // A name stands for one port of each protocol.
        let ports: BTreeMap<_, _> =
            ports.into_iter().map(|(name, udp, number)| ((name, udp), number)).collect();
        let port = |((name, udp), number): ((&str, bool), u16)| Port {
            name: name.to_owned(),
            udp,
            number,
        };
        Pod { labels, ports: ports.into_iter().map(port).collect() }
    })
}

/// A world.
pub fn world() -> impl Strategy<Value = World> {
    let policies = (0..=4_usize, 0..=3_usize).prop_flat_map(|(networks, clusters)| {
        let networks = (0..networks).map(network);
        let clusters = (0..clusters).map(cluster);
        networks.chain(clusters).collect::<Vec<_>>()
    });
    (vec(labels(), SPACES.len()), vec(pod(), PODS), vec(labels(), 2), policies)
        .prop_map(|(spaces, pods, nodes, policies)| World { spaces, pods, nodes, policies })
}
