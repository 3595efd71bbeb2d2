//! From a kubeconfig to a client that says where it is connected to.

use std::{
    error::Error as StdError,
    future::Future,
    path::PathBuf,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::{
    client::ClientBuilder,
    config::{Config, KubeConfigOptions, Kubeconfig as Written, KubeconfigError},
};
use tower::{ServiceBuilder, buffer::BufferLayer, retry::RetryLayer};

use super::{Error, ErrorKind, proxy, repeat::Repeat, retry::Backoff};

/// How long a single call may take. Admission webhooks are given up to 30 s by the
/// server, so that a shorter wait would leave objects behind that nobody knows of.
const CALL: Duration = Duration::from_secs(40);

/// How long the TCP and TLS handshakes with the server may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long rights in a new namespace, or in what a manifest grants them, may take.
const RIGHTS: Duration = Duration::from_secs(3);

/// Requests that wait for the one before to be put on its way.
const REQUESTS: usize = 1_024;

/// A cluster and the way to it.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: kube::Client,
    context: String,
    server: String,
    /// PEM.
    authority: Option<String>,
}

/// Where the way to the cluster is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kubeconfig {
    /// `$KUBECONFIG`, else `~/.kube/config`, else the service account of the pod that
    /// netproof itself runs in.
    Default,
    /// The service account of the pod that netproof itself runs in.
    InCluster,
    /// This file.
    File(PathBuf),
    /// This text: a sandbox's.
    Text(String),
}

/// No way to a cluster.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ConnectError {
    what: String,
    remedy: Option<String>,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl ConnectError {
    fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: Some(remedy.into()), source: None }
    }

    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }
}

/// Certificates as text.
fn pem(certificates: &[Vec<u8>]) -> String {
    let block = |der: &Vec<u8>| {
        let text = STANDARD.encode(der);
        let lines: Vec<&str> = (0..text.len())
            .step_by(64)
            .filter_map(|at| text.get(at..text.len().min(at + 64)))
            .collect();
        let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
        format!("{begin}\n{}\n{end}\n", lines.join("\n"))
    };
    certificates.iter().map(block).collect()
}

impl Cluster {
    /// Reads the kubeconfig and makes a client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ConnectError`] names the file or context that is missing or broken.
    pub async fn connect(from: &Kubeconfig, context: Option<&str>) -> Result<Self, ConnectError> {
        let (mut config, context) = match read(from)? {
            Some(written) => from_written(written, context).await?,
            None => (in_cluster(context)?, "in-cluster".to_owned()),
        };
        config.connect_timeout = Some(CONNECT);
        let authority = config.root_cert.as_deref().map(pem);
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = ClientBuilder::try_from(config).map_err(|error| ConnectError {
            what: format!("context `{context}`: {error}"),
            remedy: Some("check the certificates and credentials in the kubeconfig".into()),
            source: None,
        })?;
        let repeating = ServiceBuilder::new()
            .layer(RetryLayer::new(Repeat::new()))
            .layer(BufferLayer::new(REQUESTS));
        let client = client.with_layer(&repeating).build();
        Ok(Self { client, context, server, authority })
    }

    /// The authorities that the API server's certificate is checked by, as PEM, where the
    /// kubeconfig names any.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Whether the cluster serves an API group.
    ///
    /// # Errors
    /// The cluster doesn't answer, or forbids to ask.
    pub async fn serves(&self, group: &str) -> Result<bool, Error> {
        let groups = Self::call("list API groups", self.client.list_api_groups()).await?;
        Ok(groups.groups.iter().any(|served| served.name == group))
    }

    /// The context's name; `in-cluster` for a pod's service account.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The API server's URL.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends a request and gives its answer a deadline; `what` is the verb and the object.
    pub(super) async fn call<T>(
        what: impl Into<String>,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(CALL, request).await {
            Ok(answer) => answer.map_err(|error| Error::from_kube(what, error)),
            Err(_) => Err(Error::deadline(what)),
        }
    }

