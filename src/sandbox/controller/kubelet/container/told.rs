//! What is told of a container: its part of the pod's status, and its events.

use std::time::Duration;

use super::{
    super::{
        program::Program,
        report::{Ended, Report, State},
    },
    Container, Kind,
};
use crate::sandbox::{
    api::object::{Object, now},
    controller::events::EventType,
    stand_in,
};

impl Container {
    pub(in crate::sandbox::controller::kubelet) fn update(&self, change: impl FnOnce(&mut Report)) {
        self.board.update(self.index, change);
    }

    pub(in crate::sandbox::controller::kubelet) fn event(
        &self,
        kind: EventType,
        reason: &str,
        message: String,
    ) {
        let list = match self.kind {
            Kind::Init => "initContainers",
            Kind::Own => "containers",
            Kind::Ephemeral => "ephemeralContainers",
        };
        let field = format!("spec.{list}{{{}}}", self.spec.text("/name"));
        self.events.about(&self.pod, &field, kind, reason, message);
    }

    /// What the kubelet says of every start.
    pub(super) fn begun(&self) {
        let image = self.spec.text("/image");
        for (reason, message) in [
            (
                "Pulled",
                format!(
                    "Container image \"{image}\" already present on machine and can be accessed \
                     by the pod"
                ),
            ),
            ("Created", "Container created".to_owned()),
            ("Started", "Container started".to_owned()),
        ] {
            self.event(EventType::Normal, reason, message);
        }
    }

    pub(super) fn wait(&self, reason: &'static str, message: String) {
        self.update(|report| report.state = State::Waiting { reason, message });
    }

    /// Why a stand-in failed, in its own words; there is nobody else's log to look into.
    pub(super) async fn last_words(&self, program: Program, code: i32) -> String {
        if program != Program::StandIn || code == 0 {
            return String::new();
        }
        let report = self.board.reports().into_iter().nth(self.index);
        let Some(log) = report.and_then(|report| report.log) else { return String::new() };
        log.complete().await;
        // Output and errors come by pipes of their own, in either order.
        let mut words = log.lines().into_iter().rev().map(|line| line.text);
        words.find(|line| !line.starts_with(stand_in::GREETING)).unwrap_or_default()
    }

    pub(super) fn finished(
        &self,
        code: i32,
        reason: &'static str,
        started: String,
        message: String,
    ) {
        self.update(|report| {
            report.ready = self.kind == Kind::Init && code == 0;
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

    pub(super) fn back_off(&self, delay: Duration) {
        let (name, pod) = (self.spec.text("/name"), &self.pod);
        if !delay.is_zero() {
            let place = format!("{}_{}({})", pod.name(), pod.namespace(), pod.uid());
            let text = format!("Back-off restarting failed container {name} in pod {place}");
            self.event(EventType::Warning, "BackOff", text);
        }
        self.update(|report| {
            // Until it is started again its log is the last one and the one before.
            report.previous_log = report.log.clone();
            if let State::Terminated(ended) = &report.state {
                report.last = Some(ended.clone());
                if !delay.is_zero() {
                    let message = format!(
                        "back-off {} restarting failed container={name} pod={}_{}({})",
                        humantime::format_duration(delay),
                        pod.name(),
                        pod.namespace(),
                        pod.uid(),
                    );
                    report.state = State::Waiting { reason: "CrashLoopBackOff", message };
                }
            }
        });
    }
}
