//! The server's program: sockets around [`super::answer`].

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::timeout,
};

use super::{
    answer::answer,
    records::{Records, Update},
};

/// The name under which the netproof executable is this program.
pub const BINARY: &str = "netproof-dns";

const PORT: u16 = 53;
/// The longest answer for a client that says nothing about its buffer.
const SHORT: usize = 512;
/// The longest datagram that is sent to any client.
const LONG: usize = 1232;
/// How long a client may be silent on a connection.
const IDLE: Duration = Duration::from_secs(10);
/// How many connections are served at a time.
const CONNECTIONS: usize = 256;

type Shared = Arc<RwLock<Records>>;

/// Serves DNS on port 53 until standard input ends. Has a runtime of its own.
pub fn main() -> ExitCode {
    let served =
        tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            let served = runtime.block_on(serve());
            // A thread may hang in a read of standard input for ever.
            runtime.shutdown_background();
            served
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve DNS: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> io::Result<()> {
    let records = Shared::default();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    // Nobody is answered before the first names are there.
    let Some(first) = lines.next_line().await? else { return Ok(()) };
    take(&records, &first);
    // For both families, or for IPv4 where the kernel has nothing else.
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT));
    let (udp, tcp) = match UdpSocket::bind(both).await {
        Ok(udp) => (udp, TcpListener::bind(both).await?),
        Err(_) => {
            let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT));
            (UdpSocket::bind(v4).await?, TcpListener::bind(v4).await?)
        }
    };
    let datagrams = datagrams(udp, Arc::clone(&records));
    let connections = connections(tcp, Arc::clone(&records));
    let updates = async {
        while let Some(line) = lines.next_line().await? {
            take(&records, &line);
        }
        Ok(())
    };
    tokio::select! {
        ended = datagrams => ended,
        ended = connections => ended,
        ended = updates => ended,
    }
}

fn take(records: &Shared, line: &str) {
    match serde_json::from_str::<Update>(line) {
        Ok(update) => records.write().unwrap_or_else(PoisonError::into_inner).update(update),
        Err(error) => eprintln!("a line that is no name: {error}"),
    }
}

/// The bytes of an answer, cut short if they are too many.
fn reply(records: &Shared, request: &[u8], longest: Option<usize>) -> Option<Vec<u8>> {
    let response = {
        let records = records.read().unwrap_or_else(PoisonError::into_inner);
        answer(&records, request)?
    };
    let bytes = response.to_vec().ok()?;
    match longest {
        Some(longest) if bytes.len() > longest => response.truncate().to_vec().ok(),
        _ => Some(bytes),
    }
}

async fn datagrams(socket: UdpSocket, records: Shared) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    loop {
        // ICMP errors of earlier answers come up here; they concern nobody.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let request = &buffer[..length];
        let asked = hickory_proto::op::Message::from_vec(request)
            .ok()
            .and_then(|request| request.edns.map(|edns| usize::from(edns.max_payload())));
        let longest = asked.map_or(SHORT, |asked| asked.clamp(SHORT, LONG));
        if let Some(reply) = reply(&records, request, Some(longest)) {
            // A client that can't be reached asks again or doesn't.
            let _ = socket.send_to(&reply, client).await;
        }
    }
}

async fn connections(listener: TcpListener, records: Shared) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let records = Arc::clone(&records);
        tokio::spawn(async move {
            // How a client leaves is its own affair.
            let _ = connection(stream, &records).await;
            drop(place);
        });
    }
}

async fn connection(mut stream: TcpStream, records: &Shared) -> io::Result<()> {
    let mut request = Vec::new();
    loop {
        let length = timeout(IDLE, stream.read_u16()).await??;
        request.resize(usize::from(length), 0);
        timeout(IDLE, stream.read_exact(&mut request)).await??;
        let Some(reply) = reply(records, &request, None) else { return Ok(()) };
        let Ok(length) = u16::try_from(reply.len()) else { return Ok(()) };
        let mut message = length.to_be_bytes().to_vec();
        message.extend(reply);
        timeout(IDLE, stream.write_all(&message)).await??;
    }
}
