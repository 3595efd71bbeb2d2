//! A plan in words: its changes, and the controls of its cases.

use std::collections::BTreeSet;

use super::{Destination, Plan, PlannedCase, PlannedChange, PlannedObject, PodIndex};
use crate::{
    model::Labels,
    suite::{EvidenceRule, Wait},
};

impl PlannedObject {
    /// `NetworkPolicy shop/deny`, or `ClusterRole reader` where it is of the whole cluster.
    pub fn called(&self) -> String {
        let text = |at: &str| self.object.pointer(at).and_then(|value| value.as_str());
        let place = text("/metadata/namespace").map(|name| format!("{name}/"));
        format!(
            "{} {}{}",
            text("/kind").unwrap_or_default(),
            place.unwrap_or_default(),
            text("/metadata/name").unwrap_or_default()
        )
    }
}

impl Plan {
    /// A change in a few words: `delete NetworkPolicy shop/deny`.
    pub fn describe(&self, change: &PlannedChange) -> String {
        let labels = |set: &Labels, remove: &BTreeSet<String>| {
            let set = set.iter().map(|(key, value)| format!("{key}={value}"));
            let all: Vec<String> = set.chain(remove.iter().map(|key| format!("{key}-"))).collect();
            all.join(" ")
        };
        match change {
            PlannedChange::Apply(planned) => format!("apply {}", planned.called()),
            PlannedChange::Patch { object, .. } => format!("patch {object}"),
            PlannedChange::Delete(object) => format!("delete {object}"),
            PlannedChange::LabelPods { pods, set, remove } => {
                format!("label pod {} {}", self.names(pods), labels(set, remove))
            }
            PlannedChange::LabelNamespace { namespace, set, remove } => {
                format!("label namespace {namespace} {}", labels(set, remove))
            }
            PlannedChange::DeletePods(pods) => format!("delete pod {}", self.names(pods)),
            PlannedChange::CreatePods(pods) => format!("create pod {}", self.names(pods)),
            PlannedChange::Wait(Wait::Time(time)) => format!("wait {time:?}"),
            PlannedChange::Wait(Wait::Condition { object, condition, .. }) => {
                format!("wait for {object} to be {condition}")
            }
        }
    }

    /// What must be up for a case's answer to count, as far as it is known beforehand.
    pub fn controls_of(&self, case: &PlannedCase) -> Vec<String> {
        let source = self.pod(case.source);
        let mut controls = vec![format!("pod path of {}", source.name)];
        match &case.destination {
            Destination::Pod(pod) => {
                let pod = self.pod(*pod);
                controls.push(format!("pod path of {}", pod.name));
                controls.push(format!("listener on {} inside {}", case.port, pod.name));
                controls.push(format!("node path {} to {}", source.node, pod.node));
            }
            Destination::Service { namespace, name } => {
                let by = self.names(&case.witnesses);
                controls.push(format!("Service {namespace}/{name} answers {by}"));
            }
            Destination::Address(_) | Destination::Host(_) => {
                controls.push(format!("{} is reached by {}", case.to, self.names(&case.witnesses)));
            }
        }
        controls.push("canaries on both nodes".to_owned());
        if case.evidence == EvidenceRule::Any {
            controls.push("passes without them too, marked (evidence: any)".to_owned());
        }
        controls
    }

    fn names(&self, pods: &[PodIndex]) -> String {
        let names: Vec<&str> = pods.iter().map(|pod| self.pod(*pod).name.as_str()).collect();
        names.join(", ")
    }
}
