//! A socket on its way to a destination, bound to a source port of our choice.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::PoisonError,
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Dialer, failure::Failure};
use crate::{clock, source_port::Destination};

/// Ports to try where something else in the pod has taken one.
const TRIES: usize = 64;

impl Dialer {
    /// Begins to connect. The port is zero where none was free.
    pub(super) fn open(&self, address: SocketAddr, udp: bool) -> (u16, Result<Socket, Failure>) {
        let mut error = io::Error::from_raw_os_error(libc::EADDRINUSE);
        for _ in 0..TRIES {
            let Some(port) = self.next_port(address, udp) else { break };
            match connect(address, udp, port) {
                // A port that something else uses is no attempt.
                Err(taken)
                    if matches!(
                        taken.raw_os_error(),
                        Some(libc::EADDRINUSE | libc::EADDRNOTAVAIL)
                    ) =>
                {
                    error = taken;
                }
                Err(error) => return (port, Err(Failure::from_errno(&error))),
                Ok(socket) => return (port, Ok(socket)),
            }
        }
        (0, Err(Failure::from_errno(&error)))
    }

    fn next_port(&self, address: SocketAddr, udp: bool) -> Option<u16> {
        let mut ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.next(Destination { udp, address }, clock::now())
    }
}

fn connect(address: SocketAddr, udp: bool, port: u16) -> io::Result<Socket> {
    let (kind, protocol) =
        if udp { (Type::DGRAM, Protocol::UDP) } else { (Type::STREAM, Protocol::TCP) };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    let local = if address.is_ipv4() {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))
    };
    if !udp {
        // One port goes to many destinations at once, and a connection to one of them that
        // has ended a moment ago doesn't keep it.
        socket.set_reuse_address(true)?;
        // Closing leaves nothing behind in the kernel: an attempt that another one has
        // overtaken, or a conversation that has ended.
        socket.set_linger(Some(Duration::ZERO))?;
    }
    socket.bind(&local.into())?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(socket),
        Err(error) => {
            // The error queue, if there is one, is read by nobody: connect() fails by the
            // local routes only.
            Err(error)
        }
        Ok(()) => Ok(socket),
    }
}
