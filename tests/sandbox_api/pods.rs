//! Pods live and end as they do on Kubernetes.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::{
    Api,
    api::{AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams},
    runtime::{conditions::is_deleted, wait::await_condition},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::kit::{DEADLINE, Lab, agent, agent_on, condition, is_ready, phase, run};

#[tokio::test]
async fn a_pod_becomes_ready_and_its_status_is_complete() {
    let lab = Lab::start().await;
    lab.ready([agent_on("web", "node-2")]).await;
    let pod = lab.pods().get("web").await.expect("the pod");
    for kind in
        ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"]
    {
        assert!(condition(&pod, kind), "{kind}");
    }
    assert_eq!(pod.spec.and_then(|spec| spec.node_name).as_deref(), Some("node-2"));
    let status = pod.status.expect("a status");
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.host_ip.as_deref(), Some("172.18.0.3"));
    assert!(status.pod_ip.is_some_and(|address| address.starts_with("10.244.1.")));
    let container = status.container_statuses.expect("statuses").remove(0);
    assert!(container.ready && container.started == Some(true) && container.restart_count == 0);
    assert!(container.state.is_some_and(|state| state.running.is_some()));
    lab.stop().await;
}

#[tokio::test]
async fn exec_carries_the_streams_and_the_exit_code() {
    let lab = Lab::start().await;
    lab.ready([agent("web")]).await;
    let (output, status) = run(&lab, "web", &["netproof-probe", "--version"]).await;
    assert!(output.starts_with("netproof-probe "), "{output}");
    assert_eq!(status["status"], "Success");
    let (_, status) = run(&lab, "web", &["netproof-probe", "no-such-command"]).await;
    assert_eq!(
        (&status["status"], &status["reason"]),
        (&json!("Failure"), &json!("NonZeroExitCode"))
    );
    assert_eq!(status["details"]["causes"][0]["message"], "2", "{status}");
    let (_, status) = run(&lab, "web", &["sh", "-c", "true"]).await;
    let message = status["message"].as_str().unwrap_or_default();
    assert!(message.contains("\"sh\": executable file not found"), "{message}");
    lab.stop().await;
}

#[tokio::test]
async fn ports_of_a_pod_are_forwarded_over_channels() {
    let lab = Lab::start().await;
    lab.ready([json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
        "spec": {"containers": [
            {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]},
        ]},
    })])
    .await;
    let mut forward = lab.pods().portforward("web", &[80, 81]).await.expect("a session");
    let mut stream = forward.take_stream(80).expect("a stream");
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.expect("sent");
    let mut answer = vec![0; 16];
    timeout(DEADLINE, stream.read_exact(&mut answer)).await.expect("in time").expect("an answer");
    assert!(answer.starts_with(b"HTTP/1."), "{:?}", String::from_utf8_lossy(&answer));
    let error = forward.take_error(81).expect("a stream for errors");
    let error = timeout(DEADLINE, error).await.expect("in time").expect("nothing listens there");
    let expected = "IPv4: dial tcp4 127.0.0.1:81: connect: connection refused";
    assert!(error.starts_with("error forwarding port 81 to pod "), "{error}");
    assert!(error.contains(expected), "{error}");
    for (message, ports) in [("no port", &[][..]), ("port 0", &[0])] {
        let refused = lab.pods().portforward("web", ports).await;
        assert!(refused.is_err(), "{message}");
    }
    let none = lab.pods().portforward("none", &[80]).await.err().expect("no such pod");
    assert!(none.to_string().contains("404"), "{none}");
    lab.stop().await;
}

#[tokio::test]
async fn who_is_attached_stays_until_the_container_ends() {
    let lab = Lab::start().await;
    lab.ready([agent("a")]).await;
    let params = AttachParams::default().stderr(false);
    let mut session = lab.pods().attach("a", &params).await.expect("a session");
    let status = session.take_status().expect("a status");
    tokio::pin!(status);
    let early = timeout(Duration::from_millis(500), &mut status).await;
    assert!(early.is_err(), "it runs: {early:?}");
    lab.pods().delete("a", &DeleteParams::default()).await.expect("there");
    let status = timeout(DEADLINE, status).await.expect("in time").expect("a status");
    assert_eq!(status.status.as_deref(), Some("Success"), "{status:?}");
    let none = lab.pods().attach("none", &params).await.err().expect("no such pod");
    assert!(none.to_string().contains("404"), "{none}");
    lab.stop().await;
}

