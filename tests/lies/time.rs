//! Lies about when: what changes too late, too early, or again.

use std::fs;

use netproof::{
    event::Event,
    verdict::{Reason, Verdict},
};
use nix::sys::signal::Signal;

use crate::{sandboxed, stage::Stage};

const STAGE: &str = "tests/suites/stage.yaml";

/// L16, L17: the same slow policy, with a budget that is long enough and one that isn't.
#[test]
fn a_policy_is_given_its_time_and_no_more() {
    let finished =
        sandboxed(&["--fault", "delay=8s", "--canary-within", "20s", "tests/suites/slow.yaml"]);
    let patient = finished.outcome("/patient/");
    assert_eq!(patient.judgement.reason, Reason::Dropped, "{}", patient.judgement.reason);
    let latency = patient.latency.expect("it was seen open before").as_secs_f64();
    assert!((7.5..12.0).contains(&latency), "{latency}");
    let hasty = finished.outcome("/hasty/").judgement;
    assert_eq!(hasty.verdict, Verdict::Fail, "{}", hasty.reason);
    assert!(matches!(hasty.reason, Reason::Connected { .. }), "{}", hasty.reason);
    let allow = finished.outcome("/wrong-allow/").judgement;
    assert_eq!(allow.verdict, Verdict::Fail, "not by its first rounds: {}", allow.reason);
}

/// L18: enforcement that goes and comes back while the case is asked.
#[tokio::test(flavor = "multi_thread")]
async fn enforcement_that_flaps_fails_with_its_history() {
    let stage = Stage::new(&[]).await;
    let mut run = stage.run(&[]);
    run.until("round");
    stage.fault("off", "enforce-nothing").await;
    run.until("round");
    run.until("round");
    stage.unfault("off").await;
    let finished = run.finish();
    let outcome = finished.outcome("/deny/");
    assert_eq!(outcome.judgement.verdict, Verdict::Fail, "{}", outcome.judgement.reason);
    let flapped =
        matches!(outcome.judgement.reason, Reason::Flapping { .. } | Reason::Connected { .. });
    assert!(flapped, "{}", outcome.judgement.reason);
    assert!(outcome.history.len() > 1, "{:?}", outcome.history);
    stage.end().await;
}

/// L19: what is open, with three packets of ten lost, is denied by nobody.
#[test]
fn a_lost_packet_denies_nobody() {
    for _ in 0..3 {
        let finished = sandboxed(&["--fault", "loss=30%", "tests/suites/open.yaml"]);
        let judgement = finished.outcome("/deny/").judgement;
        assert_eq!(judgement.verdict, Verdict::Fail, "{}", judgement.reason);
        // Once in some hundred rounds all ten attempts are lost, and the next one tells.
        let told = matches!(judgement.reason, Reason::Connected { .. } | Reason::Flapping { .. });
        assert!(told, "{}", judgement.reason);
    }
}

