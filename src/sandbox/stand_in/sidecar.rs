//! What runs in place of a service mesh's proxy: it takes every TCP connection of its pod,
//! in and out, and opens another in its stead.
//!
//! As with the real ones a handshake with it says nothing of who is behind: it answers
//! before it knows whether there is anybody. Under the name [`BINARY`] the netproof
//! executable is this program.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// The name under which the netproof executable is this program.
pub const BINARY: &str = "netproof-sidecar";
/// Where what leaves the pod is led to, and what comes to it.
pub const OUTBOUND: u16 = 15_001;
/// See [`OUTBOUND`].
pub const INBOUND: u16 = 15_006;
/// The priority of the proxy's own sockets, by which its connections are known: nobody
/// needs a right to set it, and it leaves no trace on the wire.
pub const PRIORITY: i32 = 6;

/// How long the other end may take to answer, as Envoy has it.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Connections at once; more wait in the kernel's backlog.
const CONNECTIONS: usize = 1024;
/// How long to wait where the kernel gives no connection for want of memory or files.
const EXHAUSTED: Duration = Duration::from_millis(20);
/// From where the proxy speaks to its own pod, as Istio's does.
const PASSTHROUGH: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(127, 0, 0, 6), Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1));

/// Serves until it is killed. Has a runtime of its own.
pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> io::Result<()> {
    let (outbound, inbound) = (listen(OUTBOUND)?, listen(INBOUND)?);
    println!("netproof stands in for a service mesh's proxy");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::join!(take(outbound, false, Arc::clone(&places)), take(inbound, true, places));
    Ok(())
}

/// On all addresses, of both families where the kernel has them.
fn listen(port: u16) -> io::Result<TcpListener> {
    let bind = |socket: io::Result<TcpSocket>, address: IpAddr| {
        let socket = socket?;
        socket.set_reuseaddr(true)?;
        socket.bind((address, port).into())?;
        socket.listen(1024)
    };
    bind(TcpSocket::new_v6(), Ipv6Addr::UNSPECIFIED.into())
        .or_else(|_| bind(TcpSocket::new_v4(), Ipv4Addr::UNSPECIFIED.into()))
}

async fn take(listener: TcpListener, inbound: bool, places: Arc<Semaphore>) {
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((client, _)) => {
                tokio::spawn(async move {
                    // Who can't be reached is closed on, and that is all a client learns.
                    let _ = pass(client, inbound).await;
                    drop(place);
                });
            }
            Err(_) => sleep(EXHAUSTED).await,
        }
    }
}

async fn pass(mut client: TcpStream, inbound: bool) -> io::Result<()> {
    let to = meant(&client)?;
    if [OUTBOUND, INBOUND].contains(&to.port()) {
        // Somebody dialled the proxy itself: it would speak to itself for ever.
        return Ok(());
    }
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    setsockopt(&socket, sockopt::Priority, &PRIORITY)?;
    if inbound {
        let own: IpAddr = if to.is_ipv4() { PASSTHROUGH.0.into() } else { PASSTHROUGH.1.into() };
        socket.bind((own, 0).into())?;
    }
    let mut server = timeout(CONNECT_WITHIN, socket.connect(to)).await??;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// Where a connection was meant to go before it was led here.
fn meant(client: &TcpStream) -> io::Result<SocketAddr> {
    use nix::sys::socket::getsockopt;
    if client.local_addr()?.ip().to_canonical().is_ipv4() {
        let found = getsockopt(client, sockopt::OriginalDst)?;
        let address = Ipv4Addr::from(u32::from_be(found.sin_addr.s_addr));
        return Ok(SocketAddrV4::new(address, u16::from_be(found.sin_port)).into());
    }
    let found = getsockopt(client, sockopt::Ip6tOriginalDst)?;
    let address = Ipv6Addr::from(found.sin6_addr.s6_addr);
    Ok(SocketAddrV6::new(address, u16::from_be(found.sin6_port), 0, 0).into())
}
