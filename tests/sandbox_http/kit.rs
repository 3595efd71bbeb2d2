//! A server for a test, and what tests do with one.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use netproof::sandbox::{
    api::{self, Credentials, store::Store},
    controller,
    layout::IpFamily,
};
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Long enough for a loaded machine; nothing waits for it to pass.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct Server {
    pub client: Client,
    pub address: String,
    pub token: String,
    _cancel: DropGuard,
}

/// Starts an API whose namespaces are emptied and whose garbage is collected.
pub async fn server() -> Server {
    let store = Arc::new(Store::new());
    controller::set_up(&store, IpFamily::Dual);
    let credentials = Credentials::generate().expect("credentials");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let cancel = CancellationToken::new();
    let router = api::router(api::Api::new(Arc::clone(&store), credentials.access(), None));
    tokio::spawn(api::serve(listener, Arc::clone(&credentials.server), router, cancel.clone()));
    let (recorder, recording) = controller::events::recorder(Arc::clone(&store), cancel.clone());
    tokio::spawn(recording);
    tokio::spawn(controller::collect_garbage(Arc::clone(&store), recorder, cancel.clone()));
    tokio::spawn(controller::fill_token_secrets(
        Arc::clone(&store),
        Arc::clone(&credentials.tokens),
        credentials.authority().to_owned(),
        cancel.clone(),
    ));
    tokio::spawn(api::admission::quota::keep_count(Arc::clone(&store), cancel.clone()));
    tokio::spawn(api::access::aggregate(Arc::clone(&store), cancel.clone()));
    let authority = credentials.authority().to_owned();
    tokio::spawn(controller::empty_namespaces(store, authority, cancel.clone()));

    let kubeconfig = Kubeconfig::from_yaml(&credentials.kubeconfig(address)).expect("YAML");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("complete");
    Server {
        client: Client::try_from(config).expect("a client"),
        address: format!("https://{address}"),
        token: credentials.token.clone(),
        _cancel: cancel.drop_guard(),
    }
}

pub fn config_map(name: &str, value: &str) -> ConfigMap {
    let object = json!({"metadata": {"name": name}, "data": {"key": value}});
    serde_json::from_value(object).expect("a ConfigMap")
}

pub fn status(result: Result<impl std::fmt::Debug, kube::Error>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.reason.clone()),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Waits until a condition holds, by asking again and again.
pub async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let asked = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| panic!("never: {what}"));
}
