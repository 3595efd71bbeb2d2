//! Why an agent can't be asked.

use std::fmt;

/// Why an agent can't be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionError {
    /// `shop/np-abcdef-web-0`.
    pub pod: String,
    /// How far it got.
    pub stage: SessionStage,
    /// What happened, with the agent's last words on standard error.
    pub detail: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

/// How far a session got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionStage {
    /// The exec itself.
    Exec,
    /// The first exchange.
    Hello,
    /// Agent and runner speak different versions; a new session wouldn't help.
    Version,
    /// The session was lost and not made again in time.
    Lost,
    /// The session stands, and the results did not come in time.
    Results,
    /// The agent answered that it can't do what it was asked.
    Agent,
    /// The run was cancelled.
    Cancelled,
}

impl SessionError {
    pub(super) fn new(pod: &str, stage: SessionStage, detail: impl Into<String>) -> Self {
        Self { pod: pod.to_owned(), stage, detail: detail.into(), remedy: None }
    }

    pub(super) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pod, detail, .. } = self;
        match self.stage {
            SessionStage::Exec => write!(f, "exec into pod {pod}: {detail}"),
            SessionStage::Hello => write!(f, "greet the agent in pod {pod}: {detail}"),
            SessionStage::Version => write!(f, "the agent in pod {pod}: {detail}"),
            SessionStage::Lost => write!(f, "session with pod {pod} lost: {detail}"),
            SessionStage::Results => write!(f, "wait for results of pod {pod}: {detail}"),
            SessionStage::Agent => write!(f, "the agent in pod {pod} refuses: {detail}"),
            SessionStage::Cancelled => write!(f, "session with pod {pod}: {detail}"),
        }
    }
}

impl std::error::Error for SessionError {}
