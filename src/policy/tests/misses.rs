//! What a report says of a case: the clause, the nearest misses, and what can't be told.

use super::{super::Unread, Lab, letter, objects};
use crate::policy::{Compiled, Origin, Outcome, PolicySet, Spec};

const LAB: &str = "
{kind: Namespace, metadata: {name: lab, labels: {team: lab}}}
---
{kind: Namespace, metadata: {name: other}}
---
{kind: Pod, metadata: {name: web, namespace: lab, labels: {app: web, tier: front}}, ips: [10.0.0.1]}
---
{kind: Pod, metadata: {name: db, namespace: lab, labels: {app: db}}, ips: [10.0.0.2]}
---
";

fn network(namespace: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: \
         {namespace}}}, spec: {spec}}}\n---\n"
    )
}

fn cluster(spec: &str) -> String {
    format!(
        "{{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: \
         {{name: c}}, spec: {{tier: Admin, priority: 1, {spec}}}}}\n---\n"
    )
}

fn nearest(policy: &str) -> Vec<String> {
    let lab = Lab::new(&format!("{LAB}{policy}"));
    lab.all.nearest(&lab.traffic("lab/web", "lab/db", "80"))
}

#[test]
fn endpoints_that_differ_leave_it_open_which_is_met() {
    let lab =
        Lab::new(&format!("{LAB}{}", network("lab", "{podSelector: {matchLabels: {app: db}}}")));
    let spec = |to: &str| lab.all.spec(&lab.traffic("lab/web", to, "80"));
    let outcome = |ends: &[&str]| Spec::of_any(ends.iter().map(|to| spec(to))).map(|it| it.outcome);
    for (ends, expected) in [
        (&[][..], None),
        (&["lab/db", "lab/db"], Some(Outcome::Denied)),
        (&["lab/web", "lab/web"], Some(Outcome::Allowed)),
        (&["lab/db", "lab/web"], Some(Outcome::Undetermined)),
        (&["lab/web", "lab/web", "lab/db"], Some(Outcome::Undetermined)),
    ] {
        assert_eq!(outcome(ends), expected, "{ends:?}");
    }
}

#[test]
fn where_a_rule_denies_no_policy_is_missed() {
    let deny =
        cluster("subject: {namespaces: {}}, egress: [{action: Deny, to: [{namespaces: {}}]}]");
    let typo = network("lab", "{podSelector: {matchLabels: {app: wub}}, policyTypes: [Egress]}");
    assert_eq!(nearest(&(deny + &typo)), Vec::<String>::new(), "the rule says it all");
    assert_eq!(nearest(&typo).len(), 1, "nobody denies, and one nearly does");
}

#[test]
fn a_policy_that_selects_no_pod_says_why() {
    let deny = "egress: [{action: Deny, to: [{namespaces: {}}]}]";
    for (policy, expected) in [
        (
            network("lab", "{podSelector: {matchLabels: {app: dbs}}}"),
            "NetworkPolicy lab/p selects no pod: its label `app=dbs` differs from `app=db` in one \
             place",
        ),
        (
            network("lab", "{podSelector: {matchLabels: {ap: db}}}"),
            "NetworkPolicy lab/p selects no pod: label app is there, and ap=db is wanted",
        ),
        (
            network("other", "{podSelector: {matchLabels: {app: db}}}"),
            "NetworkPolicy other/p selects no pod: it is in namespace other, and lab/db is not",
        ),
        (
            network(
                "lab",
                "{podSelector: {matchLabels: {app: web, tier: frnt}}, policyTypes: [Egress]}",
            ),
            "NetworkPolicy lab/p selects no pod: its label `tier=frnt` differs from `tier=front` \
             in one place",
        ),
        (
            cluster(&format!("subject: {{namespaces: {{matchLabels: {{team: lap}}}}}}, {deny}")),
            "ClusterNetworkPolicy c selects no pod: of namespace lab, its label `team=lap` differs \
             from `team=lab` in one place",
        ),
    ] {
        assert_eq!(nearest(&policy), [expected], "{policy}");
    }
    for policy in [
        // It selects somebody.
        network("lab", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}"),
        // It looks the other way.
        network("lab", "{podSelector: {matchLabels: {app: dbs}}, policyTypes: [Egress]}"),
        // Another pod was meant.
        network("lab", "{podSelector: {matchLabels: {app: cache-server}}}"),
        // All pods of a namespace that has none by now.
        network("other", "{podSelector: {}}"),
    ] {
        assert_eq!(nearest(&policy), Vec::<String>::new(), "{policy}");
    }
}

