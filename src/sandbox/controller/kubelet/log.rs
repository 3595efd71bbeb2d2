//! What containers write, kept for `pods/log`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::watch,
};

use crate::sandbox::api::runtime::LogLine;

/// How much of a container's output is kept, in bytes.
const KEPT: usize = 1 << 20;
/// How long output may still come after a process's end.
const DRAIN: Duration = Duration::from_secs(1);
/// The longest line that is kept whole.
const LINE: usize = 16 * 1024;

/// The last lines of one start of a container.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    lines: Mutex<Lines>,
    /// How many lines there have been, and whether there will be more.
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    written: u64,
    ended: bool,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<LogLine>,
    size: usize,
    /// How many lines were dropped before those that are here.
    dropped: u64,
}

impl Log {
    /// The lines so far.
    pub(super) fn lines(&self) -> Vec<LogLine> {
        self.after(0).0
    }

    /// The lines so far, and those that will come until the container's end. Who reads
    /// slowly misses what is dropped meanwhile.
    pub(super) fn stream(&self) -> (Vec<LogLine>, BoxStream<'static, LogLine>) {
        let (lines, next) = self.after(0);
        let progress = self.0.progress.subscribe();
        let more = stream::unfold(
            (self.clone(), progress, next),
            |(log, mut progress, next)| async move {
                let reached = |now: &Progress| now.written > next || now.ended;
                // The sender lives as long as the log that is held here.
                progress.wait_for(reached).await.ok()?;
                let (lines, next) = log.after(next);
                let ended = progress.borrow().ended;
                (!lines.is_empty() || !ended).then(|| (stream::iter(lines), (log, progress, next)))
            },
        );
        (lines, more.flatten().boxed())
    }

    /// The lines after the first so many, and how many there have been then.
    fn after(&self, seen: u64) -> (Vec<LogLine>, u64) {
        let lines = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = usize::try_from(seen.saturating_sub(lines.dropped)).unwrap_or(usize::MAX);
        let found = lines.lines.iter().skip(skip).cloned().collect();
        let count = u64::try_from(lines.lines.len()).unwrap_or(u64::MAX);
        (found, lines.dropped.saturating_add(count))
    }

    /// Waits for the first line, or the end.
    pub(super) async fn begun(&self) {
        let mut progress = self.0.progress.subscribe();
        // The sender lives as long as the log.
        let _ = progress.wait_for(|progress| progress.written > 0 || progress.ended).await;
    }

    /// Waits until all that was written is taken in. A process may leave its pipes to others,
    /// so that this has an end of its own.
    pub(super) async fn complete(&self) {
        let mut progress = self.0.progress.subscribe();
        let ended = progress.wait_for(|progress| progress.ended);
        // Late or not, what is there is what there is.
        let _ = tokio::time::timeout(DRAIN, ended).await;
    }

    /// Takes in what a process writes, until its end.
    pub(super) fn follow(
        &self,
        stdout: Option<impl AsyncRead + Unpin + Send + 'static>,
        stderr: Option<impl AsyncRead + Unpin + Send + 'static>,
    ) {
        let log = self.clone();
        tokio::spawn(async move {
            let stdout = async {
                if let Some(pipe) = stdout {
                    log.read(pipe).await;
                }
            };
            let stderr = async {
                if let Some(pipe) = stderr {
                    log.read(pipe).await;
                }
            };
            tokio::join!(stdout, stderr);
            log.0.progress.send_modify(|progress| progress.ended = true);
        });
    }

    /// Takes in what a pipe carries, until its end.
    async fn read(&self, pipe: impl AsyncRead + Unpin) {
        let mut reader = BufReader::with_capacity(LINE, pipe);
        loop {
            // A line that is longer than the buffer comes in several parts.
            let Ok(buffer) = reader.fill_buf().await else { return };
            if buffer.is_empty() {
                return;
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let (length, text) = match end {
                Some(end) => (end + 1, &buffer[..end]),
                None if buffer.len() >= LINE => (buffer.len(), buffer),
                None => {
                    let mut line = Vec::new();
                    if reader.read_until(b'\n', &mut line).await.is_err() {
                        return;
                    }
                    let text = line.strip_suffix(b"\n").unwrap_or(&line);
                    self.push(String::from_utf8_lossy(text).into_owned());
                    continue;
                }
            };
            self.push(String::from_utf8_lossy(text).into_owned());
            reader.consume(length);
        }
    }

    fn push(&self, text: String) {
        let mut log = self.0.lines.lock().unwrap_or_else(PoisonError::into_inner);
        log.size += text.len();
        log.lines.push_back(LogLine { time: jiff::Timestamp::now(), text });
        while log.size > KEPT
            && let Some(oldest) = log.lines.pop_front()
        {
            log.size -= oldest.text.len();
            log.dropped += 1;
        }
        drop(log);
        self.0.progress.send_modify(|progress| progress.written += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(text: &'static [u8]) -> Log {
        let log = Log::default();
        log.read(text).await;
        log
    }

    #[tokio::test]
    async fn lines_are_kept_in_order_and_the_last_needs_no_end() {
        let log = written(b"one\n\ntwo\nthree").await;
        let texts: Vec<_> = log.lines().into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["one", "", "two", "three"]);
    }

    #[tokio::test]
    async fn the_oldest_lines_make_room() {
        let line = format!("{}\n", "x".repeat(1023));
        let log = written(line.repeat(2000).leak().as_bytes()).await;
        let kept = log.lines().len();
        assert!((1000..1100).contains(&kept), "{kept} lines of a KiB");
    }

    #[tokio::test]
    async fn who_follows_sees_each_line_once_until_the_end() {
        let log = Log::default();
        log.push("before".into());
        let (so_far, mut more) = log.stream();
        assert_eq!(so_far.len(), 1);
        let (reader, mut writer) = tokio::io::duplex(64);
        log.follow(Some(reader), None::<&[u8]>);
        use tokio::io::AsyncWriteExt;
        for text in ["one", "two"] {
            writer.write_all(format!("{text}\n").as_bytes()).await.expect("written");
            assert_eq!(more.next().await.map(|line| line.text).as_deref(), Some(text));
        }
        drop(writer);
        assert!(more.next().await.is_none(), "the container has ended");
    }
}
