//! Joining a namespace to another by a veth pair, and the steps that this takes.

use std::{collections::BTreeMap, io, net::IpAddr, os::fd::AsFd};

use netlink_sys::protocols::NETLINK_ROUTE;

use super::{
    Error,
    error::Need,
    namespace::Namespace,
    netlink::{Netlink, Refusal, Request},
    settings,
    wiring::{self, End, Gateways, LOOPBACK, UPLINK, of_family},
};

/// How a new namespace is to be joined to one that is there.
pub(super) struct Ends {
    /// What is being done, with the name of its object.
    pub stage: String,
    /// The node or the fabric; what comes by the link is forwarded there.
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
                settings::ipv6(addresses.iter().any(IpAddr::is_ipv6));
                settings::of_pod(&sysctls, &stage)?;
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
            let mut requests = vec![wiring::up(link), wiring::forward(link)];
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
