//! A session: requests on standard input, responses on standard output.
//!
//! ```text
//! stdin ──▶ the loop ──▶ a task for each batch ──▶ a task for each probe
//!               └──────────────┴──────────────────────┴──▶ the writer ──▶ stdout
//! ```

use std::{collections::HashMap, net::Ipv4Addr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use crate::{
    arguments, clock,
    dial::{self, Dialer},
    question::{Key, Nonce},
    wire::{Probe, Request, Response, VERSION},
};

/// Bytes of the longest request: some hundred thousand probes.
const LINE_LIMIT: u64 = 64 << 20;

/// Responses that may wait for a slow reader.
const BACKLOG: usize = 1_024;

/// How much is written at once.
const BURST: usize = 64 << 10;

/// How long the writer may take for what is left at the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// How long this pod's `serve` may take for a heartbeat.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// End of input: the runner is done.
    Done,
    /// The runner fell silent, or a pipe broke.
    Lost,
    /// It never began.
    Refused,
}

/// Runs a session to its end, with at most `sockets` dials' sockets open at once.
pub async fn run<R, W>(input: R, output: W, sockets: usize, arguments: arguments::Dial) -> End
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let (responses, queue) = mpsc::channel(BACKLOG);
    let writer = tokio::spawn(write(output, queue));
    let lines = Lines { input, silence_limit: arguments.silence_limit };
    let end = match open(lines, &responses).await {
        Ok((lines, key)) => {
            let dialer = Arc::new(Dialer::new(key.clone(), sockets));
            let session = Session {
                dialer,
                heart: Heart { key, control_port: arguments.control_port, under_way: None },
                responses,
                batches: HashMap::new(),
            };
            session.run(lines).await
        }
        Err(message) => {
            let _ = responses.send(Response::Error { message }).await;
            drop(responses);
            End::Refused
        }
    };
    match timeout(FAREWELL, writer).await {
        Ok(Ok(Ok(()))) => end,
        _ if end == End::Refused => end,
        _ => End::Lost,
    }
}

/// Takes the first line, and greets.
async fn open<R>(
    mut lines: Lines<R>,
    responses: &mpsc::Sender<Response>,
) -> Result<(Lines<R>, Key), String>
where
    R: AsyncBufRead + Unpin,
{
    let request = match lines.next().await {
        Line::Request(request) => request,
        Line::Bad(message) => return Err(format!("the first line must be an open: {message}")),
        Line::End => return Err("the input ended before an open".into()),
        Line::Silence => return Err(format!("no open within {}", lines.limit())),
    };
    let Request::Open { version, key } = request else {
        return Err("the first line must be an open".into());
    };
    if version != VERSION {
        return Err(format!(
            "the runner speaks version {version} of the protocol, this agent ({}) version {VERSION}: use the probe image of the runner's own release",
            env!("CARGO_PKG_VERSION"),
        ));
    }
    let key = key.parse().map_err(|error| format!("open: {error}"))?;
    let hello = Response::Hello {
        version: VERSION,
        agent: env!("CARGO_PKG_VERSION").into(),
        clock: clock::now(),
    };
    responses.send(hello).await.map_err(|_| "the output is closed")?;
    Ok((lines, key))
}

struct Session {
    dialer: Arc<Dialer>,
    heart: Heart,
    responses: mpsc::Sender<Response>,
    batches: HashMap<u64, Batch>,
}

