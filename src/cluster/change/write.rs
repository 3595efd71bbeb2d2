//! The writes of a step.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, TypeMeta},
};
use serde_json::{Map, Value, json};

use super::{
    super::{Applied, Cluster, Error, ErrorKind, RunContext, marks, retry::Backoff, run_context},
    target::{Target, can_be_made_anew, reference},
};
use crate::{
    model::Labels,
    plan::PlannedObject,
    suite::{ObjectName, PatchBody},
};

/// How long a deleted object may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// A write that meets somebody else's is made again so often.
const ATTEMPTS: usize = 5;

impl RunContext {
    /// Creates an object of a step, or replaces it where this run has created it.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub async fn apply_in_step(&self, planned: &PlannedObject) -> Result<Applied, Error> {
        let text =
            |at: &str| planned.object.pointer(at).and_then(Value::as_str).unwrap_or_default();
        let types =
            TypeMeta { api_version: text("/apiVersion").into(), kind: text("/kind").into() };
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let ours = self.memory().applied.iter().any(|item| {
            item.reference.kind == types.kind
                && item.reference.name == name
                && item.reference.namespace.as_deref().unwrap_or_default() == namespace
        });
        if !ours {
            return self.apply(planned).await;
        }
        let what = format!("apply {}: replace {} {namespace}/{name}", planned.source, types.kind);
        let kind = self.kinds.find(&types).await.map_err(|error| error.during(&what))?;
        let api = kind.api(self.client(), Some(namespace).filter(|name| !name.is_empty()));
        let mut object = to_object(planned.object.clone(), &what)?;
        self.mark(&mut object, &types, Some(namespace).filter(|_| kind.namespaced));
        let mut tried = 0;
        loop {
            tried += 1;
            let current = Cluster::call(&what, api.get(name)).await?;
            object.metadata.resource_version = current.metadata.resource_version.clone();
            object.metadata.owner_references = current.metadata.owner_references.clone();
            let writing = run_context::writing();
            match Cluster::call(&what, api.replace(name, &writing, &object)).await {
                Err(error) if error.kind() == ErrorKind::Conflict && tried < ATTEMPTS => {}
                answer => {
                    self.note_own(answer?.metadata.resource_version.as_ref());
                    let reference = reference(&object, &types, &kind);
                    return Ok(Applied { reference, written: Instant::now() });
                }
            }
        }
    }

    /// Patches an object; one that isn't the run's own is put back at the end.
    ///
    /// # Errors
    /// It isn't there, may not be changed, or the server refuses the patch.
    pub async fn patch_in_step(
        &self,
        name: &ObjectName,
        patch: &PatchBody,
    ) -> Result<Instant, Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            let target = self.target("patch", name).await?;
            if target.own {
                let written = self.write_patch(&target, patch, false).await?;
                self.note_own(written.metadata.resource_version.as_ref());
                return Ok(Instant::now());
            }
            self.guard(&target.what, &target.reference)?;
            // What comes of it is asked beforehand: the record has to tell how the object
            // was and how it was left, before anything has happened to it.
            let after = self.write_patch(&target, patch, true).await?;
            let before = to_value(&target.current, &target.what)?;
            let after = to_value(&after, &target.what)?;
            let record = self.write_record(&target.reference, &before, Some(&after)).await?;
            match self.write_patch(&target, patch, false).await {
                Err(error) if error.kind() == ErrorKind::Conflict && tried < ATTEMPTS => {
                    self.forget_record(&record).await;
                }
                answer => {
                    self.note_own(answer?.metadata.resource_version.as_ref());
                    return Ok(Instant::now());
                }
            }
        }
    }

    /// Deletes an object and waits until it is gone; one that isn't the run's own is made
    /// anew at the end. Returns when the server's answer came.
    ///
    /// # Errors
    /// It isn't there, may not be deleted, could not be made anew, or doesn't go.
    pub async fn delete_in_step(&self, name: &ObjectName) -> Result<Instant, Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            let target = self.target("delete", name).await?;
            let mut record = None;
            if !target.own {
                self.guard(&target.what, &target.reference)?;
                can_be_made_anew(&target)?;
                let before = to_value(&target.current, &target.what)?;
                record = Some(self.write_record(&target.reference, &before, None).await?);
            }
            let metadata = &target.current.metadata;
            let parameters = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: metadata.uid.clone(),
                    resource_version: metadata.resource_version.clone().filter(|_| !target.own),
                }),
                ..DeleteParams::background()
            };
            match Cluster::call(&target.what, target.api.delete(&name.name, &parameters)).await {
                Err(error) if error.kind() == ErrorKind::Conflict && tried < ATTEMPTS => {
                    if let Some(record) = record {
                        self.forget_record(&record).await;
                    }
                }
                answer => {
                    answer?;
                    let written = Instant::now();
                    self.note_own(target.current.metadata.uid.as_ref());
                    gone(&target).await?;
                    self.memory().applied.retain(|item| item.reference != target.reference);
                    return Ok(written);
                }
            }
        }
    }

    /// Sets and removes labels of a namespace.
    ///
    /// # Errors
    /// As [`Self::patch_in_step`].
    pub async fn label_namespace(
        &self,
        namespace: &str,
        set: &Labels,
        remove: &BTreeSet<String>,
    ) -> Result<Instant, Error> {
        let object = ObjectName::of_namespace(namespace);
        self.patch_in_step(&object, &PatchBody::Merge(labels_patch(set, remove))).await
    }

    /// Sets and removes labels of a probe pod.
    ///
    /// # Errors
    /// The pod isn't there or may not be changed.
    pub async fn label_pod(
        &self,
        namespace: &str,
        name: &str,
        set: &Labels,
        remove: &BTreeSet<String>,
    ) -> Result<Instant, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let what = format!("label pod {namespace}/{name}");
        let patch = Patch::Merge(labels_patch(set, remove));
        let parameters = patching(false);
        Cluster::call_again(&what, || pods.patch(name, &parameters, &patch)).await?;
        Ok(Instant::now())
    }

    /// Deletes a probe pod and waits until it is gone.
    ///
    /// # Errors
    /// It may not be deleted, or doesn't go.
    pub async fn delete_pod(&self, namespace: &str, name: &str) -> Result<Instant, Error> {
        self.delete_in_step(&ObjectName {
            api_version: "v1".into(),
            kind: "Pod".into(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        })
        .await
    }

    async fn write_patch(
        &self,
        target: &Target,
        patch: &PatchBody,
        dry_run: bool,
    ) -> Result<DynamicObject, Error> {
        let (api, what) = (&target.api, &target.what);
        let name = &target.reference.name;
        let version = target.current.metadata.resource_version.clone();
        // Somebody else's write in between must not get lost, nor be undone as ours.
        let locked = |body: &Value| {
            let mut body = body.clone();
            if !target.own
                && let Some(fields) = body.as_object_mut()
            {
                let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
                metadata["resourceVersion"] = version.clone().into();
            }
            body
        };
        match patch {
            PatchBody::Merge(body) => {
                let patch = Patch::Merge(locked(body));
                Cluster::call(what, api.patch(name, &patching(dry_run), &patch)).await
            }
            PatchBody::Strategic(body) => {
                let patch = Patch::Strategic(locked(body));
                Cluster::call(what, api.patch(name, &patching(dry_run), &patch)).await
            }
            PatchBody::Json(operations) => {
                let invalid = |error: String| Error::new(what, ErrorKind::Invalid, error);
                let operations: json_patch::Patch = serde_json::from_value(operations.clone())
                    .map_err(|error| invalid(error.to_string()))?;
                let mut object = to_value(&target.current, what)?;
                json_patch::patch(&mut object, &operations)
                    .map_err(|error| invalid(error.to_string()))?;
                let object = to_object(object, what)?;
                let writing = PostParams { dry_run, ..run_context::writing() };
                Cluster::call(what, api.replace(name, &writing, &object)).await
            }
        }
    }

    async fn forget_record(&self, record: &super::record::Written) {
        self.memory().undo.retain(|written| written != record);
        // One that stays is harmless: what it would put back was never changed.
        let _ = super::record::forget(self.cluster(), record).await;
    }
}

