//! The messages that make links, addresses and routes.
//!
//! Both ends of every veth pair wear the same hardware address and ask for none
//! (`NOARP`): a packet's next hop is always the other end, so no neighbour has to be
//! found, IPv6 addresses need no duplicate detection, and gateways need not be there.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, BorrowedFd},
};

use ipnet::IpNet;
use rtnetlink::{
    AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_core::{
        DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST,
        NetlinkMessage,
    },
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressScope},
        link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkHeader},
        route::{RouteAttribute, RouteFlags, RouteMessage, RouteScope, RouteType},
    },
};

use super::netlink::Request;

/// The gateways of every pod. Each node has the first; nobody needs to have the second.
pub(super) const POD_GATEWAYS: Gateways =
    Gateways { v4: Ipv4Addr::new(169, 254, 1, 1), v6: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };
/// The gateways of every node and external host; the fabric has the first.
pub(super) const FABRIC_GATEWAYS: Gateways =
    Gateways { v4: Ipv4Addr::new(169, 254, 0, 1), v6: Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1) };
/// From where the fabric itself speaks IPv6: its errors need a source.
pub(super) const FABRIC_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x169, 0x254, 0, 0, 0, 0, 1);
/// The loopback interface's number in every namespace.
pub(super) const LOOPBACK: u32 = 1;
/// The one uplink of a pod, a host or a node. Numbers are chosen here, which saves asking
/// for them; they start where the kernel's own (fallback tunnels) don't reach.
pub(super) const UPLINK: u32 = 1000;

/// Locally administered, shared by all.
const HARDWARE_ADDRESS: [u8; 6] = [0x02, 0x6e, 0x70, 0x00, 0x00, 0x01];

/// A gateway of each family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gateways {
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
}

impl Gateways {
    /// The one of an address's family.
    pub(super) fn of(self, address: IpAddr) -> IpAddr {
        if address.is_ipv4() { self.v4.into() } else { self.v6.into() }
    }
}

/// The first of the addresses that is of the same family as another.
pub(super) fn of_family(addresses: &[IpAddr], as_this: IpAddr) -> Option<IpAddr> {
    addresses.iter().copied().find(|address| address.is_ipv4() == as_this.is_ipv4())
}

/// Every address of a family: where a default route leads.
pub(super) fn anywhere(family: IpAddr) -> IpNet {
    if family.is_ipv4() {
        ipnet::Ipv4Net::default().into()
    } else {
        ipnet::Ipv6Net::default().into()
    }
}

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

/// Lets IPv4 packets that come by a link be forwarded, whatever way leads back to where they
/// come from, and those of a node's loopback go by it. The same as the link's `forwarding`,
/// `rp_filter` and `route_localnet` under `/proc/sys`, which a container may not let one write.
pub(super) fn forward(index: u32) -> Request {
    /// What each address family has of its own (`IFLA_AF_SPEC`).
    const OF_FAMILIES: u16 = 26;
    /// Of IPv4, its settings (`IFLA_INET_CONF`).
    const OF_LINK: u16 = 1;
    /// `IPV4_DEVCONF_FORWARDING`.
    const FORWARDING: u16 = 1;
    /// `IPV4_DEVCONF_RP_FILTER`. A reply may come by another way than the route back, as with
    /// translated addresses.
    const REVERSE_PATH_FILTER: u16 = 8;
    /// `IPV4_DEVCONF_ROUTE_LOCALNET`. A host port is at 127.0.0.1, too.
    const LOOPBACK_ROUTED: u16 = 26;
    let settings: Vec<_> = [(FORWARDING, 1_u32), (REVERSE_PATH_FILTER, 0), (LOOPBACK_ROUTED, 1)]
        .into_iter()
        .flat_map(|(setting, value)| nested(setting, &value.to_ne_bytes()))
        .collect();
    let of_ipv4 = nested(u8::from(AddressFamily::Inet).into(), &nested(OF_LINK, &settings));
    let mut link = LinkMessageBuilder::<LinkUnspec>::default().index(index).build();
    link.attributes.push(LinkAttribute::Other(DefaultNla::new(OF_FAMILIES, of_ipv4)));
    request(format!("let link {index} forward"), RouteNetlinkMessage::SetLink(link), 0)
}

