//! The API server leads to pods and Services, as far as policies let it.

use http::Request;
use serde_json::json;
use tokio::time::timeout;

use super::kit::{DEADLINE, Lab};

impl Lab {
    /// What a request below the namespace's objects is answered.
    async fn proxied(&self, path: &str) -> Result<String, kube::Error> {
        let uri = format!("/api/v1/namespaces/shop/{path}");
        let request = Request::get(uri).body(Vec::new()).expect("a request");
        timeout(DEADLINE, self.client.request_text(request)).await.expect("in time")
    }
}

#[tokio::test]
async fn the_api_leads_to_pods_and_services_unless_a_policy_isolates_them() {
    let lab = Lab::start().await;
    lab.ready([json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"containers": [
            {"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]},
        ]},
    })])
    .await;
    lab.create(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080, "targetPort": 80}]},
    }))
    .await;
    lab.proxied("pods/web/proxy/").await.expect("an answer of the pod's");
    let by_service = async {
        while lab.proxied("services/web:8080/proxy/a").await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, by_service).await.expect("the Service has an endpoint");

    // Answers denials, so that nobody waits for one.
    lab.break_it("reject", "reject").await;
    lab.create(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": "shop"},
        "spec": {"podSelector": {}},
    }))
    .await;
    let refusal = async {
        loop {
            if let Err(kube::Error::Api(status)) = lab.proxied("pods/web/proxy/").await {
                return status;
            }
        }
    };
    let refusal = timeout(DEADLINE, refusal).await.expect("the policy comes into force");
    assert_eq!((refusal.code, &*refusal.reason), (503, "ServiceUnavailable"), "{refusal:?}");
    assert!(refusal.message.starts_with("error trying to reach service: dial tcp "), "{refusal:?}");
    lab.stop().await;
}
