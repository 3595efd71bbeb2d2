//! All the lies by number: what each is about, and which test tells that netproof doesn't.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// Number, situation, test binary (`lib` is the library's own), test.
const LIES: &[(u8, &str, &str, &str)] = &[
    (1, "deny expected; the server process is dead", "lies", "a_dead_server_is_no_denial"),
    (
        2,
        "deny expected; nobody listens on the port",
        "lies",
        "a_port_where_nobody_listens_denies_nothing",
    ),
    (
        3,
        "deny expected; every exec stream breaks half-way",
        "lies",
        "a_stream_that_breaks_half_way_denies_nobody",
    ),
    (
        3,
        "deny expected; the sessions are killed once",
        "lies",
        "a_lost_session_is_made_again_and_changes_nothing",
    ),
    (
        5,
        "deny expected; HTTP answers 401, 404 or 500",
        "lies",
        "an_application_that_refuses_is_no_policy_that_denies",
    ),
    (
        7,
        "deny expected; the Service doesn't expose the port",
        "lies",
        "a_port_that_a_service_does_not_expose_is_bad_input_or_no_answer",
    ),
    (
        8,
        "deny expected; the network between two nodes is down",
        "lies",
        "a_dead_network_is_never_called_policy",
    ),
    (9, "no policy is enforced at all", "faults", "without_enforcement_no_pass_proves_anything"),
    (
        11,
        "allow expected; the reset of a closed port",
        "lies",
        "a_refusal_is_no_proof_that_somebody_is_there",
    ),
    (12, "allow expected; another pod answers", "lies", "an_answer_by_chance_allows_nobody"),
    (13, "allow expected; UDP, and nothing comes back", "lies", "silence_over_udp_allows_nobody"),
    (14, "UDP, with packets lost", "lies", "udp_is_proven_by_its_echo_also_when_packets_are_lost"),
    (
        15,
        "deny expected; the CNI rejects in place of dropping",
        "lies",
        "a_rejected_connection_is_a_denial_and_says_so",
    ),
    (
        16,
        "the policy takes 8 s to bite; the budget is 30 s",
        "lies",
        "a_policy_is_given_its_time_and_no_more",
    ),
    (
        17,
        "the policy takes longer than the budget",
        "lies",
        "a_policy_is_given_its_time_and_no_more",
    ),
    (18, "enforcement flaps", "lies", "enforcement_that_flaps_fails_with_its_history"),
    (
        19,
        "deny expected, traffic is allowed; packets are lost",
        "lies",
        "a_lost_packet_denies_nobody",
    ),
    (
        20,
        "10 % of packets are lost each way",
        "lies",
        "a_tenth_lost_each_way_makes_no_false_verdict",
    ),
    (22, "a deny test from a pod to itself", "lies", "a_pod_and_itself_is_no_claim"),
    (
        23,
        "source and destination are one pod through a Service",
        "lies",
        "a_pod_and_itself_is_no_claim",
    ),
    (24, "results of an earlier run", "lies", "every_result_is_its_own_runs"),
    (25, "zero cases matched the filter", "lies", "a_filter_that_fits_nothing_is_not_green"),
    (
        26,
        "the run is cut by a time limit, a signal or a kill",
        "lies",
        "a_run_that_is_cut_leaves_a_report_that_says_so",
    ),
    (
        27,
        "a misspelt field in the suite",
        "lies",
        "a_field_that_is_not_there_never_falls_back_to_a_default",
    ),
    (
        28,
        "the suite says `pass: true`",
        "lies",
        "a_field_that_is_not_there_never_falls_back_to_a_default",
    ),
    (
        29,
        "the application's Service selects the probe pod",
        "lies",
        "a_probe_pod_is_nobodys_backend_and_nobodys_child",
    ),
    (
        30,
        "a DaemonSet's or ReplicaSet's selector fits the probe pod",
        "lies",
        "a_probe_pod_is_nobodys_backend_and_nobodys_child",
    ),
    (31, "a policy selects by namespace labels", "lies", "an_identity_is_more_than_a_pods_labels"),
    (
        37,
        "the destination's own interface is dead",
        "lies",
        "a_dead_interface_is_the_pods_and_no_policys",
    ),
    (
        38,
        "a sidecar was put into the pods",
        "lies",
        "a_sidecar_that_was_added_is_told_and_proves_nothing_by_a_handshake",
    ),
    (
        39,
        "somebody adds a policy mid-run",
        "lies",
        "a_policy_that_somebody_adds_meanwhile_decides_nothing_and_is_named",
    ),
    (
        39,
        "somebody relabels the pod mid-run",
        "lies",
        "a_relabelled_pod_decides_nothing_even_after_it_was_put_right",
    ),
    (
        40,
        "a webhook changed the probe pod's labels",
        "lies",
        "what_a_webhook_makes_of_a_pod_is_read_back",
    ),
    (44, "a pair looks denied at first, and opens with the step", "lib", "a_step_settles_together"),
    (
        45,
        "netproof's control namespace is under a policy",
        "lies",
        "a_closed_control_namespace_proves_nothing",
    ),
];

/// All lies there are.
const LAST: u8 = 45;

#[test]
fn every_test_that_is_listed_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    collect(&root.join("tests"), &mut sources);
    collect(&root.join("src"), &mut sources);
    for (number, _, _, test) in LIES {
        assert!(sources.contains(&format!("fn {test}(")), "L{number}: there is no test {test}");
    }
}

fn collect(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            sources.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

/// Tells each lie: the situation, the commands, and what the runs said. The kit prints these
/// where NETPROOF_TELL is set.
#[test]
#[ignore = "for people: just lies"]
fn told() {
    let mut red = Vec::new();
    for (number, situation, binary, test) in LIES {
        println!("\nL{number}  {situation}");
        let which: &[&str] = if *binary == "lib" { &["--lib"] } else { &["--test", binary] };
        let output = Command::new(env!("CARGO"))
            .args(["test", "--quiet"])
            .args(which)
            .args(["--", "--nocapture", "--test-threads", "1", test])
            .env("NETPROOF_TELL", "1")
            .stdin(Stdio::null())
            .output()
            .expect("start cargo");
        let said = String::from_utf8_lossy(&output.stdout);
        for line in said.lines().filter(|line| line.starts_with("  ")) {
            println!("{line}");
        }
        if !output.status.success() {
            red.push(number);
            println!("  RED: {test}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let listed = |number: &u8| LIES.iter().any(|(known, ..)| known == number);
    let others: Vec<String> =
        (1..=LAST).filter(|number| !listed(number)).map(|number| format!("L{number}")).collect();
    println!("\nnot listed here: {}", others.join(" "));
    assert!(red.is_empty(), "red: {red:?}");
}
