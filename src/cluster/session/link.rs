//! One connection to an agent's standard input and output, as lines both ways.
//!
//! Reading and writing never wait for each other, so that a long batch on a slow line and
//! an agent full of results can't block each other for good.

use std::{
    collections::VecDeque,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use netproof_probe::wire::{Request, Response};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    sync::mpsc,
};
use tokio_util::task::AbortOnDropHandle;

use super::{SessionError, SessionStage};

/// Lines that wait to be written; the driver takes no more commands while it is full.
const LINES: usize = 16;

/// Answers that wait for the driver.
const ANSWERS: usize = 256;

/// Longer lines are no agent's.
const LINE_LIMIT: u64 = 4 << 20;

/// How much of standard error is kept.
const LAST_WORDS: usize = 2_048;

/// What is written at once. Progress is noted after each piece, so that a slow line isn't
/// taken for a dead one.
const PIECE: usize = 16 << 10;

/// How long is waited for an agent's last words, and for its exit status.
const FAREWELL: Duration = Duration::from_millis(500);

/// Whom a session is with.
pub(super) struct Target {
    /// `shop/np-abcdef-web-0`.
    pub(super) pod: String,
    /// The run's key in hex.
    pub(super) key: String,
    /// The probe image, for messages.
    pub(super) image: String,
}

/// Makes connections to one agent.
pub(super) trait Connect: Send + Sync + 'static {
    /// Makes one. The future may be dropped at any time.
    fn connect(&self) -> impl Future<Output = Result<Streams, ConnectFailure>> + Send;
}

/// No connection could be made.
pub(super) struct ConnectFailure {
    pub(super) detail: String,
    pub(super) remedy: Option<String>,
    /// Another attempt would end the same way.
    pub(super) lasting: bool,
}

/// A connection: an agent's three standard streams, and how it ended.
pub(super) struct Streams {
    pub(super) input: Box<dyn AsyncWrite + Send + Unpin>,
    pub(super) output: Box<dyn AsyncRead + Send + Unpin>,
    pub(super) errors: Box<dyn AsyncRead + Send + Unpin>,
    /// What is told of the process's end; asked once the output has ended.
    pub(super) ended: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
    /// What keeps the connection open; dropping it ends the agent.
    pub(super) guard: Box<dyn std::any::Any + Send>,
}

/// A running connection.
pub(super) struct Link {
    pub(super) answers: mpsc::Receiver<Result<Response, String>>,
    pub(super) lines: Lines,
    _reader: AbortOnDropHandle<()>,
    _writer: AbortOnDropHandle<()>,
}

/// The way to the agent.
pub(super) struct Lines {
    queue: mpsc::Sender<Bytes>,
    moved: Arc<Moved>,
}

impl Link {
    pub(super) fn new(streams: Streams) -> Self {
        let moved = Arc::new(Moved::new());
        let (answer, answers) = mpsc::channel(ANSWERS);
        let (lines, written) = mpsc::channel(LINES);
        let Streams { input, output, errors, ended, guard } = streams;
        let reader = read(output, errors, ended, answer.clone(), moved.clone());
        let writer = write(input, written, answer, moved.clone(), guard);
        Self {
            answers,
            lines: Lines { queue: lines, moved },
            _reader: AbortOnDropHandle::new(tokio::spawn(reader)),
            _writer: AbortOnDropHandle::new(tokio::spawn(writer)),
        }
    }
}

impl Lines {
    /// True if a line can be taken without waiting. One place is left for heartbeats.
    pub(super) fn has_room(&self) -> bool {
        self.queue.capacity() > 1
    }

    /// Waits until there is room. A link that has ended tells so by its answers.
    pub(super) async fn room(&self) {
        if self.queue.reserve_many(2).await.is_err() {
            std::future::pending().await
        }
    }

    /// Takes a line to be written; false if there is no room for it.
    pub(super) fn send(&self, request: &Request) -> bool {
        let Ok(mut line) = serde_json::to_vec(request) else { return false };
        line.push(b'\n');
        self.queue.try_send(Bytes::from(line)).is_ok()
    }

