//! Whole reports over fixed events.

use super::*;
use crate::{
    event::{CanaryState, CaseInfo, Interruption},
    model::Connectivity::{Allowed, Blocked},
    report::{JsonWriter, QuietWriter, samples::*},
    verdict::{AnsweredBy, ControlKind, Observation, Reason},
};

fn write(writer: &mut dyn Writer, events: Vec<Event>) {
    let mut report = Report::default();
    for record in records(events) {
        report.apply(&record);
        writer.record(&record, &report).unwrap();
    }
    writer.finish(&report).unwrap();
}

/// The text without its colours.
fn text(events: Vec<Event>, width: Option<usize>) -> String {
    let mut out = Vec::new();
    write(&mut TextWriter::new(anstream::StripStream::new(&mut out), width), events);
    String::from_utf8(out).unwrap()
}

fn quiet(events: Vec<Event>) -> String {
    let mut out = Vec::new();
    write(&mut QuietWriter::new(&mut out), events);
    String::from_utf8(out).unwrap()
}

#[test]
fn all_green() {
    insta::assert_snapshot!(text(green(), None));
}

#[test]
fn one_of_each_verdict() {
    insta::assert_snapshot!(text(mixed(), None));
}

#[test]
fn one_of_each_verdict_on_eighty_columns() {
    insta::assert_snapshot!(text(mixed(), Some(80)));
}

#[test]
fn a_cni_that_enforces_nothing_is_said_first() {
    insta::assert_snapshot!(text(unenforced(), Some(80)));
}

#[test]
fn a_cni_that_enforces_partly() {
    insta::assert_snapshot!(text(partly(leaked()), Some(80)));
}

#[test]
fn a_cni_of_which_nothing_is_known() {
    let never = || CanaryState::NeverReached { seen: Observation::TimedOut };
    let mut events = green();
    events.splice(1..5, canaries([never(), never(), proven(), proven()]));
    insta::assert_snapshot!(text(events, Some(80)));
}

#[test]
fn canaries_that_were_lost_accuse_no_policy_and_no_cni() {
    let lost = || CanaryState::Lost { seen: Observation::TimedOut };
    let mut events = green();
    events.splice(1..5, canaries([lost(), lost(), proven(), proven()]));
    insta::assert_snapshot!(text(events, Some(80)));
}

#[test]
fn interrupted_by_a_signal() {
    insta::assert_snapshot!(text(interrupted(Interruption::Signal), Some(80)));
}

#[test]
fn stopped_by_the_cluster() {
    insta::assert_snapshot!(text(aborted(), Some(80)));
}

#[test]
fn weaker_passes_are_marked_and_counted_apart() {
    let cases = vec![info("web", "far", Allowed), info("api", "far", Blocked)];
    let because = "reached by: np-aaaaaa-witness-node-1-0 timed out".to_owned();
    let handshake = outcome(
        Verdict::Pass,
        Reason::HandshakeOnly,
        Observation::Connected { by: AnsweredBy::Nobody },
    );
    let events = vec![
        started(cases.clone()),
        judged(&cases[0], handshake),
        judged(
            &cases[1],
            outcome(Verdict::Pass, Reason::CauseUnproven { because }, Observation::TimedOut),
        ),
        Event::Swept { removed: 0, left: vec!["Namespace np-aaaaaa-shop".to_owned()], kept: true },
        finished(true),
    ];
    insta::assert_snapshot!(text(events, Some(80)));
}

#[test]
fn one_block_serves_all_to_which_the_network_did_the_same() {
    let cases: Vec<_> =
        ["api", "cache", "database"].map(|to| info("web", to, Blocked)).into_iter().collect();
    let dead = |node: &str| Reason::ControlNotUp {
        control: ControlKind::NodePath,
        detail: format!("control pods don't reach each other from node-1 to {node} either"),
    };
    let judged = |case: &CaseInfo, node: &str| {
        judged(case, outcome(Verdict::Inconclusive, dead(node), Observation::TimedOut))
    };
    let events = vec![
        started(cases.clone()),
        judged(&cases[0], "node-2"),
        judged(&cases[1], "node-3"),
        judged(&cases[2], "node-2"),
        finished(true),
    ];
    insta::assert_snapshot!(text(events, Some(80)));
}

#[test]
fn a_narrow_terminal_gets_short_words() {
    let mut case = info("frontend", "kubernetes-dns", Allowed);
    case.name = "resolves-frontend-kubernetes-dns".to_owned();
    let seen = Observation::Connected { by: AnsweredBy::Nobody };
    let handshake = outcome(Verdict::Pass, Reason::HandshakeOnly, seen);
    let events = vec![started(vec![case.clone()]), judged(&case, handshake), finished(true)];
    insta::assert_snapshot!(text(events.clone(), Some(79)));
    insta::assert_snapshot!(text(events, Some(200)));
}

#[test]
fn the_quiet_line_says_how_it_ended() {
    let lines = [
        quiet(green()),
        quiet(mixed()),
        quiet(unenforced()),
        quiet(partly(dropped())),
        quiet(interrupted(Interruption::Deadline)),
        quiet(aborted()),
        quiet(vec![started(vec![]), finished(true)]),
    ];
    insta::assert_snapshot!(lines.concat(), @r"
    2 cases: 2 passed in 800ms
    6 cases: 1 passed, 2 failed, 1 inconclusive, 2 not run in 1.2s
    2 cases: 1 passed (1 proving nothing), 1 failed in 700ms; the CNI does not enforce NetworkPolicy
    2 cases: 2 passed in 700ms; the CNI enforces NetworkPolicy only partly
    2 cases: 1 passed, 1 not run in 800ms; cut by its deadline (--deadline): 1 case has no verdict
    2 cases: 2 not run in 200ms; the run could not go on: 2 cases have no verdict
    no case ran: the suites have none
    ");
}

#[test]
fn a_failing_block_is_bold_and_red_where_colours_are_wanted() {
    let mut out = Vec::new();
    write(&mut TextWriter::new(&mut out, None), mixed());
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m"), "{text}");
}

#[test]
fn the_event_stream_is_one_record_per_line() {
    let mut out = Vec::new();
    write(&mut JsonWriter::new(&mut out), mixed());
    let text = String::from_utf8(out).unwrap();
    let read: Vec<Record> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(read, records(mixed()));
}
