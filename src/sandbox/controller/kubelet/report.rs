//! What is known of a pod's containers: written by them, read by the worker and by `exec`.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::{log::Log, program::Program};
use crate::sandbox::node::Process;

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
    pub stand_in: bool,
    /// What runs, while it does.
    pub running: Option<Arc<(Program, Process)>>,
    pub log: Option<Log>,
    pub previous_log: Option<Log>,
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
        let report = Report {
            state: State::Waiting { reason: "ContainerCreating", message: String::new() },
            last: None,
            ready: false,
            started: false,
            restarts: 0,
            id: String::new(),
            over: false,
            stand_in: false,
            running: None,
            log: None,
            previous_log: None,
        };
        Self { reports: Mutex::new(vec![report; containers]), changed: Notify::new() }
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
