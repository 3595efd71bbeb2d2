//! The arithmetic of rollouts: how many pods of which revision, and nothing else.

use serde_json::Value;

/// One ReplicaSet as the arithmetic sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// How many are asked for.
    pub wanted: i64,
    /// How many are available.
    pub available: i64,
}

/// How far a Deployment may stray from its number while it rolls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub replicas: i64,
    /// So many more.
    pub surge: i64,
    /// So many fewer that are available.
    pub unavailable: i64,
}

impl Limits {
    /// The limits of a Deployment's specification. Shares of the surge are rounded up, those
    /// of the unavailable down; if both are nothing, one may be unavailable.
    pub(super) fn of(spec: &Value) -> Self {
        let replicas = spec["replicas"].as_i64().unwrap_or(1);
        let strategy = &spec["strategy"];
        if strategy["type"] != "RollingUpdate" {
            return Self { replicas, surge: 0, unavailable: 0 };
        }
        let rolling = &strategy["rollingUpdate"];
        let surge = resolve(&rolling["maxSurge"], replicas, true);
        let mut unavailable = resolve(&rolling["maxUnavailable"], replicas, false);
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        Self { replicas, surge, unavailable: unavailable.min(replicas) }
    }

    fn at_most(self) -> i64 {
        self.replicas + self.surge
    }

    pub(super) fn at_least(self) -> i64 {
        self.replicas - self.unavailable
    }

    /// How many pods the new ReplicaSet should have next.
    pub(super) fn new_replicas(self, new: i64, all: i64) -> i64 {
        if new > self.replicas {
            return self.replicas;
        }
        let room = self.at_most() - all;
        if room <= 0 {
            return new;
        }
        new + room.min(self.replicas - new)
    }

    /// How many pods each of the old ReplicaSets should have next; they come oldest first.
    /// First those go that aren't available, as far as the new ReplicaSet's own troubles
    /// allow, then as many others as there are too many.
    pub(super) fn old_replicas(self, old: &[Count], new: Count) -> Vec<i64> {
        let mut next: Vec<_> = old.iter().map(|count| count.wanted).collect();
        let all: i64 = next.iter().sum::<i64>() + new.wanted;
        let limit = all - self.at_least() - (new.wanted - new.available);
        if limit <= 0 {
            return next;
        }
        let mut cleaned = 0;
        for (next, count) in next.iter_mut().zip(old) {
            let sick = (count.wanted - count.available).max(0);
            let gone = sick.min(limit - cleaned).min(*next);
            *next -= gone;
            cleaned += gone;
        }
        let available: i64 = old.iter().map(|count| count.available).sum::<i64>() + new.available;
        let mut surplus = (available - self.at_least()).max(0);
        for next in &mut next {
            let gone = surplus.min(*next);
            *next -= gone;
            surplus -= gone;
        }
        next
    }
}

/// A number, or a share of a total.
pub(in crate::sandbox::controller) fn resolve(value: &Value, total: i64, up: bool) -> i64 {
    match value {
        Value::String(text) => {
            let share: i64 =
                text.strip_suffix('%').and_then(|share| share.parse().ok()).unwrap_or_default();
            let product = share.saturating_mul(total);
            if up { (product + 99).div_euclid(100) } else { product.div_euclid(100) }
        }
        number => number.as_i64().unwrap_or_default(),
    }
}

/// One ReplicaSet while a Deployment is scaled in the middle of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub wanted: i64,
    /// The most that the Deployment had when this one was last scaled.
    pub most_before: i64,
}

/// How many pods each ReplicaSet should have after the Deployment was scaled: each keeps
/// its share, and the first gets what is left over. They come largest first.
pub(super) fn proportional(limits: Limits, sets: &[Share]) -> Vec<i64> {
    let all: i64 = sets.iter().map(|set| set.wanted).sum();
    let allowed = if limits.replicas > 0 { limits.at_most() } else { 0 };
    let to_add = allowed - all;
    let mut added = 0;
    let mut next: Vec<_> = sets
        .iter()
        .map(|set| {
            if to_add == 0 {
                return set.wanted;
            }
            let left = to_add - added;
            let fraction = fraction(limits, *set);
            let share = match () {
                () if set.wanted == 0 || left == 0 => 0,
                () if to_add > 0 => fraction.min(left),
                () => fraction.max(left),
            };
            added += share;
            set.wanted + share
        })
        .collect();
    if to_add != 0
        && let Some(first) = next.first_mut()
    {
        *first = (*first + to_add - added).max(0);
    }
    next
}

