//! Services: their own address, each backend by its own, and who else is behind them.

use super::*;
use crate::cluster::{Endpoint, ServiceView};

const SHOP: &str = "
metadata: {name: lab}
defaults: {ports: {main: 8080/tcp}}
setup:
  namespaces: {lab: {}}
  manifests: [{inline: {apiVersion: v1, kind: Service, metadata: {name: back}, spec: {ports: [{port: 80, targetPort: main}], selector: {tier: back}}}}]
peers:
  a: {pod: {namespace: lab, labels: {app: a, tier: back}}}
  b: {pod: {namespace: lab, labels: {app: b, tier: back}}}
  c: {pod: {namespace: lab, labels: {app: c, tier: back}}}
  svc: {service: {namespace: lab, name: back}}
  name: {host: 'back.${namespace:lab}.svc'}
cases:
  - {name: allow, from: a, to: svc, port: 80, expect: allow}
  - {name: deny, from: a, to: svc, port: 80, expect: deny}
  - {name: by-name, from: a, to: name, port: 80, expect: allow}
";

const VIP: &str = "10.96.0.7";

fn endpoint(plan: &Plan, peer: &str, ready: bool) -> Endpoint {
    let at = plan.pods.iter().position(|pod| short(&pod.name) == peer).expect("a pod");
    let pod = &plan.pods[at];
    Endpoint {
        address: address(PodIndex(at)),
        pod: Some((pod.namespace.clone(), pod.name.clone())),
        node: Some(pod.node.clone()),
        ready,
        ports: vec![(String::new(), 8080, IpProtocol::Tcp)],
    }
}

fn stranger() -> Endpoint {
    Endpoint {
        address: "10.9.9.9".parse().expect("an address"),
        pod: Some(("shop".to_owned(), "old".to_owned())),
        node: None,
        ready: true,
        ports: vec![(String::new(), 8080, IpProtocol::Tcp)],
    }
}

async fn asked_of(
    endpoints: impl Fn(&Plan) -> Vec<Endpoint>,
    headless: bool,
    told: Told<'_>,
) -> BTreeMap<String, (Judgement, Controls)> {
    let plan = planned(SHOP);
    let live = live(&plan).await;
    let marker = proven(&live);
    let view = ServiceView {
        cluster_ips: if headless { Vec::new() } else { vec![VIP.parse().expect("an address")] },
        ports: vec![(String::new(), 80, IpProtocol::Tcp)],
        endpoints: endpoints(&plan),
        headless,
    };
    let place = (plan.suites[0].namespaces[0].name.clone(), "back".to_owned());
    judged(&live, &marker, &[(place, Ok(Some(view)))].into(), told).await
}

/// The Service's address is answered by b.
fn through(from: &str, to: &str) -> Option<Vec<(Option<IpAddr>, Observation)>> {
    let _ = from;
    (to == VIP || to.starts_with("back.")).then(|| vec![(None, agent("np-aaaaaa-b-0"))])
}

#[tokio::test]
async fn each_backend_is_asked_by_its_own_address_and_never_the_source_or_one_that_is_not_ready() {
    let all = |plan: &Plan| {
        vec![endpoint(plan, "a", true), endpoint(plan, "b", true), endpoint(plan, "c", true)]
    };
    let c_is_not_ready = |plan: &Plan| {
        vec![endpoint(plan, "a", true), endpoint(plan, "b", true), endpoint(plan, "c", false)]
    };
    type Row<'r> = (&'r str, bool, bool, Told<'r>, Verdict);
    let rows: [Row<'_>; 6] = [
        ("all answer", true, false, &|from, to, _, _| through(from, to), Verdict::Pass),
        (
            "one backend doesn't",
            true,
            false,
            &|from, to, _, _| match (from, to) {
                ("a", "c") => silent(),
                _ => through(from, to),
            },
            Verdict::Fail,
        ),
        (
            "the source itself needs not",
            true,
            false,
            &|from, to, _, _| match (from, to) {
                ("a", "a") => silent(),
                _ => through(from, to),
            },
            Verdict::Pass,
        ),
        (
            "one that isn't ready needs not",
            false,
            false,
            &|from, to, _, _| match (from, to) {
                ("a", "c") => silent(),
                _ => through(from, to),
            },
            Verdict::Pass,
        ),
        (
            "headless, one doesn't",
            true,
            true,
            &|from, to, _, _| match (from, to) {
                ("a", "b") => silent(),
                _ => through(from, to),
            },
            Verdict::Fail,
        ),
        (
            "headless, the source itself needs not",
            true,
            true,
            &|from, to, _, _| match (from, to) {
                ("a", "a") => silent(),
                _ => through(from, to),
            },
            Verdict::Pass,
        ),
    ];
    for (what, whole, headless, told, expected) in rows {
        let found = if whole {
            asked_of(all, headless, told).await
        } else {
            asked_of(c_is_not_ready, headless, told).await
        };
        let judgement = &found["allow"].0;
        assert_eq!(judgement.verdict, expected, "{what}: {}", judgement.reason);
    }
}

