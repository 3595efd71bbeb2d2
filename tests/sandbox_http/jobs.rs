//! Jobs and CronJobs.

use std::collections::BTreeMap;

use netproof::sandbox::api::{
    delete::DeleteOptions,
    object::Object,
    resource::{CRON_JOBS, JOBS, PODS},
};
use serde_json::{Value, json};

use super::{
    cluster::{Cluster, cluster},
    workloads::condition,
};

fn job(spec: Value) -> Value {
    let mut job = json!({"metadata": {"name": "once"}, "spec": spec});
    job["spec"]["template"] = json!({
        "metadata": {"labels": {"app": "once"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "a", "image": "a"}]},
    });
    job
}

#[tokio::test]
async fn a_job_runs_until_enough_pods_have_succeeded() {
    let cluster = cluster(2).await;
    let spec = json!({"completions": 3, "parallelism": 2, "completionMode": "Indexed"});
    cluster.create(&JOBS, job(spec));
    for round in 1..=3 {
        cluster
            .until("a pod runs", |cluster| {
                cluster.pods("once").iter().any(|pod| pod["status"]["phase"] == "Running")
            })
            .await;
        let pods = cluster.pods("once");
        let running: Vec<_> =
            pods.iter().filter(|pod| pod["status"]["phase"] == "Running").collect();
        assert!(running.len() <= 2, "no more than two at a time");
        cluster.bring_to(running[0].name(), "Succeeded");
        cluster
            .until("it is counted", |cluster| {
                cluster.get(&JOBS, "once").expect("it is there")["status"]["succeeded"] == round
            })
            .await;
    }
    cluster
        .until("the job is complete", |cluster| {
            let job = cluster.get(&JOBS, "once").expect("it is there");
            condition(&job, "Complete") == ("True".into(), "CompletionsReached".into())
        })
        .await;
    let job = cluster.get(&JOBS, "once").expect("it is there");
    assert_eq!(job["status"]["completedIndexes"], "0-2");
    let pods = cluster.list(&PODS);
    assert!(pods.iter().all(|pod| pod.finalizers().is_empty()), "all are let go");
    assert!(pods.iter().any(|pod| pod.name().starts_with("once-2-")), "named after its index");
    cluster.delete(&JOBS, "once", &DeleteOptions::default());
    cluster.until("the pods go with it", |cluster| cluster.list(&PODS).is_empty()).await;
}

#[tokio::test]
async fn a_job_fails_after_too_many_failures_and_goes_when_its_time_is_over() {
    let cluster = cluster(1).await;
    let spec = json!({"backoffLimit": 0, "ttlSecondsAfterFinished": 1});
    let mut job = job(spec);
    job["spec"]["template"]["metadata"]["annotations"] = json!({"test/phase": "Failed"});
    cluster.create(&JOBS, job);
    cluster
        .until("the job has failed", |cluster| {
            cluster.get(&JOBS, "once").is_some_and(|job| {
                condition(&job, "Failed") == ("True".into(), "BackoffLimitExceeded".into())
            })
        })
        .await;
    cluster.until("it is gone", |cluster| cluster.get(&JOBS, "once").is_none()).await;
    cluster.until("so are its pods", |cluster| cluster.list(&PODS).is_empty()).await;
}

#[tokio::test]
async fn a_job_can_be_suspended() {
    let cluster = cluster(1).await;
    cluster.create(&JOBS, job(json!({"suspend": true})));
    cluster
        .until("it says so", |cluster| {
            let job = cluster.get(&JOBS, "once").expect("it is there");
            condition(&job, "Suspended") == ("True".into(), "JobSuspended".into())
        })
        .await;
    assert!(cluster.pods("once").is_empty());
    cluster.change(&JOBS, "once", |job| job["spec"]["suspend"] = false.into());
    cluster.until("it runs", |cluster| cluster.pods("once").len() == 1).await;
    cluster.change(&JOBS, "once", |job| job["spec"]["suspend"] = true.into());
    cluster.until("it stops", |cluster| cluster.pods("once").is_empty()).await;
    let job = cluster.get(&JOBS, "once").expect("it is there");
    assert!(job["status"]["failed"].is_null(), "that is no failure");
}

#[tokio::test]
async fn a_cron_job_starts_jobs_at_its_time() {
    let cluster = cluster(1).await;
    let template = job(json!({}))["spec"].clone();
    cluster.create(&CRON_JOBS, json!({
        "metadata": {"name": "tick"},
        "spec": {"schedule": "@every 1s", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": template}},
    }));
    cluster.until("a job is there", |cluster| !cluster.list(&JOBS).is_empty()).await;
    let jobs = cluster.list(&JOBS);
    assert!(jobs[0].name().starts_with("tick-"), "{}", jobs[0].name());
    assert_eq!(jobs[0].owners()[0]["kind"], "CronJob");
    cluster
        .until("it is known as active", |cluster| {
            let cron = cluster.get(&CRON_JOBS, "tick").expect("it is there");
            cron.items("/status/active").len() == 1 && !cron["status"]["lastScheduleTime"].is_null()
        })
        .await;
    cluster
        .until("the next one has to wait", |cluster| {
            cluster.said("tick").iter().any(|(reason, _)| reason == "JobAlreadyActive")
        })
        .await;
    assert_eq!(cluster.list(&JOBS).len(), 1);
}

/// Its pods, by their index.
fn by_index(cluster: &Cluster) -> BTreeMap<String, String> {
    let index = "/metadata/annotations/batch.kubernetes.io~1job-completion-index";
    let pods = cluster.pods("once");
    pods.iter().map(|pod| (pod.text(index).to_owned(), pod.name().to_owned())).collect()
}

async fn ends(cluster: &Cluster, kind: &str, reason: &str) -> String {
    let what = format!("the job is {kind} for {reason}");
    cluster
        .until(&what, |cluster| {
            let job = cluster.get(&JOBS, "once").expect("it is there");
            condition(&job, kind) == ("True".into(), reason.into())
        })
        .await;
    let job = cluster.get(&JOBS, "once").expect("it is there");
    let conditions = job.items("/status/conditions");
    let found = conditions.iter().find(|one| one["type"] == kind).expect("found above");
    found.text("/message").to_owned()
}

fn on_exit(action: &str, code: i64) -> Value {
    json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}})
}

