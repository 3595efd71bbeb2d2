//! One container: its process, started again as the pod's policy says.

mod told;

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
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::{
    health::Health,
    log::Log,
    manager::Shared,
    program::{Program, ProgramError},
    report::{Board, State},
};
use crate::sandbox::{
    api::{
        object::{Object, now, seconds},
        resource::PODS,
    },
    controller::{
        events::{EventType, Recorder},
        names,
    },
    node::PodNetwork,
};

/// The first wait before a container that ended again is started again; it doubles.
const BACK_OFF: Duration = Duration::from_secs(10);
/// The longest such wait.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(300);
/// How long a process may take to end where its pod doesn't say.
pub(super) const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// How long a stand-in may take to its first line; a machine that is so slow is told of nothing.
const SPEAKS_WITHIN: Duration = Duration::from_secs(5);
/// How soon a container is tried again whose configuration isn't there yet.
const RETRY: Duration = Duration::from_secs(1);

/// Until when a container's process may run on after it was told to end; `None` is for ever.
pub(super) type Stop = watch::Receiver<Option<Instant>>;

/// Which of the pod's lists a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It runs once and must succeed, or it is a sidecar.
    Init,
    /// One of those that the pod is about.
    Own,
    /// Added to a running pod; never started again.
    Ephemeral,
}

/// A container of a pod that has its network.
pub(super) struct Container {
    pub shared: Arc<Shared>,
    pub pod: Arc<Value>,
    pub spec: Value,
    pub index: usize,
    pub kind: Kind,
    pub address: IpAddr,
    pub network: PodNetwork,
    pub board: Arc<Board>,
    pub stop: Stop,
    /// In the name of the node's kubelet.
    pub events: Recorder,
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
        if self.kind == Kind::Init && program == Program::StandIn && !self.always() {
            self.complete_at_once();
            return true;
        }
        let mut ends = 0;
        loop {
            let mut health = self.shared.nodes.watch(self.network.node());
            // A kubelet that is silent starts nothing.
            let _ = health.wait_for(|health| *health != Health::Silent).await;
            let started = now();
            let begun = Instant::now();
            let (code, retry) = match self.start(program).await {
                Outcome::Ended(status) => {
                    let code = status.code().unwrap_or(128 + status.signal().unwrap_or(0));
                    let reason = if code == 0 { "Completed" } else { "Error" };
                    let message = self.last_words(program, code).await;
                    self.finished(code, reason, started, message);
                    (code, None)
                }
                Outcome::NotStarted { reason, message, ended: true } => {
                    self.event(EventType::Warning, "Failed", format!("Error: {message}"));
                    self.finished(128, reason, started, message);
                    (128, None)
                }
                Outcome::NotStarted { reason, message, ended: false } => {
                    self.event(EventType::Warning, "Failed", format!("Error: {message}"));
                    self.wait(reason, message);
                    (128, Some(RETRY))
                }
            };
            let again = match self.pod.text("/spec/restartPolicy") {
                _ if self.stop.borrow().is_some() => false,
                _ if retry.is_some() => true,
                _ if self.kind == Kind::Ephemeral => false,
                "Never" if !self.always() => false,
                "OnFailure" if !self.always() => code != 0,
                _ => self.kind == Kind::Own || self.always() || code != 0,
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
            if retry.is_none() {
                self.update(|report| report.restarts += 1);
            }
        }
    }

    /// A sidecar: an init container that goes on running.
    fn always(&self) -> bool {
        self.kind == Kind::Init && self.spec.text("/restartPolicy") == "Always"
    }

    /// A stand-in of an init container has nothing to do, and what waits for it should not
    /// wait.
    fn complete_at_once(&self) {
        let image = self.spec.text("/image");
        let text = format!("{} ({image}) completes at once", self.spec.text("/name"));
        self.update(|report| {
            report.stand_in = Some(text);
            report.id = container_id();
        });
        self.begun();
        self.finished(0, "Completed", now(), String::new());
        self.update(|report| report.over = true);
    }

