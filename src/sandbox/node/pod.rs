//! A pod's end of the network, and the programs that run inside.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

use super::{Error, namespace::Namespace, raw};

/// Programs that are being started at once: each fork holds a thread.
static FORKS: Semaphore = Semaphore::const_new(8);

/// What a pod may ask of its own network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSettings {
    /// Sysctls of the pod's network namespace, named as in `spec.securityContext.sysctls`.
    pub sysctls: BTreeMap<String, String>,
}

impl PodSettings {
    /// Fails on a name that is no sysctl of a network namespace.
    pub(super) fn check(&self) -> Result<(), Error> {
        for name in self.sysctls.keys() {
            let plain = name.split('.').all(|part| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            });
            if !plain || !name.starts_with("net.") {
                return Err(Error::Sysctl(name.clone()));
            }
        }
        Ok(())
    }
}

/// The network of a pod, an external host or a node itself.
#[derive(Clone, Debug)]
pub struct PodNetwork(pub(super) Arc<Wired>);

/// What is known of a wired namespace.
#[derive(Debug)]
pub(super) struct Wired {
    pub node: String,
    /// At least one.
    pub addresses: Vec<IpAddr>,
    pub namespace: Namespace,
    /// Where it hangs, and the number of its link there; none for a node itself.
    pub joint: Option<(Namespace, u32)>,
}

/// A program to start inside a pod's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The file to execute, as the host names it.
    pub executable: PathBuf,
    /// What the program is told that it is called.
    pub argv0: String,
    /// Its arguments, without its name.
    pub arguments: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub environment: BTreeMap<String, String>,
    /// What it reads in `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// What it reads in `/etc/hosts`.
    pub hosts: String,
    /// Where it reads from.
    pub stdin: Stream,
    /// Where it writes its output.
    pub stdout: Stream,
    /// Where it writes its errors.
    pub stderr: Stream,
}

/// What a program's standard stream is connected with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// Nothing.
    #[default]
    Null,
    /// The sandbox, by a pipe.
    Piped,
    /// The sandbox's own stream.
    Inherited,
}

impl From<Stream> for Stdio {
    fn from(stream: Stream) -> Self {
        match stream {
            Stream::Null => Self::null(),
            Stream::Piped => Self::piped(),
            Stream::Inherited => Self::inherit(),
        }
    }
}

impl PodNetwork {
    /// All its addresses; there is at least one.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.0.addresses
    }

    /// The first address.
    pub fn address(&self) -> IpAddr {
        self.0.addresses.first().copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
    }

    /// Whether this is the same network.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The node that it hangs on; a host's own name for an external host.
    pub fn node(&self) -> &str {
        &self.0.node
    }

    /// Starts a program inside, without capabilities and with its own `/etc/resolv.conf`
    /// and `/etc/hosts`. It is killed when the handle is dropped. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the program can't be executed, or the kernel refuses a step before it.
    pub fn spawn(&self, process: &Process) -> io::Result<tokio::process::Child> {
        use std::os::unix::process::CommandExt as _;

        let mut command = Command::new(&process.executable);
        command
            .arg0(&process.argv0)
            .args(&process.arguments)
            .env_clear()
            .envs(&process.environment)
            .current_dir("/")
            .stdin(process.stdin)
            .stdout(process.stdout)
            .stderr(process.stderr);
        let etc = [&*process.resolv_conf, &process.hosts];
        raw::confine(&mut command, self.0.namespace.clone(), etc)?;
        tokio::process::Command::from(command).kill_on_drop(true).spawn()
    }

    /// As [`Self::spawn`], on a thread that may be held up: a fork takes the longer the more
    /// memory the sandbox has.
    ///
    /// # Errors
    /// As [`Self::spawn`].
    pub async fn spawn_aside(&self, process: Process) -> io::Result<tokio::process::Child> {
        // Never closed.
        let _turn = FORKS.acquire().await;
        let network = self.clone();
        let spawned = tokio::task::spawn_blocking(move || network.spawn(&process)).await;
        spawned.map_err(io::Error::other)?
    }

    /// Connects from inside.
    ///
    /// # Errors
    /// As connecting does; also after the time given.
    pub async fn connect(&self, to: SocketAddr, within: Duration) -> io::Result<TcpStream> {
        let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = self.run(move || socket(family, SockType::Stream, flags, None)).await??;
        let socket = TcpSocket::from_std_stream(std::net::TcpStream::from(socket));
        tokio::time::timeout(within, socket.connect(to)).await?
    }

    /// Does some work on a thread inside, which may block; a socket that it opens belongs
    /// to the pod.
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        self.0.namespace.run(work).await
    }
}
