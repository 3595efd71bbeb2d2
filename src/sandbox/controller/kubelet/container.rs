//! One container: its process, started again as the pod's policy says, and its probes.

use std::{
    net::IpAddr, os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc, time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tokio::{
    process::Child,
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    log::Log,
    manager::Shared,
    probe::Probe,
    program::{Program, ProgramError},
    report::{Board, Ended, Report, State},
};
use crate::sandbox::{
    api::{
        object::{Object, now, seconds},
        resource::PODS,
    },
    controller::names,
    node::PodNetwork,
};

/// The first wait before a container that ended again is started again; it doubles.
const BACK_OFF: Duration = Duration::from_secs(10);
/// The longest such wait.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// How long a process may take to end where its pod doesn't say.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// How soon a container is tried again whose configuration isn't there yet.
const RETRY: Duration = Duration::from_secs(1);

/// Until when a container's process may run on after it was told to end; `None` is for ever.
pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// A container of a pod that has its network.
pub(super) struct Container {
    pub shared: Arc<Shared>,
    pub pod: Arc<Value>,
    pub spec: Value,
    pub index: usize,
    /// An init container, which runs once and must succeed.
    pub init: bool,
    pub address: IpAddr,
    pub network: PodNetwork,
    pub board: Arc<Board>,
    pub stop: Stop,
}

/// What a start led to.
enum Outcome {
    Ended(ExitStatus),
    NotStarted { reason: &'static str, message: String, ended: bool },
}

impl Container {
    /// Runs the container until it is over or told to stop. Says whether its last end was
    /// a success.
    pub(super) async fn run(mut self) -> bool {
        let program = Program::of(&self.pod, &self.spec);
        self.update(|report| report.stand_in = program == Program::StandIn);
        if self.init && program == Program::StandIn && !self.always() {
            // A stand-in has nothing to do, and what waits for it should not wait.
            self.finished(0, "Completed", now(), String::new());
            self.update(|report| report.over = true);
            return true;
        }
        let mut ends = 0;
        loop {
            let started = now();
            let begun = Instant::now();
            let (code, retry) = match self.start(program).await {
                Outcome::Ended(status) => {
                    let code = status.code().unwrap_or(128 + status.signal().unwrap_or(0));
                    let reason = if code == 0 { "Completed" } else { "Error" };
                    self.finished(code, reason, started, String::new());
                    (code, None)
                }
                Outcome::NotStarted { reason, message, ended: true } => {
                    self.finished(128, reason, started, message);
                    (128, None)
                }
                Outcome::NotStarted { reason, message, ended: false } => {
                    self.wait(reason, message);
                    (128, Some(RETRY))
                }
            };
            let again = match self.pod.text("/spec/restartPolicy") {
                _ if self.stop.borrow().is_some() => false,
                _ if retry.is_some() => true,
                "Never" if !self.always() => false,
                "OnFailure" if !self.always() => code != 0,
                _ => !self.init || self.always() || code != 0,
            };
            if !again {
                self.update(|report| report.over = true);
                return code == 0;
            }
            if begun.elapsed() > LONGEST_BACK_OFF * 2 {
                ends = 0;
            }
            let delay = retry.unwrap_or_else(|| match ends {
                0 => Duration::ZERO,
                ends => (BACK_OFF * 2_u32.saturating_pow(ends - 1)).min(LONGEST_BACK_OFF),
            });
            if retry.is_none() {
                ends += 1;
                self.back_off(delay);
            }
            let mut stop = self.stop.clone();
            let stopped = tokio::select! {
                () = sleep(delay) => false,
                _ = stop.wait_for(Option::is_some) => true,
            };
            if stopped {
                self.update(|report| report.over = true);
                return false;
            }
        }
    }

    /// A sidecar: an init container that goes on running.
    fn always(&self) -> bool {
        self.init && self.spec.text("/restartPolicy") == "Always"
    }

    fn update(&self, change: impl FnOnce(&mut Report)) {
        self.board.update(self.index, change);
    }

    fn wait(&self, reason: &'static str, message: String) {
        self.update(|report| report.state = State::Waiting { reason, message });
    }

    fn finished(&self, code: i32, reason: &'static str, started: String, message: String) {
        self.update(|report| {
            report.ready = self.init && code == 0;
            report.started = false;
            report.running = None;
            report.state = State::Terminated(Ended {
                code,
                reason,
                message,
                started,
                finished: now(),
                id: report.id.clone(),
            });
        });
    }

    fn back_off(&self, delay: Duration) {
        self.update(|report| {
            report.restarts += 1;
            report.previous_log = report.log.take();
            if let State::Terminated(ended) = &report.state {
                report.last = Some(ended.clone());
                if !delay.is_zero() {
                    let name = self.spec.text("/name");
                    let message = format!(
                        "back-off {} restarting failed container={name} pod={}",
                        humantime::format_duration(delay),
                        self.pod.name()
                    );
                    report.state = State::Waiting { reason: "CrashLoopBackOff", message };
                }
            }
        });
    }

    /// Starts the process and stays with it until it ends.
    async fn start(&mut self, program: Program) -> Outcome {
        // Variables may stand for what has been written since the pod was assigned.
        let store = &self.shared.store;
        let pod = store.get(&PODS, self.pod.namespace(), self.pod.name());
        let pod = pod.filter(|pod| pod.uid() == self.pod.uid());
        let pod = pod.as_ref().unwrap_or(&self.pod);
        let process = match program.process(store, pod, &self.spec) {
            Ok(process) => process,
            Err(error) => {
                let ended = matches!(error, ProgramError::NotFound(_));
                let reason = if ended { "StartError" } else { "CreateContainerConfigError" };
                return Outcome::NotStarted { reason, message: error.to_string(), ended };
            }
        };
        let mut child = match self.network.spawn(&process) {
            Ok(child) => child,
            Err(error) => {
                let message = format!("start {}: {error}", process.argv0);
                return Outcome::NotStarted { reason: "StartError", message, ended: true };
            }
        };
        let log = Log::default();
        if let Some(pipe) = child.stdout.take() {
            tokio::spawn(log.clone().follow(pipe));
        }
        if let Some(pipe) = child.stderr.take() {
            tokio::spawn(log.clone().follow(pipe));
        }
        if let Some(pipe) = child.stdin.take() {
            tokio::spawn(names::feed(pipe, self.shared.zone.clone()));
        }
        let probe = |kind| Probe::of(&self.spec, kind, self.address);
        let (startup, readiness) = (probe("startupProbe"), probe("readinessProbe"));
        let liveness = probe("livenessProbe");
        self.update(|report| {
            report.id = format!("netproof://{:032x}", rand::random::<u128>());
            report.state = State::Running { since: now() };
            report.started = startup.is_none();
            report.ready = startup.is_none() && readiness.is_none();
            report.running = Some(Arc::new((program, process)));
            report.log = Some(log);
        });
        let dead = self.probe(startup, readiness, liveness);
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = child.wait() => Some(ended),
            () = dead => None,
            _ = stop.wait_for(Option::is_some) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => self.end(&mut child).await,
        };
        // A process that can't be waited for is as good as killed.
        Outcome::Ended(ended.unwrap_or_else(|_| ExitStatus::from_raw(9)))
    }

    /// Probes as long as the process lives; returns when it is to be killed.
    async fn probe(
        &self,
        startup: Option<Probe>,
        readiness: Option<Probe>,
        liveness: Option<Probe>,
    ) {
        let (network, node) = (&self.shared.network, self.network.node());
        if let Some(startup) = startup {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let passed = tokio::select! {
                () = startup.run(network, node, |passed| _ = sender.try_send(passed)) => false,
                passed = receiver.recv() => passed.unwrap_or(false),
            };
            if !passed {
                return;
            }
            self.update(|report| {
                report.started = true;
                report.ready = readiness.is_none();
            });
        }
        let ready = async {
            match readiness {
                Some(probe) => {
                    let tell = |ready| self.update(|report| report.ready = ready);
                    probe.run(network, node, tell).await;
                }
                None => std::future::pending().await,
            }
        };
        let died = async {
            let Some(probe) = liveness else { return std::future::pending().await };
            let died = Notify::new();
            let tell = |alive: bool| {
                if !alive {
                    died.notify_one();
                }
            };
            tokio::select! {
                () = probe.run(network, node, tell) => {}
                () = died.notified() => {}
            }
        };
        tokio::select! {
            () = ready => {}
            () = died => {}
        }
    }

    /// Asks the process to end, and kills it when its time is up.
    async fn end(&mut self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let own = seconds(self.pod.pointer("/spec/terminationGracePeriodSeconds"));
        let grace = Instant::now() + own.unwrap_or(DEFAULT_GRACE);
        let until = |stop: &Stop| stop.borrow().unwrap_or(grace).min(grace);
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        if until(&self.stop) > Instant::now()
            && let Some(id) = id
        {
            // The process isn't reaped yet, so that the id is still its own.
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        loop {
            let deadline = until(&self.stop);
            tokio::select! {
                ended = child.wait() => return ended,
                () = sleep_until(deadline) => break,
                changed = self.stop.changed() => if changed.is_err() { break },
            }
        }
        child.start_kill()?;
        child.wait().await
    }
}
