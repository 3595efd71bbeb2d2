use serde_json::json;

use super::*;

const DELAY: &str = "delay=8s";

struct Bench {
    engine: Engine,
    intake: Intake,
    begin: Instant,
}

impl Bench {
    /// A namespace `shop` on a cluster with these faults.
    fn new(faults: &[&str]) -> Self {
        let engine = Engine::new(["one"], false);
        let mut bench = Self { engine, intake: Intake::default(), begin: Instant::now() };
        for fault in faults {
            bench.at(0, &FAULTS, "", fault, Some(json!({"spec": {"fault": fault}})));
        }
        bench.at(0, &NAMESPACES, "", "shop", Some(json!({})));
        bench
    }

    /// Takes in an object at a second after the beginning.
    fn at(
        &mut self,
        second: u64,
        kind: &Resource,
        namespace: &str,
        name: &str,
        object: Option<Value>,
    ) {
        let now = self.begin + Duration::from_secs(second);
        let object = object.map(|mut object| {
            object["metadata"]["name"] = name.into();
            object["metadata"]["namespace"] = namespace.into();
            Arc::new(object)
        });
        let key = (namespace.to_owned(), name.to_owned());
        self.intake.take_in(&mut self.engine, now, (kind, key), object);
        self.intake.settle(&mut self.engine, now);
    }

    fn pod(&mut self, second: u64, uid: &str, label: &str) {
        let pod = json!({
            "metadata": {"uid": uid, "labels": {"app": label}},
            "spec": {"nodeName": "one"},
            "status": {"podIP": "10.0.0.1", "phase": "Running"},
        });
        self.at(second, &PODS, "shop", "web", Some(pod));
    }

    /// A policy that isolates the pods with a label.
    fn policy(&mut self, second: u64, label: &str) {
        let policy = json!({"spec": {"podSelector": {"matchLabels": {"app": label}}}});
        self.at(second, &NETWORK_POLICIES, "shop", "it", Some(policy));
    }

    /// A policy that isolates the pods `a` and lets in by TCP ports alone.
    fn opening(&mut self, second: u64, ports: &[u16]) {
        let ports: Vec<_> = ports.iter().map(|port| json!({"port": port})).collect();
        let ingress = if ports.is_empty() { json!([]) } else { json!([{"ports": ports}]) };
        let pods = json!({"matchLabels": {"app": "a"}});
        let policy = json!({"spec": {"podSelector": pods, "ingress": ingress}});
        self.at(second, &NETWORK_POLICIES, "shop", "it", Some(policy));
    }

    /// Which of two ports are open in an isolated namespace at a second.
    fn opened(&mut self, second: u64) -> (bool, Vec<u16>) {
        let (isolated, _) = self.isolated(second);
        let rules = self.engine.ruleset("one").map(|rules| rules.to_nft()).unwrap_or_default();
        let open = |port: &u16| rules.contains(&format!("dport {port}"));
        (isolated, [8080, 9090].into_iter().filter(open).collect())
    }

    /// Whether the pod is isolated at a second, and when a change is due.
    fn isolated(&mut self, second: u64) -> (bool, Option<u64>) {
        let now = self.begin + Duration::from_secs(second);
        let due = self.intake.settle(&mut self.engine, now);
        self.engine.take();
        let rules = self.engine.ruleset("one").map(|rules| rules.to_nft()).unwrap_or_default();
        (rules.contains("jump ingress/shop"), due.map(|due| (due - self.begin).as_secs()))
    }
}

#[test]
fn a_delayed_change_is_in_force_only_when_it_is_due() {
    let mut bench = Bench::new(&[DELAY]);
    bench.pod(1, "1", "a");
    bench.policy(2, "a");
    assert_eq!(bench.isolated(9), (false, Some(10)), "the policy");
    assert_eq!(bench.isolated(10), (true, None), "the policy");
    bench.pod(20, "1", "b");
    assert_eq!(bench.isolated(27), (true, Some(28)), "the label");
    assert_eq!(bench.isolated(28), (false, None), "the label");
}

#[test]
fn a_new_pod_has_its_labels_at_once() {
    let mut bench = Bench::new(&[DELAY]);
    bench.policy(0, "a");
    bench.pod(1, "1", "b");
    assert_eq!(bench.isolated(9), (false, None), "another label");
    bench.pod(10, "2", "a");
    assert_eq!(bench.isolated(10), (true, None), "a pod of the same name, made anew");
}

