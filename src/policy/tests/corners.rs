//! Every numbered point about NetworkPolicies, one corner after another.

use super::{super::*, Lab};

const PODS: &str = "
{kind: Namespace, metadata: {name: x, labels: {team: a}}}
---
{kind: Namespace, metadata: {name: y, labels: {team: b}}}
---
{kind: Pod, metadata: {name: a, namespace: x, labels: {app: a}}, ips: [10.0.0.1, 'fd00::1'], node: one, ports: [{name: web, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
{kind: Pod, metadata: {name: b, namespace: x, labels: {app: b}}, ips: [10.0.0.2], node: one, ports: [{name: web, port: 81}]}
---
{kind: Pod, metadata: {name: c, namespace: y, labels: {app: a, tier: back}}, ips: [10.0.0.3], node: two}
---
{kind: Pod, metadata: {name: h, namespace: y, labels: {app: h}}, ips: [10.9.0.1], node: one, hostNetwork: true}
---
{kind: Node, metadata: {name: one}, ips: [10.9.0.1]}
---
{kind: Node, metadata: {name: two}, ips: [10.9.0.2]}
---
";

/// The cluster above with NetworkPolicies in `x`, by their specs.
fn lab(specs: &[&str]) -> Lab {
    let policies = specs.iter().enumerate().map(|(index, spec)| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
             metadata: {{name: p{index}, namespace: x}}, spec: {spec}}}\n---\n"
        )
    });
    Lab::new(&format!("{PODS}{}", policies.collect::<String>()))
}

