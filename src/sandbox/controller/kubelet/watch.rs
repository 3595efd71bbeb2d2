//! What goes on beside a container's process while it lives: its probes, and the Services
//! that come to lead to a stand-in.

use tokio::{
    io::AsyncWriteExt,
    process::ChildStdin,
    sync::{Notify, mpsc},
};

use super::{container::Container, probe::Probe, program::Program, stand_in::StandIn};
use crate::sandbox::{api::object::Object, controller::events::EventType};

impl Container {
    /// Probes as long as the process lives; returns when it is to be killed.
    pub(super) async fn probe(&self) {
        let stands_in = Program::of(&self.pod, &self.spec) == Program::StandIn;
        let probe = |kind| Probe::of(&self.spec, kind, self.address);
        let early = |kind| probe(kind).map(|probe| if stands_in { probe.at_once() } else { probe });
        let (startup, readiness) = (early("startupProbe"), early("readinessProbe"));
        let liveness = probe("livenessProbe");
        if let Some(startup) = startup {
            let (sender, mut receiver) = mpsc::channel(1);
            let passed = tokio::select! {
                () = self.run_probe(&startup, "Startup", |passed| _ = sender.try_send(passed)) => {
                    false
                }
                passed = receiver.recv() => passed.unwrap_or(false),
            };
            if !passed {
                return self.killed_by("startup");
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
                    self.run_probe(&probe, "Readiness", tell).await;
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
                () = self.run_probe(&probe, "Liveness", tell) => {}
                () = died.notified() => self.killed_by("liveness"),
            }
        };
        tokio::select! {
            () = ready => {}
            () = died => {}
        }
    }

    async fn run_probe(&self, probe: &Probe, kind: &str, tell: impl FnMut(bool)) {
        let node = self.network.node();
        let complain = |why: &str| {
            let text = format!("{kind} probe failed: {why}");
            self.event(EventType::Warning, "Unhealthy", text);
        };
        let health = self.shared.nodes.watch(node);
        probe.run(&self.shared.dialer, node, health, complain, tell).await;
    }

    fn killed_by(&self, probe: &str) {
        let name = self.spec.text("/name");
        let text = format!("Container {name} failed {probe} probe, will be restarted");
        self.event(EventType::Normal, "Killing", text);
    }

    /// Has a stand-in listen where new Services lead. Returns never.
    pub(super) async fn follow_services(&self, plan: Option<StandIn>, pipe: Option<ChildStdin>) {
        let (Some(mut plan), Some(mut pipe)) = (plan, pipe) else {
            return std::future::pending().await;
        };
        let mut services = self.shared.services.clone();
        while services.changed().await.is_ok() {
            let new = Program::plan(&self.shared.store, &self.current(), &self.spec);
            if new == plan {
                continue;
            }
            for port in new.beyond(&plan) {
                // One that doesn't read any more is about to end.
                let _ = pipe.write_all(format!("{port}\n").as_bytes()).await;
            }
            self.update(|report| report.stand_in = Some(new.describe(&self.spec)));
            plan = new;
        }
        std::future::pending().await
    }
}
