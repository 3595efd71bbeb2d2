//! What is known of a pod's containers: written by them, read by the worker and by `exec`.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{log::Log, program::Program};
use crate::sandbox::{api::object::now, node::Process};

/// How a container stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has not started, or waits to be started again.
    Waiting { reason: &'static str, message: String },
    /// Its process runs.
    Running { since: String },
    /// Its process has ended.
    Terminated(Ended),
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub code: i32,
    pub reason: &'static str,
    pub message: String,
    pub started: String,
    pub finished: String,
    pub id: String,
}

/// What is known of a container.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub state: State,
    pub last: Option<Ended>,
    pub ready: bool,
    pub started: bool,
    pub restarts: u32,
    pub id: String,
    /// It has ended and won't be started again.
    pub over: bool,
    /// What stands in for it, if something does.
    pub stand_in: Option<String>,
    /// What runs, while it does.
    pub running: Option<Arc<(Program, Process)>>,
    pub log: Option<Log>,
    pub previous_log: Option<Log>,
}

impl Report {
    /// Of a container that has not started.
    pub(super) fn new() -> Self {
        Self {
            state: State::Waiting { reason: "ContainerCreating", message: String::new() },
            last: None,
            ready: false,
            started: false,
            restarts: 0,
            id: String::new(),
            over: false,
            stand_in: None,
            running: None,
            log: None,
            previous_log: None,
        }
    }

    /// The node was lost with what ran there. What had come to its end stays so.
    fn lose(&mut self, policy: &str) {
        if self.over {
            return;
        }
        let ended = match &self.state {
            State::Running { since } => Some(Ended {
                code: 255,
                reason: "Unknown",
                message: String::new(),
                started: since.clone(),
                finished: now(),
                id: self.id.clone(),
            }),
            State::Terminated(ended) => Some(ended.clone()),
            State::Waiting { .. } => None,
        };
        if policy == "Never"
            && let Some(ended) = ended
        {
            self.state = State::Terminated(ended);
            (self.ready, self.started, self.running, self.over) = (false, false, None, true);
            return;
        }
        if let Some(ended) = ended {
            self.restarts += 1;
            self.last = Some(ended);
            self.previous_log = self.log.take();
        }
        *self = Self {
            state: State::Waiting { reason: "ContainerCreating", message: String::new() },
            ready: false,
            started: false,
            running: None,
            ..self.clone()
        };
    }
}

/// The reports of a pod's containers, and a signal for each change.
#[derive(Debug)]
pub(super) struct Board {
    reports: Mutex<Vec<Report>>,
    pub changed: Notify,
}

impl Board {
    /// A board for containers that have not started.
    pub(super) fn new(containers: usize) -> Self {
        Self { reports: Mutex::new(vec![Report::new(); containers]), changed: Notify::new() }
    }

    /// Adds a container that has not started.
    pub(super) fn add(&self) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(Report::new());
    }

    /// Takes note that the node was lost with all that ran there.
    pub(super) fn lose(&self, policy: &str) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.iter_mut().for_each(|report| report.lose(policy));
    }

    /// All reports as they stand.
    pub(super) fn reports(&self) -> Vec<Report> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn update(&self, index: usize, change: impl FnOnce(&mut Report)) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = reports.get_mut(index) {
            change(report);
        }
        drop(reports);
        self.changed.notify_one();
    }
}
