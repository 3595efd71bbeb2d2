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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::wire::SOURCE_PORTS;

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    fn open(address: SocketAddr) -> (u16, TcpStream) {
        let dialer = Dialer::new(crate::question::Key::from_bytes([0; 32]), 8);
        let (port, socket) = dialer.open(address, false);
        let stream = TcpStream::from(socket.unwrap());
        (port, stream)
    }

    #[test]
    fn one_port_goes_to_two_destinations_at_once() {
        let ((_one, one), (_other, other)) = (listener(), listener());
        let (port, _first) = open(one);
        assert!(SOURCE_PORTS.contains(&port));
        connect(other, false, port).expect("the same port to another destination");
        let again = connect(one, false, port).expect_err("the same connection twice");
        assert_eq!(again.raw_os_error(), Some(libc::EADDRNOTAVAIL));
    }

    #[test]
    fn a_connection_that_just_ended_does_not_keep_its_port() {
        let ((ended, address), (_other, other)) = (listener(), listener());
        let (port, stream) = open(address);
        let (accepted, peer) = ended.accept().unwrap();
        assert_eq!(peer.port(), port);
        // With an orderly end this side is left in TIME_WAIT.
        socket2::SockRef::from(&stream).set_linger(None).unwrap();
        drop(stream);
        drop(accepted);
        connect(other, false, port).expect("the same port to another destination");
    }

    #[test]
    fn a_port_that_the_pod_listens_on_is_passed_over() {
        let (listener, address) = listener();
        let taken = listener.local_addr().unwrap().port();
        let error = connect(address, false, taken).expect_err("a port in use");
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
        let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let taken = socket.local_addr().unwrap().port();
        let error = connect(address, true, taken).expect_err("a port in use");
        assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE), "datagrams too");
    }
}
