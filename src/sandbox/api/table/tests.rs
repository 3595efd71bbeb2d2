use http::HeaderValue;
use serde_json::{Value, json};

use super::*;
use crate::sandbox::api::resource::{ALL, DEPLOYMENTS, SERVICES};

fn row(resource: &Resource, object: Value) -> Vec<String> {
    let table = Form::Table(Rows(Include::Nothing)).one(resource, &object);
    let cells = table["rows"][0]["cells"].as_array().expect("cells");
    cells.iter().map(|cell| cells::plain(Some(cell))).collect()
}

fn status(pod: Value) -> String {
    let pod::Summary { ready, status, restarts } = pod::summary(&pod);
    format!("{ready} {status} {restarts}")
}

#[test]
fn a_pods_state_is_one_word() {
    let spec = json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [
        {"name": "i"}, {"name": "s", "restartPolicy": "Always"},
    ]});
    let running = json!({"ready": true, "state": {"running": {}}, "restartCount": 0});
    let done = json!({"name": "i", "state": {"terminated": {"exitCode": 0}}});
    let sidecar = json!({"name": "s", "started": true, "ready": true, "state": {"running": {}}});
    for (pod, expected) in [
        (json!({"spec": spec, "status": {"phase": "Pending"}}), "0/3 Pending 0"),
        (
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "state": {"running": {}}},
            ]}}),
            "0/3 Init:0/2 0",
        ),
        (
            json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [
                {"name": "i", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            ]}}),
            "0/3 Init:CrashLoopBackOff 2",
        ),
        (
            json!({"spec": spec, "status": {
                "phase": "Running", "initContainerStatuses": [done, sidecar],
                "containerStatuses": [running, running],
            }}),
            "3/3 Running 0",
        ),
        (
            json!({"spec": spec, "status": {
                "phase": "Running", "initContainerStatuses": [done, sidecar],
                "containerStatuses": [
                    running,
                    {"restartCount": 1, "state": {"terminated": {"exitCode": 3}}},
                ],
            }}),
            "2/3 ExitCode:3 1",
        ),
        (
            json!({"spec": {"containers": [{"name": "a"}]}, "status": {
                "phase": "Succeeded",
                "containerStatuses": [{"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}],
            }}),
            "0/1 Completed 0",
        ),
        (
            json!({
                "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"containers": [{"name": "a"}]},
                "status": {"phase": "Running", "containerStatuses": [running]},
            }),
            "1/1 Terminating 0",
        ),
        (
            json!({"spec": {"containers": [{"name": "a"}]}, "status": {
                "phase": "Failed", "reason": "Evicted",
            }}),
            "0/1 Evicted 0",
        ),
    ] {
        assert_eq!(status(pod.clone()), expected, "{pod}");
    }
}

#[test]
fn restarts_say_how_long_ago() {
    let ago = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(150);
    let pod = json!({"spec": {"containers": [{"name": "a"}]}, "status": {"containerStatuses": [
        {
            "restartCount": 4, "ready": true, "state": {"running": {}},
            "lastState": {"terminated": {"finishedAt": ago.to_string()}},
        },
    ]}});
    assert_eq!(status(pod), "1/1  4 (2m30s ago)");
}

#[test]
fn kinds_have_their_columns() {
    let now = jiff::Timestamp::now().to_string();
    let cells = row(
        &DEPLOYMENTS,
        json!({
            "metadata": {"name": "web", "creationTimestamp": now},
            "spec": {
                "replicas": 3, "selector": {"matchLabels": {"app": "web"}},
                "template": {"spec": {"containers": [{"name": "a", "image": "i:1"}]}},
            },
            "status": {"readyReplicas": 2, "updatedReplicas": 3},
        }),
    );
    assert_eq!(cells, ["web", "2/3", "3", "0", "0s", "a", "i:1", "app=web"]);
    let cells = row(
        &SERVICES,
        json!({
            "metadata": {"name": "web", "creationTimestamp": now},
            "spec": {
                "type": "NodePort", "clusterIPs": ["10.96.0.9"],
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"}],
            },
        }),
    );
    let expected = ["web", "NodePort", "10.96.0.9", "<none>", "80:30080/TCP", "0s", "<none>"];
    assert_eq!(cells, expected);
}

#[test]
fn every_row_has_as_many_cells_as_columns_whatever_the_object() {
    for resource in ALL {
        let table = Form::Table(Rows(Include::Metadata)).one(resource, &json!({"metadata": {}}));
        let columns = table["columnDefinitions"].as_array().map(Vec::len);
        let cells = table["rows"][0]["cells"].as_array().map(Vec::len);
        assert!(columns.is_some_and(|columns| columns > 0), "{}", resource.qualified());
        assert_eq!(columns, cells, "{}", resource.qualified());
    }
}

#[test]
fn the_form_is_the_first_that_can_be_served() {
    let table = Form::Table(Rows(Include::Metadata));
    for (accept, expected) in [
        ("", Some(Form::Whole)),
        ("*/*", Some(Form::Whole)),
        ("application/json", Some(Form::Whole)),
        ("application/vnd.kubernetes.protobuf,application/json", Some(Form::Whole)),
        (
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Some(table.clone()),
        ),
        ("application/json;as=Table;g=meta.k8s.io;v=v9,application/json", Some(Form::Whole)),
        ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Some(Form::Metadata)),
        ("application/vnd.kubernetes.protobuf", None),
    ] {
        let mut headers = HeaderMap::new();
        if !accept.is_empty() {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let form = Form::of(&headers, &Parameters::default());
        assert_eq!(form.as_ref().ok(), expected.as_ref(), "{accept}");
        if let Err(failure) = form {
            assert_eq!(failure.code.as_u16(), 406, "{accept}");
        }
    }
}

#[test]
fn spans_are_short() {
    for (seconds, expected) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (3 * 3600 + 300, "3h5m"),
        (8 * 3600, "8h"),
        (48 * 3600, "2d"),
        (3 * 86_400 + 7200, "3d2h"),
        (30 * 86_400, "30d"),
        (3 * 365 * 86_400, "3y"),
    ] {
        assert_eq!(human(std::time::Duration::from_secs(seconds)), expected, "{seconds} s");
    }
}
