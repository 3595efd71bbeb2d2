//! What the project of ClusterNetworkPolicy expects of an implementation: its cases in our
//! own words, each with the whole matrix of what it asks. Four houses with two pods each;
//! `north` is the subject.

mod stages;

use super::Lab;

/// The houses, each a namespace with two pods that carry their names as a StatefulSet's do.
fn houses() -> String {
    let mut text = String::new();
    for (number, house) in ["north", "south", "east", "west"].into_iter().enumerate() {
        text.push_str(&format!(
            "{{kind: Namespace, metadata: {{name: {house}, labels: {{house: {house}}}}}}}\n---\n"
        ));
        for pod in 0..2 {
            text.push_str(&format!(
                "{{kind: Pod, metadata: {{name: {house}-{pod}, namespace: {house}, labels: {{house: \
                 {house}, statefulset.kubernetes.io/pod-name: {house}-{pod}}}}}, ips: \
                 [10.0.{number}.{pod}, 'fd00::{number}:{pod}']}}\n---\n"
            ));
        }
    }
    text
}

fn cnp(name: &str, tier: &str, priority: u16, spec: &str) -> String {
    format!(
        "apiVersion: policy.networking.k8s.io/v1beta1\nkind: ClusterNetworkPolicy\nmetadata: {{name: \
         {name}}}\nspec:\n  tier: {tier}\n  priority: {priority}\n{spec}\n---\n"
    )
}

const SUBJECT: &str = "  subject: {namespaces: {matchLabels: {house: north}}}\n";

/// A rule that is about one house: `peers` is `from` or `to`.
fn rule(action: &str, peers: &str, house: &str, protocols: &str) -> String {
    let protocols =
        if protocols.is_empty() { String::new() } else { format!(", protocols: [{protocols}]") };
    format!(
        "  - {{action: {action}, {peers}: [{{namespaces: {{matchLabels: {{house: \
         {house}}}}}}}]{protocols}}}\n"
    )
}

fn number(protocol: &str, port: u16) -> String {
    format!("{{{protocol}: {{destinationPort: {{number: {port}}}}}}}")
}

fn range(protocol: &str, start: u16, end: u16) -> String {
    format!("{{{protocol}: {{destinationPort: {{range: {{start: {start}, end: {end}}}}}}}}}")
}

/// Seven rules for each direction: three about one house in an order, two about another on
/// three ports, two about a third.
fn seven(peers: &str, order: [&str; 3], second: [&str; 2]) -> String {
    let three = [number("tcp", 80), number("udp", 53), number("sctp", 9003)].join(", ");
    let some = [number("tcp", 8080), number("udp", 5353), number("sctp", 9003)].join(", ");
    let east = order.map(|action| rule(action, peers, "east", "")).concat();
    let south = second.map(|action| rule(action, peers, "south", &three)).concat();
    east + &south + &rule("Accept", peers, "west", &some) + &rule("Deny", peers, "west", "")
}

#[test]
fn rules_are_taken_in_their_order_in_both_directions_tiers_and_versions() {
    for (tier, order, second, expected) in [
        ("Admin", ["Accept", "Deny", "Pass"], ["Deny", "Pass"], ('.', 'X')),
        ("Admin", ["Deny", "Accept", "Pass"], ["Pass", "Deny"], ('X', '.')),
        ("Admin", ["Pass", "Accept", "Deny"], ["Pass", "Deny"], ('.', '.')),
        ("Baseline", ["Accept", "Deny", "Pass"], ["Deny", "Pass"], ('.', 'X')),
        ("Baseline", ["Deny", "Accept", "Pass"], ["Pass", "Deny"], ('X', '.')),
    ] {
        let spec = format!(
            "{SUBJECT}  ingress:\n{}  egress:\n{}",
            seven("from", order, second),
            seven("to", order, second)
        );
        let beta = houses() + &cnp("gress", tier, 15, &spec);
        for text in [beta.replace("v1beta1", "v1alpha2"), beta] {
            let lab = Lab::new(&text);
            let (east, south) = expected;
            for (other, port, expected) in [
                ("east/east-0", "80", east),
                ("east/east-1", "5353/udp", east),
                ("east/east-1", "9003/sctp", east),
                ("south/south-0", "80", south),
                ("south/south-0", "53/udp", south),
                ("south/south-1", "9003/sctp", south),
                // What no rule is about.
                ("south/south-1", "8080", '.'),
                ("south/south-1", "5353/udp", '.'),
                ("south/south-0", "9005/sctp", '.'),
                ("west/west-0", "8080", '.'),
                ("west/west-0", "5353/udp", '.'),
                ("west/west-1", "9003/sctp", '.'),
                ("west/west-1", "80", 'X'),
                ("west/west-0", "53/udp", 'X'),
                ("west/west-0", "9005/sctp", 'X'),
                ("west/west-0", "0/icmp", 'X'),
            ] {
                lab.expect(&[("north/north-0", other, port, expected)]);
                lab.expect(&[(other, "north/north-1", port, expected)]);
            }
            // Nobody else is a subject.
            lab.expect(&[("west/west-0", "south/south-0", "80", '.')]);
        }
    }
}

