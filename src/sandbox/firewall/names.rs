//! How chains and sets are called. The same thing has the same name wherever it is made.

use super::{
    addresses::Family,
    pieces::Place,
    policy::{Among, Direction, Followed, PolicyKey, Tier},
};

/// Chains and sets have names of up to 255 bytes, and these stand in front of others.
const LONGEST: usize = 180;

/// The name of a policy's chain in a direction, with which those of its sets begin.
pub(super) fn chain_name(direction: Direction, (namespace, name): &PolicyKey) -> String {
    let field = direction.field();
    let full = if namespace.is_empty() {
        format!("cluster-{field}/{name}")
    } else {
        format!("{field}/{namespace}/{name}")
    };
    if full.len() <= LONGEST {
        return full;
    }
    // Names of objects are ASCII; whatever else came through is cut at a letter's border.
    let mut end = LONGEST - 20;
    while !full.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}.{:016x}", &full[..end], digest(&full))
}

/// FNV-1a: names must be the same wherever they are made.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
        (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The name of a namespace's chain in a direction.
pub(super) fn namespace_chain_name(direction: Direction, namespace: &str) -> String {
    format!("{}/{namespace}", direction.field())
}

/// The chain of pods that no policy isolates.
pub(super) fn open_chain_name(direction: Direction) -> String {
    format!("{}-open", direction.field())
}

/// The chain of a tier, which leads to its policies.
pub(super) fn tier_chain_name(direction: Direction, tier: Tier) -> String {
    let tier = match tier {
        Tier::Admin => "admin",
        Tier::Baseline => "baseline",
    };
    format!("{tier}-{}", direction.field())
}

/// The chain of what comes after the Admin tier.
pub(super) fn next_chain_name(direction: Direction) -> String {
    format!("{}-next", direction.field())
}

/// The chain of what no NetworkPolicy denies.
pub(super) const APART: &str = "apart";

/// The map that leads from a pod's address to its namespace's chain.
pub(super) fn map_name(direction: Direction, family: Family) -> String {
    of_family(format!("{}-pods", direction.field()), family)
}

fn of_family(name: String, family: Family) -> String {
    match family {
        Family::V4 => name,
        Family::V6 => format!("{name}-6"),
    }
}

/// The name of a set that rules share: for people what it is about as far as that is short,
/// and for all else its digest.
pub(super) fn followed_name(Followed { among, words }: &Followed, family: Family) -> String {
    const SHORT: usize = 60;
    let [pods, nodes, hosts, ports, subjects] = SHARED;
    let among = match among {
        Among::Pods => pods,
        Among::Nodes => nodes,
        Among::Hosts => hosts,
        Among::Ports => ports,
        Among::Subjects => subjects,
    };
    let letter = |letter: char| match letter {
        ' ' => '_',
        letter if letter.is_ascii_alphanumeric() || "-_./".contains(letter) => letter,
        _ => '-',
    };
    let start: String = words.chars().take(SHORT).map(letter).collect();
    of_family(format!("{among}{start}.{:016x}", digest(words)), family)
}

/// How the names of sets begin that rules share.
const SHARED: [&str; 5] = ["pods/", "nodes/", "hosts/", "ports/", "subjects/"];

/// Whether several policies may look into a set of this name.
pub(super) fn is_shared(set: &str) -> bool {
    SHARED.iter().any(|start| set.starts_with(start))
}

pub(super) fn blocks_name(chain: &str, rule: usize, family: Family) -> String {
    of_family(format!("{chain}/{rule}/blocks"), family)
}

pub(super) fn sockets_name(chain: &str, (rule, port): Place, family: Family) -> String {
    of_family(format!("{chain}/{rule}/port-{port}"), family)
}

/// The set of all pods' addresses, where a fault needs it.
pub(super) fn all_pods_name(family: Family) -> String {
    of_family("pods".to_owned(), family)
}
