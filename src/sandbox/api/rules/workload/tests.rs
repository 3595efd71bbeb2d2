use serde_json::{Value, json};

use crate::sandbox::api::{
    object::Object,
    resource::{
        CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, JOBS, NAMESPACES, POD_DISRUPTION_BUDGETS, Resource,
        STATEFUL_SETS,
    },
    store::Store,
    write::{self, Part, Place, WriteOptions},
};

fn store() -> Store {
    let store = Store::new();
    store.write(|writer| {
        writer.put(&NAMESPACES, json!({"metadata": {"name": "shop"}}));
    });
    store
}

fn create(store: &Store, kind: &'static Resource, object: Value) -> Result<Value, String> {
    let written = write::create(store, kind, "shop", object, &WriteOptions::default());
    written.map(|written| Value::clone(&written.object)).map_err(|failure| failure.message)
}

fn template() -> Value {
    json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "a", "image": "a:1"}]},
    })
}

fn workload(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = json!({"metadata": {"name": "w"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}}, "template": template(),
    }});
    change(&mut object["spec"]);
    object
}

#[test]
fn what_is_left_open_is_filled_in() {
    let store = store();
    let deployment = create(&store, &DEPLOYMENTS, workload(|_| {})).expect("a Deployment");
    let spec = &deployment["spec"];
    assert_eq!((&spec["replicas"], &spec["revisionHistoryLimit"]), (&json!(1), &json!(10)));
    let rolling = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
    assert_eq!(spec["strategy"], json!({"type": "RollingUpdate", "rollingUpdate": rolling}));
    let pod = &spec["template"]["spec"];
    assert_eq!(
        (&pod["restartPolicy"], &pod["dnsPolicy"]),
        (&json!("Always"), &json!("ClusterFirst"))
    );
    assert!(pod.get("serviceAccountName").is_none(), "that is the pod's own affair");

    let job = create(&store, &JOBS, {
        let mut job = json!({"metadata": {"name": "j"}, "spec": {"template": template()}});
        job["spec"]["template"]["spec"]["restartPolicy"] = "Never".into();
        job
    });
    let job = job.expect("a Job");
    let labels = job["spec"]["template"].labels();
    assert_eq!(labels["batch.kubernetes.io/job-name"], "j");
    let selector = &job["spec"]["selector"]["matchLabels"];
    assert_eq!(selector["batch.kubernetes.io/controller-uid"], job.uid());
    assert_eq!((&job["spec"]["completions"], &job["spec"]["backoffLimit"]), (&json!(1), &json!(6)));

    let set = create(&store, &DAEMON_SETS, workload(|_| {})).expect("a DaemonSet");
    let count = |set: &Value| {
        set["metadata"]["annotations"]["deprecated.daemonset.template.generation"].clone()
    };
    assert_eq!(count(&set), "1");
    let place = Place { resource: &DAEMON_SETS, namespace: "shop", name: "w" };
    let changed = write::update(&store, place, Part::Main, &WriteOptions::default(), |before| {
        let mut after = before.clone();
        after["spec"]["template"]["spec"]["containers"][0]["image"] = "a:2".into();
        Ok(after)
    });
    assert_eq!(count(&changed.expect("a change").object), "2");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let unmatched = "spec.template.metadata.labels: Invalid value: {\"app\":\"web\"}: `selector` \
                     does not match template `labels`";
    type Case = (&'static str, &'static Resource, Value, &'static str);
    let cases: Vec<Case> = vec![
        (
            "another selector",
            &DEPLOYMENTS,
            workload(|spec| spec["selector"]["matchLabels"]["app"] = "db".into()),
            unmatched,
        ),
        (
            "fewer than none",
            &DEPLOYMENTS,
            workload(|spec| spec["replicas"] = (-1).into()),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "pods that end",
            &STATEFUL_SETS,
            workload(|spec| spec["template"]["spec"]["restartPolicy"] = "Never".into()),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \
             \"Always\"",
        ),
        (
            "no way to roll",
            &DEPLOYMENTS,
            workload(|spec| {
                spec["strategy"]["rollingUpdate"] = json!({"maxSurge": 0, "maxUnavailable": 0});
            }),
            "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when \
             `maxSurge` is 0",
        ),
        (
            "recreating while rolling",
            &DEPLOYMENTS,
            workload(|spec| {
                spec["strategy"] = json!({"type": "Recreate", "rollingUpdate": {"maxSurge": 1}});
            }),
            "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is \
             'Recreate'",
        ),
        (
            "a container without an image",
            &DEPLOYMENTS,
            workload(|spec| spec["template"]["spec"]["containers"][0]["image"] = "".into()),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            "a Job that never ends",
            &JOBS,
            json!({"metadata": {"name": "j"}, "spec": {"template": template()}}),
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \
             \"Never\"",
        ),
        (
            "a budget of two minds",
            &POD_DISRUPTION_BUDGETS,
            json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "maxUnavailable": 1}}),
            "minAvailable and maxUnavailable cannot be both set",
        ),
        (
            "a wrong schedule",
            &CRON_JOBS,
            json!({"metadata": {"name": "c"}, "spec": {"schedule": "* * *", "jobTemplate": {
                "spec": {"template": template()},
            }}}),
            "spec.schedule: Invalid value: \"* * *\": expected exactly 5 fields, found 3: [* * *]",
        ),
        (
            "a wrong time zone",
            &CRON_JOBS,
            json!({"metadata": {"name": "c"}, "spec": {
                "schedule": "@daily", "timeZone": "Nowhere/Else",
                "jobTemplate": {"spec": {"template": template()}},
            }}),
            "spec.timeZone: Invalid value: \"Nowhere/Else\": unknown time zone Nowhere/Else",
        ),
    ];
    for (message, kind, object, expected) in cases {
        let refusal = create(&store(), kind, object).expect_err(message);
        assert!(refusal.contains(expected), "{message}: {refusal}");
    }
}