/// An attribute of netlink, which may hold others: length, type, content.
fn nested(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = content.len() + 4;
    let mut bytes = vec![0; length.next_multiple_of(4)];
    bytes[..2].copy_from_slice(&(length as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&kind.to_ne_bytes());
    bytes[4..length].copy_from_slice(content);
    bytes
}

/// Takes a link down, and with it the routes by it.
pub(super) fn down(index: u32) -> Request {
    let mut link = LinkMessageBuilder::<LinkUnspec>::default().build();
    link.header.index = index;
    link.header.change_mask = LinkFlags::Up;
    request(format!("take link {index} down"), RouteNetlinkMessage::SetLink(link), 0)
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
pub(super) fn address(index: u32, address: IpAddr) -> Request {
    new_address(index, address, AddressScope::Universe)
}

/// Makes a namespace answer to a gateway's address, from which it speaks to nobody itself.
pub(super) fn gateway(address: Ipv4Addr) -> Request {
    new_address(LOOPBACK, address.into(), AddressScope::Link)
}

fn new_address(index: u32, address: IpAddr, scope: AddressScope) -> Request {
    let mut message = match address {
        IpAddr::V4(address) => {
            AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, 32).build()
        }
        IpAddr::V6(address) => {
            let builder = AddressMessageBuilder::<Ipv6Addr>::new().index(index);
            let mut message = builder.address(address, 128).build();
            // Usable at once: nobody else can have it.
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    };
    message.header.scope = scope;
    request(
        format!("add address {address}"),
        RouteNetlinkMessage::NewAddress(message),
        NLM_F_CREATE | NLM_F_REPLACE,
    )
}

/// A route to one address at the other end of a link.
pub(super) fn direct(to: IpAddr, link: u32, source: Option<IpAddr>) -> Request {
    let mut route = route(to.into());
    route.header.scope = RouteScope::Link;
    route.attributes.push(RouteAttribute::Oif(link));
    new_route(format!("add route to {to}"), from(route, source))
}

/// A route by a gateway that need not be on the link's subnet.
pub(super) fn by_gateway(to: IpNet, gateway: IpAddr, link: u32, source: Option<IpAddr>) -> Request {
    let mut route = route(to);
    route.attributes.push(RouteAttribute::Gateway(gateway.into()));
    route.attributes.push(RouteAttribute::Oif(link));
    route.header.flags.insert(RouteFlags::Onlink);
    new_route(format!("add route to {to}"), from(route, source))
}

/// Answers packets to addresses that no pod has; else they would travel in a circle.
pub(super) fn unreachable(to: IpNet) -> Request {
    let mut route = route(to);
    route.header.kind = RouteType::Unreachable;
    new_route(format!("add route to {to}"), route)
}

/// Loses packets to addresses of a node that is dead, without an answer.
pub(super) fn blackhole(to: IpNet) -> Request {
    let mut route = route(to);
    route.header.kind = RouteType::BlackHole;
    new_route(format!("lose what goes to {to}"), route)
}

/// Deletes the route to one address by a gateway.
pub(super) fn delete_by_gateway(to: IpAddr) -> Request {
    request(format!("delete route to {to}"), RouteNetlinkMessage::DelRoute(route(to.into())), 0)
}

/// Deletes the route to one address.
pub(super) fn delete_direct(to: IpAddr, link: u32) -> Request {
    let mut route = route(to.into());
    route.header.scope = RouteScope::Link;
    route.attributes.push(RouteAttribute::Oif(link));
    request(format!("delete route to {to}"), RouteNetlinkMessage::DelRoute(route), 0)
}

fn route(to: IpNet) -> RouteMessage {
    let mut route = match to {
        IpNet::V4(_) => RouteMessageBuilder::<Ipv4Addr>::new().build(),
        IpNet::V6(_) => RouteMessageBuilder::<Ipv6Addr>::new().build(),
    };
    route.header.destination_prefix_length = to.prefix_len();
    route.attributes.push(RouteAttribute::Destination(to.network().into()));
    route
}

/// A route on which the namespace speaks from a source of its own.
fn from(mut route: RouteMessage, source: Option<IpAddr>) -> RouteMessage {
    route.attributes.extend(source.map(|source| RouteAttribute::PrefSource(source.into())));
    route
}

fn new_route(what: String, route: RouteMessage) -> Request {
    request(what, RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_REPLACE)
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
