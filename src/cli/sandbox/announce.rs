//! The word that a sandbox in the background gives to the command that started it.
//!
//! The command answers with a line, or is gone: then nobody knows of the sandbox, and it
//! ends itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::Trouble;
use crate::cli::Exit;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Word {
    /// It is up.
    Up {
        /// Its own kubeconfig.
        kubeconfig: PathBuf,
    },
    /// It is not.
    Failed { message: String, remedy: Option<String>, input: bool },
}

impl From<Trouble> for Word {
    fn from(trouble: Trouble) -> Self {
        let input = trouble.exit == Exit::BadInput;
        Self::Failed { message: trouble.message, remedy: trouble.remedy, input }
    }
}

impl Word {
    /// What it means to whoever asked.
    pub(super) fn understand(self) -> Result<PathBuf, Trouble> {
        match self {
            Self::Up { kubeconfig } => Ok(kubeconfig),
            Self::Failed { message, remedy, input } => {
                let exit = if input { Exit::BadInput } else { Exit::Undecided };
                Err(Trouble { message, remedy, exit })
            }
        }
    }

    /// Says it, and waits for the answer. Says whether somebody has heard it.
    pub(super) async fn say(
        &self,
        mut out: impl AsyncWrite + Unpin,
        mut answer: impl AsyncRead + Unpin,
    ) -> bool {
        let Ok(mut line) = serde_json::to_string(self) else { return false };
        line.push('\n');
        let said = out.write_all(line.as_bytes()).await.is_ok() && out.flush().await.is_ok();
        said && answer.read_u8().await.is_ok()
    }
}