#[test]
fn isolation_and_what_absent_and_empty_mean() {
    type Rows<'a> = &'a [(&'a str, &'a str, &'a str, char)];
    let cases: &[(&str, &str, Rows)] = &[
        ("nothing at all", "", &[("x/b", "x/a", "80", '.'), ("y/c", "x/a", "80", '.')]),
        (
            "absent types and no egress rule: ingress alone",
            "{podSelector: {}}",
            &[("x/b", "x/a", "80", 'X'), ("x/a", "y/c", "80", '.'), ("y/c", "x/a", "80", 'X')],
        ),
        (
            "empty types are absent",
            "{podSelector: {}, policyTypes: []}",
            &[("x/b", "x/a", "80", 'X'), ("x/a", "y/c", "80", '.')],
        ),
        (
            "an empty egress adds nothing",
            "{podSelector: {}, egress: []}",
            &[("x/a", "y/c", "80", '.')],
        ),
        (
            "an egress rule adds Egress",
            "{podSelector: {}, egress: [{to: [{podSelector: {}}]}]}",
            &[("x/a", "y/c", "80", 'X'), ("y/c", "x/a", "80", 'X')],
        ),
        (
            "Egress alone does not isolate for ingress",
            "{podSelector: {}, policyTypes: [Egress], ingress: [{}]}",
            &[("y/c", "x/a", "80", '.'), ("x/a", "y/c", "80", 'X')],
        ),
        (
            "rules of a direction that isn't named are ignored",
            "{podSelector: {}, policyTypes: [Ingress], egress: [{}]}",
            &[("x/a", "y/c", "80", '.'), ("y/c", "x/a", "80", 'X')],
        ),
        (
            "an empty rule allows all",
            "{podSelector: {}, ingress: [{}]}",
            &[("y/c", "x/a", "80", '.'), ("192.0.2.1", "x/a", "9/sctp", '.')],
        ),
        (
            "a null rule is an empty one",
            "{podSelector: {}, ingress: [null]}",
            &[("y/c", "x/a", "80", '.')],
        ),
        (
            "an empty from is any",
            "{podSelector: {}, ingress: [{from: [], ports: []}]}",
            &[("y/c", "x/a", "80", '.')],
        ),
        (
            "a null from is any",
            "{podSelector: {}, ingress: [{from: null}]}",
            &[("y/c", "x/a", "80", '.')],
        ),
        (
            "an absent selector selects all",
            "{policyTypes: [Ingress]}",
            &[("y/c", "x/a", "80", 'X'), ("y/c", "x/b", "80", 'X')],
        ),
        ("a null selector selects all", "{podSelector: null}", &[("y/c", "x/b", "80", 'X')]),
        (
            "others of the namespace stay open",
            "{podSelector: {matchLabels: {app: a}}}",
            &[("y/c", "x/b", "80", '.'), ("y/c", "x/a", "80", 'X')],
        ),
    ];
    for (what, spec, rows) in cases {
        let lab = if spec.is_empty() { lab(&[]) } else { lab(&[spec]) };
        for (from, to, port, expected) in *rows {
            let found = super::letter(lab.decide(from, to, port).outcome);
            assert_eq!(found, *expected, "{what}: {from} to {to} on {port}");
        }
    }
}

#[test]
fn peers_and_selectors() {
    for (what, from, expected) in [
        ("pods of the own namespace", "[{podSelector: {matchLabels: {app: a}}}]", "..X"),
        ("all pods of a namespace", "[{namespaceSelector: {matchLabels: {team: b}}}]", "XX."),
        (
            "both: and",
            "[{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: b}}}]",
            "XXX",
        ),
        (
            "two: or",
            "[{namespaceSelector: {matchLabels: {team: b}}}, {podSelector: {matchLabels: {app: a}}}]",
            "...",
        ),
        (
            "NotIn matches what lacks the key",
            "[{namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: NotIn, values: [back]}]}}]",
            "..X",
        ),
        (
            "DoesNotExist",
            "[{namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: DoesNotExist}]}}]",
            "..X",
        ),
        (
            "Exists",
            "[{namespaceSelector: {}, podSelector: {matchExpressions: [{key: tier, operator: Exists}]}}]",
            "XX.",
        ),
        (
            "In and matchLabels",
            "[{namespaceSelector: {}, podSelector: {matchLabels: {app: a}, matchExpressions: [{key: tier, operator: In, values: [back]}]}}]",
            "XX.",
        ),
        (
            "the name of a namespace",
            "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}]",
            "XX.",
        ),
        (
            "a null selector beside another is absent",
            "[{namespaceSelector: null, podSelector: {}}]",
            "..X",
        ),
    ] {
        let spec =
            format!("{{podSelector: {{matchLabels: {{app: b}}}}, ingress: [{{from: {from}}}]}}");
        let lab = lab(&[&spec]);
        let found: String = [("x/a", "x/b"), ("x/a", "x/b"), ("y/c", "x/b")]
            .iter()
            .map(|(from, to)| super::letter(lab.decide(from, to, "80").outcome))
            .collect();
        assert_eq!(found, expected, "{what}");
    }
}

#[test]
fn ports() {
    for (what, ports, asked) in [
        ("no protocol is TCP", "[{port: 80}]", ". 80/tcp X 80/udp X 81/tcp"),
        ("an empty entry is all of TCP", "[{}]", ". 1/tcp . 65535/tcp X 80/udp X 80/sctp"),
        ("a protocol alone", "[{protocol: UDP}]", ". 9/udp X 9/tcp"),
        ("a range", "[{port: 80, endPort: 82}]", "X 79/tcp . 80/tcp . 82/tcp X 83/tcp"),
        ("SCTP is not TCP", "[{protocol: SCTP, port: 80}]", ". 80/sctp X 80/tcp"),
        ("a name is the destination's", "[{port: web}]", ". 80/tcp X 81/tcp X 80/udp"),
        ("a name has a protocol", "[{port: dns, protocol: UDP}]", ". 53/udp X 53/tcp"),
        ("a name that nobody has", "[{port: nope}]", "X 80/tcp"),
    ] {
        let spec =
            format!("{{podSelector: {{matchLabels: {{app: a}}}}, ingress: [{{ports: {ports}}}]}}");
        let lab = lab(&[&spec]);
        let words: Vec<_> = asked.split(' ').collect();
        for pair in words.chunks(2) {
            let found = super::letter(lab.decide("x/b", "x/a", pair[1]).outcome);
            assert_eq!(found.to_string(), pair[0], "{what}: {}", pair[1]);
        }
    }
    // On the way out, each destination has its own number for a name.
    lab(&["{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: web}]}]}"]).expect(&[
        ("x/b", "x/a", "80", '.'),
        ("x/b", "x/a", "81", 'X'),
        ("x/a", "x/b", "81", '.'),
        ("x/a", "x/b", "80", 'X'),
        ("x/a", "y/c", "80", 'X'),
        ("x/a", "192.0.2.1", "80", 'X'),
    ]);
}

#[test]
fn blocks_count_outside_and_are_undetermined_for_pods() {
    let lab = lab(&[
        "
{podSelector: {}, policyTypes: [Ingress, Egress],
 ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.3/32]}}]}],
 egress: [{to: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.128/25]}}], ports: [{port: 80}]},
          {to: [{ipBlock: {cidr: 192.0.2.200/32}}]},
          {to: [{ipBlock: {cidr: 198.51.100.0/24}}], ports: [{port: web}]},
          {to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/25, 203.0.113.128/25]}}]}]}",
    ]);
    lab.expect(&[
        ("x/a", "192.0.2.1", "80", '.'),
        ("x/a", "192.0.2.1", "81", 'X'),
        ("x/a", "192.0.2.129", "80", 'X'),
        ("x/a", "192.0.2.200", "80", '.'),
        ("x/a", "198.51.100.1", "80", '?'),
        ("x/a", "198.51.100.1", "80/udp", 'X'),
        ("x/a", "203.0.113.7", "80", 'X'),
        ("x/a", "2001:db8::1", "80", 'X'),
        ("10.1.2.3", "x/a", "80", '.'),
        ("11.1.2.3", "x/a", "80", 'X'),
        ("10.9.0.2", "x/a", "80", '.'),
        ("y/c", "x/a", "80", 'X'),
        ("10.0.0.3", "x/a", "80", 'X'),
    ]);
    let open_egress =
        self::lab(&["{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}"]);
    open_egress.expect(&[("y/c", "x/a", "80", '?'), ("x/b", "x/a", "80", '?')]);
    let decision = open_egress.decide("y/c", "x/a", "80");
    assert_eq!(decision.ingress.doubts[0].word(), "ipBlockOnPod", "{decision:#?}");
    // The other family of the same pods is another question.
    let traffic = open_egress.traffic("x/b", "x/a", "80").in_family(crate::model::Family::Ipv6);
    assert_eq!(open_egress.all.decide(&traffic).outcome, Outcome::Denied, "a block of IPv4");
}

