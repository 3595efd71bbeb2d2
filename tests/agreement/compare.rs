//! The evaluator beside the compiled ruleset: what both say of every connection of a world.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

use netproof::{
    policy::{Compiled, Decision, Outcome},
    sandbox::{
        fault::NetworkFault,
        firewall::{Engine, Ruleset, Trace, Update},
    },
};
use proptest::strategy::ValueTree;
use serde::{Deserialize, Serialize};

use crate::{
    corners::Coverage,
    features::Features,
    world::{At, Carrier, NODES, PORTS, Probe, World},
};

/// A case that was kept: a world, and a connection in it about which the two disagreed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kept {
    pub why: String,
    pub probe: Option<Probe>,
    pub world: World,
}

/// Every connection of a world.
pub fn probes() -> Vec<Probe> {
    let mut found = Vec::new();
    for from in At::ALL {
        for to in At::ALL.into_iter().filter(|to| !(from.is_host() && to.is_host())) {
            if from == to && from == At::World {
                continue;
            }
            for six in [false, true] {
                let names = if to == At::World { &[false, true][..] } else { &[false] };
                for &by_name in names {
                    let probe = |carrier, port| Probe { from, to, carrier, port, six, by_name };
                    found.push(probe(Carrier::Icmp, 0));
                    for port in PORTS {
                        found.extend([Carrier::Tcp, Carrier::Udp].map(|one| probe(one, port)));
                    }
                }
            }
        }
    }
    found
}

/// A world as both sides have compiled it.
pub struct Sides {
    pub compiled: Compiled,
    pub features: Features,
    tables: Vec<Ruleset>,
}

/// What came of comparing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    pub worlds: u64,
    pub pairs: u64,
    /// Where the evaluator does not say; nothing is compared there.
    pub undetermined: u64,
}

impl Sides {
    /// # Errors
    /// What one of the two could not read.
    pub fn of(world: &World, faults: &[NetworkFault]) -> Result<Self, String> {
        let policies = world.policies().map_err(|mistakes| {
            let texts: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            format!("the evaluator refuses: {}", texts.join("; "))
        })?;
        let snapshot =
            world.snapshot().map_err(|error| format!("the firewall refuses: {error}"))?;
        let mut engine = Engine::of(&snapshot, NODES, faults, false);
        let mut updates = engine.take();
        let tables = NODES.iter().map(|node| match updates.remove(*node) {
            Some(Update::Whole(rules)) => rules,
            _ => Ruleset::default(),
        });
        Ok(Self {
            tables: tables.collect(),
            features: Features::of_world(world),
            compiled: Compiled::new(policies, world.topology()),
        })
    }

    /// What the evaluator says.
    pub fn decide(&self, probe: &Probe) -> Decision {
        self.compiled.decide(&probe.traffic(self.compiled.topology()))
    }

    /// The tables, made ready to be asked.
    pub fn traces(&self) -> Vec<Trace<'_>> {
        self.tables.iter().map(Ruleset::trace).collect()
    }
}

/// Whether the tables of the nodes on a packet's way let it through.
pub fn passes(traces: &[Trace<'_>], probe: &Probe) -> bool {
    let Probe { from, to, .. } = *probe;
    let packet = probe.packet();
    if from == to {
        return true;
    }
    let leaves = match from.node() {
        // What a node sends itself is not forwarded there.
        Some(_) if from.is_host() => true,
        None => true,
        Some(node) if to.is_host() && to.node() == Some(node) => {
            return traces[node].enters(&packet);
        }
        Some(node) => traces[node].passes(&packet),
    };
    let arrives = match to.node() {
        _ if to.is_host() => true,
        None => true,
        Some(node) if from.is_host() && from.node() == Some(node) => true,
        Some(node) => traces[node].passes(&packet),
    };
    leaves && arrives
}

/// Compares everything in a world, for a CNI with these faults.
///
/// # Errors
/// The first connection about which the two disagree, or what one could not read.
pub fn compare(
    world: &World,
    faults: &[NetworkFault],
    coverage: &mut Coverage,
    count: &mut Count,
) -> Result<(), (Option<Probe>, String)> {
    let sides = Sides::of(world, faults).map_err(|why| (None, why))?;
    let traces = sides.traces();
    count.worlds += 1;
    for probe in probes() {
        let said = sides.decide(&probe);
        let expected = match said.outcome {
            Outcome::Allowed => true,
            Outcome::Denied => false,
            Outcome::Undetermined => {
                count.undetermined += 1;
                continue;
            }
        };
        count.pairs += 1;
        coverage.note(&sides.features, &sides.compiled, &probe, &said);
        if passes(&traces, &probe) != expected {
            return Err((Some(probe), disagreement(&probe, &said, !expected, "the ruleset")));
        }
    }
    Ok(())
}

/// Two opinions in words.
pub fn disagreement(probe: &Probe, said: &Decision, seen: bool, by: &str) -> String {
    let seen = if seen { "lets it through" } else { "keeps it out" };
    format!(
        "{probe}: the evaluator says {}, {by} {seen}\negress: {:?}\ningress: {:?}",
        said.outcome, said.egress.reasons, said.ingress.reasons
    )
}

/// The smallest world that still fails, of those that shrinking finds.
pub fn shrink<E>(
    tree: &mut impl ValueTree<Value = World>,
    first: E,
    most: usize,
    mut fails: impl FnMut(&World) -> Option<E>,
) -> (World, E) {
    let mut best = (tree.current(), first);
    if !tree.simplify() {
        return best;
    }
    for _ in 0..most {
        let world = tree.current();
        let more = match fails(&world) {
            Some(why) => {
                best = (world, why);
                tree.simplify()
            }
            None => tree.complicate(),
        };
        if !more {
            break;
        }
    }
    best
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agreement/cases")
}

/// Keeps a case, which every later run tries first. Says where.
pub fn keep(kept: &Kept) -> String {
    let text = serde_yaml::to_string(kept).expect("plain data");
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let path = folder().join(format!("found-{:08x}.yaml", hasher.finish() as u32));
    match fs::write(&path, text) {
        Ok(()) => format!("kept as {}", path.display()),
        Err(error) => format!("not kept, {}: {error}", path.display()),
    }
}

/// The cases that were kept, by their file's names.
pub fn kept() -> Vec<(String, Kept)> {
    let files = fs::read_dir(folder()).expect("the folder of kept cases").filter(|entry| {
        entry.as_ref().is_ok_and(|entry| entry.path().extension().is_some_and(|it| it == "yaml"))
    });
    let mut found: Vec<_> = files
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("a file");
            let kept = serde_yaml::from_str(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), kept)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
