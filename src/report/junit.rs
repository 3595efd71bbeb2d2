//! `--report junit=PATH`: JUnit's XML, for CI systems.
//!
//! | here | in JUnit |
//! | --- | --- |
//! | suite, case | `testsuite`, `testcase` |
//! | Pass | a `testcase` without more; what it is worth less for stands in `system-out` |
//! | Fail | `failure` |
//! | Inconclusive | `error`: it could not be told |
//! | NotRun | `skipped` |
//!
//! A suite of netproof's own comes first: that the CNI enforces, and that the run is whole.
//! Without it a CNI that enforces nothing, or a run that was cut, would look green.

use std::io;

use quick_junit::{NonSuccessKind, Property, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::{Enforcement, Report, ReportedCase, block, headline, summary};
use crate::{
    event::Repetition,
    verdict::{Reason, Verdict},
};

/// The suite about the run itself.
const OWN: &str = "netproof";

/// A block's width in columns: nobody wraps lines in XML.
const WIDTH: usize = 120;

/// The whole document: of one run, or of its repetitions so far.
pub(super) fn document(reports: &[&Report]) -> io::Result<String> {
    let mut document = quick_junit::Report::new(OWN);
    document.set_time(reports.iter().map(|report| report.elapsed).sum());
    for (place, report) in reports.iter().enumerate() {
        let mut own = own(report);
        if place + 1 == reports.len() {
            own.add_test_cases(repetitions(report));
        }
        document.add_test_suite(own);
        document.add_test_suites(suites(report));
    }
    document.to_string().map_err(io::Error::other)
}

fn suites(report: &Report) -> Vec<TestSuite> {
    let enforcement = report.enforcement();
    let mut suites: Vec<TestSuite> = Vec::new();
    for reported in &report.cases {
        let test = test(report, reported, &enforcement);
        let name = suite_name(report, &reported.info.suite);
        match suites.iter_mut().find(|suite| suite.name.as_str() == name) {
            Some(suite) => _ = suite.add_test_case(test),
            None => {
                let mut suite = TestSuite::new(name);
                suite.add_test_case(test);
                suites.push(suite);
            }
        }
    }
    suites
}

/// A suite's name, with the repetition where there are several.
fn suite_name(report: &Report, name: &str) -> String {
    match report.repetition() {
        Some(repetition) => format!("{name} (repetition {})", repetition.number),
        None => name.to_owned(),
    }
}

/// That as many repetitions ran as were to.
fn repetitions(last: &Report) -> Option<TestCase> {
    let Repetition { number, of } = last.repetition()?;
    let of = of?;
    let status = if number < of {
        let said = format!("{number} of {of} repetitions ran");
        non_success(NonSuccessKind::Error, "Incomplete", &said, None)
    } else {
        TestCaseStatus::success()
    };
    Some(own_test("all repetitions ran", &suite_name(last, OWN), status))
}

fn own(report: &Report) -> TestSuite {
    let name = suite_name(report, OWN);
    let mut suite = TestSuite::new(&name);
    if let Some(head) = &report.head {
        for (name, value) in [
            ("run", head.run.to_string()),
            ("netproof", head.netproof.clone()),
            ("started", head.started.to_string()),
            ("context", head.cluster.context.clone()),
            ("server", head.cluster.server.clone()),
            ("version", head.cluster.version.clone()),
            ("nodes", head.cluster.nodes.join(", ")),
        ] {
            suite.add_property(Property::new(name, value));
        }
    }
    suite.add_property(Property::new("complete", report.is_complete().to_string()));
    suite.add_property(Property::new("exitCode", report.exit_code().to_string()));

    let said = plain(&headline::verdict_on_cni(&report.enforcement(), WIDTH));
    let status = match report.enforcement() {
        Enforcement::Not { .. } | Enforcement::Partly { .. } => {
            non_success(NonSuccessKind::Failure, "NotEnforced", &said, None)
        }
        Enforcement::NotProven { .. } => {
            non_success(NonSuccessKind::Error, "NotProven", &said, None)
        }
        Enforcement::Proven { .. } => TestCaseStatus::success(),
        Enforcement::Untested => TestCaseStatus::skipped(),
    };
    suite.add_test_case(own_test("the CNI enforces NetworkPolicy", &name, status));

    let cause = report.aborted.as_ref().map(|aborted| aborted.message.as_str());
    let status = match summary::ending(report) {
        None => TestCaseStatus::success(),
        Some(ending) => non_success(NonSuccessKind::Error, "Incomplete", &ending, cause),
    };
    suite.add_test_case(own_test("the run is complete", &name, status));
    suite
}

fn own_test(name: &str, class: &str, status: TestCaseStatus) -> TestCase {
    let mut test = TestCase::new(name, status);
    test.set_classname(class);
    test
}

fn test(report: &Report, reported: &ReportedCase, enforcement: &Enforcement) -> TestCase {
    let info = &reported.info;
    let Some(outcome) = &reported.outcome else {
        let mut status = TestCaseStatus::skipped();
        status.set_message("the run ended before it was judged");
        return named(report, reported, status);
    };
    let reason = match &outcome.cause {
        Some(cause) => format!("{}: {cause}", outcome.judgement.reason),
        None => outcome.judgement.reason.to_string(),
    };
    let told = plain(&block::case(reported, outcome, enforcement, &[], WIDTH));
    let kind = word(&outcome.judgement.reason);
    let status = match outcome.judgement.verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => non_success(NonSuccessKind::Failure, &kind, &reason, Some(&told)),
        Verdict::Inconclusive => non_success(NonSuccessKind::Error, &kind, &reason, Some(&told)),
        Verdict::NotRun => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason);
            status
        }
    };
    let mut test = named(report, reported, status);
    test.set_time(outcome.took);
    for (name, value) in [
        ("from", info.from.clone()),
        ("to", info.to.clone()),
        ("port", info.port.to_string()),
        ("family", info.family.to_string()),
        ("expected", info.expect.to_string()),
        ("location", info.location.clone()),
    ] {
        test.add_property(Property::new(name, value));
    }
    if outcome.judgement.verdict == Verdict::Pass {
        let marks = marks(report, reported);
        if !marks.is_empty() {
            test.set_system_out(marks.join("\n"));
        }
    }
    test
}