#[test]
fn itself_and_its_node_and_pods_on_it() {
    let closed = lab(&["{podSelector: {}, policyTypes: [Ingress, Egress]}"]);
    closed.expect(&[
        ("x/a", "x/a", "80", '.'),
        ("10.9.0.1", "x/a", "80", '.'),
        ("10.9.0.2", "x/a", "80", 'X'),
        ("x/a", "10.9.0.1", "80", '?'),
        ("x/a", "10.9.0.2", "80", 'X'),
        ("y/h", "x/a", "80", '?'),
        ("x/a", "y/h", "80", '?'),
        ("x/a", "x/b", "0/icmp", '?'),
    ]);
    let through = closed.traffic("x/a", "x/a", "80").through(vec![]);
    assert_eq!(closed.all.decide(&through).outcome, Outcome::Undetermined, "a hairpin");
    let open = lab(&["{podSelector: {}, ingress: [{}]}"]);
    open.expect(&[("y/h", "x/a", "80", '.'), ("x/a", "x/b", "0/icmp", '.')]);
    // By its labels as a pod, by its address as a node: allowed either way.
    let both = lab(&[
        "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}, {ipBlock: {cidr: 10.9.0.0/24}}]}]}",
    ]);
    both.expect(&[("y/h", "x/a", "80", '.'), ("y/c", "x/a", "80", '.')]);
    let host = Lab::new(&format!(
        "{PODS}{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: y}}, spec: {{}}}}"
    ));
    host.expect(&[("x/a", "y/h", "80", '?'), ("x/a", "y/c", "80", 'X')]);
}