#[tokio::test]
async fn a_closed_service_with_an_open_backend_is_open() {
    let both = |plan: &Plan| vec![endpoint(plan, "b", true), endpoint(plan, "c", true)];
    let found = asked_of(both, false, &|from, to, _, _| match (from, to) {
        ("a", VIP) | ("a", "b") => silent(),
        _ => through(from, to),
    })
    .await;
    assert_eq!(found["deny"].0.verdict, Verdict::Fail, "{}", found["deny"].0.reason);
    let found = asked_of(both, false, &|from, to, _, _| match (from, to) {
        ("a", VIP) | ("a", "b" | "c") => silent(),
        _ => through(from, to),
    })
    .await;
    assert_eq!(found["deny"].0.verdict, Verdict::Pass, "{}", found["deny"].0.reason);
}

#[tokio::test]
async fn a_service_s_witness_must_meet_one_of_ours() {
    let both = |plan: &Plan| vec![endpoint(plan, "b", true), endpoint(plan, "c", true)];
    for (what, met, expected) in [
        ("ours", "np-aaaaaa-c-0", Verdict::Pass),
        ("somebody else's", "np-aaaaaa-other-0", Verdict::Inconclusive),
    ] {
        let found = asked_of(both, false, &|from, to, _, _| match (from, to) {
            ("a", VIP) | ("a", "b" | "c") => silent(),
            (_, VIP) => answer(agent(met)),
            _ => None,
        })
        .await;
        assert_eq!(found["deny"].0.verdict, expected, "{what}: {}", found["deny"].0.reason);
    }
}

#[tokio::test]
async fn strangers_behind_a_service_leave_who_answers_to_chance_also_by_its_name() {
    let ours = |plan: &Plan| vec![endpoint(plan, "b", true)];
    let shared = |plan: &Plan| vec![endpoint(plan, "b", true), stranger()];
    let told: Told<'_> = &|from, to, _, _| through(from, to);
    for (what, found, passes) in [
        ("ours alone", asked_of(ours, false, told).await, true),
        ("a stranger, too", asked_of(shared, false, told).await, false),
    ] {
        for case in ["allow", "by-name"] {
            let reason = &found[case].0.reason;
            assert_eq!(found[case].0.verdict == Verdict::Pass, passes, "{case}, {what}: {reason}");
            let is_shared = matches!(reason, Reason::SharedService { .. });
            assert_eq!(is_shared, !passes, "{case}, {what}: {reason}");
        }
    }
}

#[tokio::test]
async fn endpoints_of_another_family_are_none_of_this_one_s() {
    let other = |plan: &Plan| {
        let address = "fd00::2".parse().expect("an address");
        vec![Endpoint { address, ..endpoint(plan, "b", true) }]
    };
    let found = asked_of(other, false, &|from, to, _, _| through(from, to)).await;
    let judgement = &found["allow"].0;
    assert_eq!(judgement.verdict, Verdict::Inconclusive, "{}", judgement.reason);
    assert!(judgement.reason.to_string().ends_with("has no ready endpoints"));
}
