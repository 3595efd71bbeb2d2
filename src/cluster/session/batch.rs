//! Batches in flight.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use netproof_probe::wire::{Probe, ProbeResult, Question, Request};
use tokio::sync::oneshot;

use super::{BatchOutcome, SessionError};

/// A batch on its way to the driver.
pub(super) struct Command {
    pub(super) probes: Vec<Probe>,
    pub(super) rate: Option<u32>,
    pub(super) deadline: Instant,
    pub(super) answer: oneshot::Sender<BatchOutcome>,
}

/// A batch whose results are awaited.
struct Pending {
    /// Probes without a result.
    open: BTreeMap<u64, Probe>,
    results: HashMap<u64, ProbeResult>,
    rate: Option<u32>,
    deadline: Instant,
    answer: oneshot::Sender<BatchOutcome>,
    /// It has been sent at least once: nonces must not be used again.
    asked: bool,
}

/// Every batch in flight, by the number under which the current link knows it.
#[derive(Default)]
pub(super) struct Batches {
    pending: HashMap<u64, Pending>,
    last: u64,
}

impl Batches {
    /// Takes a batch in. The line to send is [`Self::request`]'s.
    pub(super) fn add(&mut self, command: Command) -> u64 {
        let Command { probes, rate, deadline, answer } = command;
        let open = probes.into_iter().map(|probe| (probe.id, probe)).collect();
        let pending =
            Pending { open, results: HashMap::new(), rate, deadline, answer, asked: false };
        self.insert(pending)
    }

    fn insert(&mut self, pending: Pending) -> u64 {
        self.last += 1;
        self.pending.insert(self.last, pending);
        self.last
    }

    /// What to ask the agent for a batch.
    pub(super) fn request(&mut self, batch: u64) -> Option<Request> {
        let pending = self.pending.get_mut(&batch)?;
        if std::mem::replace(&mut pending.asked, true) {
            for probe in pending.open.values_mut() {
                refresh(&mut probe.question);
            }
        }
        let probes = pending.open.values().cloned().collect();
        Some(Request::Batch { batch, rate: pending.rate, probes })
    }

    /// After a link was lost: every batch gets a new number, so that nothing of the old
    /// link can be taken for the new one's.
    pub(super) fn renumber(&mut self) -> Vec<u64> {
        let old: BTreeMap<u64, Pending> = self.pending.drain().collect();
        old.into_values().map(|pending| self.insert(pending)).collect()
    }

    /// A result has come. One of a batch that was given up is dropped.
    pub(super) fn result(&mut self, batch: u64, result: ProbeResult) {
        let Some(pending) = self.pending.get_mut(&batch) else { return };
        if pending.open.remove(&result.id).is_some() {
            pending.results.insert(result.id, result);
        }
        if pending.open.is_empty()
            && let Some(pending) = self.pending.remove(&batch)
        {
            pending.finish(None);
        }
    }

    /// The agent has no more to say about a batch.
    pub(super) fn done(&mut self, batch: u64, error: impl FnOnce(usize) -> SessionError) {
        if let Some(pending) = self.pending.remove(&batch) {
            let missing = pending.open.len();
            pending.finish((missing > 0).then(|| error(missing)));
        }
    }

    /// Ends all batches with this error.
    pub(super) fn fail(&mut self, error: &SessionError) {
        for (_, pending) in self.pending.drain() {
            pending.finish(Some(error.clone()));
        }
    }

    /// When the next batch is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.pending.values().map(|pending| pending.deadline).min()
    }

    /// Ends the batches that are due or that nobody waits for any more, and says which.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        error: impl Fn(usize) -> SessionError,
    ) -> Vec<u64> {
        let due: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.deadline <= now || pending.answer.is_closed())
            .map(|(&batch, _)| batch)
            .collect();
        for batch in &due {
            self.done(*batch, &error);
        }
        due
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Pending {
    fn finish(self, error: Option<SessionError>) {
        // Nobody may be waiting any more.
        let _ = self.answer.send(BatchOutcome { results: self.results, error });
    }
}

/// A nonce is never used twice: an answer to the first asking must not count as one to the
/// second.
fn refresh(question: &mut Question) {
    if let Question::Keyed { nonce } = question {
        *nonce = format!("{:032x}", rand::random::<u128>());
    }
}
