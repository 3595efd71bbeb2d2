//! The way to one namespace's firewall, which stays open.
//!
//! When a socket of netfilter's is closed, the kernel first frees all that transactions have
//! left, for which it waits until no processor can still look at it: many milliseconds, and
//! the thread that closes waits with it. A socket that is kept spares that, and a thread
//! inside the namespace for each change.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    Error,
    ends::entering,
    error::Need,
    namespace::Namespace,
    netlink::{Netlink, Refusal},
};
use crate::sandbox::firewall::{self, Delta, Part, Ruleset};

/// The firewall of one namespace.
#[derive(Debug)]
pub(super) struct Tables {
    namespace: Namespace,
    state: Mutex<State>,
    /// So many bytes may be sent at once, whatever the system would allow.
    limit: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    /// None while it is used, and where there is none yet.
    socket: Option<Netlink>,
    /// A replacement ended half way: the spare table judges.
    spare: bool,
}

impl Tables {
    pub(super) fn of(namespace: &Namespace) -> Self {
        let limit = AtomicUsize::new(usize::MAX);
        Self { namespace: namespace.clone(), state: Mutex::default(), limit }
    }

    pub(super) fn limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Replaces all rules, in one transaction where the system allows one of that length.
    pub(super) async fn replace(&self, stage: String, rules: &Ruleset) -> Result<(), Error> {
        let State { socket, spare } = self.take();
        let whole = firewall::encode(rules, spare);
        let length: usize = whole.iter().map(|request| request.bytes.len()).sum();
        let socket = self.open(socket, &stage).await?;
        let room = socket.room_for(length).map_err(|error| refused(&stage, error.into()))?;
        let room = room.min(self.limit.load(Ordering::Relaxed));
        let parts = if length <= room {
            vec![Part { requests: whole, spare: false }]
        } else {
            tracing::debug!(length, room, "{stage} in parts");
            firewall::encode_in_parts(rules, room, spare)
        };
        self.send(stage, socket, spare, move || parts).await
    }

    /// Changes rules in one transaction.
    pub(super) async fn change(&self, stage: String, delta: Delta) -> Result<(), Error> {
        let State { socket, spare } = self.take();
        let socket = self.open(socket, &stage).await?;
        let parts = move || vec![Part { requests: firewall::encode_delta(&delta), spare }];
        self.send(stage, socket, spare, parts).await
    }

    fn take(&self) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        State { socket: state.socket.take(), spare: state.spare }
    }

    async fn open(&self, kept: Option<Netlink>, stage: &str) -> Result<Netlink, Error> {
        if let Some(socket) = kept {
            return Ok(socket);
        }
        let opened = self.namespace.run(firewall::open).await.map_err(entering)?;
        opened.map_err(|error| refused(stage, error.into()))
    }

    /// Sends transactions one after another, up to the first that is refused.
    async fn send(
        &self,
        stage: String,
        socket: Netlink,
        mut spare: bool,
        parts: impl FnOnce() -> Vec<Part> + Send + 'static,
    ) -> Result<(), Error> {
        // The kernel works through them before `send` returns; several nodes' side by side.
        let work = tokio::task::spawn_blocking(move || {
            let mut done = Ok(());
            for part in parts() {
                done = socket.transact(&part.requests);
                if done.is_err() {
                    break;
                }
                spare = part.spare;
            }
            // One that refused may have more to say, which would be taken for another's answer.
            (State { socket: done.is_ok().then_some(socket), spare }, done)
        });
        let (state, done) =
            work.await.map_err(|error| refused(&stage, io::Error::from(error).into()))?;
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        done.map_err(|refusal| refused(&stage, refusal))
    }
}

fn refused(stage: &str, refusal: Refusal) -> Error {
    let stage = match refusal.what {
        Some(what) => format!("{stage}: {what}"),
        None => stage.to_owned(),
    };
    Error::at(stage, Need::NfTables, refusal.source)
}
