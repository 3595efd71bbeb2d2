//! Why pods did not become ready, put together for people.

use std::{fmt, time::Duration};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};

use super::{PodState, RunContext};

/// Pods whose events are asked for; the rest mostly has the same trouble.
const WITH_EVENTS: usize = 10;

/// How long their events may take.
const EVENTS: Duration = Duration::from_secs(5);

/// Pods that did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReady {
    /// Each, with what keeps it; those for which waiting was in vain come first.
    pub pods: Vec<NotReadyPod>,
    /// How many were waited for.
    pub total: usize,
    /// Why the wait ended.
    pub ended: Ended,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// At its deadline.
    Deadline,
    /// A pod has failed for good.
    InVain,
    /// The run was cancelled.
    Cancelled,
}

/// A pod that did not become ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotReadyPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its phase; `absent` where the server never showed it.
    pub phase: String,
    /// Waiting reasons, the scheduler's message, warnings from its events.
    pub reasons: Vec<String>,
}

impl NotReady {
    /// What to do about it, where that can be said.
    pub fn remedy(&self) -> Option<&'static str> {
        let told = |word: &str| {
            self.pods.iter().flat_map(|pod| &pod.reasons).any(|reason| reason.contains(word))
        };
        if told("ErrImage") || told("ImagePull") || told("InvalidImageName") {
            Some(
                "bring the probe image to the nodes (`netproof image save FILE`, then `kind load \
                 image-archive FILE` or a registry), or name another one with --image",
            )
        } else if told("Unschedulable") || told("FailedScheduling") {
            Some("make room on the node, or look for what keeps the pod off it")
        } else {
            None
        }
    }
}

impl fmt::Display for NotReady {
    /// The count, and the first pod with its reasons.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} probe pods are not ready", self.pods.len(), self.total)?;
        match self.pods.first() {
            Some(pod) => write!(f, ": {pod}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for NotReady {}

impl fmt::Display for NotReadyPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {}/{} is {}", self.namespace, self.name, self.phase)?;
        if !self.reasons.is_empty() {
            write!(f, " ({})", self.reasons.join("; "))?;
        }
        Ok(())
    }
}

/// Puts together what is known, and asks for the pods' events.
pub(super) async fn describe(
    context: &RunContext,
    mut missing: Vec<((String, String), Option<PodState>)>,
    total: usize,
    ended: Ended,
) -> NotReady {
    let lasting = |state: &Option<PodState>| {
        state.as_ref().is_some_and(|state| {
            state.deleted || state.problems.iter().any(|problem| problem.lasting)
        })
    };
    missing.sort_by_key(|(name, state)| (!lasting(state), name.clone()));
    let ask = if ended == Ended::Cancelled { 0 } else { WITH_EVENTS };
    let pods = stream::iter(missing.into_iter().enumerate())
        .map(async |(place, ((namespace, name), state))| {
            let mut pod = not_ready(namespace, name, state.as_ref());
            if place < ask {
                let warnings = warnings(context, &pod.namespace, &pod.name).await;
                let new = warnings.into_iter().filter(|text| !pod.reasons.contains(text));
                let new: Vec<_> = new.collect();
                pod.reasons.extend(new);
            }
            pod
        })
        .buffered(WITH_EVENTS)
        .collect()
        .await;
    NotReady { pods, total, ended }
}

fn not_ready(namespace: String, name: String, state: Option<&PodState>) -> NotReadyPod {
    let (phase, reasons) = match state {
        None => ("absent".to_owned(), Vec::new()),
        Some(state) if state.deleted => ("deleted".to_owned(), Vec::new()),
        Some(state) => {
            let reasons = state.problems.iter().map(|problem| {
                if problem.message.is_empty() {
                    problem.reason.clone()
                } else {
                    format!("{}: {}", problem.reason, problem.message)
                }
            });
            (state.phase.clone(), reasons.collect())
        }
    };
    NotReadyPod { namespace, name, phase, reasons }
}

/// The pod's warnings; none where they can't be read, for they only explain.
async fn warnings(context: &RunContext, namespace: &str, name: &str) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(context.client(), namespace);
    let of_pod = ListParams::default()
        .fields(&format!("involvedObject.kind=Pod,involvedObject.name={name}"));
    let Ok(Ok(listed)) = tokio::time::timeout(EVENTS, events.list(&of_pod)).await else {
        return Vec::new();
    };
    let mut warnings: Vec<String> = listed
        .items
        .into_iter()
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .filter(|event| event.involved_object.name.as_deref() == Some(name))
        .filter_map(|event| {
            Some(format!("{}: {}", event.reason?, event.message.unwrap_or_default().trim()))
        })
        .collect();
    warnings.dedup();
    // The latest ones come last and say most.
    warnings.split_off(warnings.len().saturating_sub(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_fits_the_trouble() {
        for (reason, expected) in [
            ("ImagePullBackOff: not found", Some("image save")),
            ("Unschedulable: 0/2 nodes are available", Some("make room")),
            ("Evicted: low on memory", None),
        ] {
            let pod = NotReadyPod {
                namespace: "shop".into(),
                name: "web".into(),
                phase: "Pending".into(),
                reasons: vec![reason.into()],
            };
            let not_ready = NotReady { pods: vec![pod], total: 2, ended: Ended::Deadline };
            let remedy = not_ready.remedy();
            assert_eq!(remedy.is_some(), expected.is_some(), "{reason}");
            assert!(remedy.unwrap_or_default().contains(expected.unwrap_or_default()), "{reason}");
            assert_eq!(
                not_ready.to_string(),
                format!("1 of 2 probe pods are not ready: pod shop/web is Pending ({reason})")
            );
        }
    }
}
