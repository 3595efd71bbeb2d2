//! What the API needs of whoever runs the containers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use futures::{future::BoxFuture, stream::BoxStream};
use serde_json::Value;
use tokio::{net::TcpStream, process::Child};

/// Runs containers; the kubelet controller does.
pub trait Runtime: Send + Sync {
    /// Starts a program in a running container, with pipes for all three streams.
    ///
    /// # Errors
    /// See [`ExecError`].
    fn exec(&self, pod: &Value, container: &str, command: &[String]) -> Result<Child, ExecError>;

    /// Connects to a port of a pod's own `localhost`, from inside its network.
    fn connect(&self, pod: &Value, port: u16) -> BoxFuture<'static, Result<TcpStream, NoPort>>;

    /// Whether a pod has a network now.
    fn is_wired(&self, pod: &Value) -> bool;

    /// The address of a pod's node, if the kubelet there doesn't answer.
    fn unreachable(&self, pod: &Value) -> Option<IpAddr>;

    /// What a container has written so far since its last start, and what it will write
    /// until its end; `None` if there is no such container.
    fn follow(
        &self,
        pod: &Value,
        container: &str,
    ) -> Option<(Vec<LogLine>, BoxStream<'static, LogLine>)>;

    /// What a container has written so far, of this or the previous start, line by line
    /// with its time; `None` if there is no such container.
    fn log(&self, pod: &Value, container: &str, previous: bool) -> Option<Vec<LogLine>>;
}

/// Where the API server stands in the network.
pub trait ControlPlane: Send + Sync {
    /// Connects from there.
    ///
    /// # Errors
    /// As connecting does.
    fn connect(&self, to: SocketAddr) -> BoxFuture<'static, io::Result<TcpStream>>;
}

/// A line that a container wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub time: jiff::Timestamp,
    /// Without its end.
    pub text: String,
}

/// Why a program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The container doesn't run.
    #[error("container not found (\"{0}\")")]
    NotRunning(String),
    /// The image has no such program; it has the agent alone.
    #[error(
        "error executing command in container: failed to exec in container: OCI runtime exec \
         failed: exec failed: unable to start container process: exec: \"{0}\": executable file \
         not found in $PATH"
    )]
    NoSuchProgram(String),
    /// No image's programs are there, and none of a stand-in's own was meant.
    #[error(
        "error executing command in container: failed to exec in container: OCI runtime exec \
         failed: exec failed: unable to start container process: exec: \"{0}\": executable file \
         not found in $PATH: the sandbox runs no images; a stand-in has netproof-probe, \
         {names} (`sh -c` takes one of them, without quotes, variables or operators)",
        names = crate::sandbox::stand_in::command::NAMES
    )]
    StandIn(String),
    /// The node's kubelet doesn't answer.
    #[error("error dialing backend: dial tcp {0}:10250: connect: connection timed out")]
    Unreachable(IpAddr),
    /// The system refused.
    #[error("error executing command in container")]
    Start(#[source] io::Error),
}

/// Why a port of a pod could not be reached from inside.
#[derive(Debug)]
pub enum NoPort {
    /// The pod has no network, or none any more.
    NotWired,
    /// What the two addresses of `localhost` said.
    Closed(io::Error, io::Error),
}
