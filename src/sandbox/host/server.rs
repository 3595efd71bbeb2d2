//! The program: a listener for each port of its arguments.

use std::{io, net::IpAddr, process::ExitCode, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
    time::timeout,
};

use crate::model::{Port, Protocol};

/// The name under which the netproof executable is this program.
pub const BINARY: &str = "netproof-host";

/// How long a client may keep a connection open.
const LONGEST: Duration = Duration::from_secs(60);

/// Listens on the addresses and ports that the arguments name (`192.0.2.1`, `80/http`,
/// `443/tcp`, `53/udp`) until it is ended. Without any it only waits. Has a runtime of its
/// own.
pub fn main() -> ExitCode {
    let (mut addresses, mut ports) = (Vec::new(), Vec::new());
    let mut wrong = None;
    for argument in std::env::args().skip(1) {
        match (argument.parse::<IpAddr>(), argument.parse::<Port>()) {
            (Ok(address), _) => addresses.push(address),
            (_, Ok(port)) => ports.push(port),
            (_, Err(error)) => wrong = Some(error),
        }
    }
    let served = wrong.map_or(Ok(()), |error| Err(io::Error::other(error))).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve(&addresses, &ports))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stand in: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(addresses: &[IpAddr], ports: &[Port]) -> io::Result<()> {
    let mut listeners = JoinSet::new();
    // A socket for each address: an answer must come from where the question went.
    let places = ports.iter().flat_map(|port| addresses.iter().map(move |at| (*at, *port)));
    for (address, port) in places {
        let place = (address, port.number);
        match port.protocol {
            Protocol::Udp => {
                listeners.spawn(echo(UdpSocket::bind(place).await?));
            }
            Protocol::Tcp => {
                listeners.spawn(accept(TcpListener::bind(place).await?, false));
            }
            Protocol::Http => {
                listeners.spawn(accept(TcpListener::bind(place).await?, true));
            }
            Protocol::Sctp => {
                return Err(io::Error::other(format!("{port}: an external host has no SCTP")));
            }
            // The kernel answers.
            Protocol::Icmp => {}
        }
    }
    let mut end = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    end.recv().await;
    Ok(())
}

async fn echo(socket: UdpSocket) {
    let mut buffer = vec![0; 65_536];
    loop {
        // ICMP errors of earlier answers come up here; they concern nobody.
        if let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], client).await;
        }
    }
}

async fn accept(listener: TcpListener, http: bool) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                // How a client leaves is its own affair.
                let _ = timeout(LONGEST, talk(stream, http)).await;
            });
        }
    }
}

async fn talk(mut stream: TcpStream, http: bool) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        if !http {
            continue;
        }
        request.extend_from_slice(&buffer[..length]);
        if request.windows(4).any(|end| end == b"\r\n\r\n") || request.len() > 65_536 {
            let body = "a host outside the cluster\n";
            let answer = format!(
                "HTTP/1.1 {}\r\nServer: external\r\nContent-Type: text/plain\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                status(&request),
                body.len()
            );
            stream.write_all(answer.as_bytes()).await?;
            return stream.shutdown().await;
        }
    }
}

/// 200, unless the path asks for another status: `/status/404`.
fn status(request: &[u8]) -> http::StatusCode {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let path = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let asked = path.strip_prefix(b"/status/");
    asked.and_then(|code| http::StatusCode::from_bytes(code).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_chooses_the_status() {
        for (request, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", 200),
            ("GET /status/401 HTTP/1.1\r\n\r\n", 401),
            ("HEAD /status/500 HTTP/1.1\r\n\r\n", 500),
            ("GET /status/9 HTTP/1.1\r\n\r\n", 200),
            ("nonsense", 200),
        ] {
            assert_eq!(status(request.as_bytes()).as_u16(), expected, "{request}");
        }
    }
}