fn named(report: &Report, reported: &ReportedCase, status: TestCaseStatus) -> TestCase {
    let info = &reported.info;
    // The id without its suite: how CI systems tell cases apart over time.
    let name = info.id.0.strip_prefix(&format!("{}/", info.suite)).unwrap_or(&info.id.0);
    let mut test = TestCase::new(name, status);
    test.set_classname(suite_name(report, &info.suite));
    test
}

/// Why a pass is worth less than another.
fn marks(report: &Report, reported: &ReportedCase) -> Vec<String> {
    let Some(outcome) = &reported.outcome else { return Vec::new() };
    let marks = [
        (
            report.proves_nothing() || outcome.proves_nothing,
            "proves nothing: the CNI doesn't enforce",
        ),
        (
            matches!(outcome.judgement.reason, Reason::CauseUnproven { .. }),
            "blocked, cause unproven",
        ),
        (outcome.is_handshake_only(), "handshake only"),
    ];
    let marks = marks.into_iter().filter(|(holds, _)| *holds).map(|(_, mark)| mark.to_owned());
    marks.chain(outcome.cause.as_ref().map(ToString::to_string)).collect()
}

/// Without colours, which only terminals show.
fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// The reason's name, as `--output json` has it in `reason.type`.
fn word(reason: &Reason) -> String {
    let value = serde_json::to_value(reason).unwrap_or_default();
    value["type"].as_str().unwrap_or_default().to_owned()
}

fn non_success(
    kind: NonSuccessKind,
    ty: &str,
    message: &str,
    description: Option<&str>,
) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(ty);
    status.set_message(XmlString::new(message.trim_end()));
    if let Some(description) = description {
        status.set_description(description);
    }
    status
}

#[cfg(test)]
mod tests;