/// How much a ReplicaSet grows if it keeps its share.
fn fraction(limits: Limits, set: Share) -> i64 {
    if limits.replicas == 0 {
        return -set.wanted;
    }
    let before = if set.most_before > 0 { set.most_before } else { set.wanted.max(1) };
    // Rounded to the nearest.
    (set.wanted * limits.at_most() * 2 + before).div_euclid(2 * before) - set.wanted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn limits(replicas: i64, surge: impl Into<Value>, unavailable: impl Into<Value>) -> Limits {
        Limits::of(&json!({"replicas": replicas, "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge.into(), "maxUnavailable": unavailable.into()},
        }}))
    }

    #[test]
    fn shares_of_the_surge_are_rounded_up_and_of_the_unavailable_down() {
        for (replicas, surge, unavailable, expected) in [
            (10, json!("25%"), json!("25%"), (3, 2)),
            (1, json!("25%"), json!("25%"), (1, 0)),
            (3, json!(0), json!("25%"), (0, 1)),
            (2, json!(1), json!(5), (1, 2)),
            (0, json!("25%"), json!("25%"), (0, 0)),
            (4, json!("100%"), json!(0), (4, 0)),
        ] {
            let found = limits(replicas, surge.clone(), unavailable.clone());
            let message = format!("{replicas} replicas, {surge} and {unavailable}");
            assert_eq!((found.surge, found.unavailable), expected, "{message}");
        }
    }

    #[test]
    fn the_new_replica_set_grows_into_the_room_that_there_is() {
        for (message, surge, new, all, expected) in [
            ("first step", 3, 0, 10, 3),
            ("no room", 3, 3, 13, 3),
            ("some room", 3, 3, 11, 5),
            ("not beyond the number", 3, 9, 9, 10),
            ("scaled down meanwhile", 3, 12, 12, 10),
        ] {
            assert_eq!(limits(10, surge, 2).new_replicas(new, all), expected, "{message}");
        }
    }

    #[test]
    fn old_replica_sets_shrink_as_far_as_the_available_pods_allow() {
        let count = |(wanted, available)| Count { wanted, available };
        for (message, old, new, expected) in [
            ("at the start two may go", vec![(10, 10)], (3, 0), vec![8]),
            ("nothing more before a new one is there", vec![(8, 8)], (5, 0), vec![8]),
            ("one for one", vec![(8, 8)], (5, 2), vec![6]),
            ("sick ones first, of the oldest", vec![(4, 1), (6, 6)], (3, 0), vec![2, 6]),
            ("all are there", vec![(2, 2)], (10, 10), vec![0]),
            ("new ones are sick", vec![(8, 8)], (5, 0), vec![8]),
        ] {
            let old: Vec<_> = old.into_iter().map(count).collect();
            assert_eq!(limits(10, 3, 2).old_replicas(&old, count(new)), expected, "{message}");
        }
    }

    #[test]
    fn a_rollout_ends_within_its_limits_whatever_they_are() {
        for replicas in 1..12 {
            for (surge, unavailable) in [(0, 0), (0, 1), (1, 0), (2, 3), (20, 20)] {
                let limits = limits(replicas, surge, unavailable);
                let (mut old, mut new) = (replicas, 0);
                for _ in 0..100 {
                    let next = limits.new_replicas(new, old + new);
                    assert!(next + old <= replicas + limits.surge, "too many");
                    // The new pods become available only after this step.
                    let count = |wanted, available| Count { wanted, available };
                    let shrunk = limits.old_replicas(&[count(old, old)], count(next, new));
                    assert!(shrunk[0] + new >= limits.at_least(), "too few");
                    (old, new) = (shrunk[0], next);
                }
                assert_eq!((old, new), (0, replicas), "{limits:?}");
            }
        }
    }

    #[test]
    fn scaling_during_a_rollout_keeps_the_shares() {
        let sets = |sets: &[i64], before| -> Vec<Share> {
            sets.iter().map(|&wanted| Share { wanted, most_before: before }).collect()
        };
        for (message, replicas, wanted, before, expected) in [
            // The example of the documentation: 10 replicas, surge 3, unavailable 2.
            ("10 to 15", 15, vec![8, 5], 13, vec![11, 7]),
            ("15 to 10", 10, vec![11, 7], 18, vec![8, 5]),
            ("to nothing", 0, vec![8, 5], 13, vec![0, 0]),
            ("as it is", 10, vec![8, 5], 13, vec![8, 5]),
        ] {
            let limits = limits(replicas, 3, 2);
            assert_eq!(proportional(limits, &sets(&wanted, before)), expected, "{message}");
        }
    }
}