/// L24: two runs beside each other, and a third after them, tell only of their own.
#[tokio::test(flavor = "multi_thread")]
async fn every_result_is_its_own_runs() {
    let stage = Stage::new(&[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("report.json");
    let report = format!("json={}", path.display());
    let runs = [stage.run(&[]), stage.run(&[]), stage.run(&["--report", &report])];
    let mut ids = Vec::new();
    for run in runs {
        let finished = run.finish();
        let started = finished.records().into_iter().find_map(|record| match record.event {
            Event::RunStarted { run, .. } => Some(run.to_string()),
            _ => None,
        });
        let id = started.expect("it began");
        let answered = finished.outcome("/allow/").judgement.reason;
        let own = format!("np-{id}-");
        assert!(
            matches!(&answered, Reason::Answered { by } if by.starts_with(&own)),
            "{id}: {answered}"
        );
        ids.push(id);
    }
    let text = fs::read_to_string(&path).expect("a report");
    assert!(text.contains(&ids[2]) && !text.contains(&ids[0]), "{text}");
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    stage.end().await;
}

/// L26: whatever ends a run, its report stands, says so, and no older one looks like it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_cut_leaves_a_report_that_says_so() {
    let stage = Stage::new(&["delay=20s"]).await;
    // Nothing may be decided before the end comes, however fast the machine is.
    let suite = tempfile::NamedTempFile::new().expect("a file");
    let text = fs::read_to_string("tests/suites/stage.yaml").expect("the stage's suite");
    fs::write(&suite, text.replace("within: 2s", "within: 60s")).expect("written");
    let suite = suite.path().to_str().expect("a plain path");
    for (how, signal, code) in [
        ("deadline", None, Some(3)),
        ("SIGTERM", Some(Signal::SIGTERM), Some(130)),
        ("SIGKILL", Some(Signal::SIGKILL), None),
        ("SIGKILL at once", Some(Signal::SIGKILL), None),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let [junit, json] = ["junit", "json"].map(|kind| folder.path().join(kind));
        for path in [&junit, &json] {
            fs::write(path, "an older report, all green").expect("written");
        }
        let reports = [format!("junit={}", junit.display()), format!("json={}", json.display())];
        let mut arguments = vec!["--report", &reports[0], "--report", &reports[1]];
        if signal.is_none() {
            arguments.extend(["--deadline", "4s"]);
        }
        let mut run = stage.run_suite(suite, &arguments);
        if let Some(signal) = signal {
            if !how.ends_with("once") {
                run.until("round");
            }
            run.kill(signal);
        }
        let finished = run.finish();
        assert_eq!(finished.code(), code, "{how}: {}", finished.stderr);
        let junit = fs::read_to_string(&junit).expect("a report");
        assert!(junit.contains(r#"<property name="complete" value="false"/>"#), "{how}: {junit}");
        let listed = junit.matches(r#"classname="stage""#).count();
        assert!(listed >= 3, "{how}: every case is listed: {junit}");
        assert!(junit.contains("<skipped") || junit.contains("<error"), "{how}: {junit}");
        let json = fs::read_to_string(&json).expect("a report");
        assert!(json.starts_with('{') && json.ends_with('\n'), "{how}: {json}");
        assert!(!json.contains(r#""runFinished","complete":true"#), "{how}: {json}");
        // Only who is killed in the middle of writing leaves what it wrote.
        let left = fs::read_dir(folder.path()).expect("a folder").flatten();
        let is_report = |name: &str| name == "junit" || name == "json";
        let left: Vec<_> = left.filter_map(|file| file.file_name().into_string().ok()).collect();
        let others: Vec<_> = left.iter().filter(|name| !is_report(name)).collect();
        let killed = signal == Some(Signal::SIGKILL);
        assert!(others.is_empty() || killed, "{how}: beside the reports lies {others:?}");
    }
    stage.end().await;
}

/// L20, in short; `just soak` goes on.
#[test]
fn a_tenth_lost_each_way_makes_no_false_verdict() {
    let rounds = std::env::var("NETPROOF_SOAK").ok().and_then(|text| text.parse().ok());
    let wanted: usize = rounds.unwrap_or(SAMPLE);
    let mut verdicts = 0;
    while verdicts < wanted {
        let finished =
            sandboxed(&["--fault", "loss=10%", "--repeat", REPEATED, "tests/suites/soak.yaml"]);
        for record in finished.records() {
            let Event::CaseJudged { id, outcome } = record.event else { continue };
            let expected = if id.0.contains("/wrong-") { Verdict::Fail } else { Verdict::Pass };
            let judgement = outcome.judgement;
            assert_eq!(
                judgement.verdict, expected,
                "after {verdicts} verdicts: {id}: {}\n{}",
                judgement.reason, finished.stdout
            );
            verdicts += 1;
        }
        if rounds.is_some() {
            eprintln!("{verdicts} verdicts, none false");
        }
    }
}

/// So many verdicts where nobody asks for more.
const SAMPLE: usize = 300;
/// Each repetition makes everything anew.
const REPEATED: &str = "2";

/// L14: no sniffer has to be ready, because the echo is asked for again.
#[test]
fn udp_is_proven_by_its_echo_also_when_packets_are_lost() {
    let finished = sandboxed(&["--fault", "loss=20%", STAGE]);
    let judgement = finished.outcome("/allow/").judgement;
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
    assert!(matches!(judgement.reason, Reason::Answered { .. }), "{}", judgement.reason);
}
