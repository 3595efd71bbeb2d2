//! The program: who it is, where it listens, and when it ends.

use std::{collections::BTreeSet, io, net::Ipv4Addr, process::ExitCode, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpSocket, UdpSocket},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use super::{GREETING, talk};
use crate::model::{Port, Protocol};

/// The name under which the netproof executable is this program.
pub const BINARY: &str = "netproof-stand-in";

/// Handshakes that may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// What the program is told.
#[derive(Debug, Default)]
struct Arguments {
    identity: String,
    ends_after: Option<Duration>,
    /// Where it must listen.
    ports: Vec<Port>,
    /// Where it listens if the port is free.
    optional: Vec<Port>,
}

/// Listens where the arguments say (`shop/web`, `80/tcp`, `?9090/tcp`, `--for=1`), and on
/// what further lines of standard input name, until it is told to end. A port with a
/// question mark may be somebody else's. Has a runtime of its own.
pub fn main() -> ExitCode {
    let served = parse(std::env::args().skip(1)).and_then(|arguments| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = runtime.block_on(serve(arguments));
        // A thread may hang in a read of standard input for ever.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(words: impl Iterator<Item = String>) -> io::Result<Arguments> {
    let mut arguments = Arguments::default();
    for word in words {
        let port = |text: &str| text.parse().map_err(io::Error::other);
        if let Some(seconds) = word.strip_prefix("--for=") {
            let seconds = seconds.parse().map_err(io::Error::other)?;
            arguments.ends_after = Some(Duration::from_secs(seconds));
        } else if let Some(optional) = word.strip_prefix('?') {
            arguments.optional.push(port(optional)?);
        } else if arguments.identity.is_empty() {
            arguments.identity = word;
        } else {
            arguments.ports.push(port(&word)?);
        }
    }
    Ok(arguments)
}

async fn serve(arguments: Arguments) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut listeners = Listeners::new(&arguments.identity);
    let mut said = vec![format!("{GREETING} {}", arguments.identity)];
    for port in arguments.ports {
        said.extend(listeners.add(port)?);
    }
    said.extend(arguments.optional.into_iter().filter_map(|port| listeners.try_add(port)));
    // Its first line tells that it listens.
    println!("{}", said.join("\n"));
    let end = async {
        match arguments.ends_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    let more = async {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Ok(port) = line.parse()
                && let Some(said) = listeners.try_add(port)
            {
                println!("{said}");
            }
        }
        // Nobody has more to say.
        std::future::pending::<()>().await
    };
    tokio::select! {
        () = end => println!("done"),
        () = more => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The ports that are open, and what answers on them.
struct Listeners {
    identity: Arc<str>,
    open: BTreeSet<(bool, u16)>,
    tasks: JoinSet<()>,
}

impl Listeners {
    fn new(identity: &str) -> Self {
        Self { identity: identity.into(), open: BTreeSet::new(), tasks: JoinSet::new() }
    }

    /// Listens on a port, and gives what is to be said of it; nothing if it did already.
    fn add(&mut self, port: Port) -> io::Result<Option<String>> {
        let udp = port.protocol == Protocol::Udp;
        if !self.open.insert((udp, port.number)) {
            return Ok(None);
        }
        let taken = |error: io::Error| {
            let why = match error.kind() {
                io::ErrorKind::AddrInUse => "another process of the pod or node listens there",
                _ => "the system refused",
            };
            io::Error::new(error.kind(), format!("listen on {port}: {why}: {error}"))
        };
        let identity = Arc::clone(&self.identity);
        if udp {
            let socket = datagrams(port.number).map_err(taken)?;
            self.tasks.spawn(talk::echo(socket));
        } else {
            let listener = streams(port.number).map_err(taken)?;
            self.tasks.spawn(talk::accept(listener, identity));
        }
        Ok(Some(format!("listens on {port}")))
    }

    /// The same; that it can't is no failure.
    fn try_add(&mut self, port: Port) -> Option<String> {
        self.add(port).unwrap_or_else(|error| Some(error.to_string()))
    }
}

/// Both families where there are both.
fn streams(port: u16) -> io::Result<TcpListener> {
    let bind = |socket: io::Result<TcpSocket>, address: std::net::IpAddr| {
        let socket = socket?;
        socket.set_reuseaddr(true)?;
        socket.bind((address, port).into())?;
        socket.listen(BACKLOG)
    };
    match bind(TcpSocket::new_v6(), std::net::Ipv6Addr::UNSPECIFIED.into()) {
        Err(error) if without_ipv6(&error) => {
            bind(TcpSocket::new_v4(), Ipv4Addr::UNSPECIFIED.into())
        }
        bound => bound,
    }
}

fn datagrams(port: u16) -> io::Result<UdpSocket> {
    let bind = |address: std::net::IpAddr| {
        let socket = std::net::UdpSocket::bind((address, port))?;
        socket.set_nonblocking(true)?;
        UdpSocket::from_std(socket)
    };
    match bind(std::net::Ipv6Addr::UNSPECIFIED.into()) {
        Err(error) if without_ipv6(&error) => bind(Ipv4Addr::UNSPECIFIED.into()),
        bound => bound,
    }
}

fn without_ipv6(error: &io::Error) -> bool {
    use nix::libc;
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_who_where_and_how_long() {
        let words = ["shop/web", "80/tcp", "?9090/tcp", "53/udp", "--for=1"].map(str::to_owned);
        let arguments = parse(words.into_iter()).expect("arguments");
        let texts = |ports: &[Port]| ports.iter().map(Port::to_string).collect::<Vec<_>>();
        assert_eq!(arguments.identity, "shop/web");
        assert_eq!(texts(&arguments.ports), ["80/tcp", "53/udp"]);
        assert_eq!(texts(&arguments.optional), ["9090/tcp"]);
        assert_eq!(arguments.ends_after, Some(Duration::from_secs(1)));
        let wrong = ["a", "80/quic"].map(str::to_owned);
        assert!(parse(wrong.into_iter()).is_err());
    }

    #[tokio::test]
    async fn a_port_that_is_taken_is_named() {
        let taken = std::net::TcpListener::bind(("0.0.0.0", 0)).expect("a port");
        let number = taken.local_addr().expect("its address").port();
        let port = Port { number, protocol: Protocol::Tcp };
        let error = Listeners::new("a").add(port).expect_err("taken").to_string();
        assert!(error.starts_with(&format!("listen on {port}: another process")), "{error}");
    }
}
