//! The ReplicaSet of each revision, and the annotations that keep count.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    super::{
        condition,
        hands::{controller_of, controller_reference},
        hash::template_hash,
        pod::{annotation, mark},
    },
    Deployments, Rollout,
    rolling::Limits,
    status, wanted,
};
use crate::sandbox::api::{
    failure::Failure,
    object::Object,
    resource::{DEPLOYMENTS, REPLICA_SETS},
    write::Part,
};

/// The number of a revision.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The numbers that a ReplicaSet had before it became the newest again.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// What the Deployment's number was when a ReplicaSet was last scaled.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// The same with the surge.
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// The label that tells the pods of ReplicaSets with the same selector apart.
const HASH: &str = "pod-template-hash";
/// Annotations that a ReplicaSet does not take from its Deployment.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];

/// The revision of a ReplicaSet or a Deployment, or 0.
pub(super) fn of(object: &Value) -> i64 {
    annotation(object, REVISION).parse().unwrap_or_default()
}

/// Tells the ReplicaSet of the present template from the others.
pub(super) fn sorted(deployment: Arc<Value>, sets: Vec<Arc<Value>>) -> Rollout {
    let template = without_hash(&deployment["spec"]["template"]);
    let place = sets.iter().position(|set| without_hash(&set["spec"]["template"]) == template);
    let mut old = sets;
    let new = place.map(|place| old.remove(place));
    Rollout { deployment, new, old }
}

fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.remove(HASH);
        if labels.is_empty() {
            template.metadata_mut().remove("labels");
        }
    }
    template
}

impl Deployments {
    /// Numbers the newest ReplicaSet, if it is there.
    pub(super) fn keep_revision(&self, rollout: &mut Rollout) -> Result<(), Failure> {
        let Some(new) = rollout.new.clone() else { return Ok(()) };
        let revision = rollout.old.iter().map(|set| of(set)).max().unwrap_or_default() + 1;
        let deployment = Arc::clone(&rollout.deployment);
        let ready = deployment["spec"].get("minReadySeconds").cloned();
        let updated = self.hands.update(&REPLICA_SETS, &new, Part::Main, |set| {
            annotate(set, &deployment, revision, false);
            match ready {
                Some(ready) => set["spec"]["minReadySeconds"] = ready,
                None => {
                    set.section_mut("spec").remove("minReadySeconds");
                }
            }
        })?;
        let Some(updated) = updated else { return Ok(()) };
        let number = of(&updated);
        rollout.new = Some(Arc::clone(&updated));
        self.number_deployment(rollout, number)?;
        let conditions = &rollout.deployment["status"]["conditions"];
        let limited = !rollout.deployment["spec"]["progressDeadlineSeconds"].is_null();
        if limited && condition::find(conditions, "Progressing").is_none() {
            let text = format!("Found new replica set \"{}\"", updated.name());
            self.progress(rollout, "True", "FoundNewReplicaSet", &text)?;
        }
        Ok(())
    }

    fn number_deployment(&self, rollout: &mut Rollout, number: i64) -> Result<(), Failure> {
        if of(&rollout.deployment) == number {
            return Ok(());
        }
        let text = number.to_string();
        let change = |object: &mut Value| mark(object, "annotations", REVISION, &text);
        let deployment = &rollout.deployment;
        if let Some(now) = self.hands.update(&DEPLOYMENTS, deployment, Part::Main, change)? {
            rollout.deployment = now;
        }
        Ok(())
    }

    fn progress(
        &self,
        rollout: &mut Rollout,
        holds: &str,
        reason: &str,
        message: &str,
    ) -> Result<(), Failure> {
        let change = |object: &mut Value| status::set_progressing(object, holds, reason, message);
        let deployment = &rollout.deployment;
        if let Some(now) = self.hands.update(&DEPLOYMENTS, deployment, Part::Status, change)? {
            rollout.deployment = now;
        }
        Ok(())
    }

