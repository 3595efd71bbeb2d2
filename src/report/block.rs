//! The block about one case: what was claimed, what was seen, and what to do next.

use std::collections::BTreeMap;

use super::{
    Enforcement, ReportedCase, advice,
    layout::{field, paint},
    summary::duration,
    text::{strong, verdict_style},
};
use crate::{
    event::CaseOutcome,
    model::Connectivity,
    plan::Moment,
    suite::{CaseEnd, Survival},
    verdict::{AnsweredBy, ControlState, Observation, Verdict},
};

/// Changes that are shown of a long history.
const CHANGES: usize = 8;

/// A case that isn't a pass, and the ids of the others of which it is an example.
pub(super) fn case(
    case: &ReportedCase,
    outcome: &CaseOutcome,
    enforcement: &Enforcement,
    others: &[&str],
    width: usize,
) -> String {
    let verdict = outcome.judgement.verdict;
    let info = &case.info;
    let mut text = format!(
        "{}  {}\n",
        paint(word(verdict), verdict_style(verdict)),
        paint(&info.id.0, strong())
    );
    let mut say = |label: &str, value: &str| text.push_str(&field(label, value, width));
    let modal = match info.expect {
        Connectivity::Allowed => "may connect to",
        Connectivity::Blocked => "must not connect to",
    };
    let ends = format!("{} on {} over {}", info.to, info.port, info.family);
    let claimed = match info.moment {
        Moment::Fresh => format!("{} {modal} {ends}", info.from),
        Moment::Established { claim } => {
            let fate = match claim {
                Survival::Survives => "survives the change",
                Survival::Cut => "is cut by the change",
                Survival::Report => "survives the change or is cut by it",
            };
            format!("an established connection from {} to {ends} {fate}", info.from)
        }
        Moment::Startup { fresh: CaseEnd::From } => {
            format!("a new pod of {} {modal} {ends} from its first instant", info.from)
        }
        Moment::Startup { fresh: CaseEnd::To } => {
            format!("{} {modal} a new pod of {ends} from its first instant", info.from)
        }
    };
    say("claimed", &claimed);
    say("", &info.location);
    if let Some(because) = &info.because {
        say("because", because);
    }
    text.push_str(&why(outcome, width));
    text.push_str(&facts(outcome, width));
    if let Some(next) = advice::next(case, outcome, enforcement) {
        text.push_str(&field("next", &next, width));
    }
    list(&mut text, "also", others, width);
    text
}

/// The verdict's reason, and what the policies have to do with it.
pub(super) fn why(outcome: &CaseOutcome, width: usize) -> String {
    let verdict = field("verdict", &outcome.judgement.reason.to_string(), width);
    format!("{verdict}{}", cause(outcome, width))
}

/// What the policies have to do with it.
pub(super) fn cause(outcome: &CaseOutcome, width: usize) -> String {
    let Some(cause) = &outcome.cause else { return String::new() };
    let mut text = field("cause", &cause.to_string(), width);
    for miss in cause.spec.nearest.iter().skip(1) {
        text.push_str(&field("", &format!("or: {miss}"), width));
    }
    text
}

/// What was seen, between whom, and what backs it.
pub(super) fn facts(outcome: &CaseOutcome, width: usize) -> String {
    let mut text = String::new();
    let mut say = |label: &str, value: &str| text.push_str(&field(label, value, width));
    if let Some(seen) = &outcome.seen {
        let latency = match (outcome.latency, outcome.latency_error) {
            (Some(latency), Some(error)) => {
                format!(", first {} after the change (± {})", duration(latency), duration(error))
            }
            (Some(latency), None) => format!(", first {} after the change", duration(latency)),
            (None, _) => String::new(),
        };
        say("seen", &format!("{seen}{}{latency}", heard_from(seen)));
    }
    if !outcome.endpoints.source.is_empty() {
        say("from", &outcome.endpoints.source);
    }
    if !outcome.endpoints.destination.is_empty() {
        say("to", &outcome.endpoints.destination);
    }
    for (number, (end, labels)) in outcome.endpoints.labels.iter().enumerate() {
        say(if number == 0 { "labels" } else { "" }, &format!("{end}: {labels}"));
    }
    for (label, controls) in controls(outcome) {
        say(label, &controls);
    }
    for (number, line) in history(outcome).iter().enumerate() {
        say(if number == 0 { "history" } else { "" }, line);
    }
    text
}

/// Cases that share one reason and need no block each.
pub(super) fn group(verdict: Verdict, reason: &str, ids: &[&str], width: usize) -> String {
    let mut text = format!("{}  {reason}\n", paint(word(verdict), verdict_style(verdict)));
    list(&mut text, "cases", ids, width);
    text
}

/// Ids below each other, not more than somebody reads.
fn list(text: &mut String, label: &str, ids: &[&str], width: usize) {
    const SHOWN: usize = 6;
    for (number, id) in ids.iter().take(SHOWN).enumerate() {
        text.push_str(&field(if number == 0 { label } else { "" }, id, width));
    }
    if ids.len() > SHOWN {
        text.push_str(&field("", &format!("and {} more", ids.len() - SHOWN), width));
    }
}

/// The address that the listener saw: where source NAT hides the peer, it isn't the
/// source's, and no selector can match it.
fn heard_from(seen: &Observation) -> String {
    match seen {
        Observation::Connected { by: AnsweredBy::Agent { identity, saw } } => {
            format!(", and {identity} saw it come from {saw}")
        }
        _ => String::new(),
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Inconclusive => "INCONCLUSIVE",
        Verdict::NotRun => "NOT RUN",
    }
}

/// The controls, by how they ended.
fn controls(outcome: &CaseOutcome) -> Vec<(&'static str, String)> {
    let mut lines: BTreeMap<u8, Vec<String>> = BTreeMap::new();
    for (kind, state) in outcome.controls.iter() {
        match state {
            ControlState::Up => lines.entry(0).or_default().push(kind.to_string()),
            ControlState::Down { detail } => {
                lines.entry(1).or_default().push(format!("down: {kind}: {detail}"));
            }
            ControlState::Missing { detail } => {
                lines.entry(2).or_default().push(format!("missing: {kind}: {detail}"));
            }
        }
    }
    let lines = lines.into_iter().flat_map(|(state, lines)| match state {
        0 => vec![format!("up: {}", lines.join(", "))],
        _ => lines,
    });
    lines
        .enumerate()
        .map(|(number, line)| (if number == 0 { "controls" } else { "" }, line))
        .collect()
}

/// The changes in what was seen, if there was one.
fn history(outcome: &CaseOutcome) -> Vec<String> {
    if outcome.history.len() < 2 {
        return Vec::new();
    }
    let mut lines: Vec<String> = outcome
        .history
        .iter()
        .take(CHANGES)
        .map(|change| format!("{} in round {}: {}", duration(change.at), change.round, change.seen))
        .collect();
    if outcome.history.len() > CHANGES {
        lines.push(format!("and {} more changes", outcome.history.len() - CHANGES));
    }
    lines
}