#[tokio::test]
async fn a_pod_waits_for_what_its_volumes_come_from() {
    let lab = Lab::start().await;
    let mut pod = agent("late");
    pod["spec"]["volumes"] = json!([{"name": "config", "configMap": {"name": "config"}}]);
    lab.create(pod).await;
    let events = lab.objects("", "v1", "Event");
    let about = ListParams::default().fields("involvedObject.name=late,reason=FailedMount");
    let said = async {
        loop {
            let found = events.list(&about).await.expect("a list").items;
            if let Some(event) = found.first() {
                return event.data["message"].clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let said = timeout(DEADLINE, said).await.expect("it is said");
    assert_eq!(
        said,
        "MountVolume.SetUp failed for volume \"config\" : configmap \"config\" not found"
    );
    let pod = lab.pods().get("late").await.expect("the pod");
    assert_eq!(phase(Some(&pod)), "Pending");
    let status = serde_json::to_value(pod.status).expect("JSON");
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    assert!(status["podIP"].is_null(), "{status}");
    lab.create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config"}}))
        .await;
    lab.until("late", "is ready", |pod: Option<&Pod>| pod.is_some_and(is_ready)).await;
    lab.stop().await;
}

#[tokio::test]
async fn exec_needs_a_container_that_runs() {
    let lab = Lab::start().await;
    let mut pod = agent("once");
    pod["spec"]["restartPolicy"] = "Never".into();
    pod["spec"]["containers"][0]["args"] = json!(["--version"]);
    pod["spec"]["containers"][0].as_object_mut().expect("a map").remove("readinessProbe");
    lab.create(pod).await;
    lab.until("once", "succeeded", |pod: Option<&Pod>| phase(pod) == "Succeeded").await;
    let params = AttachParams::default();
    for pod in ["once", "nobody"] {
        let refused = lab.pods().exec(pod, ["netproof-probe", "dial"], &params).await;
        assert!(refused.is_err(), "{pod}");
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_container_that_ends_is_started_again_as_the_policy_says() {
    let lab = Lab::start().await;
    for (policy, arguments, expected) in [
        ("Never", json!(["--version"]), "Succeeded"),
        ("Never", json!(["no-such-command"]), "Failed"),
        ("OnFailure", json!(["--version"]), "Succeeded"),
    ] {
        let mut pod = agent("once");
        pod["spec"]["restartPolicy"] = policy.into();
        pod["spec"]["containers"][0]["args"] = arguments.clone();
        lab.create(pod).await;
        let done = |pod: Option<&Pod>| matches!(phase(pod), "Succeeded" | "Failed");
        lab.until("once", "ended", done).await;
        let pod = lab.pods().get("once").await.expect("the pod");
        assert_eq!(phase(Some(&pod)), expected, "{policy} {arguments}");
        lab.pods().delete("once", &DeleteParams::default()).await.expect("there");
    }
    let mut pod = agent("again");
    pod["spec"]["containers"][0]["args"] = json!(["no-such-command"]);
    lab.create(pod).await;
    lab.until("again", "is started again", |pod: Option<&Pod>| {
        let statuses = pod.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref());
        statuses.is_some_and(|statuses| {
            let waiting = statuses[0].state.as_ref().and_then(|state| state.waiting.as_ref());
            let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
            statuses[0].restart_count == 1 && reason == Some("CrashLoopBackOff")
        })
    })
    .await;
    for previous in [true, false] {
        let log = lab.pods().logs("again", &LogParams { previous, ..LogParams::default() }).await;
        assert!(log.expect("a log").contains("no-such-command"), "previous: {previous}");
    }
    lab.stop().await;
}

#[tokio::test]
async fn a_gate_that_nobody_sets_keeps_a_pod_from_being_ready() {
    let lab = Lab::start().await;
    let mut pod = agent("guest");
    pod["spec"]["readinessGates"] = json!([{"conditionType": "netproof.dev/guest"}]);
    lab.create(pod).await;
    let containers_ready =
        |pod: Option<&Pod>| pod.is_some_and(|pod| condition(pod, "ContainersReady"));
    lab.until("guest", "has ready containers", containers_ready).await;
    assert!(!is_ready(&lab.pods().get("guest").await.expect("the pod")));
    let patch = Patch::Strategic(json!({"status": {"conditions": [
        {"type": "netproof.dev/guest", "status": "True"},
    ]}}));
    lab.pods().patch_status("guest", &PatchParams::default(), &patch).await.expect("a patch");
    lab.until("guest", "is ready", |pod: Option<&Pod>| pod.is_some_and(is_ready)).await;
    lab.stop().await;
}

#[tokio::test]
async fn a_pod_that_outlives_its_deadline_has_failed() {
    let lab = Lab::start().await;
    let mut pod = agent("late");
    pod["spec"]["activeDeadlineSeconds"] = 1.into();
    lab.create(pod).await;
    lab.until("late", "failed", |pod: Option<&Pod>| phase(pod) == "Failed").await;
    let pod = lab.pods().get("late").await.expect("the pod");
    assert_eq!(pod.status.and_then(|status| status.reason).as_deref(), Some("DeadlineExceeded"));
    lab.stop().await;
}

#[tokio::test]
async fn init_containers_run_first_and_stand_ins_are_declared() {
    let lab = Lab::start().await;
    let mut pod = agent("web");
    pod["spec"]["initContainers"] = json!([
        {"name": "first", "image": "netproof-probe", "args": ["--version"]},
        {"name": "second", "image": "busybox", "command": ["true"]},
    ]);
    lab.ready([pod]).await;
    let pod = lab.pods().get("web").await.expect("the pod");
    assert!(condition(&pod, "sandbox.netproof.dev/StandIn"), "busybox isn't there to run");
    let log = LogParams { container: Some("first".into()), ..LogParams::default() };
    assert!(lab.pods().logs("web", &log).await.expect("a log").starts_with("netproof-probe"));
    lab.stop().await;
}

#[tokio::test]
async fn pods_that_fit_no_node_stay_pending_and_say_so() {
    let lab = Lab::start().await;
    lab.create(agent_on("nowhere", "node-9")).await;
    lab.until("nowhere", "is judged", |pod: Option<&Pod>| {
        let conditions = pod.and_then(|pod| pod.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|conditions| {
            conditions.iter().any(|condition| condition.reason.as_deref() == Some("Unschedulable"))
        })
    })
    .await;
    let pod = lab.pods().get("nowhere").await.expect("the pod");
    assert_eq!(phase(Some(&pod)), "Pending");
    lab.stop().await;
}

#[tokio::test]
async fn the_pods_of_an_owner_go_with_it() {
    let lab = Lab::start().await;
    let maps = Api::<ConfigMap>::namespaced(lab.client.clone(), "shop");
    let owner = json!({"metadata": {"name": "run"}});
    let owner = serde_json::from_value(owner).expect("a ConfigMap");
    let owner = maps.create(&PostParams::default(), &owner).await.expect("created");
    let mut pod = agent("guest");
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "run", "uid": owner.metadata.uid,
    }]);
    lab.ready([pod]).await;
    maps.delete("run", &DeleteParams::default()).await.expect("there");
    lab.until("guest", "is gone", |pod: Option<&Pod>| pod.is_none()).await;
    lab.stop().await;
}

#[tokio::test]
async fn a_namespace_ends_its_pods_and_their_addresses_are_free() {
    let lab = Lab::start().await;
    lab.ready([agent("a"), agent("b")]).await;
    let namespaces = Api::<Namespace>::all(lab.client.clone());
    let uid = namespaces.get("shop").await.expect("there").metadata.uid.expect("a uid");
    namespaces.delete("shop", &DeleteParams::default()).await.expect("there");
    let gone = await_condition(namespaces, "shop", is_deleted(&uid));
    timeout(DEADLINE, gone).await.expect("in time").expect("a watch");
    assert_eq!(lab.pods().list(&ListParams::default()).await.expect("a list").items.len(), 0);
    lab.stop().await;
}

#[tokio::test]
async fn a_pod_is_deleted_within_its_grace_or_at_once() {
    let lab = Lab::start().await;
    lab.ready([agent("a"), agent("b")]).await;
    for (name, grace) in [("a", None), ("b", Some(0))] {
        let params = DeleteParams { grace_period_seconds: grace, ..DeleteParams::default() };
        let begun = Instant::now();
        lab.pods().delete(name, &params).await.expect("there");
        lab.until(name, "is gone", |pod: Option<&Pod>| pod.is_none()).await;
        // The agent ends when it is told to, long before it would be killed.
        assert!(begun.elapsed() < Duration::from_secs(25), "{name}");
    }
    lab.stop().await;
}
