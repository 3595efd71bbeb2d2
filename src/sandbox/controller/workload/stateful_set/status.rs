//! What a StatefulSet says of itself.

use serde_json::{Value, json};

use super::{
    super::{
        hands::number,
        pod::{has_ended, is_ready, phase},
        revision::HASH,
    },
    StatefulSets, View,
};
use crate::sandbox::api::{
    failure::Failure,
    object::Object,
    resource::{PODS, STATEFUL_SETS},
};

impl StatefulSets {
    /// Writes the status, by the pods as they are now.
    pub(super) fn report(&self, view: &View) -> Result<(), Failure> {
        let set = &view.set;
        let pods: Vec<_> = self
            .hands
            .store
            .owned(set.uid(), Some(&PODS))
            .into_iter()
            .map(|(_, pod)| pod)
            .filter(|pod| super::ordinal(set, pod.name()).is_some() && !has_ended(pod))
            .collect();
        let of = |revision: &str| {
            let pods = pods.iter().filter(|pod| !pod.is_deleting());
            pods.filter(|pod| pod["metadata"]["labels"][HASH] == revision).count()
        };
        let ready = pods.iter().filter(|pod| phase(pod) == "Running" && is_ready(pod)).count();
        let available = pods.iter().filter(|pod| view.is_available(pod)).count();
        let (update, mut current) = (view.update.name(), view.current.name());
        let updated = of(update);
        let wanted = usize::try_from(number(&set["spec"]["replicas"], 1)).unwrap_or_default();
        // The update is through: what was new is what is.
        let rolls = set["spec"]["updateStrategy"]["type"] == "RollingUpdate";
        if rolls && updated == wanted && pods.len() == wanted && ready == wanted {
            current = update;
        }
        let mut status = json!({
            "observedGeneration": set["metadata"]["generation"],
            "replicas": pods.len(),
            "availableReplicas": available,
            "collisionCount": number(&set["status"]["collisionCount"], 0),
            "currentRevision": current,
            "updateRevision": update,
        });
        for (field, count) in [
            ("readyReplicas", ready),
            ("currentReplicas", of(current)),
            ("updatedReplicas", updated),
        ] {
            if count > 0 {
                status[field] = count.into();
            }
        }
        if let Some(conditions) = set["status"].get("conditions") {
            status["conditions"] = conditions.clone();
        }
        let status: Value = status;
        self.hands.status(&STATEFUL_SETS, set, status)
    }
}
