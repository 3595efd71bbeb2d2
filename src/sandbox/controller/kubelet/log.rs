//! What containers write, kept for `pods/log`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::sandbox::api::runtime::LogLine;

/// How much of a container's output is kept, in bytes.
const KEPT: usize = 1 << 20;
/// The longest line that is kept whole.
const LINE: usize = 16 * 1024;

/// The last lines of one start of a container.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<LogLine>,
    size: usize,
}

impl Log {
    /// The lines so far.
    pub(super) fn lines(&self) -> Vec<LogLine> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.lines.iter().cloned().collect()
    }

    /// Takes in what a pipe carries, until its end.
    pub(super) async fn follow(self, pipe: impl AsyncRead + Unpin) {
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
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.size += text.len();
        log.lines.push_back(LogLine { time: jiff::Timestamp::now(), text });
        while log.size > KEPT
            && let Some(oldest) = log.lines.pop_front()
        {
            log.size -= oldest.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_in_order_and_the_last_needs_no_end() {
        let log = Log::default();
        log.clone().follow(&b"one\n\ntwo\nthree"[..]).await;
        let texts: Vec<_> = log.lines().into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["one", "", "two", "three"]);
    }

    #[tokio::test]
    async fn the_oldest_lines_make_room() {
        let log = Log::default();
        let line = format!("{}\n", "x".repeat(1023));
        log.clone().follow(line.repeat(2000).as_bytes()).await;
        let kept = log.lines().len();
        assert!((1000..1100).contains(&kept), "{kept} lines of a KiB");
    }
}
