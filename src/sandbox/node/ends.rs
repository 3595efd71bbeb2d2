//! Joining a namespace to another by a veth pair, and the steps that this takes.

use std::{collections::BTreeMap, io, net::IpAddr, os::fd::AsFd, path::Path};

use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;

use super::{
    Error,
    error::Need,
    namespace::{Namespace, set_sysctl},
    netlink::{Netlink, Refusal, Request},
    wiring::{self, End, Gateways, LOOPBACK, UPLINK, of_family},
};

/// How a new namespace is to be joined to one that is there.
pub(super) struct Ends {
    /// What is being done, with the name of its object.
    pub stage: String,
    /// The node or the fabric.
    pub near: Namespace,
    pub gateways: Gateways,
    /// The addresses from which the near end itself speaks.
    pub sources: Vec<IpAddr>,
    /// Name and number of the link at the near end.
    pub name: String,
    pub link: u32,
}

impl Ends {
    /// Makes a namespace and joins it: the far end first, which creates the link, then the
    /// near end's half. The link works when this returns.
    pub(super) async fn join(
        self,
        addresses: Vec<IpAddr>,
        sysctls: BTreeMap<String, String>,
    ) -> Result<Namespace, Error> {
        let Self { stage, near, gateways, sources, name, link } = self;
        let far = {
            let (stage, near, addresses) = (stage.clone(), near.clone(), addresses.clone());
            move |_: &Namespace| {
                ipv6(addresses.iter().any(IpAddr::is_ipv6));
                for (name, value) in &sysctls {
                    set_pod_sysctl(name, value).map_err(|source| {
                        Error::at(format!("{stage}: set {name}"), Need::Sysctl, source)
                    })?;
                }
                let uplink = End { name: "eth0", index: UPLINK };
                let near_end = End { name: &name, index: link };
                let mut requests =
                    vec![wiring::up(LOOPBACK), wiring::veth(&uplink, &near_end, near.as_fd())];
                requests.extend(addresses.iter().map(|&to| wiring::address(UPLINK, to)));
                // The first address of each family is the one to speak from.
                let v4 = addresses.iter().copied().find(IpAddr::is_ipv4);
                let v6 = addresses.iter().copied().find(IpAddr::is_ipv6);
                requests.extend([v4, v6].into_iter().flatten().map(|source| {
                    let (to, gateway) = (wiring::anywhere(source), gateways.of(source));
                    wiring::by_gateway(to, gateway, UPLINK, Some(source))
                }));
                transact(&stage, &requests)
            }
        };
        let (namespace, wired) = Namespace::create(far)
            .await
            .map_err(|source| Error::at(stage.clone(), Need::Nothing, source))?;
        let mut socket = wired?;
        let routes = move || {
            let mut requests = vec![wiring::up(link)];
            let direct = |&to: &IpAddr| wiring::direct(to, link, of_family(&sources, to));
            requests.extend(addresses.iter().map(direct));
            netlink(&stage, &requests)?;
            // The near end, which came up last, can send at once; the far end must be waited
            // for. Its socket works from here, too.
            let up = socket.wait_for_link(UPLINK);
            up.map_err(|source| {
                Error::at(format!("{stage}: wait for its link"), Need::Nothing, source)
            })
        };
        near.run(routes).await.map_err(entering)??;
        Ok(namespace)
    }
}

pub(super) fn entering(source: io::Error) -> Error {
    Error::at("enter a network namespace", Need::Nothing, source)
}

/// Lets the calling thread's namespace forward packets, wherever they come from.
pub(super) fn forward(with_ipv6: bool) -> Result<(), Error> {
    let settings = [
        ("net.ipv4.ip_forward", "1"),
        // Inherited from the host where it is on; a reply may come by another way than the
        // route back, as with translated addresses.
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        // Pods on a node's network listen on its low ports as root would, without its rights.
        ("net.ipv4.ip_unprivileged_port_start", "0"),
    ];
    let more = [("net.ipv6.conf.all.forwarding", "1")];
    for (name, value) in settings.into_iter().chain(more.into_iter().filter(|_| with_ipv6)) {
        set_sysctl(name, value)
            .map_err(|source| Error::at(format!("set {name}"), Need::Sysctl, source))?;
    }
    Ok(())
}

/// Lets links that are made in the calling thread's namespace from now on have IPv6
/// addresses, or none. They have those that they are given and make up none of their own.
pub(super) fn ipv6(on: bool) {
    // A kernel without IPv6 has no such settings; the first address will tell.
    if on {
        const NONE: &str = "1";
        for (name, value) in [
            ("net.ipv6.conf.all.disable_ipv6", "0"),
            ("net.ipv6.conf.default.disable_ipv6", "0"),
            ("net.ipv6.conf.default.addr_gen_mode", NONE),
        ] {
            let _ = set_sysctl(name, value);
        }
    } else {
        let _ = set_sysctl("net.ipv6.conf.default.disable_ipv6", "1");
    }
}

/// Whether the kernel speaks IPv6.
pub(in crate::sandbox) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6/conf/default").exists()
}

/// Sets a pod's sysctl. The groups that may ping are all that the user namespace has.
fn set_pod_sysctl(name: &str, value: &str) -> io::Result<()> {
    match set_sysctl(name, value) {
        Err(error)
            if name == "net.ipv4.ping_group_range"
                && error.raw_os_error() == Some(Errno::EINVAL as i32) =>
        {
            set_sysctl(name, "0 0")
        }
        done => done,
    }
}

/// Sends requests to the routing tables of the calling thread's namespace.
pub(super) fn netlink(stage: &str, requests: &[Request]) -> Result<(), Error> {
    transact(stage, requests).map(drop)
}

/// As [`netlink`], and keeps the socket.
fn transact(stage: &str, requests: &[Request]) -> Result<Netlink, Error> {
    let socket = Netlink::open(NETLINK_ROUTE)
        .map_err(|source| Error::at(format!("{stage}: open netlink"), Need::Nothing, source))?;
    match socket.transact(requests) {
        Ok(()) => Ok(socket),
        Err(Refusal { what: Some(what), source }) => {
            let need = if what.starts_with("create link") { Need::Veth } else { Need::Nothing };
            Err(Error::at(format!("{stage}: {what}"), need, source))
        }
        Err(Refusal { what: None, source }) => {
            Err(Error::at(format!("{stage}: netlink"), Need::Nothing, source))
        }
    }
}
