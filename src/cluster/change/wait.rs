//! Waiting for a condition of an object.

use std::time::{Duration, Instant};

use kube::api::{DynamicObject, TypeMeta};
use serde_json::Value;

use super::super::{Cluster, Error, ErrorKind, RunContext, retry::Backoff};
use crate::suite::ObjectName;

impl RunContext {
    /// Waits until a condition of an object is `True`.
    ///
    /// # Errors
    /// It isn't by then; the error says what it is.
    pub async fn wait_for_condition(
        &self,
        name: &ObjectName,
        condition: &str,
        timeout: Duration,
    ) -> Result<(), Error> {
        let what = format!("wait for {name} to be {condition}");
        let types = TypeMeta { api_version: name.api_version.clone(), kind: name.kind.clone() };
        let kind = self.kinds.find(&types).await.map_err(|error| error.during(&what))?;
        let api = kind.api(self.client(), name.namespace.as_deref());
        let deadline = Instant::now() + timeout;
        let mut backoff = Backoff::request();
        loop {
            let found = Cluster::call(&what, api.get_opt(&name.name)).await?;
            let stands = found
                .as_ref()
                .map_or_else(|| "it does not exist".to_owned(), |object| stands(object, condition));
            if stands == "True" {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let message = format!("after {timeout:?} {stands}");
                return Err(Error::new(what, ErrorKind::Deadline, message));
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }
}

/// `True`, or what it is in place of that.
fn stands(object: &DynamicObject, condition: &str) -> String {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|one| one["type"] == condition);
    match found {
        Some(one) if one["status"] == "True" => "True".to_owned(),
        Some(one) => format!(
            "it is {}: {}",
            one["status"].as_str().unwrap_or("unknown"),
            one["message"].as_str().unwrap_or_default()
        ),
        None => format!("it has no condition {condition}"),
    }
}