#[tokio::test]
async fn an_exit_code_may_fail_a_job_at_once_or_not_count() {
    for (code, fails) in [(42, true), (5, false)] {
        let cluster = cluster(1).await;
        let rules = [on_exit("FailJob", 42), on_exit("Ignore", 5)];
        let mut job = job(json!({
            "backoffLimit": if fails { 6 } else { 0 }, "podFailurePolicy": {"rules": rules},
        }));
        let code_text = code.to_string();
        job["spec"]["template"]["metadata"]["annotations"] =
            json!({"test/phase": "Failed", "test/exit": code_text});
        cluster.create(&JOBS, job);
        if fails {
            let message = ends(&cluster, "Failed", "PodFailurePolicy").await;
            let ending = "failed with exit code 42 matching FailJob rule at index 0";
            assert!(message.starts_with("Container a for pod default/once-"), "{message}");
            assert!(message.ends_with(ending), "{message}");
            let job = cluster.get(&JOBS, "once").expect("it is there");
            assert_eq!(condition(&job, "FailureTarget").1, "PodFailurePolicy");
            assert_eq!(job["status"]["failed"], 1);
            continue;
        }
        cluster
            .until("its pod is let go", |cluster| {
                let pods = cluster.list(&PODS);
                !pods.is_empty() && pods.iter().all(|pod| pod.finalizers().is_empty())
            })
            .await;
        let job = cluster.get(&JOBS, "once").expect("it is there");
        assert!(job["status"]["failed"].is_null(), "{}", job["status"]);
        assert_eq!(condition(&job, "Failed"), Default::default());
    }
}

#[tokio::test]
async fn an_index_fails_alone_where_each_has_its_own_limit() {
    let cluster = cluster(1).await;
    cluster.create(
        &JOBS,
        job(json!({
            "completions": 3, "parallelism": 3, "completionMode": "Indexed",
            "backoffLimitPerIndex": 0,
        })),
    );
    cluster.until("all run", |cluster| by_index(cluster).len() == 3).await;
    let pods = by_index(&cluster);
    let first = cluster.get(&PODS, &pods["1"]).expect("it is there");
    let count = "/metadata/annotations/batch.kubernetes.io~1job-index-failure-count";
    assert_eq!(first.text(count), "0");
    cluster.bring_to(&pods["1"], "Failed");
    cluster
        .until("index 1 has failed", |cluster| {
            cluster.get(&JOBS, "once").expect("it is there")["status"]["failedIndexes"] == "1"
        })
        .await;
    let job = cluster.get(&JOBS, "once").expect("it is there");
    assert_eq!(condition(&job, "Failed"), Default::default(), "the others go on");
    for index in ["0", "2"] {
        cluster.bring_to(&pods[index], "Succeeded");
    }
    assert_eq!(ends(&cluster, "Failed", "FailedIndexes").await, "Job has failed indexes");
    let job = cluster.get(&JOBS, "once").expect("it is there");
    assert_eq!(job["status"]["completedIndexes"], "0,2");
    assert_eq!(job["spec"]["backoffLimit"], i32::MAX);
}

#[tokio::test]
async fn some_successes_may_be_enough() {
    let cluster = cluster(1).await;
    cluster.create(
        &JOBS,
        job(json!({
            "completions": 3, "parallelism": 3, "completionMode": "Indexed",
            "successPolicy": {"rules": [{"succeededIndexes": "1-2", "succeededCount": 1}]},
        })),
    );
    cluster.until("all run", |cluster| by_index(cluster).len() == 3).await;
    let pods = by_index(&cluster);
    cluster.bring_to(&pods["0"], "Succeeded");
    cluster
        .until("it is counted", |cluster| {
            cluster.get(&JOBS, "once").expect("it is there")["status"]["succeeded"] == 1
        })
        .await;
    let job = cluster.get(&JOBS, "once").expect("it is there");
    assert_eq!(condition(&job, "Complete"), Default::default(), "not that one");
    cluster.bring_to(&pods["2"], "Succeeded");
    let message = ends(&cluster, "Complete", "SuccessPolicy").await;
    assert_eq!(message, "Matched rules at index 0");
    cluster.until("the last is gone", |cluster| cluster.get(&PODS, &pods["1"]).is_none()).await;
}
