//! The laws that no table can list.

use proptest::prelude::*;

use super::*;

/// Any claim, sighting and state of the controls.
fn anything() -> impl Strategy<Value = (Claim, Observation, Controls)> {
    let claim =
        (any::<[bool; 4]>(), 0..3u8).prop_map(|([allow, any, meshed, ours], denial)| Claim {
            expect: if allow { Allowed } else { Blocked },
            evidence: if any && !allow { EvidenceRule::Any } else { EvidenceRule::Controls },
            intended: if ours { claim(Allowed).intended } else { Intended::Foreign },
            denial: [None, Some(Denial::Drop), Some(Denial::Reject)][usize::from(denial)],
            answer: None,
            established: None,
            strangers: BTreeSet::new(),
            meshed,
        });
    let seen = prop::sample::select(vec![
        failed(),
        agent("api"),
        agent("web"),
        application(Some(404)),
        handshake(),
        Observation::Refused,
        Observation::TimedOut,
        prohibited(),
        Observation::Reset,
        Observation::NoRoute { message: String::new() },
    ]);
    let states = prop::collection::btree_map(
        prop::sample::select(vec![
            SourcePodPath,
            DestinationPodPath,
            NodePath,
            Listener,
            ServicePath,
            ReachedBy,
            Canary,
        ]),
        prop::sample::select(vec![
            ControlState::Up,
            ControlState::Down { detail: String::new() },
            ControlState::Missing { detail: String::new() },
        ]),
        0..6,
    );
    (claim, seen, states.prop_map(Controls::from_iter))
}

proptest! {
    #[test]
    fn no_denial_passes_without_its_evidence((claim, seen, controls) in anything()) {
        let judgement = judge(&claim, &seen, &controls);
        if claim.expect == Blocked && judgement.verdict == Pass {
            let blocked = matches!(
                seen,
                Observation::Refused | Observation::TimedOut | Observation::Prohibited { .. }
            );
            prop_assert!(blocked, "{:?}", seen);
            let proven = !controls.is_empty() && controls.not_up().is_none();
            let unproven = matches!(judgement.reason, CauseUnproven { .. });
            prop_assert_eq!(proven, !unproven);
            prop_assert!(proven || claim.evidence == EvidenceRule::Any);
            prop_assert!(controls.path_down().is_none());
        }
    }

    #[test]
    fn no_allow_passes_unless_somebody_was_reached((claim, seen, controls) in anything()) {
        let judgement = judge(&claim, &seen, &controls);
        if claim.expect == Allowed && judgement.verdict == Pass {
            let reached = matches!(seen, Observation::Connected { .. });
            prop_assert!(reached, "{:?}", seen);
        }
    }

    #[test]
    fn the_network_is_never_called_policy((claim, seen, controls) in anything()) {
        let judgement = judge(&claim, &seen, &controls);
        if controls.path_down().is_some() {
            let by_policy = matches!(
                judgement.reason,
                crate::verdict::Reason::Blocked { .. } | Dropped | Rejected { .. }
            );
            prop_assert!(!by_policy, "{judgement:?}");
        }
    }
}
