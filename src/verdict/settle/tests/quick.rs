//! One case whose rounds follow each other quickly, and a connection that is cut.

use super::*;
use crate::suite::Survival;

/// Rounds of 50 ms, five a second from 0.2 s on, of one case that changed at `changed_at`.
fn follow_quickly(
    rules: SettlingRules,
    claim: &Claim,
    changed_at: u64,
    within: u64,
    told: &str,
) -> Settled {
    let at = Duration::from_millis;
    let expectation =
        Expectation { claim: claim.clone(), changed_at: at(changed_at), within: at(within) };
    let mut settling = Settling::new(rules, vec![expectation]);
    for round in 1..60 {
        let started = at(200 * round);
        // The first round doesn't count, so that what it saw is no arrival.
        let times = RoundTimes { started, ended: started + at(50), counted: round > 1 };
        let seen = seen(letter(told, round));
        let judgement = judge(claim, &seen, &up());
        if settling.round(times, vec![Sighting { judgement, seen, at: started }]) {
            break;
        }
    }
    settling.finish(None).remove(0)
}

const QUICK: SettlingRules = SettlingRules { settle_at_least: Duration::from_millis(100), ..RULES };

#[test]
fn silence_before_a_connection_is_no_silence_of_the_denial() {
    let claim = Claim { denial: Some(Denial::Drop), ..claim(Blocked) };
    let long = follow_quickly(QUICK, &claim, 500, 30_000, "tttttttttt");
    assert_eq!(long.judgement.verdict, Inconclusive, "0.6 s from the change on: {long:?}");
    let cut = follow_quickly(QUICK, &claim, 500, 30_000, "tct");
    assert_eq!(cut.judgement.verdict, Inconclusive, "nothing got through for 0.8 s only: {cut:?}");
}

#[test]
fn a_round_that_began_in_time_is_in_time() {
    // Its budget ends at 0.62 s, within the third round.
    let settled = follow_quickly(QUICK, &claim(Blocked), 0, 620, "ccct");
    assert_eq!(settled.judgement.verdict, Pass, "{settled:?}");
    let settled = follow_quickly(QUICK, &claim(Blocked), 0, 600, "ccct");
    assert_eq!(settled.judgement.verdict, Fail, "{settled:?}");
}

#[test]
fn a_cut_connection_is_silent_as_long_as_a_denial() {
    let claim = Claim { established: Some(Survival::Cut), ..claim(Blocked) };
    let rules = SettlingRules { silence_at_least: seconds(6), ..RULES };
    for (what, seen, ends) in [("silence", 't', 7), ("an answer", 'r', 3)] {
        let expectation =
            Expectation { claim: claim.clone(), changed_at: Duration::ZERO, within: seconds(30) };
        let mut settling = Settling::new(rules, vec![expectation]);
        let done = |round: &u64| {
            let (started, seen) = (seconds(*round), self::seen(seen));
            let times =
                RoundTimes { started, ended: started + Duration::from_millis(800), counted: true };
            let judgement = judge(&claim, &seen, &up());
            settling.round(times, vec![Sighting { judgement, seen, at: started }])
        };
        assert_eq!((1..60).find(done), Some(ends), "{what}");
    }
}