    /// As [`Self::call`], once more after what passes by itself. Pods that are created side
    /// by side under a ResourceQuota meet in a conflict; rights in a new namespace may be
    /// given by a controller.
    pub(super) async fn call_again<T, F>(what: &str, request: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let begun = Instant::now();
        let mut backoff = Backoff::request();
        loop {
            let error = match Self::call(what, request()).await {
                Err(error) => error,
                answer => return answer,
            };
            let patience = match error.kind() {
                ErrorKind::Conflict => CALL,
                ErrorKind::Forbidden if error.may_be_granted() => RIGHTS,
                _ => return Err(error),
            };
            if begun.elapsed() >= patience {
                return Err(error);
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }
}

/// The kubeconfig; none where there is none and the service account of a pod is to be used.
fn read(from: &Kubeconfig) -> Result<Option<Written>, ConnectError> {
    match from {
        Kubeconfig::InCluster => Ok(None),
        Kubeconfig::File(path) => {
            Written::read_from(path).map(Some).map_err(|error| unreadable(&error))
        }
        Kubeconfig::Text(text) => {
            Written::from_yaml(text).map(Some).map_err(|error| unreadable(&error))
        }
        Kubeconfig::Default => match Written::read() {
            Ok(written) => Ok(Some(written)),
            Err(error) if is_absent(&error) && std::env::var_os("KUBECONFIG").is_none() => {
                if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
                    return Ok(None);
                }
                Err(ConnectError::new(
                    "no kubeconfig: neither $KUBECONFIG nor ~/.kube/config exists",
                    "pass --kubeconfig FILE, or try --sandbox, which needs no cluster",
                ))
            }
            Err(error) => Err(unreadable(&error)),
        },
    }
}

fn is_absent(error: &KubeconfigError) -> bool {
    match error {
        KubeconfigError::FindPath => true,
        KubeconfigError::ReadConfig(source, _) => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// kube's sentence already contains its source.
fn unreadable(error: &KubeconfigError) -> ConnectError {
    let what = match error {
        KubeconfigError::ReadConfig(source, path) => {
            format!("read kubeconfig {}: {source}", path.display())
        }
        other => format!("read kubeconfig: {other}"),
    };
    ConnectError::new(what, "check --kubeconfig and $KUBECONFIG")
}

async fn from_written(
    written: Written,
    context: Option<&str>,
) -> Result<(Config, String), ConnectError> {
    let known: Vec<String> = written.contexts.iter().map(|named| named.name.clone()).collect();
    let Some(name) = context.map(str::to_owned).or_else(|| written.current_context.clone()) else {
        return Err(ConnectError::new(
            "the kubeconfig names no current context",
            format!("pass --context with one of: {}", known.join(", ")),
        ));
    };
    if !known.contains(&name) {
        return Err(ConnectError::new(
            format!("the kubeconfig has no context `{name}`"),
            if known.is_empty() {
                "it has no contexts at all".to_owned()
            } else {
                format!("it has: {}", known.join(", "))
            },
        ));
    }
    let own_proxy = proxy_of(&written, &name);
    let options = KubeConfigOptions { context: Some(name.clone()), ..Default::default() };
    let mut config = Config::from_custom_kubeconfig(written, &options).await.map_err(|error| {
        ConnectError::new(
            format!("context `{name}`: {error}"),
            "check the context's cluster and user in the kubeconfig",
        )
    })?;
    config.proxy_url =
        proxy::decide(&config.cluster_url, own_proxy.as_deref(), config.proxy_url.take());
    Ok((config, name))
}

/// The `proxy-url` of a context's cluster.
fn proxy_of(written: &Written, context: &str) -> Option<String> {
    let context = written.contexts.iter().find(|named| named.name == context)?;
    let cluster = &context.context.as_ref()?.cluster;
    let cluster = written.clusters.iter().find(|named| named.name == *cluster)?;
    cluster.cluster.as_ref()?.proxy_url.clone()
}

fn in_cluster(context: Option<&str>) -> Result<Config, ConnectError> {
    if let Some(context) = context {
        return Err(ConnectError::new(
            format!("no kubeconfig, so no context `{context}`"),
            "leave --context out to use this pod's own service account",
        ));
    }
    Config::incluster().map_err(|error| ConnectError {
        what: "use this pod's service account".into(),
        remedy: Some("mount a service account's token, or pass --kubeconfig FILE".into()),
        source: Some(Box::new(error)),
    })
}

#[cfg(test)]
mod tests;
