//! The shipped suites: green where policies are enforced, and each red under the fault that
//! it is about, in the cases that the fault touches and in no other.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use netproof::{event::Event, verdict::Verdict};
use support::{Finished, run};

/// Every suite, the fault that it finds, and what fails under it: parts of cases' ids.
const SUITES: [(&str, &str, &[&str]); 13] = [
    (
        "allow-frontend-only",
        "ignore-ingress",
        &["others-backend", "others-other-frontend", "other-ports"],
    ),
    ("combined-egress-cured", "ignore-egress", &["no-leak", "rest"]),
    ("combined-egress-leaks", "ignore-egress", &["rest"]),
    ("control-plane-baseline", "ignore-egress", &["etcd", "kubelet", "node-ports"]),
    (
        "default-deny-blocks-dns",
        "ignore-egress",
        &["denied/lookup", "denied/server", "allowed/server"],
    ),
    ("egress-proxy", "ignore-egress", &["around-proxy", "neighbours", "proxy-inwards"]),
    ("egress-without-to", "ignore-egress", &["other-port", "other-internet"]),
    ("metadata-denied", "ignore-egress", &["metadata/"]),
    (
        "policy-removal",
        "ignore-ingress",
        &[
            "frontend",
            "admin",
            "cache",
            "removed/cache",
            "restored/frontend",
            "restored/admin",
            "restored/cache",
        ],
    ),
    ("prometheus-scraping", "ignore-ingress", &["only-", "neighbours"]),
    (
        "restrict-egress",
        "ignore-egress",
        &["lookup-over-tcp", "database-otherwise", "cache", "foreign-database", "internet"],
    ),
    ("staging-tester", "ignore-ingress", &["only-"]),
    ("vpn-ranges", "ignore-egress", &["other-port", "excepted", "beyond"]),
];

#[test]
fn every_shipped_suite_is_listed_here() {
    let mut shipped: Vec<String> = fs::read_dir("suites")
        .expect("the suites")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        // It has tests of its own, for every fault.
        .filter(|name| name != "shop")
        .collect();
    shipped.sort();
    assert_eq!(shipped, SUITES.map(|(name, ..)| name));
}

#[test]
fn all_are_green_and_no_marker_fails_to_bite() {
    let files = SUITES.map(|(name, ..)| format!("suites/{name}.yaml"));
    let mut arguments = vec!["run", "--sandbox", "--output", "json"];
    arguments.extend(files.iter().map(String::as_str));
    let finished = run(&arguments);
    assert_eq!(finished.not_passed(), [], "{}", finished.stderr);
    assert_eq!(finished.code(), Some(0));
    // Without its marker a suite waits out `within` before any round counts: twelve rounds.
    for (name, ..) in SUITES {
        let idle = idle_rounds(&finished, name);
        assert!(idle < 8, "{name}: {idle} rounds passed before the first that counts");
    }
}

/// What upstream's end-to-end tests ask, in one run.
#[test]
fn upstreams_questions_are_answered() {
    let mut arguments = vec!["run", "--sandbox", "--output", "json"];
    arguments.extend([
        "suites/upstream/changes.yaml",
        "suites/upstream/ingress.yaml",
        "suites/upstream/egress.yaml",
        "suites/upstream/udp.yaml",
        "suites/upstream/cidr.yaml",
        "suites/upstream/sctp.yaml",
    ]);
    let finished = run(&arguments);
    assert_eq!(finished.code(), Some(0), "{}", finished.stderr);
    // A kernel that lacks SCTP lets nothing be asked over it, and everything else.
    let lacks_sctp = !Path::new("/proc/net/sctp").exists();
    let not_passed = finished.not_passed();
    let (absent, failed): (Vec<_>, Vec<_>) = not_passed.into_iter().partition(|(id, verdict)| {
        id.starts_with("upstream-sctp/") && id.contains("-sctp/") && verdict == "not run"
    });
    assert_eq!(failed, [], "{}", finished.stderr);
    assert_eq!(absent.len(), if lacks_sctp { 60 } else { 0 }, "{absent:?}");
}

/// Blocks of addresses are found out by both ways of getting them wrong.
#[test]
fn upstreams_blocks_are_red_where_a_cni_gets_them_wrong() {
    for (fault, wrong) in [
        ("ignore-except", &["exception"][..]),
        ("ignore-ipblock-pods", &["one-address", "in-block", "overlap", "overlap-block"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        copy(Path::new("suites/upstream"), folder.path());
        let suite = folder.path().join("cidr.yaml").display().to_string();
        let finished = run(&["run", "--sandbox", "--output", "json", "--fault", fault, &suite]);
        for (id, verdict) in judged(&finished) {
            let name = id.split('/').nth(2).unwrap_or_default();
            let expected = if wrong.contains(&name) { Verdict::Fail } else { Verdict::Pass };
            assert_eq!(verdict, expected, "{id} under {fault}");
        }
        assert_eq!(finished.code(), Some(1), "{fault}");
    }
}

#[test]
fn each_is_red_under_its_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    copy(Path::new("suites"), folder.path());
    for fault in ["ignore-ingress", "ignore-egress"] {
        let own: Vec<_> = SUITES.iter().filter(|(_, found_by, _)| *found_by == fault).collect();
        let files: Vec<String> = own
            .iter()
            .map(|(name, ..)| folder.path().join(format!("{name}.yaml")).display().to_string())
            .collect();
        let mut arguments = vec!["run", "--sandbox", "--fault", fault];
        arguments.extend(["--canary-within", "1s", "--output", "json"]);
        arguments.extend(files.iter().map(String::as_str));
        let finished = run(&arguments);
        assert_eq!(finished.code(), Some(1), "{fault}: {}", finished.stderr);
        for (id, verdict) in judged(&finished) {
            let found = own.iter().any(|(name, _, cases)| {
                let case = id.strip_prefix(&format!("{name}/"));
                let case = case.map(|case| case.strip_prefix("base/").unwrap_or(case));
                case.is_some_and(|case| cases.iter().any(|part| case.starts_with(part)))
            });
            let expected = if found { Verdict::Fail } else { Verdict::Pass };
            assert_eq!(verdict, expected, "{id} under {fault}");
        }
    }
}

fn judged(finished: &Finished) -> Vec<(String, Verdict)> {
    let verdict = |record: netproof::event::Record| match record.event {
        Event::CaseJudged { id, outcome } => Some((id.0, outcome.judgement.verdict)),
        _ => None,
    };
    finished.records().into_iter().filter_map(verdict).collect()
}

/// How many rounds of a suite didn't count.
fn idle_rounds(finished: &Finished, of: &str) -> usize {
    let idle = |record: &netproof::event::Record| matches!(&record.event, Event::Round { suite, counted: false, .. } if suite == of);
    finished.records().iter().filter(|record| idle(record)).count()
}

/// Copies a folder of suites whose changes have little time: what stays wrong takes all of it.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let copied: PathBuf = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            fs::create_dir(&copied).expect("a folder");
            copy(&path, &copied);
        } else {
            let text = fs::read_to_string(&path).expect("a text");
            fs::write(
                &copied,
                text.replace("within: 10s", "within: 2s").replace("within: 30s", "within: 2s"),
            )
            .expect("a copy");
        }
    }
}
