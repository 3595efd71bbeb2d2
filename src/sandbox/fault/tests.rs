use std::time::Duration;

use super::*;
use crate::model::Transport;

#[test]
fn a_fault_is_read_and_written_alike() {
    let percent = |percent| Percent::new(percent).expect("at most 100");
    let seconds = Duration::from_secs;
    for (text, expected) in [
        ("enforce-nothing", Fault::Network(NetworkFault::EnforceNothing)),
        ("ignore-ingress", Fault::Network(NetworkFault::IgnoreIngress)),
        ("ignore-egress", Fault::Network(NetworkFault::IgnoreEgress)),
        ("delay=8s", Fault::Network(NetworkFault::Delay(seconds(8)))),
        ("delay=1m30s", Fault::Network(NetworkFault::Delay(seconds(90)))),
        ("loss=10%", Fault::Network(NetworkFault::Loss(percent(10)))),
        ("loss=100%", Fault::Network(NetworkFault::Loss(percent(100)))),
        ("dead-path", Fault::Network(NetworkFault::DeadPath(None))),
        (
            "dead-path=node-1,node-3",
            Fault::Network(NetworkFault::DeadPath(Some(("node-1".into(), "node-3".into())))),
        ),
        (
            "dead-way=node-1,node-2",
            Fault::Network(NetworkFault::DeadWay("node-1".into(), "node-2".into())),
        ),
        (
            "one-way-loss=node-2,10%",
            Fault::Network(NetworkFault::OneWayLoss("node-2".into(), percent(10))),
        ),
        (
            "dead-interface=shop/web",
            Fault::Network(NetworkFault::DeadInterface {
                namespace: "shop".into(),
                pod: "web".into(),
            }),
        ),
        ("cut-established", Fault::Network(NetworkFault::CutEstablished)),
        ("service-port", Fault::Network(NetworkFault::ServicePort)),
        (
            "empty-service=shop/web",
            Fault::Network(NetworkFault::EmptyService {
                namespace: "shop".into(),
                service: "web".into(),
            }),
        ),
        ("reject", Fault::Network(NetworkFault::Reject)),
        ("late-isolation=2s", Fault::Network(NetworkFault::LateIsolation(seconds(2)))),
        ("late-allows=2s", Fault::Network(NetworkFault::LateAllows(seconds(2)))),
        ("masquerade", Fault::Network(NetworkFault::Masquerade)),
        ("drop-port=53/udp", Fault::Network(NetworkFault::DropPort(Transport::Udp, 53))),
        ("api-429", Fault::Api(ApiFault::TooManyRequests(Share::ALL))),
        ("api-429=20%", Fault::Api(ApiFault::TooManyRequests(Share::Percent(percent(20))))),
        ("api-500=3", Fault::Api(ApiFault::InternalError(Share::Count(3)))),
        ("api-503=5%", Fault::Api(ApiFault::Unavailable(Share::Percent(percent(5))))),
        ("api-drop=1", Fault::Api(ApiFault::Drop(Share::Count(1)))),
        ("api-slow=2s", Fault::Api(ApiFault::Slow { delay: seconds(2), share: Share::ALL })),
        ("api-slow=2s,4", Fault::Api(ApiFault::Slow { delay: seconds(2), share: Share::Count(4) })),
        ("watch-end=5s", Fault::Api(ApiFault::WatchEnd(seconds(5)))),
        ("watch-expire", Fault::Api(ApiFault::WatchExpire)),
        ("exec-cut=3s", Fault::Api(ApiFault::ExecCut(seconds(3)))),
        ("deny-pods=a=b, says I", Fault::Api(ApiFault::DenyPods("a=b, says I".into()))),
        (
            "label-pods=mesh.io/on:yes",
            Fault::Api(ApiFault::LabelPods { key: "mesh.io/on".into(), value: "yes".into() }),
        ),
        ("inject-sidecar", Fault::Api(ApiFault::InjectSidecar)),
        ("fail-node=node-1", Fault::Node(NodeFault::Fail("node-1".into()))),
        ("kubelet-silent=node-1", Fault::Node(NodeFault::KubeletSilent("node-1".into()))),
        ("clock-offset=5m", Fault::Clock(ClockFault::Ahead(seconds(300)))),
        ("clock-offset=-5m", Fault::Clock(ClockFault::Behind(seconds(300)))),
    ] {
        assert_eq!(text.parse().as_ref(), Ok(&expected), "reading {text}");
        assert_eq!(expected.to_string(), text, "writing {expected:?}");
    }
}

#[test]
fn what_is_no_fault_says_why() {
    for (text, expected) in [
        ("delay=soon", "`soon` is no duration, as in `delay=8s`"),
        ("delay", "`` is no duration, as in `delay=8s`"),
        ("late-allows", "`` is no duration, as in `late-allows=2s`"),
        ("loss=101%", "`101%` is no percentage from 0 to 100, as in `loss=10%`"),
        ("loss=10", "`10` is no percentage from 0 to 100, as in `loss=10%`"),
        ("loss=+1%", "`+1%` is no percentage from 0 to 100, as in `loss=10%`"),
        ("loss=%", "`%` is no percentage from 0 to 100, as in `loss=10%`"),
        ("api-429=often", "`often` is no percentage or count, as in `api-429=20%`"),
        ("api-500=-1", "`-1` is no percentage or count, as in `api-500=20%`"),
        ("api-slow=2s,all", "`all` is no percentage or count, as in `api-slow=2s,20%`"),
        ("api-slow", "`` is no duration, as in `api-slow=2s,20%`"),
        ("dead-interface=web", "`web` is no namespace and pod, as in `dead-interface=shop/web`"),
        ("label-pods=mesh", "`mesh` is no label, as in `label-pods=mesh:on`"),
        ("fail-node", "`` is no node, as in `fail-node=node-2`"),
        ("clock-offset=--5m", "`-5m` is no duration, as in `clock-offset=5m`"),
    ] {
        let error = text.parse::<Fault>().expect_err(text);
        assert_eq!(error.to_string(), expected, "reading {text}");
    }
}

#[test]
fn an_unknown_name_is_told_all_names() {
    for text in ["ignore-egres", "reject=yes", "api-418"] {
        let error = text.parse::<Fault>().expect_err(text).to_string();
        let begin = format!("`{text}` is no fault; enforce-nothing, ");
        assert!(error.starts_with(&begin), "{error}");
        assert!(error.ends_with("clock-offset=[-]DURATION are"), "{error}");
    }
}
