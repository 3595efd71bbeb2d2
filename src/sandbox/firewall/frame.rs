//! The chains that stand around those of policies, and lead to them.
//!
//! ```text
//!   egress ── admin-egress ──▶ cluster-egress/P: accept, drop, or on to egress-next
//!          ── egress-next ── by source ──▶ egress/shop ──▶ egress/shop/P: accept
//!                                                      ── drop
//!                                    └──▶ egress-open ── baseline-egress ──▶ cluster-egress/P
//! ```
//!
//! Whatever is accepted in `egress` goes on to `ingress`, which stands behind it in the
//! kernel's order: both ends must agree. To pass over the rest of the Admin tier is to jump
//! to what comes after it, which always decides.

use super::{
    addresses::Family,
    engine::Known,
    names::{
        APART, chain_name, followed_name, map_name, namespace_chain_name, next_chain_name,
        open_chain_name, tier_chain_name,
    },
    pieces::{DENIED, OPEN, Setting, denials},
    policy::{Direction, Followed, PolicyKey, Tier},
    ruleset::{Action, Chain, Match, Rule},
};
use crate::model::Transport;

/// The chain of a namespace's isolated pods: through all policies that may allow, then denied.
pub(super) fn namespace_chain<'a>(
    direction: Direction,
    namespace: &str,
    policies: impl Iterator<Item = &'a PolicyKey>,
    known: &Known<'_>,
) -> Chain {
    let setting = known.setting;
    // Whether NetworkPolicies count for that is left open; here they don't.
    let mut rules = vec![Rule::new([], Action::Jump(APART.to_owned()))];
    if setting.switches.ignore_udp {
        let udp = Rule::new([Match::Transport(Transport::Udp)], Action::Accept);
        rules.push(udp.because("fault ignore-udp"));
    }
    for key in policies {
        let Some(whom) = known.subjects((key, direction)) else { continue };
        let chain = chain_name(direction, key);
        for &family in &setting.families {
            let own = subjects(direction, &whom, family);
            let jump = Rule::new([own], Action::Jump(chain.clone()));
            rules.push(jump.because(format!("{}/{}", key.0, key.1)));
        }
    }
    let because = format!("no policy in {namespace} allows it");
    rules.extend(denials(Vec::new(), setting).into_iter().map(|rule| {
        let rule = rule.because(because.clone());
        if setting.log { rule.logged(format!("{DENIED} {}", direction.field())) } else { rule }
    }));
    Chain { name: namespace_chain_name(direction, namespace), base: None, rules }
}

/// The pods of a policy, as one end of a packet.
fn subjects(direction: Direction, whom: &Followed, family: Family) -> Match {
    let subjects = followed_name(whom, family);
    match direction {
        Direction::Ingress => Match::DestinationIn(family, subjects),
        Direction::Egress => Match::SourceIn(family, subjects),
    }
}

/// The families whose packets are judged.
fn heeded(setting: &Setting) -> impl Iterator<Item = Family> + '_ {
    let families = setting.families.iter().copied();
    families.filter(|family| *family == Family::V4 || !setting.switches.ignore_ipv6)
}

/// The chain of a tier: through its policies, in their order.
pub(super) fn tier_chain<'a>(
    direction: Direction,
    tier: Tier,
    policies: impl Iterator<Item = &'a PolicyKey>,
    known: &Known<'_>,
) -> Chain {
    let led = policies.filter_map(|key| Some((key, known.subjects((key, direction))?)));
    let jumps = led.flat_map(|(key, whom)| {
        let chain = chain_name(direction, key);
        heeded(known.setting).map(move |family| {
            let jump = Action::Jump(chain.clone());
            Rule::new([subjects(direction, &whom, family)], jump)
                .because(format!("ClusterNetworkPolicy {}", key.1))
        })
    });
    Chain { name: tier_chain_name(direction, tier), base: None, rules: jumps.collect() }
}

/// What comes after the Admin tier. It always decides.
pub(super) fn next_chain(direction: Direction, setting: &Setting) -> Chain {
    let by_address = heeded(setting).map(|family| {
        let map = map_name(direction, family);
        let jump = match direction {
            Direction::Ingress => Action::JumpByDestination(family, map),
            Direction::Egress => Action::JumpBySource(family, map),
        };
        Rule::new([], jump)
    });
    let baseline = Action::Jump(tier_chain_name(direction, Tier::Baseline));
    let rest = [Rule::new([], baseline), Rule::new([], Action::Accept)];
    let rules = by_address.chain(rest).collect();
    Chain { name: next_chain_name(direction), base: None, rules }
}

/// The chain of the pods that no NetworkPolicy isolates. What the Baseline tier leaves open
/// is told.
pub(super) fn open_chain(direction: Direction) -> Chain {
    let baseline = Action::Jump(tier_chain_name(direction, Tier::Baseline));
    let open = Rule::new([], Action::Accept).logged(format!("{OPEN} {}", direction.field()));
    let rules = vec![Rule::new([], baseline), open.because("not isolated")];
    Chain { name: open_chain_name(direction), base: None, rules }
}

/// Where a packet that a node forwards is judged in a direction.
pub(super) fn judging(direction: Direction) -> [Rule; 2] {
    let admin = Action::Jump(tier_chain_name(direction, Tier::Admin));
    let next = Action::Jump(next_chain_name(direction));
    [admin, next].map(|action| Rule::new([], action))
}