    /// The pod as it is now, if it is still the same.
    pub(super) fn current(&self) -> Arc<Value> {
        let pod = self.shared.store.get(&PODS, self.pod.namespace(), self.pod.name());
        let pod = pod.filter(|pod| pod.uid() == self.pod.uid());
        pod.unwrap_or_else(|| Arc::clone(&self.pod))
    }

    /// Starts the process and stays with it until it ends.
    async fn start(&mut self, program: Program) -> Outcome {
        // Variables may stand for what has been written since the pod was assigned.
        let pod = self.current();
        // Before the process, so that a Service which comes in between is told to it twice and
        // not never.
        let plan = (program == Program::StandIn)
            .then(|| Program::plan(&self.shared.store, &pod, &self.spec));
        let process = match program.process(&self.shared.store, &pod, &self.spec) {
            Ok(process) => process,
            Err(error) => {
                let ended = matches!(error, ProgramError::NotFound(_));
                let reason = if ended { "StartError" } else { "CreateContainerConfigError" };
                return Outcome::NotStarted { reason, message: error.to_string(), ended };
            }
        };
        let mut child = match self.network.spawn_aside(process.clone()).await {
            Ok(child) => child,
            Err(error) => {
                let message = format!("start {}: {error}", process.argv0);
                return Outcome::NotStarted { reason: "StartError", message, ended: true };
            }
        };
        let log = Log::default();
        log.follow(child.stdout.take(), child.stderr.take());
        // Before anybody waits for the child, which would close it.
        let mut stdin = child.stdin.take();
        if program == Program::StandIn {
            self.until_it_speaks(&log, &mut child).await;
        }
        if program == Program::Dns
            && let Some(pipe) = stdin.take()
        {
            tokio::spawn(names::feed(pipe, self.shared.zone.clone()));
        }
        let startup = self.spec.get("startupProbe").is_some();
        let readiness = self.spec.get("readinessProbe").is_some();
        self.update(|report| {
            report.id = container_id();
            report.state = State::Running { since: now() };
            report.started = !startup;
            report.ready = !startup && !readiness;
            report.running = Some(Arc::new((program, process)));
            report.log = Some(log);
            report.stand_in = match program {
                Program::Command => Some(format!(
                    "{} ({}) runs netproof's own command of that name",
                    self.spec.text("/name"),
                    self.spec.text("/image")
                )),
                _ => plan.as_ref().map(|plan| plan.describe(&self.spec)),
            };
        });
        self.begun();
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = child.wait() => Some(ended),
            () = self.probe() => None,
            () = self.follow_services(plan, stdin) => None,
            _ = stop.wait_for(Option::is_some) => {
                let text = format!("Stopping container {}", self.spec.text("/name"));
                self.event(EventType::Normal, "Killing", text);
                None
            }
        };
        let ended = match ended {
            Some(ended) => ended,
            None => self.end(&mut child).await,
        };
        // A process that can't be waited for is as good as killed.
        Outcome::Ended(ended.unwrap_or_else(|_| ExitStatus::from_raw(9)))
    }

    /// Waits for a stand-in's first line, which says that it listens: who has no probe is ready
    /// as soon as it runs, and is dialled then.
    async fn until_it_speaks(&self, log: &Log, child: &mut Child) {
        let mut stop = self.stop.clone();
        tokio::select! {
            () = log.begun() => {}
            _ = child.wait() => {}
            _ = stop.wait_for(Option::is_some) => {}
            () = sleep(SPEAKS_WITHIN) => {}
        }
    }

    /// Asks the process to end, and kills it when its time is up.
    async fn end(&mut self, child: &mut Child) -> std::io::Result<ExitStatus> {
        let own = seconds(self.pod.pointer("/spec/terminationGracePeriodSeconds"));
        let grace = Instant::now() + own.unwrap_or(DEFAULT_GRACE);
        let until = |stop: &Stop| stop.borrow().unwrap_or(grace).min(grace);
        // The one hook that needs none of the image's programs.
        if let Some(nap) = seconds(self.spec.pointer("/lifecycle/preStop/sleep/seconds")) {
            tokio::select! {
                ended = child.wait() => return ended,
                () = sleep_until(until(&self.stop).min(Instant::now() + nap)) => {}
            }
        }
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

fn container_id() -> String {
    format!("netproof://{:032x}", rand::random::<u128>())
}
