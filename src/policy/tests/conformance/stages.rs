//! Which policy goes first, and what comes after it.

use super::{super::letter, Lab, SUBJECT, cnp, houses, rule};
use crate::model::Family;

#[test]
fn a_lower_number_goes_first_and_a_tie_that_disagrees_is_nobody_s_to_tell() {
    let all = |action: &str| format!("{SUBJECT}  ingress:\n{}", rule(action, "from", "south", ""));
    for (first, second, expected) in [
        (("Accept", 40), ("Deny", 50), '.'),
        (("Deny", 40), ("Accept", 50), 'X'),
        (("Pass", 40), ("Deny", 50), '.'),
        (("Deny", 50), ("Deny", 50), 'X'),
        (("Accept", 50), ("Deny", 50), '?'),
        // Numbers of different tiers are not compared.
        (("Deny", 1000), ("Accept", 1000), '?'),
    ] {
        let text = houses()
            + &cnp("z-first", "Admin", first.1, &all(first.0))
            + &cnp("a-second", "Admin", second.1, &all(second.0));
        Lab::new(&text).expect(&[("south/south-0", "north/north-0", "80", expected)]);
    }
    let text = houses()
        + &cnp("low", "Baseline", 0, &all("Deny"))
        + &cnp("high", "Admin", 1000, &all("Accept"));
    Lab::new(&text).expect(&[("south/south-0", "north/north-0", "80", '.')]);
}

#[test]
fn networks_hold_pods_too_and_rules_before_them_go_first() {
    let first = "  - {action: Accept, to: [{networks: [10.0.2.0/32, 10.0.3.0/32]}]}\n";
    let rest = "  - {action: Accept, to: [{pods: {namespaceSelector: {matchLabels: {house: south}}, \
                podSelector: {matchLabels: {house: south}}}}]}\n  - {action: Deny, to: [{networks: \
                [0.0.0.0/0, '::/0']}]}\n";
    let spec = |rules: String| format!("{SUBJECT}  egress:\n{rules}");
    let closed = houses() + &cnp("cidr", "Admin", 85, &spec(rest.to_owned()));
    Lab::new(&closed).expect(&[
        ("north/north-1", "east/east-0", "80", 'X'),
        ("north/north-1", "west/west-0", "53/udp", 'X'),
        ("north/north-1", "south/south-0", "9003/sctp", '.'),
        ("north/north-1", "192.0.2.7", "443", 'X'),
        ("north/north-1", "2001:db8::7", "443", 'X'),
    ]);
    let lab = Lab::new(&(houses() + &cnp("cidr", "Admin", 85, &spec(first.to_owned() + rest))));
    for (to, expected) in
        [("east/east-0", '.'), ("west/west-0", '.'), ("east/east-1", 'X'), ("west/west-1", 'X')]
    {
        let traffic = lab.traffic("north/north-1", to, "80").in_family(Family::Ipv4);
        assert_eq!(letter(lab.all.decide(&traffic).outcome), expected, "{to}");
        // Of the other family only the last rule speaks.
        let traffic = traffic.in_family(Family::Ipv6);
        assert_eq!(letter(lab.all.decide(&traffic).outcome), 'X', "{to} over IPv6");
    }
}

#[test]
fn what_passes_meets_the_network_policy_and_without_one_the_baseline() {
    const NETWORK: &str = "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: both-ways, namespace: north}
spec:
  podSelector:
  policyTypes: [Ingress, Egress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {house: south}}}]}]
  egress: [{to: [{namespaceSelector: {matchLabels: {house: south}}}]}]
---
";
    let both = |action: &str| {
        format!(
            "{SUBJECT}  ingress:\n{}  egress:\n{}",
            rule(action, "from", "south", ""),
            rule(action, "to", "south", "")
        )
    };
    for (admin, network, expected) in
        [("Deny", NETWORK, 'X'), ("Pass", NETWORK, '.'), ("Pass", "", 'X'), ("Accept", "", '.')]
    {
        let text = houses()
            + &cnp("admin", "Admin", 10, &both(admin))
            + network
            + &cnp("base", "Baseline", 10, &both("Deny"));
        Lab::new(&text).expect(&[
            ("south/south-0", "north/north-0", "80", expected),
            ("north/north-1", "south/south-1", "8080", expected),
        ]);
    }
}

#[test]
fn a_pod_that_meets_itself_through_a_service_is_judged() {
    let spec = format!("{SUBJECT}  ingress:\n{}", rule("Deny", "from", "north", ""));
    let lab = Lab::new(&(houses() + &cnp("hairpin", "Admin", 15, &spec)));
    lab.expect(&[
        ("north/north-0", "north/north-0", "80", '.'),
        ("north/north-0", "north/north-1", "80", 'X'),
    ]);
    let through = lab
        .traffic("north/north-0", "north/north-0", "80")
        .through(vec!["10.96.0.10".parse().expect("an address")]);
    assert_eq!(letter(lab.all.decide(&through).outcome), 'X');
}
