//! What is asked again, and what a cluster that nobody can call is made of.

use std::sync::atomic::{AtomicU32, Ordering};

use kube::core::Status;

use super::*;
use crate::{
    cluster::{AgentSettings, RunContext},
    model::RunId,
};

impl Cluster {
    /// One that nobody can call: for tests of what is made of what was heard before.
    pub(crate) fn out_of_reach() -> Self {
        let nobody = |_: http::Request<kube::client::Body>| {
            std::future::ready(Err::<http::Response<kube::client::Body>, _>("out of reach"))
        };
        Self {
            client: kube::Client::new(tower::service_fn(nobody), "default"),
            context: "nowhere".to_owned(),
            server: "https://nowhere".to_owned(),
            authority: None,
        }
    }
}

impl RunContext {
    /// A run in a cluster that nobody can call.
    pub(crate) fn out_of_reach(run: &RunId) -> Self {
        let agent = AgentSettings {
            image: String::new(),
            pull_policy: None,
            key: String::new(),
            idle_limit: Duration::ZERO,
            active_deadline: Duration::ZERO,
        };
        Self::new(Cluster::out_of_reach(), run.clone(), agent)
    }
}

#[tokio::test]
async fn what_passes_by_itself_is_asked_again() {
    for (what, reason, code, expected) in [
        ("a conflict under a quota", "Conflict", 409, 3),
        ("rights that are on their way", "Forbidden", 403, 3),
        ("an object that exists", "AlreadyExists", 409, 1),
        ("an object that is wrong", "Invalid", 422, 1),
    ] {
        let asked = AtomicU32::new(0);
        let request = || {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            let status = Status::failure("user cannot do that", reason).with_code(code);
            std::future::ready(match number {
                0 | 1 => Err(kube::Error::Api(status.boxed())),
                _ => Ok(()),
            })
        };
        let answer = Cluster::call_again("create pod shop/web", request).await;
        assert_eq!(asked.load(Ordering::Relaxed), expected, "{what}");
        assert_eq!(answer.is_ok(), expected == 3, "{what}");
    }
}

const TWO: &str = r"
apiVersion: v1
kind: Config
current-context: kind
contexts:
- {name: kind, context: {cluster: kind, user: kind}}
- {name: staging, context: {cluster: staging, user: kind}}
- {name: broken, context: {cluster: nowhere, user: kind}}
clusters:
- {name: kind, cluster: {server: 'https://127.0.0.1:6443/'}}
- {name: staging, cluster: {server: 'https://staging.example:443'}}
users:
- {name: kind, user: {token: t}}
";

async fn connect(text: &str, context: Option<&str>) -> Result<(String, String), String> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    match Cluster::connect(&Kubeconfig::Text(text.into()), context).await {
        Ok(cluster) => Ok((cluster.context().into(), cluster.server().into())),
        Err(error) => Err(format!("{error}; {}", error.remedy().unwrap_or("no remedy"))),
    }
}

#[tokio::test]
async fn the_context_decides_and_its_absence_is_explained() {
    let found = |context: &str, server: &str| Ok((context.to_owned(), server.to_owned()));
    for (context, expected) in [
        (None, found("kind", "https://127.0.0.1:6443")),
        (Some("staging"), found("staging", "https://staging.example:443")),
        (
            Some("prod"),
            Err("the kubeconfig has no context `prod`; it has: kind, staging, broken".into()),
        ),
    ] {
        assert_eq!(connect(TWO, context).await, expected, "context {context:?}");
    }
}

#[tokio::test]
async fn a_broken_kubeconfig_is_an_error_with_a_remedy() {
    for (what, text, context) in [
        ("no context at all", "apiVersion: v1\nkind: Config\n", None),
        ("not YAML", "{", None),
        ("a context whose cluster is missing", TWO, Some("broken")),
    ] {
        let error = connect(text, context).await.unwrap_err();
        assert!(!error.contains("no remedy"), "{what}: {error}");
    }
    let missing = Kubeconfig::File("/does/not/exist".into());
    let error = Cluster::connect(&missing, None).await.err().unwrap();
    assert!(error.to_string().starts_with("read kubeconfig /does/not/exist: "), "{error}");
}
