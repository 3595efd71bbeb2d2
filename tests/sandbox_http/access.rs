//! Who may what, over HTTPS.

use http::StatusCode;
use reqwest::Client;
use serde_json::{Value, json};

use super::kit::{Server, server, until};

/// A client that trusts the server whoever it is, and sends what the tests tell it to.
fn client() -> Client {
    Client::builder().tls_danger_accept_invalid_certs(true).build().expect("a client")
}

struct Asker {
    client: Client,
    address: String,
    token: Option<String>,
    headers: Vec<(&'static str, String)>,
}

impl Asker {
    fn of(server: &Server, token: Option<&str>) -> Self {
        let (client, address) = (client(), server.address.clone());
        Self { client, address, token: token.map(str::to_owned), headers: Vec::new() }
    }

    fn acting_as(mut self, user: &str) -> Self {
        self.headers.push(("impersonate-user", user.to_owned()));
        self
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.address));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let status = response.status();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }
}

/// An admin, and a token for the service account `robot` in `default`, which may nothing.
async fn robot(server: &Server) -> (Asker, String) {
    let admin = Asker::of(server, Some(&server.token));
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    let account = json!({"metadata": {"name": "robot"}});
    let (status, _) = admin.ask("POST", accounts, Some(account)).await;
    assert_eq!(status, 201);
    let (status, request) =
        admin.ask("POST", &format!("{accounts}/robot/token"), Some(json!({"spec": {}}))).await;
    assert_eq!(status, 201, "{request}");
    assert_eq!(request["spec"]["expirationSeconds"], 3600);
    let token = request["status"]["token"].as_str().expect("a token").to_owned();
    (admin, token)
}

#[tokio::test]
async fn a_service_account_may_what_its_bindings_say() {
    let server = server().await;
    let (admin, token) = robot(&server).await;
    let robot = Asker::of(&server, Some(&token));
    let maps = "/api/v1/namespaces/default/configmaps";
    let (status, refusal) = robot.ask("GET", maps, None).await;
    assert_eq!(status, 403);
    assert_eq!(
        refusal["message"],
        "configmaps is forbidden: User \"system:serviceaccount:default:robot\" cannot list \
         resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    assert_eq!(refusal["reason"], "Forbidden");
    assert_eq!(refusal["details"], json!({"kind": "configmaps"}));

    let group = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    let binding = json!({
        "metadata": {"name": "robot"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}],
    });
    let (status, _) = admin.ask("POST", &format!("{group}/rolebindings"), Some(binding)).await;
    assert_eq!(status, 201);
    assert_eq!(robot.ask("GET", maps, None).await.0, 200, "in force with its write");
    assert_eq!(robot.ask("POST", maps, Some(json!({"metadata": {"name": "a"}}))).await.0, 403);
    assert_eq!(robot.ask("GET", "/api/v1/configmaps", None).await.0, 403, "not everywhere");

    let review = json!({"spec": {"resourceAttributes": {
        "verb": "list", "resource": "configmaps", "namespace": "default",
    }}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let (status, answer) = robot.ask("POST", path, Some(review)).await;
    assert_eq!(status, 201);
    assert_eq!(answer["status"]["allowed"], true);
    assert_eq!(
        answer["status"]["reason"],
        "RBAC: allowed by RoleBinding \"robot/default\" of ClusterRole \"view\" to ServiceAccount \
         \"robot/default\""
    );
    let review = json!({"spec": {"namespace": "default"}});
    let path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";
    let (_, answer) = robot.ask("POST", path, Some(review)).await;
    let rules = answer["status"]["resourceRules"].as_array().expect("rules");
    assert!(rules.iter().any(|rule| rule["resources"] == json!(["namespaces"])), "{answer}");
}

#[tokio::test]
async fn wrong_tokens_are_unauthorized_and_none_is_anonymous() {
    let server = server().await;
    let (status, answer) =
        Asker::of(&server, Some("nonsense")).ask("GET", "/api/v1/pods", None).await;
    assert_eq!(status, 401);
    assert_eq!(
        answer,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
        })
    );
    let nobody = Asker::of(&server, None);
    for (path, expected) in
        [("/healthz", 200), ("/livez", 200), ("/readyz", 200), ("/version", 200), ("/api", 403)]
    {
        assert_eq!(nobody.ask("GET", path, None).await.0, expected, "{path}");
    }
    let (_, answer) = nobody.ask("GET", "/apis", None).await;
    let text = "forbidden: User \"system:anonymous\" cannot get path \"/apis\"";
    assert_eq!(answer["message"], text);
}

