//! Listening: a listener for each port, and the control port.
//!
//! Listeners answer keyed questions and nothing else, and never connect anywhere. The
//! agent ends itself when nobody has been heard of for the idle limit.

mod bind;
mod control;
mod http;
mod stream;
mod tls;
mod udp;

use std::{
    io::Write,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use rustls::ServerConfig;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::Instant,
};

use crate::{
    arguments::{self, Listen, Speech},
    question::Key,
    startup,
};

pub use bind::Error as BindError;

/// Longest life of an accepted connection.
const CONNECTION_DEADLINE: Duration = Duration::from_secs(5);

/// Longest life of a connection that a holder of the key wants held.
const HELD_DEADLINE: Duration = Duration::from_secs(3_600);

/// Connections that one listener has open at once; more wait in the kernel's backlog.
const CONNECTIONS: usize = 1_024;

/// Why `serve` could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Two listeners want the same port.
    #[error("--listen {0}: the port is taken by another listener or by the control port")]
    Twice(Listen),
    /// A port could not be taken.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The signals could not be taken.
    #[error("take SIGTERM and SIGINT")]
    Signals(#[source] std::io::Error),
}

/// Who answers, and with which key.
#[derive(Debug)]
struct Answerer {
    identity: String,
    key: Key,
    /// Made for the first who speaks TLS.
    tls: OnceLock<Option<Arc<ServerConfig>>>,
}

/// Listeners that run until this is dropped.
#[derive(Debug)]
pub struct Serving {
    /// Each listener with the port that it has, in the order asked for.
    pub listening: Vec<Listen>,
    /// Where the control port listens.
    pub control: SocketAddr,
    heartbeat: watch::Receiver<Instant>,
    tasks: JoinSet<()>,
}

impl Serving {
    /// Waits until no heartbeat has come for `limit`; zero is for ever.
    async fn idle(&mut self, limit: Duration) {
        if limit.is_zero() {
            return std::future::pending().await;
        }
        loop {
            let end = *self.heartbeat.borrow_and_update() + limit;
            if tokio::time::timeout_at(end, self.heartbeat.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// Takes all ports and starts to answer.
///
/// # Errors
/// [`Error`] names the port that could not be taken.
pub fn start(arguments: &arguments::Serve) -> Result<Serving, Error> {
    if let Some(listen) = arguments.twice() {
        return Err(Error::Twice(listen.clone()));
    }
    let answerer = Arc::new(Answerer {
        identity: arguments.identity.clone(),
        key: arguments.key.clone(),
        tls: OnceLock::new(),
    });
    let mut tasks = JoinSet::new();
    let mut listening = Vec::new();
    for listen in &arguments.listen {
        let answerer = answerer.clone();
        let port = match listen.speech {
            Speech::Tcp | Speech::Sctp => {
                let listener = match bind::stream(listen) {
                    // Who dials learns the same of the kernel under it.
                    Err(error) if error.is_unsupported() => {
                        tell(format_args!("nobody listens on {listen}: the kernel has no SCTP"));
                        continue;
                    }
                    listener => listener?,
                };
                let port = bind::port(listener.local_addr(), listen)?;
                tasks.spawn(stream::serve(listener, HELD_DEADLINE, move |stream, peer| {
                    stream::answer(answerer.clone(), stream, peer)
                }));
                port
            }
            Speech::Http => {
                let listener = bind::stream(listen)?;
                let port = bind::port(listener.local_addr(), listen)?;
                tasks.spawn(stream::serve(listener, HELD_DEADLINE, move |stream, peer| {
                    http::answer(answerer.clone(), stream, peer)
                }));
                port
            }
            Speech::Udp => {
                let socket = bind::datagram(listen)?;
                let port = bind::port(socket.local_addr(), listen)?;
                tasks.spawn(udp::serve(answerer, socket));
                port
            }
        };
        listening.push(Listen { port, ..listen.clone() });
    }
    let listen =
        Listen { name: Some("control".into()), port: arguments.control_port, speech: Speech::Tcp };
    let listener = bind::stream(&listen)?;
    let control = SocketAddr::from(([127, 0, 0, 1], bind::port(listener.local_addr(), &listen)?));
    let (beat, heartbeat) = watch::channel(Instant::now());
    tasks.spawn(stream::serve(listener, CONNECTION_DEADLINE, move |stream, peer| {
        control::answer(answerer.clone(), beat.clone(), stream, peer)
    }));
    Ok(Serving { listening, control, heartbeat, tasks })
}

/// Listens until a signal or the idle limit.
///
/// # Errors
/// [`Error`] if the agent can't start.
pub async fn run(mut arguments: arguments::Serve, sockets: usize) -> Result<(), Error> {
    // Before anything else: the first instants are what it is about.
    let first = arguments.startup.take();
    let first = first.map(|first| startup::run(first, arguments.key.clone(), sockets));
    let _first = AbortOnDrop(first.map(tokio::spawn));
    // As pid 1 of its namespace the agent gets no signal without a handler for it.
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let mut serving = start(&arguments)?;
    for listen in &serving.listening {
        tell(format_args!("{} listens on {listen}", arguments.identity));
    }
    tell(format_args!("{} is ready, control port {}", arguments.identity, serving.control.port()));
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = serving.idle(arguments.idle_limit) => {
            let limit = humantime::format_duration(arguments.idle_limit);
            tell(format_args!("{} ends: no heartbeat for {limit}", arguments.identity));
        }
    }
    serving.tasks.abort_all();
    Ok(())
}

/// A task that ends with this.
struct AbortOnDrop(Option<tokio::task::JoinHandle<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Writes a line for whoever reads the container's log; nobody has to.
fn tell(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