#[test]
fn a_clause_names_policies_rules_and_paths() {
    for (policy, expected) in [
        (String::new(), "no policy isolates lab/web for egress, nor lab/db for ingress"),
        (
            network(
                "lab",
                "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 80}]}]}",
            ),
            "spec.ingress[0] of NetworkPolicy lab/p allows it",
        ),
        (
            network("lab", "{podSelector: {}, policyTypes: [Ingress, Egress]}"),
            "lab/web is isolated for egress by NetworkPolicy lab/p, and none of its rules lets it \
             out to lab/db on 80/TCP; and lab/db is isolated for ingress by NetworkPolicy lab/p, \
             and none of its rules lets in lab/web on 80/TCP",
        ),
        (
            cluster(
                "subject: {namespaces: {}}, ingress: [{name: all, action: Deny, from: \
                 [{namespaces: {}}]}]",
            ),
            "spec.ingress[0] (all) of ClusterNetworkPolicy c denies it",
        ),
    ] {
        let lab = Lab::new(&format!("{LAB}{policy}"));
        let spec = lab.all.spec(&lab.traffic("lab/web", "lab/db", "80"));
        assert_eq!(spec.because, expected);
    }
}

#[test]
fn what_may_not_be_read_leaves_addresses_undetermined_and_pods_as_they_are() {
    let isolated = network(
        "lab",
        "{podSelector: {}, policyTypes: [Ingress, Egress], egress: [{to: [{ipBlock: {cidr: \
         192.0.2.0/24}}]}]}",
    );
    for (unread, policy, rows) in [
        (
            None,
            &isolated,
            [
                ("lab/web", "192.0.2.1", '.'),
                ("198.51.100.1", "lab/db", 'X'),
                ("lab/web", "lab/db", 'X'),
            ],
        ),
        (
            Some(Unread::Services),
            &isolated,
            [
                ("lab/web", "192.0.2.1", '?'),
                ("198.51.100.1", "lab/db", 'X'),
                ("lab/web", "lab/db", 'X'),
            ],
        ),
        (
            Some(Unread::Nodes),
            &isolated,
            [
                ("lab/web", "192.0.2.1", '?'),
                ("198.51.100.1", "lab/db", '?'),
                ("lab/web", "lab/db", 'X'),
            ],
        ),
        // Where no policy has a say, it doesn't matter who has the address.
        (
            Some(Unread::Nodes),
            &String::new(),
            [
                ("lab/web", "192.0.2.1", '.'),
                ("198.51.100.1", "lab/db", '.'),
                ("lab/web", "lab/db", '.'),
            ],
        ),
        (
            Some(Unread::Pods),
            &String::new(),
            [
                ("lab/web", "192.0.2.1", '?'),
                ("198.51.100.1", "lab/db", '?'),
                ("lab/web", "lab/db", '.'),
            ],
        ),
    ] {
        let text = format!("{LAB}{policy}");
        let mut lab = Lab::new(&text);
        let mut set = PolicySet::read(&objects(&text), "default", Origin::Stored).expect("valid");
        set.unread.extend(unread);
        lab.all = Compiled::new(set, lab.all.topology().clone());
        for (from, to, expected) in rows {
            let decision = lab.decide(from, to, "80");
            assert_eq!(letter(decision.outcome), expected, "{unread:?} {from} {to}: {decision:?}");
        }
    }
}

#[test]
fn kinds_that_only_mirror_are_passed_over_and_wide_ones_reach_everywhere() {
    for (object, expected) in [
        (
            "{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: knp.default.p, \
             namespace: lab}}",
            '.',
        ),
        (
            "{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: default.p, \
             namespace: lab}}",
            '?',
        ),
        (
            "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, \
             namespace: other}}",
            '.',
        ),
        (
            "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, \
             namespace: istio-system}}",
            '?',
        ),
        ("{apiVersion: acme.example/v1, kind: AcmeNetworkPolicy, metadata: {name: a}}", '?'),
        (
            "{apiVersion: policy.networking.k8s.io/v1, kind: ClusterNetworkPolicy, metadata: {name: \
             a}}",
            '?',
        ),
    ] {
        let mut lab = Lab::new(LAB);
        let set = PolicySet::read(&objects(object), "default", Origin::Stored).expect(object);
        lab.all = Compiled::new(set, lab.all.topology().clone());
        lab.expect(&[("lab/web", "lab/db", "80", expected)]);
    }
}
