//! That no history matters: whatever happened, the kernel's table is what the last state
//! alone would lead to.

mod specs;
mod world;

use proptest::prelude::*;

use self::{
    specs::{CLUSTER_SPECS, SPECS},
    world::World,
};
use super::{kernel::Kernel, *};

const NODES: [&str; 2] = ["one", "two"];

#[derive(Clone, Debug)]
enum Happening {
    /// Namespace, label.
    Namespace(u8, Option<u8>),
    /// Namespace, name, then: node, address, IPv6 too, label, named port.
    Pod(u8, u8, Option<(u8, u8, bool, u8, u16)>),
    /// The pod's isolation is late.
    Open(u8, u8),
    /// Namespace, name, which text.
    Policy(u8, u8, Option<u8>),
    /// Name, which text, priority.
    ClusterPolicy(u8, Option<(u8, u8)>),
    /// Which one, label.
    Node(u8, Option<u8>),
    /// Name, last part of its address.
    Host(u8, Option<u8>),
    /// How many Services, to how many endpoints, and their affinity.
    Services(u8, u8, Option<u8>),
    Faults(Vec<u8>),
    /// A node refuses what it is given next.
    Refusal(u8),
    /// What has changed is loaded.
    Load,
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{
        ClusterPolicy, Faults, Host, Load, Namespace, Node, Open, Pod, Policy, Refusal, Services,
    };
    let pod = (0..3_u8, 0..8_u8, any::<bool>(), 0..3_u8, 8080..8082_u16);
    prop_oneof![
        2 => (0..3_u8, prop::option::weighted(0.9, 0..3_u8)).prop_map(|(a, b)| Namespace(a, b)),
        8 => (0..3_u8, 0..4_u8, prop::option::weighted(0.8, pod)).prop_map(|(a, b, c)| Pod(a, b, c)),
        1 => (0..3_u8, 0..4_u8).prop_map(|(a, b)| Open(a, b)),
        6 => (0..3_u8, 0..3_u8, prop::option::weighted(0.8, 0..SPECS))
            .prop_map(|(a, b, c)| Policy(a, b, c)),
        4 => (0..4_u8, prop::option::weighted(0.8, (0..CLUSTER_SPECS, 0..3_u8)))
            .prop_map(|(a, b)| ClusterPolicy(a, b)),
        1 => (0..2_u8, prop::option::weighted(0.8, 0..3_u8)).prop_map(|(a, b)| Node(a, b)),
        1 => (0..2_u8, prop::option::weighted(0.8, 0..3_u8)).prop_map(|(a, b)| Host(a, b)),
        1 => (0..3_u8, 0..3_u8, prop::option::of(1..3_u8))
            .prop_map(|(a, b, c)| Services(a, b, c)),
        1 => prop::collection::vec(0..FAULTS.len() as u8, 0..3).prop_map(Faults),
        1 => (0..2_u8).prop_map(Refusal),
        6 => Just(Load),
    ]
}

const FAULTS: [&str; 14] = [
    "ignore-ingress",
    "enforce-nothing",
    "reject",
    "loss=10%",
    "ignore-except",
    "ignore-end-port",
    "ignore-named-ports",
    "ignore-namespace-selector",
    "ignore-ipblock-pods",
    "ignore-udp",
    "allow-own-namespace",
    "first-policy-only",
    "or-selectors",
    "drop-replies-udp",
];

fn load(engine: &mut Engine, kernels: &mut [Kernel; 2], refuses: Option<&str>) {
    let updates = engine.take();
    for (node, kernel) in NODES.into_iter().zip(kernels) {
        match updates.get(node) {
            Some(_) if refuses == Some(node) => engine.reload(node),
            Some(update) => kernel.take(update),
            None => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn every_history_ends_in_the_rules_of_its_last_state(
        happenings in prop::collection::vec(happening(), 1..60),
    ) {
        let mut engine = Engine::new(NODES, true);
        let mut kernels = [Kernel::default(), Kernel::default()];
        let mut world = World::default();
        for happening in &happenings {
            world.happen(happening, &mut engine, &mut kernels);
        }
        load(&mut engine, &mut kernels, None);
        let mut fresh = world.afresh();
        let mut updates = fresh.take();
        for (node, kernel) in NODES.into_iter().zip(kernels) {
            prop_assert_eq!(&kernel, &Kernel::of(engine.ruleset(node).expect("a node")), "as said");
            let Some(Update::Whole(rules)) = updates.remove(node) else {
                panic!("a new node loads all");
            };
            prop_assert_eq!(kernel, Kernel::of(rules), "as from scratch");
        }
        prop_assert_eq!(engine.take().len(), 0, "nothing is left to do");
    }
}
