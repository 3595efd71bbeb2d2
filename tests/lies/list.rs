//! All the lies by number: what each is about, and which test tells that netproof doesn't.

use std::{
    collections::BTreeSet,
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
        4,
        "deny expected for a host name; the name isn't resolved, or one address is open",
        "moments",
        "every_address_of_a_name_is_dialled_and_an_unresolved_one_denies_nobody",
    ),
    (
        5,
        "deny expected; HTTP answers 401, 404 or 500",
        "lies",
        "an_application_that_refuses_is_no_policy_that_denies",
    ),
    (
        6,
        "deny expected through a Service that has no endpoints",
        "lies",
        "a_service_without_endpoints_denies_nobody",
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
        10,
        "deny expected; a typo in the policy's labels",
        "lies",
        "a_typo_in_a_policy_s_labels_is_named",
    ),
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
    (
        21,
        "the step relabels the pod so that its Service loses it",
        "moments",
        "an_empty_service_is_no_denial_of_the_pod_that_left_it",
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
    (32, "IPv4 is denied, IPv6 still open", "moments", "a_denial_of_ipv4_says_nothing_about_ipv6"),
    (
        33,
        "the CNI judges by the Service's port, not by the pod's",
        "moments",
        "a_policy_on_the_service_s_port_is_told_from_one_on_the_pod_s",
    ),
    (
        34,
        "an established connection survives the policy, a new one doesn't",
        "moments",
        "a_connection_survives_the_policy_that_stops_fresh_ones",
    ),
    (
        35,
        "a new pod is open until its policies come",
        "moments",
        "policies_that_come_late_for_a_new_pod_are_found_out_with_their_delay",
    ),
    (
        36,
        "the Service is in the API and not on the node",
        "moments",
        "a_service_that_the_node_does_not_know_denies_nobody",
    ),
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
    (
        41,
        "a CNI's own kind of policy is there, too",
        "lies",
        "another_kind_of_policy_accuses_nobody",
    ),
    (
        41,
        "somebody may not read another kind of policy",
        "lies",
        "a_kind_of_policy_that_may_not_be_read_accuses_nobody",
    ),
    (
        42,
        "an old entry of connection tracking carries a denied UDP flow",
        "moments",
        "a_flow_that_was_open_before_carries_no_fresh_datagram",
    ),
    (
        43,
        "source NAT between nodes hides the peer",
        "lies",
        "a_peer_that_source_nat_hides_is_told_by_the_address_that_was_seen",
    ),
    (
        44,
        "a pair looks denied until the policy's allows arrive",
        "lies",
        "what_opens_when_the_allows_arrive_was_never_denied",
    ),
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
fn every_lie_is_listed_in_order() {
    let numbers: Vec<u8> = LIES.iter().map(|(number, ..)| *number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let listed: BTreeSet<u8> = numbers.into_iter().collect();
    let missing: Vec<u8> = (1..=LAST).filter(|number| !listed.contains(number)).collect();
    assert!(missing.is_empty(), "no test is listed for {missing:?}");
    assert_eq!(listed.last(), Some(&LAST));
}

#[test]
fn every_test_that_is_listed_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (number, _, binary, test) in LIES {
        let mut sources = String::new();
        match *binary {
            "lib" => collect(&root.join("src"), &mut sources),
            binary => {
                let file = root.join("tests").join(format!("{binary}.rs"));
                sources.push_str(&fs::read_to_string(file).unwrap_or_default());
                collect(&root.join("tests").join(binary), &mut sources);
            }
        }
        let declared = format!("fn {test}(");
        assert!(sources.contains(&declared), "L{number}: {binary} has no test {test}");
    }
}

fn collect(folder: &Path, sources: &mut String) {
    if !folder.exists() {
        return;
    }
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
        println!("\nL{number}  {situation}\n  held by {binary}: {test}");
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
        if !output.status.success() || !said.contains("  $ netproof ") {
            red.push(number);
            println!("  RED: {test}\n{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    assert!(red.is_empty(), "red: {red:?}");
}
