//! The shop under every fault of the sandbox: exactly the right cases go red, each for
//! the right reason.

mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use netproof::{
    event::{Canary, CanaryState, CaseInfo, CaseOutcome, Event},
    model::{Connectivity, IpProtocol},
    verdict::{ControlKind, Reason, Verdict},
};
use support::{Finished, run};

/// What became of every case, by its id without the suite and the family.
struct Shop {
    code: Option<i32>,
    cases: BTreeMap<String, (CaseInfo, CaseOutcome)>,
    /// How long the canaries that were isolated took.
    canaries: Vec<Duration>,
}

/// Runs the shop with a fault. Its changes have `within` to bite: what stays wrong takes
/// all of it.
fn shop(fault: &str, within: &str, canary_within: &str) -> Shop {
    let folder = tempfile::tempdir().expect("a folder");
    let suite = suite(folder.path(), within);
    let finished = run(&[
        "run",
        "--sandbox",
        "--fault",
        fault,
        "--canary-within",
        canary_within,
        "--output",
        "json",
        suite.to_str().expect("a path in UTF-8"),
    ]);
    read(&finished)
}

fn suite(folder: &Path, within: &str) -> PathBuf {
    let text = fs::read_to_string("suites/shop.yaml").expect("the suite");
    assert!(text.contains("within: 10s"), "the suite says how long a change may take");
    let file = folder.join("shop.yaml");
    fs::write(&file, text.replace("within: 10s", &format!("within: {within}"))).expect("a file");
    fs::create_dir(folder.join("shop")).expect("a folder");
    fs::copy("suites/shop/policies.yaml", folder.join("shop/policies.yaml")).expect("the policies");
    file
}

fn read(finished: &Finished) -> Shop {
    let mut infos = BTreeMap::new();
    let mut cases = BTreeMap::new();
    let mut canaries = Vec::new();
    for record in finished.records() {
        match record.event {
            Event::RunStarted { cases, .. } => {
                infos.extend(cases.into_iter().map(|case| (case.id.0.clone(), case)));
            }
            Event::CaseJudged { id, outcome } => {
                let info = infos.remove(&id.0).expect("judged once, and announced");
                let short = id.0.trim_start_matches("shop/base/").trim_end_matches("/ipv4");
                cases.insert(short.to_owned(), (info, *outcome));
            }
            Event::Canary { canary: Canary { state: CanaryState::Proven { latency }, .. } } => {
                canaries.push(latency);
            }
            _ => {}
        }
    }
    assert!(!cases.is_empty() && infos.is_empty(), "every case has a verdict: {finished:#?}");
    Shop { code: finished.code(), cases, canaries }
}

impl Shop {
    fn with(&self, verdict: Verdict) -> Vec<&str> {
        let cases = self.cases.iter();
        cases
            .filter(|(_, (_, outcome))| outcome.judgement.verdict == verdict)
            .map(|(id, _)| id.as_str())
            .collect()
    }

    fn reason(&self, id: &str) -> &Reason {
        &self.cases[id].1.judgement.reason
    }

    fn all_pass(&self) {
        for (id, (_, outcome)) in &self.cases {
            let judgement = &outcome.judgement;
            assert_eq!(judgement.verdict, Verdict::Pass, "{id}: {}", judgement.reason);
        }
        assert_eq!(self.code, Some(0));
    }

    /// These fail because somebody answered, and all others pass.
    fn only_these_connect(&self, expected: &[&str]) {
        assert_eq!(self.with(Verdict::Fail), expected);
        for id in expected {
            let reason = self.reason(id);
            assert!(matches!(reason, Reason::Connected { .. }), "{id}: {reason}");
        }
        assert_eq!(self.with(Verdict::Pass).len(), self.cases.len() - expected.len());
        assert_eq!(self.code, Some(1));
    }
}

#[test]
fn without_ingress_only_what_ingress_alone_denies_is_open() {
    shop("ignore-ingress", "2s", "1s").only_these_connect(&[
        "http-worker-api/http",
        "http-worker-frontend/http",
        "service-closed/http",
        "service-closed/http/ipv4/endpoint-api",
    ]);
}