#[tokio::test]
async fn an_admin_may_act_as_somebody_and_a_robot_may_not() {
    let server = server().await;
    let (admin, token) = robot(&server).await;
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (status, who) = admin.ask("POST", path, Some(json!({}))).await;
    assert_eq!(status, 201);
    assert_eq!(who["status"]["userInfo"]["username"], "kubernetes-admin");
    let acting = admin.acting_as("system:serviceaccount:default:robot");
    let (_, who) = acting.ask("POST", path, Some(json!({}))).await;
    assert_eq!(
        who["status"]["userInfo"],
        json!({
            "username": "system:serviceaccount:default:robot",
            "groups": [
                "system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated",
            ],
        })
    );
    assert_eq!(acting.ask("GET", "/api/v1/nodes", None).await.0, 403);
    let robot = Asker::of(&server, Some(&token)).acting_as("jane");
    let (status, answer) = robot.ask("GET", "/api/v1/nodes", None).await;
    assert_eq!(status, 403);
    assert_eq!(
        answer["message"],
        "users \"jane\" is forbidden: User \"system:serviceaccount:default:robot\" cannot \
         impersonate resource \"users\" in API group \"\" at the cluster scope"
    );
}

#[tokio::test]
async fn tokens_are_reviewed_and_have_a_shortest_life() {
    let server = server().await;
    let (admin, token) = robot(&server).await;
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let (_, review) = admin.ask("POST", path, Some(json!({"spec": {"token": token}}))).await;
    assert_eq!(review["status"]["authenticated"], true, "{review}");
    assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:default:robot");
    let (_, review) = admin.ask("POST", path, Some(json!({"spec": {"token": "x.y.z"}}))).await;
    assert_ne!(review["status"]["authenticated"], true, "{review}");
    let path = "/api/v1/namespaces/default/serviceaccounts/robot/token";
    let wish = json!({"spec": {"expirationSeconds": 10}});
    let (status, answer) = admin.ask("POST", path, Some(wish)).await;
    assert_eq!(status, 422);
    assert_eq!(
        answer["message"],
        "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid \
         value: 10: may not specify a duration less than 10 minutes"
    );
    let (_, keys) = admin.ask("GET", "/openid/v1/jwks", None).await;
    assert_eq!(keys["keys"][0]["alg"], "ES256");
}

#[tokio::test]
async fn every_request_is_on_record() {
    let server = server().await;
    let (admin, token) = robot(&server).await;
    let robot = Asker::of(&server, Some(&token));
    robot.ask("GET", "/api/v1/namespaces/default/pods?limit=5", None).await;
    let log = "/apis/sandbox.netproof.dev/v1alpha1/audit";
    until("the record is there", || async {
        let (status, text) = admin.ask("GET", log, None).await;
        assert_eq!(status, 200);
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        text.lines().any(|line| {
            let event: Value = serde_json::from_str(line).expect("a line of JSON");
            event["verb"] == "list"
                && event["user"]["username"] == "system:serviceaccount:default:robot"
                && event["objectRef"]["resource"] == "pods"
                && event["objectRef"]["namespace"] == "default"
                && event["responseStatus"]["code"] == 403
        })
    })
    .await;
    assert_eq!(robot.ask("GET", log, None).await.0, 403, "the log is not for everybody");
}

#[tokio::test]
async fn a_secret_is_filled_with_its_accounts_token_and_goes_with_it() {
    let server = server().await;
    let (admin, _) = robot(&server).await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({
        "metadata": {
            "name": "robot", "annotations": {"kubernetes.io/service-account.name": "robot"},
        },
        "type": "kubernetes.io/service-account-token",
    });
    assert_eq!(admin.ask("POST", secrets, Some(secret)).await.0, 201);
    let path = format!("{secrets}/robot");
    let token = async || {
        let (_, secret) = admin.ask("GET", &path, None).await;
        let token = secret["data"]["token"].as_str()?.to_owned();
        use base64::{Engine, engine::general_purpose::STANDARD};
        String::from_utf8(STANDARD.decode(token).ok()?).ok()
    };
    until("the token is there", || async { token().await.is_some() }).await;
    let robot = Asker::of(&server, token().await.as_deref());
    let reviews = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let (_, who) = robot.ask("POST", reviews, Some(json!({}))).await;
    let name = "system:serviceaccount:default:robot";
    assert_eq!(who["status"]["userInfo"]["username"], name);
    admin.ask("DELETE", "/api/v1/namespaces/default/serviceaccounts/robot", None).await;
    until("the secret is gone", || async { token().await.is_none() }).await;
    assert_eq!(robot.ask("POST", reviews, Some(json!({}))).await.0, 401);
}
