//! For how long a pod has been ready, as far as that was seen.

use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

/// Stretches of readiness that are kept for each pod.
const SPANS: usize = 256;

/// How late the kubelet notices a dead interface: it tries once a second, waits a second
/// for the answer, and has to tell the API server.
const NOTICE: Duration = Duration::from_millis(2_500);

/// When a pod was reported.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Report {
    /// When the report came.
    pub(in super::super) at: Instant,
    /// Until when the state before it is known to have held; earlier than `at` where the
    /// watch was broken.
    pub(in super::super) known: Instant,
    /// The wall clock at `at`, to compare with the server's times.
    pub(in super::super) clock: Timestamp,
}

/// When ContainersReady held, as far as that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Readiness {
    /// From, and until; the last one may be open.
    spans: Vec<(Instant, Option<Instant>)>,
    /// The condition's own time of its last change.
    transition: Option<Timestamp>,
}

impl Readiness {
    pub(super) fn report(&mut self, ready: bool, transition: Option<Timestamp>, report: Report) {
        // What the server has known for a while comes late after a break of the watch. A
        // cluster's clock that runs ahead of ours makes this no worse than without.
        let age = transition
            .and_then(|time| Duration::try_from(report.clock.duration_since(time)).ok())
            .unwrap_or_default();
        let changed = report.at.checked_sub(age).unwrap_or(report.at).min(report.known);
        match (self.since(), ready) {
            // It was unready in between, unseen.
            (Some(_), true) if transition != self.transition => {
                self.end(changed);
                self.spans.push((report.at, None));
            }
            (Some(_), true) | (None, false) => {}
            (Some(_), false) => self.end(changed),
            (None, true) => self.spans.push((report.at, None)),
        }
        if self.spans.len() > SPANS {
            self.spans.remove(0);
        }
        self.transition = transition;
    }

    /// Ends the open span: at `known` the last try that could have failed had not yet been
    /// given up.
    pub(super) fn end(&mut self, known: Instant) {
        if let Some((begin, end @ None)) = self.spans.last_mut() {
            *end = Some(known.checked_sub(NOTICE).map_or(*begin, |sure| sure.max(*begin)));
        }
    }

    /// Whether it was seen to hold in the whole interval.
    pub(super) fn held(&self, from: Instant, to: Instant) -> bool {
        let holds = |&(begin, end): &(Instant, Option<Instant>)| {
            begin <= from && end.is_none_or(|end| to <= end)
        };
        self.spans.iter().any(holds)
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.spans.last().filter(|(_, end)| end.is_none()).map(|(begin, _)| *begin)
    }
}
