//! `init`, `probe` and `plan`: suites that people didn't write, really run.

mod support;

use std::fs;

use netproof::{event::Event, verdict::Verdict};
use support::{Finished, run};

/// Manifests with policies: the shop's own, a rendered chart, and some with every corner.
const MANIFESTS: [(&str, usize); 6] = [
    ("suites/shop/policies.yaml", 8),
    ("tests/manifests/init/operators.yaml", 7),
    ("tests/manifests/init/closed.yaml", 4),
    ("tests/manifests/init/open-doors.yaml", 5),
    ("tests/manifests/init/nobody.yaml", 4),
    ("tests/manifests/init/whole-cluster.yaml", 8),
];

/// What `init` writes, in a file.
fn begun(manifests: &str) -> tempfile::NamedTempFile {
    let written = run(&["init", "--manifests", manifests]);
    assert_eq!(written.code(), Some(0), "{manifests}: {written:#?}");
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    fs::write(file.path(), written.stdout).expect("written");
    file
}

fn run_in_sandbox(suite: &tempfile::NamedTempFile, manifests: &str, more: &[&str]) -> Finished {
    let suite = suite.path().to_str().expect("UTF-8");
    let base = ["run", "--sandbox", "--manifests", manifests, "--output", "json", suite];
    run(&[&base, more].concat())
}

#[test]
fn a_suite_that_init_begins_is_checked_and_green_where_its_policies_are_enforced() {
    for (manifests, at_least) in MANIFESTS {
        let suite = begun(manifests);
        let path = suite.path().to_str().expect("UTF-8");
        let text = fs::read_to_string(path).expect("a suite");
        let checked = run(&["check", path]);
        assert_eq!(checked.code(), Some(0), "{manifests}: {checked:#?}\n{text}");
        let finished = run_in_sandbox(&suite, manifests, &[]);
        let cases = count(&finished, |_| true);
        let said = (finished.not_passed(), &finished.stderr);
        assert_eq!(finished.code(), Some(0), "{manifests}: {said:?}\n{text}");
        assert!(cases >= at_least, "{manifests}: {cases} cases\n{text}");
        // Each rule has its denial beside its allow.
        for expect in ["allow", "deny"] {
            assert!(text.contains(&format!("expect: {expect}")), "{manifests}: {expect}\n{text}");
        }
    }
}

#[test]
fn a_suite_that_init_begins_finds_out_a_cni_that_does_not_enforce() {
    let (manifests, _) = MANIFESTS[1];
    let suite = begun(manifests);
    for fault in ["ignore-ingress", "ignore-egress"] {
        let finished =
            run_in_sandbox(&suite, manifests, &["--fault", fault, "--canary-within", "2s"]);
        let failed = count(&finished, |verdict| verdict == Verdict::Fail);
        assert!(failed > 0, "{fault}: {:?}", finished.records());
        assert_eq!(finished.code(), Some(1), "{fault}");
    }
}

fn count(finished: &Finished, of: impl Fn(Verdict) -> bool) -> usize {
    let judged = finished.records().into_iter().filter(|record| match &record.event {
        Event::CaseJudged { outcome, .. } => of(outcome.judgement.verdict),
        _ => false,
    });
    judged.count()
}

