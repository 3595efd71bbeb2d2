//! Taking back what a run has changed of objects that aren't its own.

use std::time::{Duration, Instant};

use kube::{
    Api,
    api::{DynamicObject, ObjectMeta, PostParams, TypeMeta},
};
use serde_json::Value;

use super::{
    super::{
        Cluster, Error, ErrorKind, RunContext, kinds::Kinds, marks, retry::Backoff, run_context,
    },
    record::{self, Record, Written},
    restore::{plain, restore},
};
use crate::model::RunId;

/// How long an object that is being deleted may take until its name is free.
const GONE_WITHIN: Duration = Duration::from_secs(20);

/// Writes of the same object that meet a conflict are repeated so often.
const ATTEMPTS: usize = 5;

/// What came of taking changes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoReport {
    /// How many objects are as they were again.
    pub restored: usize,
    /// What somebody else has changed since and was left alone, in sentences.
    pub kept: Vec<String>,
    /// What could not be put back; its record is still in the cluster.
    pub failed: Vec<String>,
}

/// What came of one change.
enum Undone {
    Restored,
    /// It had never been made.
    Untouched,
    /// Somebody else has changed the object since.
    Kept(String),
}

impl RunContext {
    /// Takes back what this run has changed of objects that aren't its own, the last first.
    pub async fn undo(&self) -> UndoReport {
        let written = std::mem::take(&mut self.memory().undo);
        let objects: Vec<_> = written.iter().map(|one| one.record.object.clone()).collect();
        let mut report = UndoReport::default();
        let left = undo_all(self.cluster(), &self.kinds, self.run(), written, &mut report).await;
        let mut memory = self.memory();
        // What stands there now is no longer this run's.
        memory.applied.retain(|item| {
            !objects.contains(&item.reference)
                || left.iter().any(|one| one.record.object == item.reference)
        });
        memory.undo = left;
        report
    }

    /// True while something of somebody else's is not as it was.
    pub fn has_changes_to_undo(&self) -> bool {
        !self.memory().undo.is_empty()
    }
}

/// Takes back what a dead run has changed, by its records in these namespaces.
pub(in super::super) async fn undo_run(
    cluster: &Cluster,
    run: &RunId,
    namespaces: impl Iterator<Item = &str>,
) -> UndoReport {
    let kinds = Kinds::new(cluster.client.clone());
    let mut report = UndoReport::default();
    let mut written = Vec::new();
    for namespace in namespaces {
        match record::find(cluster, run, namespace).await {
            Ok(found) => written.extend(found),
            Err(error) => report.failed.push(error.to_string()),
        }
    }
    undo_all(cluster, &kinds, run, written, &mut report).await;
    report
}

/// Takes changes back, the last first; returns those of which that failed.
async fn undo_all(
    cluster: &Cluster,
    kinds: &Kinds,
    run: &RunId,
    mut written: Vec<Written>,
    report: &mut UndoReport,
) -> Vec<Written> {
    written.sort_by_key(|written| written.record.number);
    let mut left = Vec::new();
    while let Some(last) = written.pop() {
        let mut together = vec![last];
        if together[0].record.after.is_none() {
            // What is made anew is another object: earlier changes of the one that was
            // deleted are taken back along with its deletion.
            let object = together[0].record.object.clone();
            let earlier = written
                .extract_if(.., |one| one.record.object == object && one.record.after.is_some());
            let mut earlier: Vec<Written> = earlier.collect();
            while let Some(one) = earlier.pop() {
                if let Some(after) = &one.record.after {
                    let current = plain(&together[0].record.before);
                    let restored = restore(&plain(&one.record.before), &plain(after), &current);
                    together[0].record.before = with_uid(restored.object, &one.record.before);
                }
                together.push(one);
            }
        }
        let undone = match put_back(cluster, kinds, run, &together[0].record).await {
            Ok(undone) => {
                let mut forgotten = Ok(());
                for one in &together {
                    forgotten = forgotten.and(record::forget(cluster, one).await);
                }
                forgotten.map(|()| undone)
            }
            Err(error) => Err(error),
        };
        match undone {
            Ok(Undone::Restored) => report.restored += 1,
            Ok(Undone::Untouched) => {}
            Ok(Undone::Kept(sentence)) => report.kept.push(sentence),
            Err(error) => {
                let one = &together[0];
                report.failed.push(format!(
                    "{} was changed and is not as it was: {error} (configmap {}/{} has it)",
                    one.record.object, one.namespace, one.name
                ));
                left.extend(together);
            }
        }
    }
    left
}

fn with_uid(mut object: Value, of: &Value) -> Value {
    object["metadata"]["uid"] = uid(of).into();
    object
}

