//! What has to be put back, written down in the cluster before it is changed.
//!
//! Each change of an object that the run doesn't own has a ConfigMap of its own in the
//! run's control namespace. Whoever finds it can take the change back: the run itself at
//! its end, or `netproof cleanup` after the run was killed.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::ListParams};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Cluster, Error, ErrorKind, ObjectRef, RunContext, marks, run_context};
use crate::model::RunId;

/// The part of a record's name after the run's.
const INFIX: &str = "-undo-";

/// The ConfigMap's key.
const KEY: &str = "change.json";

/// A change to an object that is not the run's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Counted from 1 through the run; undone from the last to the first.
    pub(super) number: u32,
    /// Whose.
    pub(super) object: ObjectRef,
    /// The object as it was.
    pub(super) before: Value,
    /// As the change was to leave it; none where it was to be deleted.
    pub(super) after: Option<Value>,
}

/// A record and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Written {
    pub(super) record: Record,
    pub(in super::super) namespace: String,
    pub(in super::super) name: String,
}

/// Whether an object of this name is a record of the run's.
pub(in super::super) fn is_record(run: &RunId, kind: &str, name: &str) -> bool {
    kind == "ConfigMap" && name.starts_with(&format!("{}{INFIX}", marks::run_object(run)))
}

impl RunContext {
    /// Writes down what is about to be changed.
    pub(super) async fn write_record(
        &self,
        object: &ObjectRef,
        before: &Value,
        after: Option<&Value>,
    ) -> Result<Written, Error> {
        let (namespace, number) = {
            let mut memory = self.memory();
            memory.changes += 1;
            (memory.control_namespace.clone().unwrap_or_default(), memory.changes)
        };
        let record = Record {
            number,
            object: object.clone(),
            before: before.clone(),
            after: after.cloned(),
        };
        let name = format!("{}{INFIX}{number:04}", marks::run_object(self.run()));
        let what = format!("write down how {object} was (configmap {namespace}/{name})");
        let text = serde_json::to_string_pretty(&record)
            .map_err(|error| Error::new(&what, ErrorKind::Invalid, error.to_string()))?;
        let mut metadata = self.metadata(&name);
        let note = BTreeMap::from([(marks::LEASE_NAMESPACE.to_owned(), namespace.clone())]);
        metadata.annotations = Some(note);
        let configmap = ConfigMap {
            metadata,
            data: Some(BTreeMap::from([(KEY.to_owned(), text)])),
            ..ConfigMap::default()
        };
        let configmaps: Api<ConfigMap> = Api::namespaced(self.client(), &namespace);
        let writing = run_context::writing();
        match Cluster::call_again(&what, || configmaps.create(&writing, &configmap)).await {
            // The name holds the run's id and the number: a write of ours was repeated.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            answer => {
                answer?;
            }
        }
        let written = Written { record, namespace, name };
        self.memory().undo.push(written.clone());
        Ok(written)
    }
}

/// The records of a run in one namespace.
pub(super) async fn find(
    cluster: &Cluster,
    run: &RunId,
    namespace: &str,
) -> Result<Vec<Written>, Error> {
    let configmaps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
    let of_run = ListParams::default().labels(&marks::selector(run));
    let what = format!("list the changes that run {run} has written down in {namespace}");
    let listed = Cluster::call(&what, configmaps.list(&of_run)).await?;
    let mut found = Vec::new();
    for configmap in listed.items {
        let name = configmap.metadata.name.unwrap_or_default();
        if !is_record(run, "ConfigMap", &name) {
            continue;
        }
        let text = configmap.data.as_ref().and_then(|data| data.get(KEY));
        let record = serde_json::from_str(text.map(String::as_str).unwrap_or_default()).map_err(
            |error| {
                Error::new(
                    format!("read configmap {namespace}/{name}"),
                    ErrorKind::Invalid,
                    error.to_string(),
                )
            },
        )?;
        found.push(Written { record, namespace: namespace.to_owned(), name });
    }
    Ok(found)
}

/// Removes a record once it has served.
pub(super) async fn forget(cluster: &Cluster, written: &Written) -> Result<(), Error> {
    let (namespace, name) = (&written.namespace, &written.name);
    let configmaps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("delete configmap {namespace}/{name}");
    match Cluster::call(what, configmaps.delete(name, &kube::api::DeleteParams::default())).await {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        answer => answer.map(|_| ()),
    }
}