    /// When bytes last went either way.
    pub(super) fn moved(&self) -> Instant {
        self.moved.begun + Duration::from_millis(self.moved.millis.load(Ordering::Relaxed))
    }
}

/// When bytes last went either way: standstill is what a dead line looks like.
struct Moved {
    begun: Instant,
    millis: AtomicU64,
}

impl Moved {
    fn new() -> Self {
        Self { begun: Instant::now(), millis: AtomicU64::new(0) }
    }

    fn note(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.millis.store(millis, Ordering::Relaxed);
    }
}

async fn write(
    mut input: Box<dyn AsyncWrite + Send + Unpin>,
    mut lines: mpsc::Receiver<Bytes>,
    answer: mpsc::Sender<Result<Response, String>>,
    moved: Arc<Moved>,
    // Lives as long as this task, which the driver ends with the link.
    _guard: Box<dyn std::any::Any + Send>,
) {
    while let Some(line) = lines.recv().await {
        for piece in line.chunks(PIECE) {
            let written = async {
                input.write_all(piece).await?;
                input.flush().await
            };
            if let Err(error) = written.await {
                // The reader mostly knows why: its word comes first if it has any.
                tokio::time::sleep(FAREWELL * 3).await;
                let _ = answer.send(Err(format!("write to it: {error}"))).await;
                return std::future::pending().await;
            }
            moved.note();
        }
    }
}

async fn read(
    output: Box<dyn AsyncRead + Send + Unpin>,
    errors: Box<dyn AsyncRead + Send + Unpin>,
    ended: Pin<Box<dyn Future<Output = Option<String>> + Send>>,
    answer: mpsc::Sender<Result<Response, String>>,
    moved: Arc<Moved>,
) {
    let mut last_words = VecDeque::new();
    let end = {
        let mut answers = pin!(read_answers(output, &answer, &moved));
        let mut words = pin!(read_errors(errors, &mut last_words));
        tokio::select! {
            end = &mut answers => {
                // What it said on its way out may lag behind.
                let _ = tokio::time::timeout(FAREWELL, words).await;
                end
            }
            () = &mut words => answers.await,
        }
    };
    let status = tokio::time::timeout(FAREWELL, ended).await.ok().flatten();
    let said = String::from_utf8_lossy(last_words.make_contiguous()).trim().to_owned();
    let mut detail = end;
    let said = (!said.is_empty()).then(|| format!("it said: {said}"));
    for more in [status, said].into_iter().flatten() {
        detail = format!("{detail}; {more}");
    }
    let _ = answer.send(Err(detail)).await;
}

/// Passes answers on until the output ends, and says how.
async fn read_answers(
    output: Box<dyn AsyncRead + Send + Unpin>,
    answer: &mpsc::Sender<Result<Response, String>>,
    moved: &Moved,
) -> String {
    let mut output = BufReader::with_capacity(PIECE, output);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut output).take(LINE_LIMIT).read_until(b'\n', &mut line).await;
        match read {
            Err(error) => return format!("read from it: {error}"),
            Ok(_) if line.last() != Some(&b'\n') => {
                return if line.len() as u64 == LINE_LIMIT {
                    "it sent a line without end".into()
                } else {
                    "its output has ended".into()
                };
            }
            Ok(_) => moved.note(),
        };
        match serde_json::from_slice(&line) {
            Ok(response) => {
                if answer.send(Ok(response)).await.is_err() {
                    return "nobody listens any more".into();
                }
            }
            Err(error) => {
                let start = String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned();
                return format!("it sent what is no answer ({error}): {}", start.trim());
            }
        }
    }
}

async fn read_errors(mut errors: Box<dyn AsyncRead + Send + Unpin>, kept: &mut VecDeque<u8>) {
    let mut buffer = [0; 512];
    loop {
        match errors.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => kept.extend(&buffer[..read]),
        }
        while kept.len() > LAST_WORDS {
            kept.pop_front();
        }
    }
}

impl ConnectFailure {
    /// The session's error for it.
    pub(super) fn into_error(self, pod: &str) -> SessionError {
        SessionError {
            remedy: self.remedy,
            ..SessionError::new(pod, SessionStage::Exec, self.detail)
        }
    }
}
