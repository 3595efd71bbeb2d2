//! ControllerRevisions: what StatefulSets and DaemonSets remember of their templates.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    claim::Claims,
    hands::{Hands, controller_reference, number},
    hash::template_hash,
    pod::mark,
};
use crate::sandbox::api::{
    delete::Propagation,
    failure::Failure,
    object::Object,
    resource::{CONTROLLER_REVISIONS, Resource},
    write::Part,
};

/// The label of a pod that names its revision.
pub(super) const HASH: &str = "controller-revision-hash";

/// What is kept of an object: its template, as a patch of it.
fn data(object: &Value) -> Value {
    let mut template = object["spec"]["template"].clone();
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

/// The template of a revision.
pub(super) fn template(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    if let Some(map) = template.as_object_mut() {
        map.remove("$patch");
    }
    template
}

/// The hash in a revision's name and labels.
pub(super) fn hash(revision: &Value) -> &str {
    revision["metadata"]["labels"][HASH].as_str().unwrap_or_default()
}

impl Hands {
    /// The revisions of an object, oldest first; the last one is that of its present
    /// template, which is made or numbered anew if need be.
    pub(super) fn revisions(
        &self,
        resource: &'static Resource,
        object: &Value,
        claims: &Claims,
    ) -> Result<Vec<Arc<Value>>, Failure> {
        let kind = &CONTROLLER_REVISIONS;
        let mut known = self.claim(resource, object, kind, claims, |_| true)?;
        known.sort_by_key(|one| (number(&one["revision"], 0), one.name().to_owned()));
        let wanted = data(object);
        let highest = known.last().map_or(0, |one| number(&one["revision"], 0));
        if let Some(place) = known.iter().position(|one| one["data"] == wanted) {
            let mut present = known.remove(place);
            if number(&present["revision"], 0) < highest {
                let renumber = |one: &mut Value| one["revision"] = (highest + 1).into();
                if let Some(now) = self.update(kind, &present, Part::Main, renumber)? {
                    present = now;
                }
            }
            known.push(present);
            return Ok(known);
        }
        let mut collisions = object["status"]["collisionCount"].as_i64();
        for _ in 0..8 {
            let hash = template_hash(&wanted, collisions);
            let revision = self.new_revision(resource, object, &wanted, &hash, highest + 1);
            match self.create(kind, object.namespace(), revision) {
                Ok(made) => {
                    known.push(made);
                    return Ok(known);
                }
                Err(failure) if failure.reason == "AlreadyExists" => {
                    collisions = Some(collisions.unwrap_or_default() + 1);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::internal(format!("no free name for a revision of {}", object.name())))
    }

    fn new_revision(
        &self,
        resource: &Resource,
        object: &Value,
        data: &Value,
        hash: &str,
        number: i64,
    ) -> Value {
        let mut revision = json!({
            "metadata": {
                "name": format!("{}-{hash}", object.name()),
                "ownerReferences": [controller_reference(resource, object)],
            },
            "data": data,
            "revision": number,
        });
        for source in [&object["spec"]["template"]["metadata"]["labels"]] {
            for (key, value) in source.as_object().into_iter().flatten() {
                mark(&mut revision, "labels", key, value.as_str().unwrap_or_default());
            }
        }
        mark(&mut revision, "labels", HASH, hash);
        let annotations = object["metadata"]["annotations"].as_object();
        for (key, value) in annotations.into_iter().flatten() {
            mark(&mut revision, "annotations", key, value.as_str().unwrap_or_default());
        }
        revision
    }

    /// Deletes the oldest revisions that no pod is of, down to the limit.
    pub(super) fn forget_revisions(
        &self,
        object: &Value,
        revisions: &[Arc<Value>],
        alive: impl Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        let limit = usize::try_from(number(&object["spec"]["revisionHistoryLimit"], 10));
        let Some((_, past)) = revisions.split_last() else { return Ok(()) };
        let idle: Vec<_> =
            past.iter().filter(|one| !alive(hash(one)) && !alive(one.name())).collect();
        let surplus = idle.len().saturating_sub(limit.unwrap_or_default());
        for revision in idle.into_iter().take(surplus) {
            self.delete(&CONTROLLER_REVISIONS, revision, Propagation::Background)?;
        }
        Ok(())
    }
}
