//! What a claim is asked of besides a pod's address at rest: every family, a Service and each
//! of its endpoints, the moments of a change.

#[path = "../support/mod.rs"]
mod support;

mod denial;
mod established;
mod families;
mod names;
mod services;
mod startup;

use netproof::verdict::{Reason, Verdict};
use support::Finished;

/// The verdict of the only case whose id ends so, and its reason.
fn verdict(finished: &Finished, id: &str) -> (Verdict, Reason) {
    let cases = finished.records().into_iter().filter_map(|record| match record.event {
        netproof::event::Event::CaseJudged { id, outcome } => Some((id.0, outcome.judgement)),
        _ => None,
    });
    let mut found = cases.filter(|(found, _)| found.ends_with(id));
    let (_, judgement) = found
        .next()
        .unwrap_or_else(|| panic!("no {id}:\n{}\n{}", finished.stdout, finished.stderr));
    assert_eq!(found.next().map(|(id, _)| id), None, "a second one ends in {id}");
    (judgement.verdict, judgement.reason)
}

/// Writes a suite of the namespace `lab` to a file of its own.
fn suite(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    let head = "apiVersion: netproof.dev/v1alpha1\nkind: Suite\n";
    std::fs::write(file.path(), format!("{head}{text}")).expect("write the suite");
    file
}

/// Runs a suite in a sandbox of its own.
fn run(text: &str, arguments: &[&str]) -> Finished {
    let file = suite(text);
    let path = file.path().display().to_string();
    let mut all = vec!["run", "--sandbox", "--output", "json", &path];
    all.extend(arguments);
    support::run(&all)
}