#[test]
fn without_a_delay_everything_is_in_force_at_once() {
    let mut bench = Bench::new(&[]);
    bench.pod(0, "1", "a");
    bench.policy(0, "a");
    assert_eq!(bench.isolated(0), (true, None));
    bench.pod(1, "1", "b");
    assert_eq!(bench.isolated(1), (false, None));
}

#[test]
fn a_delay_that_ends_holds_nothing_back_any_longer() {
    let mut bench = Bench::new(&[DELAY]);
    bench.pod(0, "1", "a");
    bench.policy(1, "a");
    assert_eq!(bench.isolated(2), (false, Some(9)));
    bench.at(3, &FAULTS, "", DELAY, None);
    assert_eq!(bench.isolated(3), (true, None));
}

#[test]
fn stale_labels_last_until_the_pod_is_made_anew_or_the_fault_ends() {
    let mut bench = Bench::new(&["stale-labels"]);
    bench.policy(0, "a");
    bench.pod(0, "1", "a");
    bench.pod(1, "1", "b");
    assert_eq!(bench.isolated(99), (true, None), "relabelled");
    bench.pod(100, "2", "b");
    assert_eq!(bench.isolated(100), (false, None), "made anew");
    bench.pod(101, "2", "a");
    assert_eq!(bench.isolated(101), (false, None), "relabelled again");
    bench.at(102, &FAULTS, "", "stale-labels", None);
    assert_eq!(bench.isolated(102), (true, None), "the fault has ended");
}

#[test]
fn stale_policies_stay_until_the_fault_ends() {
    let mut bench = Bench::new(&["stale-policies"]);
    bench.pod(0, "1", "a");
    bench.policy(0, "a");
    bench.at(1, &NETWORK_POLICIES, "shop", "it", None);
    assert_eq!(bench.isolated(99), (true, None));
    bench.at(100, &FAULTS, "", "stale-policies", None);
    assert_eq!(bench.isolated(100), (false, None));
}

#[test]
fn a_new_pod_is_open_until_late_isolation_comes() {
    let mut bench = Bench::new(&["late-isolation=2s"]);
    bench.policy(0, "a");
    bench.pod(10, "1", "a");
    assert_eq!(bench.isolated(11), (false, Some(12)));
    assert_eq!(bench.isolated(12), (true, None));
    bench.pod(20, "1", "a");
    assert_eq!(bench.isolated(20), (true, None), "it is not new any longer");
}

#[test]
fn late_allows_come_after_the_isolation() {
    const FAULT: &str = "late-allows=5s";
    let mut bench = Bench::new(&[FAULT]);
    bench.pod(0, "1", "a");
    bench.opening(1, &[8080]);
    assert_eq!(bench.isolated(1), (true, Some(6)));
    assert_eq!(bench.opened(5), (true, vec![]), "isolated, and nothing is let in");
    assert_eq!(bench.opened(6), (true, vec![8080]), "its rules have come");
    bench.opening(10, &[9090]);
    assert_eq!(bench.opened(14), (true, vec![8080]), "the old rules, until the new ones come");
    assert_eq!(bench.opened(15), (true, vec![9090]));
    bench.opening(20, &[8080]);
    bench.at(21, &NETWORK_POLICIES, "shop", "it", None);
    assert_eq!(bench.isolated(99), (false, None), "a policy that has gone brings no rules");
    bench.opening(100, &[8080]);
    assert_eq!(bench.opened(101), (true, vec![]));
    bench.at(102, &FAULTS, "", FAULT, None);
    assert_eq!(bench.opened(102), (true, vec![8080]), "the fault has ended");
    assert_eq!(bench.isolated(102), (true, None));
}

#[test]
fn a_policy_that_names_no_types_isolates_early_as_it_does_late() {
    let types = |spec: Value| {
        let policy = serde_json::from_value(json!({"spec": spec})).expect("a policy");
        let Policy::Network(early) = late::isolation(&Policy::Network(policy), None) else {
            panic!("another kind")
        };
        early.spec.and_then(|spec| spec.policy_types).unwrap_or_default().join(" ")
    };
    for (spec, expected) in [
        (json!({"podSelector": {}}), "Ingress"),
        (json!({"podSelector": {}, "policyTypes": [], "egress": []}), "Ingress"),
        (json!({"podSelector": {}, "egress": [{}]}), "Ingress Egress"),
        (json!({"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]}), "Egress"),
    ] {
        assert_eq!(types(spec.clone()), expected, "{spec}");
    }
}
