//! Joining a namespace to another by a veth pair, and the steps that this takes.

use std::{collections::BTreeMap, io, net::Ipv4Addr, os::fd::AsFd};

use ipnet::Ipv4Net;
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::errno::Errno;

use super::{
    Error,
    error::Need,
    namespace::{Namespace, set_sysctl},
    netlink::{Netlink, Refusal, Request},
    wiring::{self, End, LOOPBACK, UPLINK},
};

/// How a new namespace is to be joined to one that is there.
pub(super) struct Ends {
    /// What is being done, with the name of its object.
    pub stage: String,
    /// The node or the fabric.
    pub near: Namespace,
    pub gateway: Ipv4Addr,
    /// The address from which the near end itself speaks.
    pub source: Option<Ipv4Addr>,
    /// Name and number of the link at the near end.
    pub name: String,
    pub link: u32,
}

impl Ends {
    /// Makes a namespace and joins it: the far end first, which creates the link, then the
    /// near end's half. The link works when this returns.
    pub(super) async fn join(
        self,
        addresses: Vec<Ipv4Addr>,
        sysctls: BTreeMap<String, String>,
    ) -> Result<Namespace, Error> {
        let Self { stage, near, gateway, source, name, link } = self;
        let far = {
            let (stage, near, addresses) = (stage.clone(), near.clone(), addresses.clone());
            move |_: &Namespace| {
                for (name, value) in &sysctls {
                    set_pod_sysctl(name, value).map_err(|source| {
                        Error::at(format!("{stage}: set {name}"), Need::Sysctl, source)
                    })?;
                }
                without_ipv6();
                let uplink = End { name: "eth0", index: UPLINK };
                let near_end = End { name: &name, index: link };
                let mut requests =
                    vec![wiring::up(LOOPBACK), wiring::veth(&uplink, &near_end, near.as_fd())];
                requests.extend(addresses.iter().map(|&to| wiring::address(UPLINK, to)));
                requests.push(wiring::by_gateway(
                    Ipv4Net::default(),
                    gateway,
                    UPLINK,
                    addresses.first().copied(),
                ));
                transact(&stage, &requests)
            }
        };
        let (namespace, wired) = Namespace::create(far)
            .await
            .map_err(|source| Error::at(stage.clone(), Need::Nothing, source))?;
        let mut socket = wired?;
        let routes = move || {
            let mut requests = vec![wiring::up(link)];
            requests.extend(addresses.iter().map(|&to| wiring::direct(to, link, source)));
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
pub(super) fn forward() -> Result<(), Error> {
    for (name, value) in [
        ("net.ipv4.ip_forward", "1"),
        // Inherited from the host where it is on; a reply may come by another way than the
        // route back, as with translated addresses.
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
    ] {
        set_sysctl(name, value)
            .map_err(|source| Error::at(format!("set {name}"), Need::Sysctl, source))?;
    }
    Ok(())
}

/// Keeps links that are made in the calling thread's namespace from now on from having IPv6
/// addresses, which no rule would watch over.
pub(super) fn without_ipv6() {
    // A kernel without IPv6 has no such setting.
    let _ = set_sysctl("net.ipv6.conf.default.disable_ipv6", "1");
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
