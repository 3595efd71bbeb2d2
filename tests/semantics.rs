//! What NetworkPolicies say, corner by corner, on real packets: each claim holds, and its
//! contrary doesn't. Several files and suites share one run.

mod support;

use netproof::{event::Event, verdict::Verdict};
use support::{Finished, run};

const SUITES: [&str; 3] =
    ["tests/suites/selectors.yaml", "tests/suites/blocks.yaml", "tests/suites/pair.yaml"];

#[test]
fn every_claim_holds() {
    // What holds is asked until it does: a busy machine gets its time.
    let folder = tempfile::tempdir().expect("a folder");
    let patient = SUITES.map(|suite| {
        let text = std::fs::read_to_string(suite).expect("a suite");
        let text = text.replacen("within: 2s", "within: 60s", 1);
        let path = folder.path().join(suite.replace('/', "-"));
        std::fs::write(&path, text).expect("write the suite");
        path.display().to_string()
    });
    let files = patient.each_ref().map(String::as_str);
    let finished = run(&[&["run", "--sandbox", "--output", "json"], &files[..]].concat());
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    assert_eq!(finished.code(), Some(0));
    assert!(judged(&finished).len() > 100, "{:?}", judged(&finished));
}

#[test]
fn no_contrary_holds() {
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<String> = SUITES.iter().map(|suite| contrary(folder.path(), suite)).collect();
    let mut arguments = vec!["run", "--sandbox", "--output", "json"];
    arguments.extend(files.iter().map(String::as_str));
    let finished = run(&arguments);
    let wrong: Vec<_> =
        judged(&finished).into_iter().filter(|(_, verdict)| *verdict != Verdict::Fail).collect();
    assert_eq!(wrong, [], "{}", finished.stderr);
    assert_eq!(finished.code(), Some(1));
}

/// Writes a suite that claims the contrary of everything.
fn contrary(folder: &std::path::Path, suite: &str) -> String {
    let text = std::fs::read_to_string(suite).expect("a suite");
    let text = text
        .replace("expect: allow", "expect: ALLOW")
        .replace("expect: deny", "expect: allow")
        .replace("expect: ALLOW", "expect: deny");
    let path = folder.join(suite.replace('/', "-"));
    std::fs::write(&path, text).expect("write the contrary");
    path.display().to_string()
}

fn judged(finished: &Finished) -> Vec<(String, Verdict)> {
    let verdict = |record: netproof::event::Record| match record.event {
        Event::CaseJudged { id, outcome } => Some((id.0, outcome.judgement.verdict)),
        _ => None,
    };
    finished.records().into_iter().filter_map(verdict).collect()
}
