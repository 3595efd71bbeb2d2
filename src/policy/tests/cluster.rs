//! Every numbered point about policies of the whole cluster.

use super::{super::*, Lab};

const PODS: &str = "
{kind: Namespace, metadata: {name: x, labels: {team: a}}}
---
{kind: Namespace, metadata: {name: y, labels: {team: b}}}
---
{kind: Pod, metadata: {name: a, namespace: x, labels: {app: a}}, ips: [10.0.0.1], ports: [{name: web, port: 80}]}
---
{kind: Pod, metadata: {name: c, namespace: y, labels: {app: c}}, ips: [10.0.0.3]}
---
{kind: Pod, metadata: {name: h, namespace: y, labels: {app: h}}, ips: [10.9.0.1], node: one, hostNetwork: true}
---
{kind: Node, metadata: {name: one, labels: {zone: z1}}, ips: [10.9.0.1]}
---
";

const NETWORK: &str = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: np, namespace: x}, spec: {}}
---
";

fn cnp(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, \
         metadata: {{name: {name}}}, spec: {{{spec}}}}}\n---\n"
    )
}

const ON_X: &str = "subject: {namespaces: {matchLabels: {team: a}}}";

#[test]
fn tiers_are_judged_in_their_order() {
    let from_y = |action: &str| {
        format!(
            "{ON_X}, ingress: [{{action: {action}, from: [{{namespaces: {{matchLabels: {{team: b}}}}}}]}}]"
        )
    };
    let admin =
        |action: &str| cnp("admin", &format!("tier: Admin, priority: 5, {}", from_y(action)));
    let base =
        |action: &str| cnp("base", &format!("tier: Baseline, priority: 5, {}", from_y(action)));
    for (what, text, expected) in [
        ("nothing", String::new(), '.'),
        ("Admin denies", admin("Deny"), 'X'),
        ("Admin accepts over a NetworkPolicy", admin("Accept") + NETWORK, '.'),
        ("Admin passes to a NetworkPolicy", admin("Pass") + NETWORK, 'X'),
        ("Admin passes to Baseline", admin("Pass") + &base("Deny"), 'X'),
        ("Baseline denies", base("Deny"), 'X'),
        ("Baseline is not asked of an isolated pod", base("Accept") + NETWORK, 'X'),
        ("Baseline passes to the default", base("Pass"), '.'),
        (
            "the lower priority is first",
            admin("Deny")
                + &cnp("first", &format!("tier: Admin, priority: 4, {}", from_y("Accept"))),
            '.',
        ),
        (
            "one priority and two answers",
            admin("Deny")
                + &cnp("other", &format!("tier: Admin, priority: 5, {}", from_y("Accept"))),
            '?',
        ),
        (
            "one priority and one answer",
            admin("Deny") + &cnp("other", &format!("tier: Admin, priority: 5, {}", from_y("Deny"))),
            'X',
        ),
    ] {
        let lab = Lab::new(&format!("{PODS}{text}"));
        assert_eq!(super::letter(lab.decide("y/c", "x/a", "80").outcome), expected, "{what}");
        assert_eq!(
            super::letter(lab.decide("x/a", "y/c", "80").outcome),
            '.',
            "{what}: the way back"
        );
        assert_eq!(super::letter(lab.decide("x/a", "x/a", "80").outcome), '.', "{what}: itself");
    }
}

#[test]
fn the_first_rule_that_matches_ends_a_policy() {
    let lab = Lab::new(&format!("{PODS}{}", cnp("p", "
      tier: Admin, priority: 0, subject: {pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: a}}}},
      ingress: [
        {action: Accept, from: [{pods: {podSelector: {matchLabels: {app: c}}}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {destinationPort: {range: {start: 10, end: 20}}}}]},
        {name: rest, action: Deny, from: [{namespaces: {}}]}]")));
    lab.expect(&[
        ("y/c", "x/a", "80", '.'),
        ("y/c", "x/a", "81", 'X'),
        ("y/c", "x/a", "10/udp", '.'),
        ("y/c", "x/a", "20/udp", '.'),
        ("y/c", "x/a", "21/udp", 'X'),
        ("y/c", "x/a", "0/icmp", 'X'),
        ("y/h", "x/a", "81", '.'),
        ("192.0.2.1", "x/a", "81", '.'),
    ]);
    let decision = lab.decide("y/c", "x/a", "81");
    let Reason::Rule(rule) = decision.ingress.reasons[0] else { panic!("{decision:#?}") };
    assert_eq!(lab.all.name_rule(&rule), "spec.ingress[1] (rest) of ClusterNetworkPolicy p");
}