/// A batch under way: dropping `cancel` gives it up.
struct Batch {
    cancel: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Session {
    async fn run<R: AsyncBufRead + Unpin>(mut self, mut lines: Lines<R>) -> End {
        let end = loop {
            let line = tokio::select! {
                line = lines.next() => line,
                () = self.responses.closed() => break End::Lost,
            };
            let response = match line {
                Line::End => break End::Done,
                Line::Silence => {
                    let message = format!("no line for {}", lines.limit());
                    let _ = self.responses.try_send(Response::Error { message });
                    break End::Lost;
                }
                Line::Bad(message) => Some(Response::Error { message }),
                Line::Request(request) => self.take(request),
            };
            // A reader that is slow holds up the next request, and nothing else.
            if let Some(response) = response
                && self.responses.send(response).await.is_err()
            {
                break End::Lost;
            }
        };
        for batch in self.batches.into_values() {
            batch.task.abort();
        }
        end
    }

    /// Does what is asked, and answers what can be answered at once.
    fn take(&mut self, request: Request) -> Option<Response> {
        let error = |message| Some(Response::Error { message });
        self.batches.retain(|_, batch| !batch.task.is_finished());
        match request {
            Request::Open { .. } => error("the session is open already".into()),
            Request::Heartbeat { sequence } => {
                self.heart.beat();
                Some(Response::Heartbeat { sequence, clock: clock::now() })
            }
            Request::Batch { batch, .. } if self.batches.contains_key(&batch) => {
                error(format!("batch {batch} is under way already"))
            }
            Request::Batch { batch, rate, probes } => {
                let (cancel, cancelled) = oneshot::channel();
                let work = work(self.dialer.clone(), batch, rate, probes, self.responses.clone());
                let responses = self.responses.clone();
                let task = tokio::spawn(async move {
                    tokio::select! {
                        () = work => {}
                        _ = cancelled => {}
                    }
                    let _ = responses.send(Response::BatchDone { batch }).await;
                });
                self.batches.insert(batch, Batch { cancel, task });
                None
            }
            // A batch that has ended in the meantime has said so.
            Request::Cancel { batch } => {
                if let Some(Batch { cancel, .. }) = self.batches.remove(&batch) {
                    drop(cancel);
                }
                None
            }
        }
    }
}

/// Makes all probes of a batch at once.
async fn work(
    dialer: Arc<Dialer>,
    batch: u64,
    rate: Option<u32>,
    probes: Vec<Probe>,
    responses: mpsc::Sender<Response>,
) {
    if let Some(error) = probes.iter().find_map(|probe| dial::check(probe).err()) {
        let message = format!("batch {batch}: {error}");
        let _ = responses.send(Response::Error { message }).await;
        return;
    }
    // Dropping the set ends every probe.
    let mut tasks = JoinSet::new();
    for probe in probes {
        let dialer = dialer.clone();
        let responses = responses.clone();
        tasks.spawn(async move {
            let response = match dialer.probe(probe, rate).await {
                Ok(result) => Response::Result { batch, result },
                Err(error) => Response::Error { message: format!("batch {batch}: {error}") },
            };
            let _ = responses.send(response).await;
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// Passes heartbeats on to this pod's `serve`, so that it doesn't end itself.
struct Heart {
    key: Key,
    control_port: u16,
    under_way: Option<JoinHandle<()>>,
}

impl Heart {
    /// A pod of somebody else's has no `serve`: nobody waits for this, nobody misses it.
    fn beat(&mut self) {
        if self.under_way.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let line = self.key.question(Nonce::from_bytes(rand::random())).line();
        let control = (Ipv4Addr::LOCALHOST, self.control_port);
        self.under_way = Some(tokio::spawn(async move {
            let _ = timeout(HEARTBEAT, async {
                let mut stream = TcpStream::connect(control).await?;
                stream.write_all(line.as_bytes()).await?;
                stream.read_to_end(&mut Vec::new()).await
            })
            .await;
        }));
    }
}

enum Line {
    Request(Request),
    Bad(String),
    End,
    Silence,
}

struct Lines<R> {
    input: R,
    /// A session without a line for so long has no runner any more.
    silence_limit: Duration,
}

impl<R> Lines<R> {
    fn limit(&self) -> humantime::FormattedDuration {
        humantime::format_duration(self.silence_limit)
    }
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    async fn next(&mut self) -> Line {
        let mut input = (&mut self.input).take(LINE_LIMIT);
        let mut line = Vec::new();
        match timeout(self.silence_limit, input.read_until(b'\n', &mut line)).await {
            Err(_) => return Line::Silence,
            Ok(Err(_)) => return Line::End,
            Ok(Ok(_)) => {}
        }
        if line.is_empty() {
            return Line::End;
        }
        if !line.ends_with(b"\n") && line.len() as u64 >= LINE_LIMIT {
            return Line::Bad(format!("a line is longer than {LINE_LIMIT} bytes"));
        }
        match serde_json::from_slice(&line) {
            Ok(request) => Line::Request(request),
            Err(error) => Line::Bad(format!("not understood: {error}")),
        }
    }
}

/// Writes lines, as many at once as are there, until there is nobody left to send any.
async fn write<W: AsyncWrite + Unpin>(
    mut output: W,
    mut queue: mpsc::Receiver<Response>,
) -> std::io::Result<()> {
    let mut burst = Vec::new();
    while let Some(response) = queue.recv().await {
        let mut next = Some(response);
        while let Some(response) = next {
            serde_json::to_writer(&mut burst, &response)?;
            burst.push(b'\n');
            next = if burst.len() < BURST { queue.try_recv().ok() } else { None };
        }
        output.write_all(&burst).await?;
        output.flush().await?;
        burst.clear();
    }
    Ok(())
}
