//! Other moments than rest, and addresses that are known only once the pods run.

use super::*;
use crate::suite::{CaseEnd, Startup, Survival};

const STEP: &str = "steps:\n  - name: s\n    wait: 1s\n    cases: ";

#[test]
fn a_case_may_be_about_other_moments() {
    let case = "{name: a, from: web, to: db, port: main, expect: deny";
    let text = format!("{PEERS}{STEP}[{case}, established: cut, startup: {{to: db}}}}]\n");
    let suite = good(&text).remove(0);
    let case = &suite.steps[0].cases[0];
    assert_eq!(case.established, Some(Survival::Cut));
    let startup = Startup { fresh: CaseEnd::To, expect: Connectivity::Blocked };
    assert_eq!(case.startup, Some(startup));
    // Of a list only the pairs that have the fresh end.
    let cases = good_cases(
        "cases: [{name: a, from: [web, db], to: api, port: main, expect: allow, \
         startup: {from: db, expect: deny}, timeout: 2s}]",
    );
    let fresh: Vec<bool> = cases.iter().map(|case| case.startup.is_some()).collect();
    assert_eq!(fresh, [false, true]);
    assert_eq!(cases[0].timeout, Some(Duration::from_secs(2)));
}

#[test]
fn claims_about_moments_that_make_no_sense_say_why() {
    let case = |rest: &str| format!("{{name: a, from: web, to: db, port: main, {rest}}}");
    for (rest, message) in [
        (
            format!("cases: [{}]", case("expect: deny, established: cut")),
            "nothing changes before these cases",
        ),
        (format!("{STEP}[{}]", case("expect: deny, established: gone")), "established"),
        (
            format!(
                "{STEP}[{{name: a, from: web, to: out, port: 80, expect: deny, established: cut}}]"
            ),
            "`out` is none of the run's pods",
        ),
        (format!("cases: [{}]", case("expect: deny, startup: {}")), "`startup` names one end"),
        (
            format!("cases: [{}]", case("expect: deny, startup: {from: web, to: db}")),
            "`startup` names one end",
        ),
        (
            format!("cases: [{}]", case("expect: deny, startup: {from: db}")),
            "`db` is no `from` of this case",
        ),
        (format!("cases: [{}]", case("expect: deny, startup: {to: out}")), "`out` is no pod peer"),
        (
            format!("cases: [{}]", case("expect: deny, startup: {from: wed}")),
            "there is no peer `wed`",
        ),
        (
            format!("cases: [{}]", case("expect: deny, timeout: 10ms")),
            "`timeout` must be from 100ms to 60s",
        ),
        (
            format!("cases: [{}]", case("expect: deny, timeout: 5m")),
            "`timeout` must be from 100ms to 60s",
        ),
    ] {
        let told = wrong_rest(&rest);
        assert!(told.contains(message), "{rest}\n{told}");
    }
}

/// A suite whose policy lets `web` out to a block.
fn block(cidr: &str) -> String {
    PEERS.replace(
        "setup: {namespaces: {lab: {}}}",
        &format!(
            "setup:\n  namespaces: {{lab: {{}}}}\n  manifests:\n    - inline:\n        \
             apiVersion: networking.k8s.io/v1\n        kind: NetworkPolicy\n        \
             metadata: {{name: a}}\n        spec: {{podSelector: {{}}, egress: [{{to: \
             [{{ipBlock: {{cidr: '{cidr}'}}}}]}}]}}"
        ),
    ) + "cases: [{name: a, from: web, to: db, port: main, expect: allow}]\n"
}

#[test]
fn an_address_is_that_of_a_pod_peer() {
    for cidr in ["${cidr:db}", "${cidr:db/24}", "${ip:db}/32"] {
        let suite = good(&block(cidr)).remove(0);
        assert_eq!(crate::suite::addressed_peers(&suite), ["db"], "{cidr}");
    }
    for (cidr, message) in [
        ("${cidr:bd}", "there is no peer `bd`"),
        ("${cidr:out}", "`out` is no pod peer"),
        ("${ip:db/24}", "only a block has a length"),
        ("${cidr:db/x}", "`x` is no length of a block"),
    ] {
        let told = wrong(&[("t.yaml", &block(cidr))]);
        assert!(told.contains(message), "{cidr}\n{told}");
    }
}
