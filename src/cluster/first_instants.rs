//! The report of an agent that dialled from its first instant on, out of its log.

use std::time::Instant;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use netproof_probe::wire::{FirstInstants, STARTUP_LINE};

use super::{Cluster, Error, ErrorKind, RunContext, pod_spec::AGENT_CONTAINER};

impl RunContext {
    /// Waits for what a pod's agent saw in its first instants.
    ///
    /// # Errors
    /// The log can't be read, ends without it, or doesn't have it by the deadline.
    pub async fn first_instants(
        &self,
        namespace: &str,
        pod: &str,
        deadline: Instant,
    ) -> Result<Vec<FirstInstants>, Error> {
        let what = format!("read the log of pod {namespace}/{pod}");
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let follow = LogParams {
            container: Some(AGENT_CONTAINER.to_owned()),
            follow: true,
            ..LogParams::default()
        };
        let reading = async {
            let stream = Cluster::call(&what, pods.log_stream(pod, &follow)).await?;
            let mut lines = stream.lines();
            loop {
                let line = lines.try_next().await;
                let line = line.map_err(|error| {
                    Error::new(&what, ErrorKind::Unreachable, error.to_string())
                })?;
                match line.as_deref().map(|line| line.strip_prefix(STARTUP_LINE)) {
                    None => {
                        let message = "it ends without the report of the first instants";
                        return Err(Error::new(&what, ErrorKind::Invalid, message));
                    }
                    Some(None) => {}
                    Some(Some(json)) => {
                        return serde_json::from_str(json).map_err(|error| {
                            Error::new(&what, ErrorKind::Invalid, error.to_string())
                        });
                    }
                }
            }
        };
        let until = tokio::time::timeout_at(deadline.into(), reading);
        until.await.unwrap_or_else(|_| {
            let message = "the report of the first instants didn't come in time";
            Err(Error::new(&what, ErrorKind::Unreachable, message))
        })
    }
}
