//! Which cases get a block below the table, and which share one.

use std::collections::BTreeMap;

use super::{Enforcement, Report, ReportedCase, block};
use crate::verdict::{Reason, Verdict};

/// Cases that get a block of their own; more than anybody reads.
const MOST_BLOCKS: usize = 25;

/// A block for everything that isn't a pass: failures first, then what could not be told.
pub(super) fn blocks(report: &Report, enforcement: &Enforcement, width: usize) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut more = 0;
    let mut groups: BTreeMap<(Verdict, String), Vec<&str>> = BTreeMap::new();
    let alike = alike(report);
    for wanted in [Verdict::Fail, Verdict::Inconclusive, Verdict::NotRun] {
        for case in report.cases.iter().filter(|case| case.verdict() == wanted) {
            match shared_reason(case, enforcement) {
                Some(reason) => groups.entry((wanted, reason)).or_default().push(&case.info.id.0),
                None if follows(case, &alike) => {}
                None if blocks.len() == MOST_BLOCKS => more += 1,
                None => {
                    let Some(outcome) = &case.outcome else { continue };
                    let alike = network(case).and_then(|key| alike.get(&key));
                    let others = alike.map(|ids| &ids[1..]).unwrap_or_default();
                    blocks.push(block::case(case, outcome, enforcement, others, width));
                }
            }
        }
    }
    if more > 0 {
        blocks.push(format!(
            "and {more} more that did not pass; the table has them, and --output json all about \
             them\n"
        ));
    }
    for case in hollow_passes(report, enforcement) {
        let cause = case.outcome.as_ref().and_then(|outcome| outcome.cause.as_ref());
        let Some(cause) = cause else { continue };
        groups.entry((Verdict::Pass, cause.to_string())).or_default().push(&case.info.id.0);
    }
    let groups = groups.iter().rev();
    blocks
        .extend(groups.map(|((verdict, reason), ids)| block::group(*verdict, reason, ids, width)));
    blocks
}

/// Claims that hold although the policies say otherwise, or don't say; not more of them
/// than anybody reads. Where nothing is enforced, what passed proves nothing anyway.
fn hollow_passes<'a>(
    report: &'a Report,
    enforcement: &Enforcement,
) -> impl Iterator<Item = &'a ReportedCase> {
    let most = if matches!(enforcement, Enforcement::Not { .. }) { 0 } else { MOST_BLOCKS };
    let passed = report.cases.iter().filter(|case| case.verdict() == Verdict::Pass);
    let has_cause =
        |case: &&ReportedCase| case.outcome.as_ref().is_some_and(|found| found.cause.is_some());
    passed.filter(has_cause).take(most)
}

/// What the network did to a case rather than a policy: one block serves all cases to
/// which it did the same.
fn network(case: &ReportedCase) -> Option<(Verdict, String)> {
    let outcome = case.outcome.as_ref()?;
    match &outcome.judgement.reason {
        reason @ (Reason::PathDown { .. } | Reason::ControlNotUp { .. }) => {
            Some((outcome.judgement.verdict, reason.to_string()))
        }
        _ => None,
    }
}

/// The ids of the cases to which the network did the same, in order.
fn alike(report: &Report) -> BTreeMap<(Verdict, String), Vec<&str>> {
    let mut alike: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for case in &report.cases {
        if let Some(key) = network(case) {
            alike.entry(key).or_default().push(&case.info.id.0);
        }
    }
    alike
}

/// Whether the block of an earlier case speaks for this one.
fn follows(case: &ReportedCase, alike: &BTreeMap<(Verdict, String), Vec<&str>>) -> bool {
    let first = network(case).and_then(|key| alike.get(&key)?.first());
    first.is_some_and(|first| **first != case.info.id.0)
}

/// The reason of a case about which there is no more to say than that.
fn shared_reason(case: &ReportedCase, enforcement: &Enforcement) -> Option<String> {
    let Some(outcome) = &case.outcome else {
        return Some("the run ended before it was judged".to_owned());
    };
    match (&outcome.judgement.reason, enforcement) {
        (
            reason @ (Reason::NotSettled { .. }
            | Reason::NotAsked { .. }
            | Reason::NotChanged { .. }),
            _,
        ) => Some(reason.to_string()),
        (Reason::Connected { .. }, Enforcement::Not { .. }) => {
            Some("connected, as it must where the CNI enforces nothing".to_owned())
        }
        _ => None,
    }
}