#[test]
fn without_egress_only_what_egress_alone_denies_is_open() {
    shop("ignore-egress", "2s", "1s").only_these_connect(&[
        "dns-closed/53",
        "dns-closed/53-udp",
        "metrics-database-worker/metrics",
        "metrics-frontend-worker/metrics",
    ]);
}

#[test]
fn without_enforcement_no_pass_proves_anything() {
    let shop = shop("enforce-nothing", "2s", "1s");
    assert_eq!(shop.code, Some(4));
    for (id, (info, outcome)) in &shop.cases {
        let verdict = outcome.judgement.verdict;
        match info.expect {
            Connectivity::Allowed => {
                assert_eq!(verdict, Verdict::Pass, "{id}");
                assert!(outcome.proves_nothing, "{id} is marked");
            }
            Connectivity::Blocked => assert_eq!(verdict, Verdict::Fail, "{id}"),
        }
    }
}

#[test]
fn a_dead_path_is_never_taken_for_a_policy() {
    let shop = shop("dead-path", "2s", "3s");
    assert_eq!(shop.code, Some(1));
    // One of the DNS server's two pods is on the other node: which one is met is chance.
    let with = |verdict| -> Vec<&str> {
        shop.with(verdict).into_iter().filter(|id| !id.starts_with("dns-")).collect()
    };
    assert_eq!(with(Verdict::Fail), ["metrics-api-worker/metrics", "sql-api-database/sql"]);
    for id in with(Verdict::Fail) {
        let reason = shop.reason(id);
        let path = matches!(reason, Reason::PathDown { control: ControlKind::NodePath, .. });
        assert!(path, "{id}: {reason}");
    }
    let blind = with(Verdict::Inconclusive);
    let expected = [
        ("http-database-api/http", ControlKind::NodePath),
        ("http-database-frontend/http", ControlKind::NodePath),
        ("http-worker-api/http", ControlKind::NodePath),
        ("http-worker-frontend/http", ControlKind::NodePath),
        ("metrics-frontend-worker/metrics", ControlKind::NodePath),
        ("service-closed/http", ControlKind::ServicePath),
        ("service-closed/http/ipv4/endpoint-api", ControlKind::NodePath),
        ("sql-frontend-database/sql", ControlKind::NodePath),
    ];
    assert_eq!(blind, expected.map(|(id, _)| id));
    for (id, wanted) in expected {
        let reason = shop.reason(id);
        let named = matches!(reason, Reason::ControlNotUp { control, .. } if *control == wanted);
        assert!(named, "{id} wants {wanted}: {reason}");
    }
}

#[test]
fn a_cni_that_rejects_denies_as_well() {
    let shop = shop("reject", "10s", "3s");
    shop.all_pass();
    let denied = |transport: IpProtocol| {
        let cases = shop.cases.iter().filter(move |(_, (info, _))| {
            info.expect == Connectivity::Blocked && info.port.protocol.transport() == transport
        });
        cases.map(|(id, (_, outcome))| (id, &outcome.judgement.reason))
    };
    for (id, reason) in denied(IpProtocol::Tcp) {
        assert!(matches!(reason, Reason::Rejected { .. }), "{id}: {reason}");
    }
    // The kernel limits ICMP errors for each source, so that some stay silent.
    let some = denied(IpProtocol::Udp).any(|(_, reason)| matches!(reason, Reason::Rejected { .. }));
    assert!(some, "no UDP denial was rejected");
}

#[test]
fn a_tenth_of_all_packets_may_be_lost() {
    shop("loss=10%", "10s", "3s").all_pass();
}

#[test]
fn a_late_policy_passes_with_its_latency() {
    let shop = shop("delay=3s", "20s", "20s");
    shop.all_pass();
    // The shop's own pods may become ready only after its policies bite; the canaries'
    // policies come after their pods.
    // Each policy's delay begins with its own write, the latency with the answer to the last.
    for latency in &shop.canaries {
        assert!(*latency >= Duration::from_millis(2_500), "{latency:?}");
    }
    assert!(!shop.canaries.is_empty(), "canaries were isolated");
}
