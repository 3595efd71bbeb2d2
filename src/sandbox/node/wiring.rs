//! The messages that make links, addresses and routes.
//!
//! Both ends of every veth pair wear the same hardware address and ask for none
//! (`NOARP`): a packet's next hop is always the other end, so no neighbour has to be
//! found, IPv6 addresses need no duplicate detection, and gateways need not be there.

use std::{
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd},
};

use ipnet::Ipv4Net;
use rtnetlink::{
    AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_core::{
        NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    },
    packet_route::{
        RouteNetlinkMessage,
        address::AddressScope,
        link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkHeader},
        route::{RouteScope, RouteType},
    },
};

use super::netlink::Request;

/// The gateway of every pod; each node has it.
pub(super) const POD_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// The gateway of every node and external host; the fabric has it.
pub(super) const FABRIC_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// The loopback interface's number in every namespace.
pub(super) const LOOPBACK: u32 = 1;
/// The one uplink of a pod, a host or a node. Numbers are chosen here, which saves asking
/// for them; they start where the kernel's own (fallback tunnels) don't reach.
pub(super) const UPLINK: u32 = 1000;

/// Locally administered, shared by all.
const HARDWARE_ADDRESS: [u8; 6] = [0x02, 0x6e, 0x70, 0x00, 0x00, 0x01];

/// One end of a veth pair.
pub(super) struct End<'a> {
    pub name: &'a str,
    pub index: u32,
}

/// Creates a veth pair whose far end appears in another namespace. The near end is up;
/// the far end must be brought up there with [`up`].
pub(super) fn veth(near: &End<'_>, far: &End<'_>, far_namespace: BorrowedFd<'_>) -> Request {
    let far_end = LinkUnspec::new_with_name(far.name)
        .index(far.index)
        .address(HARDWARE_ADDRESS.to_vec())
        .append_extra_attribute(LinkAttribute::NetNsFd(far_namespace.as_raw_fd()))
        .build();
    let mut link = LinkMessageBuilder::<LinkVeth>::new(near.name, far.name)
        .address(HARDWARE_ADDRESS.to_vec())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(far_end)))
        .build();
    link.header = up_header(near.index);
    request(
        format!("create link {}", far.name),
        RouteNetlinkMessage::NewLink(link),
        NLM_F_CREATE | NLM_F_EXCL,
    )
}

/// Brings a link up.
pub(super) fn up(index: u32) -> Request {
    let mut link = LinkMessageBuilder::<LinkUnspec>::default().build();
    link.header = up_header(index);
    request(format!("bring link {index} up"), RouteNetlinkMessage::SetLink(link), 0)
}

fn up_header(index: u32) -> LinkHeader {
    let mut header = LinkHeader::default();
    header.index = index;
    // Loopback never asks for neighbours, so the flag does no harm there.
    header.flags = LinkFlags::Up | LinkFlags::Noarp;
    header.change_mask = header.flags;
    header
}

/// Deletes a link, and with it its other end and the routes by it.
pub(super) fn delete_link(index: u32) -> Request {
    let link = LinkMessageBuilder::<LinkUnspec>::default().index(index).build();
    request(format!("delete link {index}"), RouteNetlinkMessage::DelLink(link), 0)
}

/// Gives a link an address.
pub(super) fn address(index: u32, address: Ipv4Addr) -> Request {
    new_address(index, address, AddressScope::Universe)
}

/// Makes a namespace answer to a gateway's address, from which it speaks to nobody itself.
pub(super) fn gateway(address: Ipv4Addr) -> Request {
    new_address(LOOPBACK, address, AddressScope::Link)
}

fn new_address(index: u32, address: Ipv4Addr, scope: AddressScope) -> Request {
    let builder = AddressMessageBuilder::<Ipv4Addr>::new().index(index);
    let mut message = builder.address(address, 32).build();
    message.header.scope = scope;
    request(
        format!("add address {address}"),
        RouteNetlinkMessage::NewAddress(message),
        NLM_F_CREATE | NLM_F_REPLACE,
    )
}

/// A route to one address at the other end of a link.
pub(super) fn direct(to: Ipv4Addr, link: u32, source: Option<Ipv4Addr>) -> Request {
    let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to, 32)
        .output_interface(link)
        .scope(RouteScope::Link);
    if let Some(source) = source {
        route = route.pref_source(source);
    }
    new_route(format!("add route to {to}"), route)
}

/// A route by a gateway that need not be on the link's subnet.
pub(super) fn by_gateway(
    to: Ipv4Net,
    gateway: Ipv4Addr,
    link: u32,
    source: Option<Ipv4Addr>,
) -> Request {
    let mut route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to.network(), to.prefix_len())
        .gateway(gateway)
        .output_interface(link)
        .onlink();
    if let Some(source) = source {
        route = route.pref_source(source);
    }
    new_route(format!("add route to {to}"), route)
}

/// Answers packets to addresses that no pod has; else they would travel in a circle.
pub(super) fn unreachable(to: Ipv4Net) -> Request {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to.network(), to.prefix_len())
        .kind(RouteType::Unreachable);
    new_route(format!("add route to {to}"), route)
}

/// Deletes the route to one address.
pub(super) fn delete_direct(to: Ipv4Addr, link: u32) -> Request {
    let route = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(to, 32)
        .output_interface(link)
        .scope(RouteScope::Link);
    request(format!("delete route to {to}"), RouteNetlinkMessage::DelRoute(route.build()), 0)
}

fn new_route(what: String, route: RouteMessageBuilder<Ipv4Addr>) -> Request {
    request(what, RouteNetlinkMessage::NewRoute(route.build()), NLM_F_CREATE | NLM_F_REPLACE)
}

fn request(what: String, message: RouteNetlinkMessage, flags: u16) -> Request {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    // Several messages share one datagram; each starts at a multiple of four.
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    Request { what, bytes }
}
