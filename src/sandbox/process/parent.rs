//! The parent's side: start the child, wait for its word, hold the pipe.

use std::{io, path::Path, process::ExitStatus, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    task::JoinHandle,
    time::timeout,
};

use super::{BINARY, Options, Word};

/// How long the child may take until its API answers.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long it may take to be gone once its pipe is closed.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Why no sandbox came up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The executable could not be started.
    #[error("start the sandbox's process")]
    Spawn(#[source] io::Error),
    /// The child says why; the text holds the remedy where there is one.
    #[error("start the sandbox: {0}")]
    Child(String),
    /// The child ended without a word.
    #[error("the sandbox's process ended before it was ready: {0}")]
    Ended(ExitStatus),
    /// The child's word could not be read.
    #[error("read from the sandbox's process")]
    Read(#[source] io::Error),
    /// The child wrote something else; the first line of it.
    #[error("the sandbox's process said `{0}`, which is no word of its own")]
    Garbled(String),
    /// The child said nothing for too long.
    #[error("the sandbox was not ready within {} s", READY_WITHIN.as_secs())]
    Late,
}

/// A running sandbox. Dropping it ends it, too, without waiting until it has.
#[derive(Debug)]
pub struct Sandbox {
    kubeconfig: String,
    /// Never written to: that it closes is what ends the child.
    pipe: ChildStdin,
    child: Child,
    /// Keeps the child's output from filling its pipe.
    drain: JoinHandle<()>,
}

impl Sandbox {
    /// Starts a sandbox and waits until its API answers. The executable must dispatch on
    /// [`BINARY`]; netproof's own is `/proc/self/exe`.
    ///
    /// # Errors
    /// When the child can't start, says why it can't, or is not ready within 20 s.
    pub async fn start(executable: &Path, options: &Options) -> Result<Self, StartError> {
        let options = serde_json::to_string(options)
            .map_err(|error| StartError::Spawn(io::Error::other(error)))?;
        let mut child = Command::new(executable)
            .arg0(BINARY)
            .arg(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(StartError::Spawn)?;
        let (Some(pipe), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(StartError::Spawn(io::Error::other("no pipe to the child")));
        };
        let mut output = BufReader::new(output);
        let mut line = String::new();
        // Leaving early drops the pipe, which ends the child.
        let read = timeout(READY_WITHIN, output.read_line(&mut line)).await;
        match read.map_err(|_| StartError::Late)?.map_err(StartError::Read)? {
            0 => {
                let status = timeout(GONE_WITHIN, child.wait()).await;
                Err(StartError::Ended(
                    status.map_err(|_| StartError::Late)?.map_err(StartError::Read)?,
                ))
            }
            _ => match serde_json::from_str(&line) {
                Ok(Word::Ready { kubeconfig }) => {
                    let drain = tokio::spawn(async move {
                        // It ends with the child; what it reads is nobody's.
                        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
                    });
                    Ok(Self { kubeconfig, pipe, child, drain })
                }
                Ok(Word::Error(error)) => {
                    drop(pipe);
                    let _ = timeout(GONE_WITHIN, child.wait()).await;
                    Err(StartError::Child(error))
                }
                Err(_) => Err(StartError::Garbled(line.trim_end().to_owned())),
            },
        }
    }

    /// How to reach the sandbox's API, as a kubeconfig's text.
    pub fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// The id of the keeper, the one process of the sandbox that the parent started.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the sandbox ends by itself, which it does only when something is wrong.
    ///
    /// # Errors
    /// When its process can't be waited for.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends the sandbox and waits until everything of it is gone.
    pub async fn stop(mut self) {
        drop(self.pipe);
        if timeout(GONE_WITHIN, self.child.wait()).await.is_err() {
            // The keeper's death ends pid 1 as the pipe should have.
            let _ = self.child.kill().await;
        }
        let _ = timeout(GONE_WITHIN, self.drain).await;
    }
}
