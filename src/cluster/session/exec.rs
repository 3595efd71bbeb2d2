//! The connection to an agent by the API server's exec.

use std::pin::Pin;

use futures::FutureExt;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::AttachParams};
use netproof_probe::wire;

use super::{
    super::{Error, ErrorKind, RunContext},
    link::{Connect, ConnectFailure, Streams},
};

/// How much kube buffers each way. Its default of 1 kB would cut a long batch into three
/// hundred messages.
const BUFFER: usize = 64 << 10;

/// Makes exec sessions in one container.
pub(super) struct Exec {
    context: RunContext,
    namespace: String,
    pod: String,
    container: String,
}

impl Exec {
    pub(super) fn new(context: &RunContext, namespace: &str, pod: &str, container: &str) -> Self {
        Self {
            context: context.clone(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            container: container.to_owned(),
        }
    }
}

impl Connect for Exec {
    async fn connect(&self) -> Result<Streams, ConnectFailure> {
        let pods: Api<Pod> = Api::namespaced(self.context.client(), &self.namespace);
        let port = self.context.control_port(&self.namespace, &self.pod);
        let binary = format!("/{}", wire::BINARY);
        let command =
            [binary.as_str(), "dial", "--control-port", &port.to_string()].map(str::to_owned);
        let parameters = AttachParams::default()
            .container(self.container.as_str())
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .tty(false)
            .max_stdin_buf_size(BUFFER)
            .max_stdout_buf_size(BUFFER);
        let mut process = match pods.exec(&self.pod, command, &parameters).await {
            Ok(process) => process,
            Err(error) => {
                let error = Error::from_kube("exec", error);
                return Err(match ended(&pods, &self.pod).await {
                    Some(how) => ConnectFailure { detail: how, remedy: None, lasting: true },
                    None => failure(&error),
                });
            }
        };
        let ended: Pin<Box<dyn Future<Output = Option<String>> + Send>> =
            match process.take_status() {
                Some(status) => status
                    .map(|status| status?.message.filter(|message| !message.trim().is_empty()))
                    .boxed(),
                None => std::future::ready(None).boxed(),
            };
        let (Some(input), Some(output)) = (process.stdin(), process.stdout()) else {
            return Err(ConnectFailure {
                detail: "the API server opened no streams".into(),
                remedy: None,
                lasting: false,
            });
        };
        Ok(Streams {
            input: Box::new(input),
            output: Box::new(output),
            errors: match process.stderr() {
                Some(errors) => Box::new(errors),
                None => Box::new(tokio::io::empty()),
            },
            ended,
            guard: Box::new(process),
        })
    }
}

/// How the pod has ended, if it has: no other exec will find an agent in it then. The
/// refusal of an exec itself says little, for a websocket's has no body.
async fn ended(pods: &Api<Pod>, name: &str) -> Option<String> {
    let pod = match pods.get_opt(name).await.ok()? {
        Some(pod) => pod,
        None => return Some("the pod is gone".into()),
    };
    let status = pod.status.unwrap_or_default();
    let phase = status.phase.filter(|phase| matches!(phase.as_str(), "Failed" | "Succeeded"))?;
    let container = status.container_statuses.into_iter().flatten().next();
    let agent = container.and_then(|container| container.state?.terminated);
    let why = [
        status.reason,
        status.message,
        agent.as_ref().map(|agent| format!("exit code {}", agent.exit_code)),
        agent.and_then(|agent| agent.message),
    ];
    let why: Vec<String> = why
        .into_iter()
        .flatten()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
    Some(format!("the pod has ended ({phase}){why}"))
}

fn failure(error: &Error) -> ConnectFailure {
    let mut detail = error.message().to_owned();
    let mut below = std::error::Error::source(error);
    while let Some(source) = below {
        detail = format!("{detail}: {source}");
        below = source.source();
    }
    let forbidden = error.kind() == ErrorKind::Forbidden;
    ConnectFailure {
        detail,
        remedy: if forbidden {
            Some("netproof needs `get` and (since Kubernetes 1.35) `create` on `pods/exec`".into())
        } else {
            error.remedy()
        },
        lasting: forbidden,
    }
}
