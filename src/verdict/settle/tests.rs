//! Steps, told as what each case saw round by round.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    model::Connectivity::{self, Allowed, Blocked},
    suite::{Denial, EvidenceRule},
    verdict::{AnsweredBy, Controls, Intended, Reason, Verdict, Verdict::*, judge},
};

mod quick;

/// A case: what is claimed, its budget in seconds, and what each round saw: `c`onnected,
/// `t`imed out, `r`efused, `p`rohibited, `n`ot there, or `?` for an agent that failed. The last
/// one goes on for ever.
type Told<'a> = (Connectivity, u64, &'a str);

const RULES: SettlingRules = SettlingRules {
    settle_at_least: Duration::from_secs(1),
    holding_rounds: 3,
    silence_at_least: Duration::ZERO,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn claim(expect: Connectivity) -> Claim {
    Claim {
        answer: None,
        expect,
        intended: Intended::Agents(Arc::new(["api".to_owned()].into())),
        evidence: EvidenceRule::Controls,
        denial: None,
        meshed: false,
        established: None,
        strangers: BTreeSet::new(),
    }
}

fn seen(letter: char) -> Observation {
    match letter {
        'c' => Observation::Connected {
            by: AnsweredBy::Agent {
                identity: "api".to_owned(),
                saw: "10.0.0.1:20000".parse().unwrap(),
            },
        },
        't' => Observation::TimedOut,
        'r' => Observation::Refused,
        'p' => Observation::Prohibited { code: "3/13".to_owned() },
        'n' => Observation::NotThere { message: "no SCTP".to_owned() },
        _ => Observation::AgentFailed { message: "gone".to_owned() },
    }
}

fn up() -> Controls {
    let up = crate::verdict::ControlState::Up;
    Controls::from_iter([(crate::verdict::ControlKind::NodePath, up)])
}

fn letter(told: &str, round: u64) -> char {
    let place = usize::try_from(round - 1).unwrap();
    told.chars().nth(place).or(told.chars().last()).unwrap()
}

/// Follows a step whose last write was answered at 0 s. Round N runs from N s for 0.8 s,
/// and the marker has bitten before round `counted`. Returns the round that ended it.
fn follow(rules: SettlingRules, counted: u64, told: &[Told<'_>], most: u64) -> (Settling, u64) {
    let expectations = told.iter().map(|&(expect, within, _)| Expectation {
        claim: claim(expect),
        changed_at: Duration::ZERO,
        within: seconds(within),
    });
    let mut settling = Settling::new(rules, expectations.collect());
    for round in 1..=most {
        let started = seconds(round);
        let times = RoundTimes {
            started,
            ended: started + Duration::from_millis(800),
            counted: round >= counted,
        };
        let sightings = told.iter().map(|&(expect, _, told)| {
            let seen = seen(letter(told, round));
            Sighting { judgement: judge(&claim(expect), &seen, &up()), seen, at: started }
        });
        if settling.round(times, sightings.collect()) {
            return (settling, round);
        }
    }
    (settling, 0)
}

/// A verdict in short, with its latency in seconds.
fn short(settled: &Settled) -> String {
    let latency =
        settled.latency.map(|latency| format!(" after {}s", latency.as_secs())).unwrap_or_default();
    format!("{}: {}{latency}", settled.judgement.verdict, settled.judgement.reason)
}

#[test]
fn a_step_settles_together() {
    let dropped = "pass: dropped: nothing came back, and every control is up";
    let open = "FAIL: connected, answered by api";
    let shut = "FAIL: blocked (timed out), and every control is up";
    let flapping = "FAIL: flapping: changed once after it first was as expected";
    let gone = "inconclusive: agent unreachable: gone";
    let late = |after: u64| format!("{dropped} after {after}s");
    let ok = "pass: answered by api".to_owned();
    let (forty, late_by_two) = ("c".repeat(39) + "t", "c".repeat(31) + "t");
    let (flips, doubts) = ("tc".repeat(100), "t?".repeat(100));
    #[rustfmt::skip]
    let rows = [
        ("three rounds hold", 1, vec![(Blocked, 30, "t"), (Allowed, 30, "c")], 3,
            vec![dropped.to_owned(), ok.clone()]),
        ("rounds before the marker has bitten don't hold", 5, vec![(Blocked, 30, "t")], 7,
            vec![dropped.to_owned()]),
        ("L16: 8 s until it bites, then twice as long to settle", 1, vec![(Blocked, 30, "cccccccct")], 30,
            vec![late(9)]),
        ("L16: an allow that is wrongly closed after 8 s", 9, vec![(Allowed, 30, "cccccccct")], 32,
            vec![shut.to_owned()]),
        ("L16: both in one step", 9, vec![(Blocked, 30, "cccccccct"), (Allowed, 30, "cccccccct")], 32,
            vec![late(9), shut.to_owned()]),
        ("L17: 40 s, with a budget of 30 s", 1, vec![(Blocked, 30, &forty)], 32,
            vec![open.to_owned()]),
        ("L17: it bites while the step settles, too late", 1,
            vec![(Blocked, 30, &late_by_two)], 32, vec![format!("{open} after 32s")]),
        ("L18: it opens again", 1, vec![(Blocked, 30, "ttcct")], 3, vec![flapping.to_owned()]),
        ("L18: without end, and the step ends", 1,
            vec![(Blocked, 30, &flips), (Allowed, 30, "c")], 3,
            vec!["FAIL: flapping: changed 2 times after it first was as expected".to_owned(), ok.clone()]),
        ("L18: an allow that closes again", 1, vec![(Allowed, 30, "cct")], 3, vec![flapping.to_owned()]),
        ("L19: a window lost all its packets", 1, vec![(Blocked, 30, "tc")], 3, vec![flapping.to_owned()]),
        ("L44: it looks denied until the allows arrive", 1,
            vec![(Blocked, 30, "ttttttc"), (Allowed, 30, "ttttttc")], 24,
            vec![flapping.to_owned(), format!("{ok} after 7s")]),
        ("L44: also where the marker is as slow as the allows", 7,
            vec![(Blocked, 10, "ttttttc"), (Allowed, 30, "ttttttc")], 24,
            vec![open.to_owned(), format!("{ok} after 7s")]),
        ("no case passes while another may still change", 1,
            vec![(Allowed, 30, "c"), (Allowed, 20, "t")], 22, vec![ok.clone(), shut.to_owned()]),
        ("what can't be told waits for its budget", 1, vec![(Blocked, 5, "?")], 7, vec![gone.to_owned()]),
        ("what could not be told at first may pass", 1, vec![(Blocked, 30, "??t")], 7,
            vec![dropped.to_owned()]),
        ("a late pass must hold as long as any", 1, vec![(Blocked, 2, "?????t"), (Allowed, 30, "t")], 32,
            vec![dropped.to_owned(), shut.to_owned()]),
        ("an agent that fails now and then", 1, vec![(Blocked, 3, &doubts)], 9,
            vec![gone.to_owned()]),
        ("nothing is there", 1, vec![(Blocked, 30, "n"), (Allowed, 30, "n")], 1,
            vec!["not run: no SCTP".to_owned(); 2]),
        ("one isn't there, and the other has its time", 1, vec![(Blocked, 30, "n"), (Allowed, 30, "c")], 3,
            vec!["not run: no SCTP".to_owned(), ok.clone()]),
        ("no case", 1, vec![], 3, vec![]),
    ];
    for (what, counted, told, ends, expected) in rows {
        let (settling, round) = follow(RULES, counted, &told, 200);
        let found: Vec<_> = settling.finish(None).iter().map(short).collect();
        assert_eq!((round, found), (ends, expected), "{what}");
    }
}

#[test]
fn silence_lasts_as_long_as_a_dead_interface_may_look_alive() {
    let rules = SettlingRules { silence_at_least: seconds(6), ..RULES };
    let rows = [("silence", "t", 7), ("an answer", "r", 3)];
    for (what, told, ends) in rows {
        assert_eq!(follow(rules, 1, &[(Blocked, 30, told)], 200).1, ends, "{what}");
    }
}

#[test]
fn a_latency_seen_elsewhere_lengthens_the_settling() {
    let mut settling = Settling::new(RULES, Vec::new());
    assert_eq!(settling.settle(), seconds(1), "the least");
    settling.note_latency(seconds(4));
    settling.note_latency(seconds(2));
    assert_eq!(settling.settle(), seconds(8), "twice the slowest");
}

#[test]
fn the_history_tells_each_change_and_when() {
    let (settling, _) = follow(RULES, 1, &[(Blocked, 30, "cct?tt")], 9);
    let settled = settling.finish(Some("--deadline")).remove(0);
    let changes = settled.history.iter();
    let history: Vec<_> =
        changes.map(|change| (change.round, change.at.as_secs(), change.seen.clone())).collect();
    let expected = [(1, 'c'), (3, 't'), (4, '?'), (5, 't')];
    assert_eq!(history, expected.map(|(round, letter)| (round, u64::from(round), seen(letter))));
    assert_eq!(settled.seen, Some(Observation::TimedOut));
    assert_eq!(settled.latency, Some(seconds(3)));
    assert_eq!(settled.latency_gap, seconds(1), "what came between rounds 2 and 3 is unknown");
}

#[test]
fn what_is_cut_is_judged_only_where_it_was_decided() {
    let cut = "cut by --deadline";
    let rows = [
        (
            "as expected, not held",
            2,
            (Blocked, 30, "t"),
            Inconclusive,
            format!("not settled: {cut}"),
        ),
        ("not yet as expected", 2, (Blocked, 30, "c"), Inconclusive, format!("not settled: {cut}")),
        (
            "could not be told",
            2,
            (Blocked, 30, "?"),
            Inconclusive,
            "agent unreachable: gone".to_owned(),
        ),
        ("failed late", 6, (Blocked, 5, "c"), Fail, "connected, answered by api".to_owned()),
        (
            "flapping",
            2,
            (Blocked, 30, "tc"),
            Fail,
            "flapping: changed once after it first was as expected".to_owned(),
        ),
        ("no round", 0, (Blocked, 30, "t"), NotRun, cut.to_owned()),
    ];
    for (what, rounds, told, verdict, reason) in rows {
        let (settling, _) = follow(RULES, 1, &[told], rounds);
        let judgement = settling.finish(Some(cut)).remove(0).judgement;
        assert_eq!((judgement.verdict, judgement.reason.to_string()), (verdict, reason), "{what}");
    }
}

#[test]
fn a_kind_of_denial_is_held_against_all_rounds_since_nothing_got_through() {
    let rows = [
        ("drop, silent", Denial::Drop, "t", Pass),
        ("drop, one answer", Denial::Drop, "trt", Fail),
        ("drop, answered before it bit is not counted", Denial::Drop, "rct", Pass),
        ("reject, one answer", Denial::Reject, "trt", Pass),
        ("reject, prohibited once", Denial::Reject, "tpt", Pass),
        ("drop, prohibited once", Denial::Drop, "tpt", Fail),
        ("reject, silent", Denial::Reject, "t", Fail),
    ];
    for (what, denial, told, expected) in rows {
        let claim = Claim { denial: Some(denial), ..claim(Blocked) };
        let expectation =
            Expectation { claim: claim.clone(), changed_at: Duration::ZERO, within: seconds(30) };
        let mut settling = Settling::new(RULES, vec![expectation]);
        for round in 1..60 {
            let started = seconds(round);
            // The first round doesn't count, so that what it saw is no arrival.
            let ended = started + Duration::from_millis(800);
            let times = RoundTimes { started, ended, counted: round > 1 };
            let seen = seen(letter(told, round));
            let judgement = judge(&claim, &seen, &up());
            if settling.round(times, vec![Sighting { judgement, seen, at: started }]) {
                break;
            }
        }
        assert_eq!(settling.finish(None)[0].judgement.verdict, expected, "{what}");
    }
}

proptest! {
    #[test]
    fn a_step_ends_and_passes_only_what_held(
        cases in vec((any::<bool>(), 0..12u64, "[ct]{0,12}[ctr?]{0,12}[ct?]"), 1..5),
        counted in 1..10u64,
    ) {
        let told: Vec<Told> = cases
            .iter()
            .map(|(allow, within, told)| {
                (if *allow { Allowed } else { Blocked }, *within, told.as_str())
            })
            .collect();
        let (settling, last) = follow(RULES, counted, &told, 400);
        prop_assert_ne!(last, 0, "the step never ends");
        let settled = settling.finish(None);
        for (&(expect, within, told), settled) in told.iter().zip(&settled) {
            let verdicts: Vec<Verdict> = (1..=last)
                .map(|round| judge(&claim(expect), &seen(letter(told, round)), &up()).verdict)
                .collect();
            let at = |round: u64| verdicts[usize::try_from(round - 1).unwrap()];
            if settled.judgement.verdict == Pass {
                for round in last - 2..=last {
                    prop_assert_eq!(at(round), Pass, "round {} of {}", round, told);
                }
                let arrived = (counted..=last).find(|&round| at(round) == Pass).unwrap_or(last);
                for round in arrived..=last {
                    prop_assert_ne!(at(round), Fail, "round {} of {} after it had come", round, told);
                }
                for round in within.max(1)..=last {
                    prop_assert_ne!(at(round), Fail, "round {} of {} is late", round, told);
                }
            }
            // Whoever passed, nobody was still waiting.
            let flapped = matches!(settled.judgement.reason, Reason::Flapping { .. });
            prop_assert!(flapped || at(last) == Pass || last >= within, "{told} still waits");
            if settled.judgement.verdict == Fail {
                prop_assert!(verdicts.contains(&Fail), "{told} never failed");
            }
        }
    }
}
