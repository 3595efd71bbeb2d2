//! What holds for every cluster and every set of policies.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    super::{matrix::Question, reference, *},
    random,
};
use crate::model::{End, Family, IpProtocol, Topology, Traffic};

fn asked() -> impl Strategy<Value = (Topology, PolicySet, Vec<Traffic>)> {
    (random::topology(), random::policies()).prop_flat_map(|(topology, policies)| {
        let traffic = proptest::collection::vec(random::traffic(&topology), 12);
        (Just(topology), Just(policies), traffic)
    })
}

fn question() -> impl Strategy<Value = Question> {
    let protocols = vec![IpProtocol::Tcp, IpProtocol::Udp, IpProtocol::Sctp, IpProtocol::Icmp];
    let families = vec![Family::Ipv4, Family::Ipv6];
    (prop::sample::select(protocols), 80..83_u16, prop::sample::select(families))
        .prop_map(|(protocol, port, family)| Question { protocol, port, family: Some(family) })
}

/// Every pair of pods.
fn pairs(topology: &Topology) -> impl Iterator<Item = (usize, usize)> + use<> {
    let size = topology.pods().len();
    (0..size).flat_map(move |from| (0..size).map(move |to| (from, to)))
}

fn pair(question: &Question, from: usize, to: usize) -> Traffic {
    let mut traffic = Traffic::new(End::Pod(from), End::Pod(to), question.protocol, question.port);
    traffic.family = question.family;
    traffic
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_form_says_what_the_plain_one_says((topology, policies, traffic) in asked()) {
        let all = Compiled::new(policies.clone(), topology.clone());
        for traffic in traffic {
            let plain = reference::decide(&policies, &topology, &traffic);
            let decision = all.decide(&traffic);
            prop_assert_eq!(decision.outcome, plain, "{:?}\n{:#?}", traffic, decision);
            for side in [&decision.egress, &decision.ingress] {
                let undetermined = side.outcome == Outcome::Undetermined;
                prop_assert_eq!(!side.doubts.is_empty(), undetermined, "{:#?}", side);
                prop_assert!(!side.reasons.is_empty(), "{:#?}", side);
            }
        }
    }

    #[test]
    fn the_matrix_says_what_each_question_says(
        topology in random::topology(),
        policies in random::policies(),
        question in question(),
    ) {
        let all = Compiled::new(policies, topology);
        let matrix = all.matrix(&question);
        for (from, to) in pairs(all.topology()) {
            let decision = all.decide(&pair(&question, from, to));
            prop_assert_eq!(matrix.get(from, to), Some(decision.outcome), "{} {}: {:#?}", from, to, decision);
        }
    }

    #[test]
    fn a_change_leaves_what_compiling_again_would_make(
        topology in random::topology(),
        policies in random::policies(),
        more in random::network(),
        wide in random::cluster(),
        labels in proptest::collection::btree_map("[ab]", "[123]", 0..3),
        question in question(),
        pod in 0..2_usize,
        what in 0..5,
    ) {
        let mut all = Compiled::new(policies.clone(), topology.clone());
        let (mut topology, mut policies) = (topology, policies);
        match what {
            0 => {
                all.set_pod_labels(pod, labels.clone());
                topology.set_pod_labels(pod, labels);
            }
            1 => {
                all.set_namespace_labels("x", labels.clone());
                topology.set_namespace_labels("x", labels);
            }
            2 if !policies.policies.is_empty() => {
                all.remove(PolicyId(0));
                policies.policies.remove(0);
            }
            3 => {
                let policy = Policy::Cluster(wide);
                policies.policies.retain(|other| other.to_string() != policy.to_string());
                policies = PolicySet::new(policies.policies.into_iter().chain([policy.clone()]));
                all.put(policy);
            }
            _ => {
                let mut more = more;
                if let Some(Policy::Network(first)) = policies.policies.first() {
                    (more.namespace, more.name) = (first.namespace.clone(), first.name.clone());
                }
                let policy = Policy::Network(more);
                policies.policies.retain(|other| other.to_string() != policy.to_string());
                policies = PolicySet::new(policies.policies.into_iter().chain([policy.clone()]));
                all.put(policy);
            }
        }
        let again = Compiled::new(policies, topology);
        prop_assert_eq!(all.matrix(&question), again.matrix(&question));
        for (from, to) in pairs(again.topology()) {
            let traffic = pair(&question, from, to);
            prop_assert_eq!(all.decide(&traffic).outcome, again.decide(&traffic).outcome);
        }
    }

    #[test]
    fn a_policy_that_selects_nothing_changes_nothing(
        topology in random::topology(),
        policies in random::policies(),
        policy in random::network(),
        question in question(),
    ) {
        let mut policy = policy;
        policy.pod_selector = Selector::labels([("nobody", "has-this")]);
        policy.name = "nothing".into();
        let before = Compiled::new(policies.clone(), topology.clone()).matrix(&question);
        let more = PolicySet::new(policies.policies.into_iter().chain([Policy::Network(policy)]));
        prop_assert_eq!(before, Compiled::new(more, topology).matrix(&question));
    }

    #[test]
    fn an_allow_added_to_an_isolated_pod_never_closes(
        topology in random::topology(),
        policies in random::policies(),
        policy in random::network(),
        question in question(),
    ) {
        // Isolated already, by a policy with the same selector and directions.
        let mut isolating = policy.clone();
        (isolating.ingress, isolating.egress) =
            (policy.ingress.as_ref().map(|_| vec![]), policy.egress.as_ref().map(|_| vec![]));
        isolating.name = "isolating".into();
        let before = PolicySet::new(policies.policies.into_iter().chain([Policy::Network(isolating)]));
        let after = PolicySet::new(before.policies.clone().into_iter().chain([Policy::Network(policy)]));
        let before = Compiled::new(before, topology.clone()).matrix(&question);
        let after = Compiled::new(after, topology.clone()).matrix(&question);
        for (from, to) in pairs(&topology) {
            let (before, after) = (before.get(from, to), after.get(from, to));
            if before == Some(Outcome::Allowed) {
                prop_assert_eq!(after, before, "{} to {} was open", from, to);
            }
            if before == Some(Outcome::Undetermined) {
                prop_assert_ne!(after, Some(Outcome::Denied), "{} to {} was perhaps open", from, to);
            }
        }
    }

    #[test]
    fn the_order_of_policies_never_matters(
        topology in random::topology(),
        policies in random::policies(),
        question in question(),
    ) {
        let mut turned = policies.clone();
        turned.policies.reverse();
        let before = Compiled::new(policies, topology.clone()).matrix(&question);
        prop_assert_eq!(before, Compiled::new(turned, topology).matrix(&question));
    }

    #[test]
    fn an_except_of_both_halves_equals_no_rule(
        topology in random::topology(),
        policies in random::policies(),
        policy in random::network(),
        question in question(),
    ) {
        let parse = |text: &str| text.parse().expect("a block");
        let hollow = IpBlock {
            cidr: parse("10.0.0.0/8"),
            except: vec![parse("10.128.0.0/9"), parse("10.0.0.0/9")],
        };
        let rule = Rule { peers: Some(vec![Peer::Block(hollow)]), ports: None };
        let with = |rules: Vec<Rule>| {
            let mut policy = policy.clone();
            policy.name = "hollow".into();
            (policy.ingress, policy.egress) = (Some(rules.clone()), Some(rules));
            let all = policies.policies.clone().into_iter().chain([Policy::Network(policy)]);
            Compiled::new(PolicySet::new(all), topology.clone()).matrix(&question)
        };
        prop_assert_eq!(with(vec![rule]), with(vec![]));
    }

    #[test]
    fn the_matrix_of_a_union_is_the_union_of_the_matrices(
        topology in random::topology(),
        policies in proptest::collection::vec(random::network(), 1..5),
        question in question(),
    ) {
        // Of policies that isolate the same pods, in one direction: then allows only add up.
        let alike = |policies: &[NetworkPolicy]| {
            let alike = policies.iter().enumerate().map(|(index, policy)| {
                let mut policy = policy.clone();
                policy.namespace = "x".into();
                policy.name = format!("np-{index}");
                policy.pod_selector = Selector::default();
                policy.ingress = Some(policy.ingress.unwrap_or_default());
                policy.egress = None;
                Policy::Network(policy)
            });
            Compiled::new(PolicySet::new(alike), topology.clone()).matrix(&question)
        };
        let (first, rest) = policies.split_at(1);
        let rest = if rest.is_empty() { first } else { rest };
        let (one, other, both) =
            (alike(first), alike(rest), alike(&[first, rest].concat()));
        let best = |a: Outcome, b: Outcome| {
            let found = BTreeSet::from([a, b]);
            [Outcome::Allowed, Outcome::Undetermined, Outcome::Denied]
                .into_iter()
                .find(|outcome| found.contains(outcome))
        };
        for (from, to) in pairs(&topology) {
            let (a, b) = (one.get(from, to), other.get(from, to));
            let host = topology.pods()[from].host_network || topology.pods()[to].host_network;
            if let (Some(a), Some(b), false) = (a, b, host) {
                prop_assert_eq!(both.get(from, to), best(a, b), "{} to {}", from, to);
            }
        }
    }
}