#[test]
fn init_claims_what_blocks_and_policies_of_the_whole_cluster_say() {
    let suite = begun("tests/manifests/init/whole-cluster.yaml");
    let text = fs::read_to_string(suite.path()).expect("a suite");
    for part in [
        "ClusterNetworkPolicy tenants, spec.ingress[0] (desk-to-http): Accept",
        "from: desk, to: press, port: 8080/http, expect: allow",
        "to: press, port: 3868/sctp, expect: deny",
        "ClusterNetworkPolicy tenants, spec.egress[0] (no-metadata): Deny",
        "from: press, to: host-169-254-169-254, port: 8080/tcp, expect: deny",
        "from: kiosk, to: host-198-51-100-10, port: 443/tcp, expect: allow",
        "from: kiosk, to: host-10-0-0-1, port: 443/tcp, expect: deny",
        "port: 3868/sctp, expect: allow",
        "spec.ingress[1] (no-other-tenant): Deny",
        "# - {name: from-203-0-113-0-24, from: …, to: press, port: 8080/http, expect: allow}",
        "kind: ExternalHost",
    ] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn init_says_what_it_can_not_begin_with() {
    for (arguments, expected) in [
        (vec!["init", "--manifests", "tests/manifests/none"], "read tests/manifests/none"),
        (
            vec!["init", "--manifests", MANIFESTS[1].0, "--policies-in", "shop"],
            "there is no policy to begin with",
        ),
        (
            vec!["init", "--manifests", MANIFESTS[1].0, "--name", "No Name"],
            "metadata: {name: \"No Name\"}",
        ),
    ] {
        let finished = run(&arguments);
        assert_eq!(finished.code(), Some(2), "{arguments:?}: {finished:#?}");
        assert!(finished.stderr.contains(expected), "{arguments:?}: {}", finished.stderr);
    }
}

#[test]
fn a_question_is_answered_with_controls_and_without_a_file() {
    let manifests = MANIFESTS[1].0;
    let ask = |arguments: &[&str]| {
        run(&[&["probe", "--sandbox", "--manifests", manifests], arguments].concat())
    };
    for (arguments, code, expected) in [
        (
            vec!["--from", "bank/app=teller", "--to", "bank/Deployment/ledger", "--port", "api"],
            0,
            "open  teller to ledger on 7001/tcp",
        ),
        (
            vec!["--from", "edge/gate", "--to", "bank/ledger", "--port", "7001"],
            1,
            "blocked  gate to ledger on 7001/tcp",
        ),
        (
            vec!["--from", "edge/gate", "--to", "kube-system/kube-dns", "--port", "dns"],
            0,
            "open  gate to kube-dns on 53/udp",
        ),
        (
            vec![
                "--from",
                "edge/gate",
                "--to",
                "bank/ledger",
                "--port",
                "7001",
                "--expect",
                "deny",
            ],
            0,
            "1 case: 1 passed",
        ),
        (
            vec![
                "--from",
                "edge/gate",
                "--to",
                "bank/ledger",
                "--port",
                "7001",
                "--expect",
                "allow",
            ],
            1,
            "FAIL  probe/base/probe/7001/ipv4",
        ),
        (
            vec!["--from", "bank/teller", "--to", "bank/ledger", "--protocol", "icmp"],
            1,
            "blocked  teller to ledger on icmp",
        ),
        (
            vec!["--from", "bank/teller", "--to", "bank/ledger", "--port", "7001", "--http", "/x"],
            0,
            "open  teller to ledger on 7001/http",
        ),
        // Nobody is there: the silence of an address says nothing about policy.
        (
            vec!["--from", "edge/gate", "--to", "203.0.113.9", "--port", "443"],
            3,
            "can't tell  gate to",
        ),
    ] {
        let finished = ask(&arguments);
        assert_eq!(finished.code(), Some(code), "{arguments:?}: {finished:#?}");
        assert!(finished.stdout.contains(expected), "{arguments:?}: {}", finished.stdout);
    }
}

#[test]
fn a_question_without_sense_is_refused() {
    let manifests = MANIFESTS[1].0;
    for (from, to, port, expected) in [
        ("bank/telller", "bank/ledger", "1", "try: `bank/teller`"),
        ("bnk/teller", "bank/ledger", "1", "there is no namespace bnk"),
        ("10.0.0.1", "bank/ledger", "1", "only pods do"),
        ("bank/teller", "bank/ledger", "apis", "it has: api, metrics"),
        ("bank/teller", "10.0.0.1", "http", "an address has no named ports"),
        ("bank/teller", "bank/ledger", "0", "no port"),
        ("bank/teller", "bank/ledger", "99999999", "no port"),
        ("bank/=", "bank/ledger", "1", "label"),
        ("", "", "", "no"),
    ] {
        let finished = run(&[
            "probe",
            "--sandbox",
            "--manifests",
            manifests,
            "--from",
            from,
            "--to",
            to,
            "--port",
            port,
        ]);
        let case = format!("{from} to {to} on {port}");
        assert_eq!(finished.code(), Some(2), "{case}: {finished:#?}");
        assert!(finished.stderr.contains(expected), "{case}: {}", finished.stderr);
    }
}

#[test]
fn what_is_to_be_spoken_has_to_fit_its_port() {
    let manifests = MANIFESTS[1].0;
    let ends = ["--from", "bank/teller", "--to", "bank/ledger"];
    for (arguments, expected) in [
        (&["--port", "1", "--protocol", "icmp"][..], "ICMP has no ports"),
        (&["--protocol", "tcp"], "the port is missing"),
        (&["--port", "1/udp", "--protocol", "tcp"], "write --port 1/tcp"),
        (&["--port", "1/udp", "--http", "/"], "write --port 1/http"),
        (&["--port", "7001", "--tls"], "whose certificate nobody has signed"),
        (&[], "--port"),
        (&["--port", "7001", "--status", "200"], "--http"),
    ] {
        let base = ["probe", "--sandbox", "--manifests", manifests];
        let finished = run(&[&base[..], &ends, arguments].concat());
        assert_eq!(finished.code(), Some(2), "{arguments:?}: {finished:#?}");
        assert!(finished.stderr.contains(expected), "{arguments:?}: {}", finished.stderr);
    }
    let base = ["probe", "--sandbox", "--manifests", manifests, "--from", "bank/teller"];
    let rest = ["--to", "www.example.org", "--port", "443", "--tls", "--http", "/api"];
    let printed = run(&[&base[..], &rest, &["--status", "200", "--insecure", "--suite"]].concat());
    assert_eq!(printed.code(), Some(0), "{printed:#?}");
    for part in ["port: \"443/http\"", "tls: {verify: false}", "path: \"/api\"", "status: 200"] {
        assert!(printed.stdout.contains(part), "no {part} in {}", printed.stdout);
    }
}

#[test]
fn a_plan_lists_what_a_run_creates_and_asks() {
    let planned = run(&["plan", "--offline", "--output", "json", "suites/shop.yaml"]);
    assert_eq!(planned.code(), Some(0), "{planned:#?}");
    let plan: serde_json::Value = serde_json::from_str(&planned.stdout).expect("JSON");
    let ids = plan["suites"][0]["cases"].as_array().expect("cases").iter();
    let ids: Vec<String> = ids.map(|case| case["id"].as_str().expect("an id").to_owned()).collect();
    let finished = run(&["run", "--sandbox", "--output", "json", "suites/shop.yaml"]);
    let asked: Vec<String> = finished
        .records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::RunStarted { cases, .. } => Some(cases.into_iter().map(|case| case.id.0)),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(ids, asked, "the plan names the run's cases");
    assert_eq!(plan["canaries"].as_array().map(Vec::len), Some(4), "two nodes, two directions");
    for case in plan["suites"][0]["cases"].as_array().expect("cases") {
        assert!(case["controls"].as_array().is_some_and(|all| all.len() >= 3), "{case}");
    }
}

#[test]
fn a_plan_for_people_tells_steps_and_fits_narrow_terminals() {
    let planned =
        run(&["plan", "--offline", "tests/suites/steps.yaml", "suites/policy-removal.yaml"]);
    assert_eq!(planned.code(), Some(0), "{planned:#?}");
    for expected in ["nothing is done", "step ", "delete NetworkPolicy", "canaries", "RUN_ID"] {
        assert!(planned.stdout.contains(expected), "{expected}: {}", planned.stdout);
    }
    assert!(!planned.stdout.contains("zzzzzz"), "{}", planned.stdout);
    let nothing = run(&["plan", "--offline", "--filter", "no-such-case", "suites/shop.yaml"]);
    assert_eq!(nothing.code(), Some(2), "{nothing:#?}");
}

#[test]
fn repetitions_are_told_each_and_stop_at_the_first_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let junit = folder.path().join("report.xml");
    let report = format!("junit={}", junit.display());
    let twice =
        run(&["run", "--sandbox", "--repeat", "2", "--report", &report, "tests/suites/pair.yaml"]);
    assert_eq!(twice.code(), Some(0), "{twice:#?}");
    for expected in ["repetition 1 of 2", "repetition 2 of 2", "2 repetitions: 2 passed, 0 didn't"]
    {
        assert!(twice.stdout.contains(expected), "{expected}: {}", twice.stdout);
    }
    let text = fs::read_to_string(&junit).expect("a report");
    assert!(text.contains(r#"name="netproof (repetition 2)""#), "{text}");
    assert!(text.contains(r#"<testcase name="all repetitions ran""#), "{text}");
    let arguments =
        ["run", "--sandbox", "--until-fail", "--repeat", "3", "tests/suites/wrong.yaml"];
    let failing = run(&arguments);
    assert_eq!(failing.code(), Some(1), "{failing:#?}");
    assert!(
        failing.stdout.contains("1 of 3 repetitions: 0 passed, 1 didn't"),
        "{}",
        failing.stdout
    );
}