async fn put_back(
    cluster: &Cluster,
    kinds: &Kinds,
    run: &RunId,
    record: &Record,
) -> Result<Undone, Error> {
    let object = &record.object;
    let what = format!("put {object} back");
    let types = TypeMeta { api_version: object.api_version.clone(), kind: object.kind.clone() };
    let kind = kinds.find(&types).await.map_err(|error| error.during(&what))?;
    let api = kind.api(cluster.client.clone(), object.namespace.as_deref());
    let mut tried = 0;
    loop {
        tried += 1;
        let put = match &record.after {
            None => recreate(&api, run, record, &what).await,
            Some(after) => repair(&api, record, after, &what).await,
        };
        match put {
            Err(error)
                if tried < ATTEMPTS
                    && matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
            put => return put,
        }
    }
}

/// An object that was deleted.
async fn recreate(
    api: &Api<DynamicObject>,
    run: &RunId,
    record: &Record,
    what: &str,
) -> Result<Undone, Error> {
    let name = &record.object.name;
    let deadline = Instant::now() + GONE_WITHIN;
    let mut backoff = Backoff::request();
    let current = loop {
        let current = Cluster::call(what, api.get_opt(name)).await?;
        let going =
            current.as_ref().is_some_and(|object| object.metadata.deletion_timestamp.is_some());
        if !going {
            break current;
        }
        if Instant::now() >= deadline {
            let message = "the object is still being deleted, and its name is not free";
            return Err(Error::new(what, ErrorKind::Deadline, message));
        }
        tokio::time::sleep(backoff.pause()).await;
    };
    let mut original = plain(&record.before);
    let writing = PostParams { dry_run: false, ..run_context::writing() };
    match current {
        None => {
            let original = object_of(original, what)?;
            Cluster::call(what, api.create(&writing, &original)).await?;
            Ok(Undone::Restored)
        }
        Some(current) if current.metadata.uid.as_deref() == uid(&record.before) => {
            Ok(Undone::Untouched)
        }
        // A later step has put one of the run's own in its place.
        Some(current) if marks::run_of(&current.metadata).as_ref() == Some(run) => {
            original["metadata"]["resourceVersion"] = current.metadata.resource_version.into();
            let original = object_of(original, what)?;
            Cluster::call(what, api.replace(name, &writing, &original)).await?;
            Ok(Undone::Restored)
        }
        // It was put back already, and its record outlived that.
        Some(current) if value_of(&current, what).map(|now| plain(&now))? == original => {
            Ok(Undone::Untouched)
        }
        Some(current) => Ok(Undone::Kept(format!(
            "{} was deleted by a step, and somebody has made it anew{}: it was left as it is",
            record.object,
            editor(&current.metadata)
        ))),
    }
}

/// An object that was patched.
async fn repair(
    api: &Api<DynamicObject>,
    record: &Record,
    after: &Value,
    what: &str,
) -> Result<Undone, Error> {
    let object = &record.object;
    let Some(current) = Cluster::call(what, api.get_opt(&object.name)).await? else {
        return Ok(Undone::Kept(format!(
            "{object} was changed by a step, and somebody has deleted it since"
        )));
    };
    if current.metadata.uid.as_deref() != uid(&record.before) {
        return Ok(Undone::Kept(format!(
            "{object} was changed by a step, and somebody has made it anew{}: it was left as it is",
            editor(&current.metadata)
        )));
    }
    let by = editor(&current.metadata);
    let version = current.metadata.resource_version.clone();
    let current = plain(&value_of(&current, what)?);
    let mut restored = restore(&plain(&record.before), &plain(after), &current);
    let changed = restored.object != current;
    if changed {
        restored.object["metadata"]["resourceVersion"] = version.into();
        let restored = object_of(restored.object, what)?;
        let writing = run_context::writing();
        Cluster::call(what, api.replace(&object.name, &writing, &restored)).await?;
    }
    Ok(match (&restored.conflicts[..], changed) {
        ([], true) => Undone::Restored,
        ([], false) => Undone::Untouched,
        (conflicts, _) => Undone::Kept(format!(
            "{object} was changed by a step, and {} by somebody else since{by}: that was left as \
             it is",
            conflicts.join(", ")
        )),
    })
}

fn object_of(value: Value, what: &str) -> Result<DynamicObject, Error> {
    serde_json::from_value(value)
        .map_err(|error| Error::new(what, ErrorKind::Invalid, error.to_string()))
}

fn value_of(object: &DynamicObject, what: &str) -> Result<Value, Error> {
    serde_json::to_value(object)
        .map_err(|error| Error::new(what, ErrorKind::Invalid, error.to_string()))
}

fn uid(object: &Value) -> Option<&str> {
    object.pointer("/metadata/uid").and_then(Value::as_str)
}

/// Who else has last written an object, and when: ` (kubectl-edit at 12:00:00)`.
pub(in super::super) fn editor(metadata: &ObjectMeta) -> String {
    let managers = metadata.managed_fields.iter().flatten();
    let others = managers
        .filter(|entry| entry.manager.as_deref().is_some_and(|name| name != marks::MANAGER))
        .filter(|entry| entry.subresource.is_none());
    let last = others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    last.map(|entry| {
        let by = entry.manager.as_deref().unwrap_or_default();
        match &entry.time {
            Some(time) => format!(" ({by} at {})", time.0),
            None => format!(" ({by})"),
        }
    })
    .unwrap_or_default()
}
