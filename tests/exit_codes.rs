//! Every exit code, each produced for real.

mod support;

use std::io::{BufRead, BufReader};

use support::{finish, netproof, run};

const PAIR: &str = "tests/suites/pair.yaml";

#[test]
fn zero_when_every_claim_holds() {
    let finished = run(&["run", "--sandbox", PAIR]);
    assert_eq!(finished.code(), Some(0), "{finished:#?}");
}

#[test]
fn one_when_a_claim_fails() {
    let finished = run(&["run", "--sandbox", "tests/suites/wrong.yaml"]);
    assert_eq!(finished.code(), Some(1), "{finished:#?}");
}

#[test]
fn two_for_bad_input() {
    for (arguments, why) in [
        (vec!["run", "--sandbox", "Cargo.toml"], "a file that is no suite"),
        (vec!["run", "--sandbox", "no/such/file.yaml"], "a file that isn't there"),
        (vec!["run", "--sandbox", "--filter", "no-such-case", PAIR], "a filter that fits nothing"),
        (vec!["run", "--sandbox", "--deadline", "soon", PAIR], "a deadline that is none"),
        (vec!["run", "--kubeconfig", "no/such/kubeconfig", PAIR], "a kubeconfig that isn't there"),
        (vec!["run"], "no file at all"),
    ] {
        let finished = run(&arguments);
        assert_eq!(finished.code(), Some(2), "{why}: {finished:#?}");
        assert!(!finished.stderr.is_empty(), "{why}: nothing is said");
    }
}

#[test]
fn a_cluster_out_of_reach_is_told_apart_from_refused_credentials() {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    // Port 1 of this machine itself: nobody listens there.
    let text = "\
apiVersion: v1
kind: Config
current-context: gone
contexts: [{name: gone, context: {cluster: gone, user: nobody}}]
clusters: [{name: gone, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: nobody, user: {token: none}}]
";
    std::fs::write(&kubeconfig, text).expect("write a kubeconfig");
    let kubeconfig = kubeconfig.to_str().expect("a path in UTF-8");
    for command in
        [vec!["run", "--kubeconfig", kubeconfig, PAIR], vec!["cleanup", "--kubeconfig", kubeconfig]]
    {
        let finished = run(&command);
        assert_eq!(finished.code(), Some(3), "{command:?}: {finished:#?}");
        assert!(finished.stderr.contains("the API server does not answer"), "{finished:#?}");
    }
}

#[test]
fn three_when_nothing_backs_a_denial() {
    let finished = run(&["run", "--sandbox", "tests/suites/nobody.yaml"]);
    assert_eq!(finished.code(), Some(3), "{finished:#?}");
}

#[test]
fn three_when_the_deadline_cuts_the_run() {
    let finished = run(&["run", "--sandbox", "--deadline", "1s", PAIR]);
    assert_eq!(finished.code(), Some(3), "{finished:#?}");
}

#[test]
fn four_when_nothing_is_enforced() {
    let arguments =
        ["run", "--sandbox", "--fault", "enforce-nothing", "--canary-within", "2s", PAIR];
    let finished = run(&arguments);
    assert_eq!(finished.code(), Some(4), "{finished:#?}");
}

#[test]
fn hundred_and_thirty_when_interrupted_and_nothing_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let [json, junit] = ["json", "junit"].map(|kind| folder.path().join(kind));
    let reports = [("json", &json), ("junit", &junit)]
        .map(|(kind, path)| format!("--report={kind}={}", path.display()));
    let mut child =
        netproof(&["run", "--sandbox", "--output", "json", &reports[0], &reports[1], PAIR])
            .spawn()
            .expect("start netproof");
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let mut lines = BufReader::new(stdout).lines();
    let round = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains(r#""round""#)));
    assert!(round.is_some(), "no round was begun");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("signal netproof");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    let finished = finish(child);
    assert_eq!(finished.code(), Some(130), "{rest:#?} {finished:#?}");
    let swept =
        rest.iter().any(|line| line.contains(r#""swept""#) && line.contains(r#""left":[]"#));
    assert!(swept, "the sandbox was not swept: {rest:#?}");
    let [json, junit] = [json, junit].map(|path| std::fs::read_to_string(path).expect("a report"));
    let last = json.lines().last().expect("a line");
    assert!(last.contains(r#""runFinished","complete":false"#), "{last}");
    assert!(junit.contains(r#"<property name="complete" value="false"/>"#), "{junit}");
}

#[test]
fn two_when_a_report_has_no_place() {
    for report in ["junit=no/such/folder/report.xml", "junit=tests", "html=report", "junit="] {
        let finished = run(&["run", "--sandbox", "--report", report, PAIR]);
        assert_eq!(finished.code(), Some(2), "{report}: {finished:#?}");
        assert_eq!(finished.stdout, "", "{report}");
    }
}

#[test]
fn an_output_that_fails_changes_no_exit_code() {
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    for (arguments, code) in [
        (vec!["run", "--sandbox", PAIR], 0),
        (vec!["run", "--sandbox", "--output", "json", "tests/suites/wrong.yaml"], 1),
        (vec!["run", "--kubeconfig", "no/such/kubeconfig", PAIR], 2),
        (vec!["check", PAIR], 0),
        (vec!["check", "Cargo.toml"], 2),
    ] {
        let child = netproof(&arguments).stdout(full()).stderr(full()).spawn();
        let finished = finish(child.expect("start netproof"));
        assert_eq!(finished.code(), Some(code), "{arguments:?}");
    }
}