#[test]
fn rules_of_one_direction_leave_the_other_alone() {
    for (tier, field, peers) in [
        ("Admin", "ingress", "from"),
        ("Admin", "egress", "to"),
        ("Baseline", "ingress", "from"),
        ("Baseline", "egress", "to"),
    ] {
        let spec = format!("{SUBJECT}  {field}:\n{}", rule("Deny", peers, "south", ""));
        let lab = Lab::new(&(houses() + &cnp("one-way", tier, 3, &spec)));
        let (denied, open) = if field == "ingress" {
            (("south/south-0", "north/north-0"), ("north/north-0", "south/south-0"))
        } else {
            (("north/north-0", "south/south-0"), ("south/south-0", "north/north-0"))
        };
        lab.expect(&[
            (denied.0, denied.1, "80", 'X'),
            (open.0, open.1, "80", '.'),
            ("north/north-0", "east/east-0", "80", '.'),
            ("east/east-0", "north/north-0", "80", '.'),
        ]);
    }
}

#[test]
fn ranges_end_with_their_last_port_and_are_of_one_protocol() {
    for (field, peers) in [("ingress", "from"), ("egress", "to")] {
        let spec = format!(
            "{SUBJECT}  {field}:\n{}{}{}  - {{action: Deny, {peers}: [{{namespaces: \
             {{matchExpressions: [{{key: house, operator: Exists}}]}}}}]}}\n",
            rule("Accept", peers, "east", &range("tcp", 80, 8080)),
            rule("Accept", peers, "west", &range("udp", 53, 5353)),
            rule("Accept", peers, "south", &range("sctp", 9003, 9005)),
        );
        let lab = Lab::new(&(houses() + &cnp("ranges", "Admin", 9, &spec)));
        for (other, port, expected) in [
            ("east/east-0", "79", 'X'),
            ("east/east-0", "80", '.'),
            ("east/east-0", "8080", '.'),
            ("east/east-0", "8081", 'X'),
            ("east/east-1", "80/udp", 'X'),
            ("west/west-0", "53/udp", '.'),
            ("west/west-0", "5353/udp", '.'),
            ("west/west-1", "80", 'X'),
            ("south/south-0", "9003/sctp", '.'),
            ("south/south-0", "9005/sctp", '.'),
            ("south/south-1", "9006/sctp", 'X'),
            ("south/south-1", "9003", 'X'),
        ] {
            let (from, to) = if field == "ingress" {
                (other, "north/north-0")
            } else {
                ("north/north-0", other)
            };
            lab.expect(&[(from, to, port, expected)]);
        }
    }
}

#[test]
fn pods_are_selected_with_and_without_their_namespaces() {
    let by_label =
        |house: &str| format!("{{pods: {{podSelector: {{matchLabels: {{house: {house}}}}}}}}}");
    let west_0 = "{pods: {namespaceSelector: {matchLabels: {house: west}}, podSelector: \
                  {matchLabels: {statefulset.kubernetes.io/pod-name: west-0}}}}";
    let first = format!(
        "  subject: {}\n  egress:\n  - {{action: Deny, to: [{}]}}\n  - {{action: Deny, to: \
         [{west_0}]}}\n  ingress:\n  - {{action: Deny, from: [{}]}}\n  - {{action: Deny, from: \
         [{west_0}]}}\n",
        by_label("north"),
        by_label("east"),
        by_label("south"),
    );
    let second = "  subject: {pods: {namespaceSelector: {matchLabels: {house: east}}, podSelector: \
                  {matchLabels: {statefulset.kubernetes.io/pod-name: east-0}}}}\n  egress:\n  - \
                  {action: Deny, to: [{namespaces: {matchLabels: {kubernetes.io/metadata.name: \
                  south}}}]}\n";
    let text =
        houses() + &cnp("by-pod", "Admin", 20, &first) + &cnp("one-pod", "Admin", 21, second);
    Lab::new(&text).expect(&[
        ("north/north-0", "east/east-0", "80", 'X'),
        ("north/north-0", "west/west-0", "80", 'X'),
        ("north/north-0", "west/west-1", "80", '.'),
        ("south/south-0", "north/north-0", "80", 'X'),
        ("west/west-0", "north/north-0", "80", 'X'),
        ("west/west-1", "north/north-0", "80", '.'),
        ("south/south-0", "west/west-0", "80", '.'),
        ("east/east-0", "south/south-0", "80", 'X'),
        ("east/east-1", "south/south-0", "80", '.'),
    ]);
}

#[test]
fn policies_of_one_priority_that_never_meet_all_count() {
    let deny = |house: &str, port: u16| {
        let port = number("tcp", port);
        format!(
            "  ingress:\n{}  egress:\n{}",
            rule("Deny", "from", house, &port),
            rule("Deny", "to", house, &port)
        )
    };
    let west = SUBJECT.replace("north", "west");
    let text = houses()
        + &cnp("north-south", "Admin", 15, &format!("{SUBJECT}{}", deny("south", 80)))
        + &cnp("north-west", "Admin", 15, &format!("{SUBJECT}{}", deny("west", 80)))
        + &cnp("west-south", "Admin", 15, &format!("{west}{}", deny("south", 8080)));
    let lab = Lab::new(&text);
    for (one, other, port, expected) in [
        ("south/south-0", "north/north-0", "80", 'X'),
        ("west/west-0", "north/north-1", "80", 'X'),
        ("south/south-1", "west/west-0", "8080", 'X'),
        ("south/south-0", "north/north-0", "8080", '.'),
        ("south/south-1", "west/west-0", "80", '.'),
        ("east/east-0", "north/north-0", "80", '.'),
    ] {
        lab.expect(&[(one, other, port, expected), (other, one, port, expected)]);
    }
}