#[test]
fn egress_has_networks_nodes_and_names() {
    let egress = |rules: &str| {
        let spec =
            format!("tier: Admin, priority: 0, subject: {{namespaces: {{}}}}, egress: [{rules}]");
        Lab::new(&format!("{PODS}{}", cnp("p", &spec)))
    };
    egress("{action: Deny, to: [{networks: [10.0.0.0/8, 192.0.2.0/24]}]}").expect(&[
        ("x/a", "y/c", "80", 'X'),
        ("x/a", "y/h", "80", 'X'),
        ("x/a", "192.0.2.9", "0/icmp", 'X'),
        ("x/a", "198.51.100.1", "80", '.'),
        ("y/h", "192.0.2.9", "80", '.'),
    ]);
    egress("{action: Deny, to: [{networks: ['::/0']}]}").expect(&[
        ("x/a", "www.example.com", "443", '.'),
        ("x/a", "2001:db8::1", "443", 'X'),
        ("x/a", "192.0.2.1", "443", '.'),
    ]);
    egress("{action: Deny, to: [{nodes: {matchLabels: {zone: z1}}}]}").expect(&[
        ("x/a", "10.9.0.1", "80", 'X'),
        ("x/a", "y/h", "80", 'X'),
        ("x/a", "y/c", "80", '.'),
        ("x/a", "192.0.2.1", "80", '.'),
    ]);
    egress("{action: Accept, to: [{domainNames: ['*.example.com']}]}, {action: Deny, to: [{networks: [0.0.0.0/0, '::/0']}]}")
        .expect(&[
            ("x/a", "www.example.com", "443", '.'),
            ("x/a", "a.b.example.com", "443", '.'),
            ("x/a", "example.com", "443", 'X'),
            ("x/a", "192.0.2.1", "443", '?'),
            ("x/a", "y/c", "443", 'X'),
        ]);
    egress("{action: Deny, to: [{domainNames: [example.com]}]}").expect(&[(
        "x/a",
        "192.0.2.1",
        "443",
        '?',
    )]);
}

#[test]
fn a_peer_that_is_not_known_fails_closed() {
    for (action, expected) in [("Accept", '.'), ("Deny", 'X'), ("Pass", 'X')] {
        let rule = format!(
            "{{action: {action}, from: [{{namespaces: {{matchLabels: {{team: none}}}}}}, {{galaxies: {{}}}}], protocols: [{{tcp: {{destinationPort: {{number: 9}}}}}}]}}"
        );
        let lab = Lab::new(&format!(
            "{PODS}{}",
            cnp("p", &format!("tier: Admin, priority: 0, {ON_X}, ingress: [{rule}]"))
        ));
        lab.expect(&[("y/c", "x/a", "80", expected)]);
    }
}

#[test]
fn a_hairpin_is_not_exempt() {
    let spec = format!(
        "tier: Admin, priority: 0, {ON_X}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}]}}]"
    );
    let lab = Lab::new(&format!("{PODS}{}", cnp("p", &spec)));
    let through = lab.traffic("x/a", "x/a", "80").through(vec![]);
    assert_eq!(lab.all.decide(&through).outcome, Outcome::Denied);
    lab.expect(&[("x/a", "x/a", "80", '.')]);
}

#[test]
fn a_named_port_is_of_any_protocol_and_of_the_destination() {
    let spec = format!(
        "tier: Admin, priority: 0, {ON_X}, ingress: [{{action: Deny, from: [{{namespaces: {{}}}}], protocols: [{{destinationNamedPort: web}}]}}]"
    );
    let lab = Lab::new(&format!("{PODS}{}", cnp("p", &spec)));
    lab.expect(&[
        ("y/c", "x/a", "80", 'X'),
        ("y/c", "x/a", "80/udp", '.'),
        ("y/c", "x/a", "81", '.'),
    ]);
}

#[test]
fn the_older_kinds_are_read_with_their_own_words() {
    let lab = Lab::new(&format!("{PODS}
{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {{name: anp}}, spec: {{priority: 10, {ON_X}, ingress: [
  {{action: Allow, from: [{{pods: {{namespaceSelector: {{}}, podSelector: {{}}}}}}], ports: [{{portNumber: {{port: 80}}}}, {{portRange: {{protocol: UDP, start: 10, end: 20}}}}]}}]}}}}
---
{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {{name: default}}, spec: {{{ON_X}, ingress: [
  {{action: Deny, from: [{{namespaces: {{}}}}]}}]}}}}
---
"));
    lab.expect(&[
        ("y/c", "x/a", "80", '.'),
        ("y/c", "x/a", "15/udp", '.'),
        ("y/c", "x/a", "81", 'X'),
        ("192.0.2.1", "x/a", "81", '.'),
    ]);
}

#[test]
fn the_older_baseline_is_judged_after_any_other() {
    let other = format!(
        "tier: Baseline, priority: 999, {ON_X}, ingress: [{{action: Accept, from: [{{namespaces: {{}}}}], \
         protocols: [{{tcp: {{destinationPort: {{number: 80}}}}}}]}}]"
    );
    let lab = Lab::new(&format!("{PODS}{}
{{apiVersion: policy.networking.k8s.io/v1alpha1, kind: BaselineAdminNetworkPolicy, metadata: {{name: default}}, spec: {{{ON_X}, ingress: [
  {{action: Deny, from: [{{namespaces: {{}}}}]}}]}}}}
---
", cnp("other", &other)));
    lab.expect(&[("y/c", "x/a", "80", '.'), ("y/c", "x/a", "81", 'X')]);
}