#[test]
fn selectors_and_finished_templates_stay_as_they_are() {
    let store = store();
    create(&store, &DEPLOYMENTS, workload(|_| {})).expect("a Deployment");
    create(&store, &STATEFUL_SETS, workload(|_| {})).expect("a StatefulSet");
    let change = |kind: &'static Resource, pointer: &str, value: Value| {
        let place = Place { resource: kind, namespace: "shop", name: "w" };
        let changed =
            write::update(&store, place, Part::Main, &WriteOptions::default(), |before| {
                let mut after = before.clone();
                *after.pointer_mut(pointer).expect(pointer) = value;
                Ok(after)
            });
        changed.map(|_| ()).map_err(|failure| failure.message)
    };
    let both = json!({"app": "web", "more": "x"});
    for (kind, pointer, value, expected) in [
        (&DEPLOYMENTS, "/spec/selector/matchLabels", both, "field is immutable"),
        (
            &STATEFUL_SETS,
            "/spec/podManagementPolicy",
            json!("Parallel"),
            "updates to statefulset spec for fields other than 'replicas'",
        ),
    ] {
        let refusal = change(kind, pointer, value).expect_err(pointer);
        assert!(refusal.contains(expected), "{refusal}");
    }
    change(&STATEFUL_SETS, "/spec/replicas", json!(3)).expect("that may change");
}

#[test]
fn what_a_job_says_of_failures_and_successes_must_make_sense() {
    let mut ends = template();
    ends["spec"]["restartPolicy"] = "Never".into();
    let rule = |rule: Value| json!({"podFailurePolicy": {"rules": [rule]}});
    let codes = |operator: &str, values: Value| {
        rule(json!({"action": "Ignore", "onExitCodes": {"operator": operator, "values": values}}))
    };
    let success = |rule: Value| {
        json!({
            "completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": [rule]},
        })
    };
    let policy = "spec.podFailurePolicy.rules[0]";
    let condition = json!([{"type": "DisruptionTarget"}]);
    for (message, spec, expected) in [
        ("well", codes("In", json!([1, 2])), None),
        ("well", rule(json!({"action": "Ignore", "onPodConditions": condition})), None),
        ("well", success(json!({"succeededIndexes": "0,2-4", "succeededCount": 4})), None),
        (
            "no such action",
            rule(json!({"action": "Panic", "onPodConditions": condition})),
            Some(format!(
                "{policy}.action: Unsupported value: \"Panic\": supported values: \"Count\", \
                 \"FailIndex\", \"FailJob\", \"Ignore\""
            )),
        ),
        (
            "no indexes to fail",
            rule(json!({"action": "FailIndex", "onPodConditions": condition})),
            Some(format!(
                "{policy}.action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex \
                 to be set"
            )),
        ),
        (
            "neither",
            rule(json!({"action": "Ignore"})),
            Some(format!(
                "{policy}: Invalid value: specifying one of OnExitCodes and OnPodConditions is \
                 required"
            )),
        ),
        (
            "success is no failure",
            codes("In", json!([0, 1])),
            Some(format!(
                "{policy}.onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator"
            )),
        ),
        (
            "out of order",
            codes("NotIn", json!([2, 1])),
            Some(format!("{policy}.onExitCodes.values: Invalid value: [2,1]: must be ordered")),
        ),
        (
            "no values",
            codes("NotIn", json!([])),
            Some(format!(
                "{policy}.onExitCodes.values: Invalid value: []: at least one value is required"
            )),
        ),
        (
            "limits without indexes",
            json!({"backoffLimitPerIndex": 1}),
            Some(
                "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"
                    .to_owned(),
            ),
        ),
        (
            "most without a limit",
            json!({"completionMode": "Indexed", "completions": 2, "maxFailedIndexes": 1}),
            Some(
                "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified"
                    .to_owned(),
            ),
        ),
        (
            "success without indexes",
            json!({"successPolicy": {"rules": [{"succeededCount": 1}]}}),
            Some("requires indexed completion mode".to_owned()),
        ),
        (
            "an index too large",
            success(json!({"succeededIndexes": "0-5"})),
            Some("error parsing succeededIndexes: too large index: \"5\"".to_owned()),
        ),
        (
            "more than there are",
            success(json!({"succeededIndexes": "0-1", "succeededCount": 3})),
            Some(
                "must be less than or equal to 2 (the number of indexes in the specified \
                  succeededIndexes field)"
                    .to_owned(),
            ),
        ),
    ] {
        let mut job = json!({"metadata": {"name": "j"}, "spec": spec});
        job["spec"]["template"] = ends.clone();
        match (create(&store(), &JOBS, job), expected) {
            (Ok(job), None) => {
                let patterns = &job["spec"]["podFailurePolicy"]["rules"][0]["onPodConditions"];
                assert!(patterns.is_null() || patterns[0]["status"] == "True", "{message}");
            }
            (Err(refusal), Some(expected)) => {
                assert!(refusal.contains(&expected), "{message}: {refusal}");
            }
            (result, expected) => panic!("{message}: {result:?}, expected {expected:?}"),
        }
    }
}