    /// Makes the ReplicaSet of the present template, if it is missing.
    pub(super) fn make_new(&self, rollout: &mut Rollout) -> Result<(), Failure> {
        if rollout.new.is_some() {
            return self.keep_revision(rollout);
        }
        let deployment = Arc::clone(&rollout.deployment);
        let collisions = deployment["status"]["collisionCount"].as_i64();
        let hash = template_hash(&deployment["spec"]["template"], collisions);
        let revision = rollout.old.iter().map(|set| of(set)).max().unwrap_or_default() + 1;
        let limits = Limits::of(&deployment["spec"]);
        let all: i64 = rollout.old.iter().map(|set| wanted(set)).sum();
        let rolls = deployment["spec"]["strategy"]["type"] == "RollingUpdate";
        let replicas = if rolls { limits.new_replicas(0, all) } else { limits.replicas };
        let set = replica_set(&deployment, &hash, revision, replicas);
        let name = set.name().to_owned();
        match self.hands.create(&REPLICA_SETS, deployment.namespace(), set) {
            Ok(set) => {
                if replicas > 0 {
                    let text = format!("Scaled up replica set {name} from 0 to {replicas}");
                    self.hands.events.normal(&deployment, "ScalingReplicaSet", text);
                }
                rollout.new = Some(set);
                self.number_deployment(rollout, revision)?;
                if !deployment["spec"]["progressDeadlineSeconds"].is_null() {
                    let text = format!("Created new replica set \"{name}\"");
                    self.progress(rollout, "True", "NewReplicaSetCreated", &text)?;
                }
                Ok(())
            }
            Err(failure) if failure.reason == "AlreadyExists" => {
                let store = &self.hands.store;
                let taken = store.get(&REPLICA_SETS, deployment.namespace(), &name);
                let ours = taken.as_ref().is_some_and(|set| {
                    controller_of(set).is_some_and(|one| one.text("/uid") == deployment.uid())
                        && sorted(Arc::clone(&deployment), vec![Arc::clone(set)]).new.is_some()
                });
                if ours {
                    rollout.new = taken;
                    return self.keep_revision(rollout);
                }
                // Another template has this hash: the next try makes another.
                let next = collisions.unwrap_or_default() + 1;
                let count = |object: &mut Value| object["status"]["collisionCount"] = next.into();
                self.hands.update(&DEPLOYMENTS, &deployment, Part::Status, count)?;
                Err(failure)
            }
            Err(failure) => {
                let text = format!("Failed to create new replica set \"{name}\": {failure}");
                self.hands.events.warning(&deployment, "ReplicaSetCreateError", text.clone());
                if !deployment["spec"]["progressDeadlineSeconds"].is_null() {
                    self.progress(rollout, "False", "ReplicaSetCreateError", &text)?;
                }
                Err(failure)
            }
        }
    }
}

fn replica_set(deployment: &Value, hash: &str, revision: i64, replicas: i64) -> Value {
    let spec = &deployment["spec"];
    let mut template = spec["template"].clone();
    mark(&mut template, "labels", HASH, hash);
    let mut selector = spec["selector"].clone();
    if !selector["matchLabels"].is_object() {
        selector["matchLabels"] = json!({});
    }
    selector["matchLabels"][HASH] = hash.into();
    let mut set = json!({
        "metadata": {
            "name": format!("{}-{hash}", deployment.name()),
            "namespace": deployment.namespace(),
            "labels": template["metadata"]["labels"],
            "ownerReferences": [controller_reference(&DEPLOYMENTS, deployment)],
        },
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    });
    if let Some(ready) = spec.get("minReadySeconds") {
        set["spec"]["minReadySeconds"] = ready.clone();
    }
    annotate(&mut set, deployment, revision, true);
    set
}

/// Brings the annotations of the newest ReplicaSet up to date.
fn annotate(set: &mut Value, deployment: &Value, revision: i64, is_new: bool) {
    let given = deployment["metadata"]["annotations"].as_object();
    for (key, value) in given.into_iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            mark(set, "annotations", key, value.as_str().unwrap_or_default());
        }
    }
    let before = annotation(set, REVISION).to_owned();
    if before.parse().unwrap_or(0) < revision {
        mark(set, "annotations", REVISION, &revision.to_string());
        if !before.is_empty() {
            let mut history: Vec<_> =
                annotation(set, HISTORY).split(',').filter(|text| !text.is_empty()).collect();
            if !history.contains(&before.as_str()) {
                history.push(&before);
            }
            let history = history.join(",");
            mark(set, "annotations", HISTORY, &history);
        }
    }
    if is_new {
        annotate_size(set, deployment);
    }
}

/// Notes for what size of the Deployment a ReplicaSet was scaled.
pub(super) fn annotate_size(set: &mut Value, deployment: &Value) {
    let limits = Limits::of(&deployment["spec"]);
    mark(set, "annotations", DESIRED, &limits.replicas.to_string());
    mark(set, "annotations", MOST, &(limits.replicas + limits.surge).to_string());
}
