//! What is taken, and what is filled in.

use serde_json::{Value, json};

use super::{JSON, hold, turn};

#[tokio::test]
async fn objects_that_are_taken_are_filled_in_as_it_fills_them_in() {
    const PODS: &str = "/api/v1/namespaces/default/pods";
    let container = json!({"name": "c", "image": "nginx"});
    hold(vec![
        turn(
            "POST",
            PODS,
            JSON,
            json!({"metadata": {"name": "p"}, "spec": {
                "containers": [container],
                "volumes": [{"name": "v", "configMap": {"name": "m"}}, {"name": "e"}],
            }}),
            201,
            &[
                ("/spec/volumes/0/configMap/defaultMode", json!(420)),
                ("/spec/volumes/1/emptyDir", json!({})),
                ("/spec/containers/0/imagePullPolicy", json!("Always")),
                ("/spec/containers/0/terminationMessagePath", json!("/dev/termination-log")),
                ("/spec/priority", json!(0)),
                ("/spec/preemptionPolicy", json!("PreemptLowerPriority")),
                ("/spec/tolerations/0/tolerationSeconds", json!(300)),
                ("/status", json!({"phase": "Pending", "qosClass": "BestEffort"})),
            ],
        ),
        turn(
            "DELETE",
            "/api/v1/namespaces/default/pods/p",
            JSON,
            json!({"gracePeriodSeconds": 0}),
            200,
            &[("/kind", json!("Pod")), ("/metadata/name", json!("p"))],
        ),
        turn(
            "POST",
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            JSON,
            json!({"metadata": {"name": "h"}, "spec": {
                "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            }}),
            201,
            &[
                ("/status/desiredReplicas", json!(0)),
                ("/spec/minReplicas", json!(1)),
                ("/spec/metrics/0/resource/target/averageUtilization", json!(80)),
            ],
        ),
        turn(
            "PUT",
            "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers/h",
            JSON,
            json!({"metadata": {"name": "h"}, "spec": {
                "maxReplicas": 5, "targetCPUUtilizationPercentage": 50,
                "scaleTargetRef": {"kind": "Deployment", "name": "d"},
            }}),
            200,
            &[("/spec/targetCPUUtilizationPercentage", json!(50))],
        ),
        turn(
            "GET",
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/h",
            JSON,
            Value::Null,
            200,
            &[
                ("/apiVersion", json!("autoscaling/v2")),
                ("/spec/metrics/0/resource/target/averageUtilization", json!(50)),
                ("/spec/targetCPUUtilizationPercentage", Value::Null),
            ],
        ),
        turn(
            "POST",
            "/apis/policy/v1/namespaces/default/poddisruptionbudgets",
            JSON,
            json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1}}),
            201,
            &[("/status/disruptionsAllowed", json!(0)), ("/status/expectedPods", json!(0))],
        ),
        turn(
            "POST",
            "/apis/networking.k8s.io/v1/namespaces/default/ingresses",
            JSON,
            json!({"metadata": {"name": "i"}, "spec": {
                "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
            }}),
            201,
            &[("/status", json!({"loadBalancer": {}}))],
        ),
        turn(
            "PUT",
            "/apis/coordination.k8s.io/v1/namespaces/default/leases/l",
            JSON,
            json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}),
            201,
            &[("/spec/holderIdentity", json!("me"))],
        ),
        turn(
            "POST",
            "/apis/events.k8s.io/v1/namespaces/default/events",
            JSON,
            json!({
                "metadata": {"name": "e"}, "eventTime": "2026-01-01T00:00:00.000000Z",
                "reason": "Seen", "note": "a note", "type": "Normal", "action": "Look",
                "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
                "reportingController": "example.com/c", "reportingInstance": "c-1",
            }),
            201,
            &[("/note", json!("a note")), ("/apiVersion", json!("events.k8s.io/v1"))],
        ),
        turn(
            "GET",
            "/api/v1/namespaces/default/events/e",
            JSON,
            Value::Null,
            200,
            &[
                ("/apiVersion", json!("v1")),
                ("/message", json!("a note")),
                ("/involvedObject/name", json!("p")),
                ("/reportingComponent", json!("example.com/c")),
            ],
        ),
        turn(
            "POST",
            "/api/v1/namespaces/default/services",
            JSON,
            json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}),
            201,
            &[("/spec/ports/0/targetPort", json!(80)), ("/status", json!({"loadBalancer": {}}))],
        ),
        turn(
            "DELETE",
            "/api/v1/namespaces/default/services/s",
            JSON,
            Value::Null,
            200,
            &[("/kind", json!("Service"))],
        ),
        turn(
            "POST",
            "/api/v1/namespaces",
            JSON,
            json!({"metadata": {"name": "n"}}),
            201,
            &[("/status/phase", json!("Active"))],
        ),
        turn(
            "DELETE",
            "/api/v1/namespaces/n",
            JSON,
            Value::Null,
            200,
            &[
                ("/status/phase", json!("Terminating")),
                ("/metadata/deletionGracePeriodSeconds", Value::Null),
            ],
        ),
    ])
    .await;
}