#[test]
fn a_block_beside_a_service_is_not_defined_whichever_address_it_holds() {
    let lab = lab(&["
{podSelector: {}, policyTypes: [Egress],
 egress: [{to: [{ipBlock: {cidr: 10.96.0.0/16}}, {ipBlock: {cidr: 192.0.2.0/24}}]}]}"]);
    for (what, to, service, expected) in [
        ("the Service's own", "x/b", "10.96.0.7", '?'),
        ("the endpoint's", "192.0.2.1", "10.97.0.7", '?'),
        ("neither", "198.51.100.1", "10.97.0.7", 'X'),
    ] {
        let address = service.parse().expect("an address");
        let decision = lab.all.decide(&lab.traffic("x/a", to, "80").through(vec![address]));
        assert_eq!(super::letter(decision.outcome), expected, "{what}: {decision:#?}");
    }
    lab.expect(&[("x/a", "192.0.2.1", "80", '.')]);
}

#[test]
fn whose_an_address_is_matters_only_where_no_service_is_known() {
    let mut lab = lab(&[]);
    lab.all.unread = [Unread::Services].into();
    let direct = lab.traffic("x/a", "192.0.2.1", "80");
    let through = direct.clone().through(vec!["10.96.0.7".parse().expect("an address")]);
    for (what, traffic, expected) in
        [("it may be a Service's", direct, '?'), ("the Service is known", through, '.')]
    {
        assert_eq!(super::letter(lab.all.decide(&traffic).outcome), expected, "{what}");
    }
}

#[test]
fn several_policies_add_up_and_both_ends_agree() {
    let lab = lab(&[
        "{podSelector: {matchLabels: {app: a}}, ingress: [{ports: [{port: 80}]}]}",
        "{podSelector: {matchLabels: {app: a}}, ingress: [{ports: [{port: 81}], from: [{podSelector: {}}]}]}",
        "{podSelector: {matchLabels: {app: b}}, policyTypes: [Egress], egress: [{ports: [{port: 81}]}]}",
    ]);
    lab.expect(&[
        ("y/c", "x/a", "80", '.'),
        ("y/c", "x/a", "81", 'X'),
        ("x/b", "x/a", "81", '.'),
        ("x/b", "x/a", "80", 'X'),
    ]);
    let decision = lab.decide("x/b", "x/a", "81");
    assert_eq!(decision.ingress.isolated_by, [PolicyId(0), PolicyId(1)]);
    let [Reason::Rule(rule)] = decision.ingress.reasons[..] else { panic!("{decision:#?}") };
    assert_eq!(lab.all.name_rule(&rule), "spec.ingress[0] of NetworkPolicy x/p1");
    assert_eq!((rule.peer, rule.port), (Some(0), Some(0)));
}

#[test]
fn other_kinds_of_policy_leave_it_undetermined_where_they_are() {
    let lab = Lab::new(&format!(
        "{PODS}{{apiVersion: cilium.io/v2, kind: CiliumNetworkPolicy, metadata: {{name: p, namespace: y}}, spec: {{}}}}"
    ));
    lab.expect(&[("x/a", "x/b", "80", '.'), ("x/a", "y/c", "80", '?')]);
    let matrix = lab.all.matrix(&Question { protocol: IpProtocol::Tcp, port: 80, family: None });
    assert_eq!(matrix.get(0, 1), Some(Outcome::Allowed));
    assert_eq!(matrix.get(0, 2), Some(Outcome::Undetermined));
}

use crate::model::IpProtocol;
