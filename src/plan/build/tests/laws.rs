//! What holds of every plan.

use proptest::prelude::*;

use super::*;

/// Suites of up to eight peers, some of one identity, and of cases among them.
fn any_suite(name: &'static str) -> impl Strategy<Value = Suite> {
    let peer = (0..4usize, 0..3usize, 0..3usize).prop_map(|(app, namespace, node)| {
        let mut peer = pod(["shop", "live", "lab"][namespace], ["a", "b", "C_x", "d"][app]);
        if node == 0 {
            peer.node = Some(labels(&[("zone", "far")]));
        }
        Peer::Pod(peer)
    });
    let claims = prop::collection::vec((0..9usize, 0..9usize, any::<bool>(), 0..2u8), 1..20);
    (prop::collection::vec(peer, 2..9), claims).prop_map(move |(peers, claims)| {
        let mut suite = suite(name, [("svc", service("shop", "svc"))], Vec::new());
        suite
            .setup
            .namespaces
            .insert("Lab of a very long name ".repeat(4), SetupNamespace::default());
        suite.setup.namespaces.insert("lab".to_owned(), SetupNamespace::default());
        let names: Vec<_> = (0..peers.len())
            .map(|number| format!("peer-{}-{number}", "x".repeat(7 * number)))
            .collect();
        suite.peers.extend(names.iter().cloned().zip(peers));
        for (number, (from, to, allow, family)) in claims.into_iter().enumerate() {
            let to = names.get(to).map_or("svc", String::as_str);
            let expect = if allow { Allowed } else { Blocked };
            let mut case = case(&names[from % names.len()], to, expect);
            case.name = format!("case-{number}");
            case.family = (family == 0).then_some(Family::Ipv6);
            suite.cases.push(case);
        }
        suite
    })
}

fn is_dns_label(name: &str) -> bool {
    let inside = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=63).contains(&name.len())
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

proptest! {
    #[test]
    fn every_plan_is_sound(
        one in any_suite("one"),
        two in any_suite("two"),
        nodes in 3..5usize,
        pattern in prop::option::of("[0-9]"),
    ) {
        let mut inputs = inputs(nodes);
        inputs.families.push(Family::Ipv6);
        inputs.filter = pattern.map_or(Filter::default(), |text| filter(&[&text]));
        let plan = build(&[one.clone(), two.clone()], &inputs).unwrap();
        let unique = |texts: Vec<&str>| {
            let count = texts.len();
            texts.into_iter().collect::<BTreeSet<_>>().len() == count
        };

        let ids = plan.cases().map(|case| case.id.0.as_str()).collect();
        prop_assert!(unique(ids), "a case id stands twice");
        prop_assert!(unique(plan.pods.iter().map(|pod| pod.name.as_str()).collect()));
        let namespaces = plan.suites.iter().flat_map(|suite| &suite.namespaces);
        let namespaces: Vec<_> = namespaces.map(|namespace| namespace.name.as_str()).collect();
        for name in namespaces.iter().copied().chain(plan.pods.iter().map(|pod| pod.name.as_str())) {
            prop_assert!(is_dns_label(name), "{name}");
        }
        prop_assert!(unique(namespaces));

        let mut claimed = 0;
        for suite in [&one, &two] {
            claimed += suite.cases.iter().map(|case| if case.family.is_some() { 1 } else { 2 }).sum::<usize>();
        }
        prop_assert_eq!(plan.cases().count() + plan.filtered_out, claimed, "no case vanishes");

        let mut seen = BTreeSet::new();
        for suite in &plan.suites {
            for index in &suite.pods {
                prop_assert!(seen.insert(*index), "a pod belongs to two suites");
            }
            for case in &suite.cases {
                let source = plan.pod(case.source);
                prop_assert!(suite.pods.contains(&case.source));
                if let Destination::Pod(index) = case.destination {
                    prop_assert!(suite.pods.contains(&index));
                }
                for &witness in &case.witnesses {
                    prop_assert_eq!(&plan.pod(witness).node, &source.node);
                    prop_assert_ne!(witness, case.source);
                }
                prop_assert_eq!(
                    matches!(case.destination, Destination::Service { .. }),
                    !case.witnesses.is_empty(),
                );
            }
            let peers = suite.pods.iter().map(|&index| plan.pod(index));
            let mut identities = BTreeSet::new();
            for pod in peers.filter(|pod| matches!(pod.role, Role::Peer { .. })) {
                // Only peers that ask for the far zone are placed there.
                let far = !["node-1", "node-2"].contains(&pod.node.as_str());
                let identity = (&pod.namespace, &pod.labels, far);
                prop_assert!(identities.insert(identity), "a second pod of {:?}", identity);
            }
        }
        for pod in &plan.pods {
            prop_assert!(plan.nodes.contains(&pod.node));
        }
        prop_assert_eq!(plan.controls.keys().cloned().collect::<BTreeSet<_>>(), plan.nodes.iter().cloned().collect());
        for (node, controls) in &plan.controls {
            let crate::plan::ControlPods { witness, canary_ingress, canary_egress, marker } = *controls;
            for index in [witness, canary_ingress, canary_egress, marker] {
                prop_assert_eq!(&plan.pod(index).node, node);
                prop_assert!(seen.insert(index), "a control pod has one place");
            }
        }
        prop_assert_eq!(seen.len(), plan.pods.len(), "every pod has an owner");
    }
}
