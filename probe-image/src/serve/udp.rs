//! The answer to a question that is a datagram.
//!
//! A pod or host may have several addresses: an answer must come from the one that was
//! asked, or the dialer's connected socket would not take it.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::SocketAddr,
    os::fd::AsRawFd,
    sync::Arc,
};

use nix::{
    cmsg_space,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
    },
};
use tokio::{io::Interest, net::UdpSocket};

use super::Answerer;
use crate::question::KeyedQuestion;

/// A bit longer than any question, so that a longer datagram shows.
const BUFFER: usize = 1_024;

/// The address that a datagram was sent to.
#[derive(Clone, Copy)]
enum Asked {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// Answers until it is dropped.
pub async fn serve(answerer: Arc<Answerer>, socket: UdpSocket) {
    let mut buffer = [0; BUFFER];
    loop {
        let received = socket.async_io(Interest::READABLE, || receive(&socket, &mut buffer)).await;
        // An ICMP error about an earlier answer is nobody's question.
        let Ok((length, Some(peer), asked)) = received else { continue };
        let Some(address) = address(&peer) else { continue };
        let Some(question) = KeyedQuestion::parse(&buffer[..length]) else { continue };
        if !answerer.key.asked(&question) {
            continue;
        }
        let answer = answerer.key.answer(question.nonce, &answerer.identity, address).json();
        if answer.len() <= length {
            // A lost answer is asked for again.
            let _ = socket
                .async_io(Interest::WRITABLE, || send(&socket, answer.as_bytes(), &peer, asked))
                .await;
        }
    }
}

fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> io::Result<(usize, Option<SockaddrStorage>, Option<Asked>)> {
    let mut control = cmsg_space!(libc::in_pktinfo, libc::in6_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::MSG_DONTWAIT,
    )?;
    let asked = message.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(Asked::V4(info)),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Asked::V6(info)),
        _ => None,
    });
    Ok((message.bytes, message.address, asked))
}

fn send(
    socket: &UdpSocket,
    answer: &[u8],
    peer: &SockaddrStorage,
    asked: Option<Asked>,
) -> io::Result<usize> {
    let slices = [IoSlice::new(answer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let sent = match asked {
        Some(Asked::V4(mut info)) => {
            info.ipi_ifindex = 0;
            let control = [ControlMessage::Ipv4PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(peer))
        }
        Some(Asked::V6(mut info)) => {
            // Only a link-local address means anything but with its interface.
            if info.ipi6_addr.s6_addr[..2] != [0xfe, 0x80] {
                info.ipi6_ifindex = 0;
            }
            let control = [ControlMessage::Ipv6PacketInfo(&info)];
            sendmsg(socket.as_raw_fd(), &slices, &control, flags, Some(peer))
        }
        None => sendmsg(socket.as_raw_fd(), &slices, &[], flags, Some(peer)),
    };
    Ok(sent?)
}

fn address(peer: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = peer.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    let v6 = peer.as_sockaddr_in6()?;
    Some(SocketAddr::from((std::net::IpAddr::from(v6.ip()).to_canonical(), v6.port())))
}