/// Waits until an object that was deleted is gone.
async fn gone(target: &Target) -> Result<(), Error> {
    let uid = &target.current.metadata.uid;
    let deadline = Instant::now() + GONE_WITHIN;
    let mut backoff = Backoff::session();
    loop {
        let found = Cluster::call(&target.what, target.api.get_opt(&target.reference.name)).await?;
        if found.is_none_or(|object| object.metadata.uid != *uid) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::new(&target.what, ErrorKind::Deadline, "it is not gone yet"));
        }
        tokio::time::sleep(backoff.pause()).await;
    }
}

fn labels_patch(set: &Labels, remove: &BTreeSet<String>) -> Value {
    let set = set.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str())));
    let labels: Map<String, Value> =
        remove.iter().map(|key| (key.clone(), Value::Null)).chain(set).collect();
    json!({"metadata": {"labels": labels}})
}

fn patching(dry_run: bool) -> PatchParams {
    PatchParams {
        dry_run,
        field_manager: Some(marks::MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

fn to_object(value: Value, what: &str) -> Result<DynamicObject, Error> {
    serde_json::from_value(value).map_err(|error| {
        Error::new(what, ErrorKind::Invalid, format!("this is no object: {error}"))
    })
}

fn to_value(object: &DynamicObject, what: &str) -> Result<Value, Error> {
    serde_json::to_value(object)
        .map_err(|error| Error::new(what, ErrorKind::Invalid, error.to_string()))
}
