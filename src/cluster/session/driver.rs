//! Keeps a session alive and its batches answered.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use netproof_probe::wire::{Request, Response, VERSION};
use tokio::{sync::mpsc, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    SessionError, SessionStage, Shared,
    batch::{Batches, Command},
    link::{Connect, Link, Target},
    pulse::{Patience, Pulse},
};
use crate::cluster::retry::Backoff;

/// The background task of a session.
pub(super) struct Driver<C> {
    target: Target,
    connect: C,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    batches: Batches,
    sequence: u64,
    patience: Patience,
}

/// What ends a link.
enum End {
    /// It can be made anew.
    Lost(SessionError),
    /// A new one would end the same way.
    Final(SessionError),
}

impl<C: Connect> Driver<C> {
    pub(super) fn new(
        target: Target,
        connect: C,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        patience: Patience,
    ) -> Self {
        let batches = Batches::default();
        Self { target, connect, shared, commands, batches, sequence: 0, patience }
    }

    /// Runs until cancelled, or until nothing can help.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let error = match cancel.clone().run_until_cancelled(self.keep()).await {
            Some(error) => error,
            None => self.error(SessionStage::Cancelled, "the run was cancelled"),
        };
        self.shared.state.send_modify(|state| {
            state.open = false;
            state.ended = true;
            state.error = Some(error.clone());
        });
        // Whoever asks from now on is told the same, until nobody can ask.
        self.batches.fail(&error);
        self.commands.close();
        while let Some(command) = self.commands.recv().await {
            self.batches.add(command);
            self.batches.fail(&error);
        }
    }

    /// Makes links until one ends for good.
    async fn keep(&mut self) -> SessionError {
        let mut backoff = Backoff::session();
        loop {
            let end = match self.open().await {
                Ok(link) => {
                    backoff.reset();
                    self.attend(link).await
                }
                Err(end) => end,
            };
            let error = match end {
                End::Final(error) => return error,
                End::Lost(error) => error,
            };
            tracing::debug!(%error, "session");
            self.shared.state.send_modify(|state| {
                state.open = false;
                state.error = Some(error);
            });
            let pause = tokio::time::Instant::now() + backoff.pause();
            self.meanwhile(sleep_until(pause)).await;
        }
    }

    /// Connects and greets, while batches keep coming in and falling due.
    async fn open(&mut self) -> Result<Link, End> {
        let greeted = {
            let (target, connect, shared) = (&self.target, &self.connect, &self.shared);
            let greeting = greet(target, connect, shared);
            let mut greeting =
                std::pin::pin!(tokio::time::timeout(self.patience.opening, greeting));
            let (commands, batches) = (&mut self.commands, &mut self.batches);
            loop {
                tokio::select! {
                    greeted = &mut greeting => break greeted,
                    () = wait(commands, batches, shared) => {}
                }
            }
        };
        match greeted {
            Ok(greeted) => greeted,
            Err(_) => {
                Err(End::Lost(self.error(
                    SessionStage::Hello,
                    format!("no answer for {:?}", self.patience.opening),
                )))
            }
        }
    }

    /// Waits for something while batches come in and fall due without a link.
    async fn meanwhile(&mut self, something: impl Future<Output = ()>) {
        let mut something = std::pin::pin!(something);
        loop {
            tokio::select! {
                () = &mut something => return,
                () = wait(&mut self.commands, &mut self.batches, &self.shared) => {}
            }
        }
    }

    /// Serves one link until it ends.
    async fn attend(&mut self, mut link: Link) -> End {
        let mut pulse = Pulse::new(self.patience);
        let mut unsent = self.batches.renumber();
        unsent.reverse();
        loop {
            while link.lines.has_room()
                && let Some(batch) = unsent.pop()
            {
                if let Some(request) = self.batches.request(batch) {
                    link.lines.send(&request);
                }
                pulse.hurry();
            }
            let wake = pulse.wake(link.lines.moved());
            let due = self.batches.deadline().map_or(wake, |due| due.min(wake));
            tokio::select! {
                biased;
                answer = link.answers.recv() => {
                    let answer = answer.unwrap_or_else(|| Err("its streams have ended".into()));
                    match answer {
                        Ok(response) => {
                            if let ControlFlow::Break(end) = self.answered(response, &mut pulse) {
                                return end;
                            }
                        }
                        Err(detail) => return End::Lost(self.error(SessionStage::Lost, detail)),
                    }
                }
                command = self.commands.recv(), if unsent.is_empty() && link.lines.has_room() => {
                    // The sender lives in the session, whose end cancels this task.
                    let Some(command) = command else { return std::future::pending().await };
                    unsent.push(self.batches.add(command));
                }
                () = link.lines.room(), if !unsent.is_empty() => {}
                () = sleep_until(due.into()) => {
                    if let ControlFlow::Break(end) = self.due(&link, &mut pulse) {
                        return end;
                    }
                }
            }
        }
    }

    fn answered(&mut self, response: Response, pulse: &mut Pulse) -> ControlFlow<End> {
        match response {
            Response::Result { batch, result } => self.batches.result(batch, result),
            Response::BatchDone { batch } => {
                let (pod, stage) = (&self.target.pod, SessionStage::Agent);
                self.batches.done(batch, |missing| {
                    SessionError::new(pod, stage, format!("{missing} probes gave no result"))
                });
            }
            Response::Heartbeat { sequence, clock } => {
                if let Some((_, sent)) = pulse.sent.take_if(|(number, _)| *number == sequence) {
                    self.shared.clock().add(sent, Instant::now(), clock);
                    pulse.beat(self.batches.is_empty());
                }
            }
            // A second hello is odd, and harmless.
            Response::Hello { .. } => {}
            Response::Error { message } => {
                let error = self.error(SessionStage::Agent, message);
                // It would say the same again: whatever it was asked ends here.
                self.batches.fail(&error);
                return ControlFlow::Break(End::Lost(error));
            }
        }
        ControlFlow::Continue(())
    }

    /// Whatever is due by now: batches, a heartbeat, the end of patience.
    fn due(&mut self, link: &Link, pulse: &mut Pulse) -> ControlFlow<End> {
        let now = Instant::now();
        for batch in expire(&mut self.batches, &self.shared, now) {
            // A full line needs no more on it; the agent ends the batch by itself.
            if link.lines.has_room() {
                link.lines.send(&Request::Cancel { batch });
            }
        }
        match pulse.sent {
            Some((_, sent)) if pulse.overdue(sent, link.lines.moved()) <= now => {
                let patience = self.patience.answer;
                let detail = format!("no answer to a heartbeat for {patience:?}");
                return ControlFlow::Break(End::Lost(self.error(SessionStage::Lost, detail)));
            }
            None if pulse.next <= now => {
                self.sequence += 1;
                if link.lines.send(&Request::Heartbeat { sequence: self.sequence }) {
                    pulse.sent = Some((self.sequence, now));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn error(&self, stage: SessionStage, detail: impl Into<String>) -> SessionError {
        SessionError::new(&self.target.pod, stage, detail)
    }
}

/// Takes one batch in, or waits until one falls due and ends it.
async fn wait(commands: &mut mpsc::Receiver<Command>, batches: &mut Batches, shared: &Shared) {
    let due = batches.deadline();
    let due = async {
        match due {
            Some(due) => sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        command = commands.recv() => match command {
            Some(command) => {
                batches.add(command);
            }
            None => std::future::pending().await,
        },
        () = due => {
            expire(batches, shared, Instant::now());
        }
    }
}

/// Ends the batches that are due.
fn expire(batches: &mut Batches, shared: &Shared, now: Instant) -> Vec<u64> {
    batches.expire(now, |missing| {
        let detail = format!("{missing} results are missing at the deadline");
        shared.trouble(SessionStage::Results, &detail)
    })
}

/// Makes a link whose agent has said hello.
async fn greet(target: &Target, connect: &impl Connect, shared: &Shared) -> Result<Link, End> {
    let pod = &target.pod;
    let streams = connect.connect().await.map_err(|failure| {
        let lasting = failure.lasting;
        let error = failure.into_error(pod);
        if lasting { End::Final(error) } else { End::Lost(error) }
    })?;
    let mut link = Link::new(streams);
    let sent = Instant::now();
    link.lines.send(&Request::Open { version: VERSION, key: target.key.clone() });
    match link.answers.recv().await {
        Some(Ok(Response::Hello { version: VERSION, clock, .. })) => {
            shared.clock().add(sent, Instant::now(), clock);
            shared.state.send_modify(|state| {
                state.open = true;
                state.hellos += 1;
                state.error = None;
            });
            Ok(link)
        }
        Some(Ok(Response::Hello { version, agent, .. })) => {
            let detail = format!(
                "agent {agent} speaks version {version} of the protocol, netproof {} version \
                 {VERSION}",
                env!("CARGO_PKG_VERSION"),
            );
            Err(End::Final(mismatch(target, detail)))
        }
        Some(Ok(Response::Error { message })) => Err(End::Final(mismatch(target, message))),
        Some(Ok(_)) => Err(End::Lost(SessionError::new(
            pod,
            SessionStage::Hello,
            "it sent something else than a hello",
        ))),
        Some(Err(detail)) => Err(End::Lost(SessionError::new(pod, SessionStage::Hello, detail))),
        None => {
            Err(End::Lost(SessionError::new(pod, SessionStage::Hello, "its streams have ended")))
        }
    }
}

fn mismatch(target: &Target, detail: String) -> SessionError {
    SessionError::new(&target.pod, SessionStage::Version, detail).with_remedy(format!(
        "use a probe image of this netproof's own version ({}); image {} is another's",
        env!("CARGO_PKG_VERSION"),
        target.image
    ))
}
