//! A name's addresses, and a connection to one of them.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::future::select_ok;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum NotDialled {
    /// The name has no addresses, or nobody tells them.
    NoAddress(io::Error),
    /// Every address failed; what the last one said.
    Refused(IpAddr, io::Error),
    /// The time is up; whose name was known by then has an address.
    Late(Option<IpAddr>),
}

/// The families that are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Families {
    pub only_v4: bool,
    pub only_v6: bool,
}

impl Families {
    fn has(self, address: IpAddr) -> bool {
        !(self.only_v4 && address.is_ipv6() || self.only_v6 && address.is_ipv4())
    }
}

/// The addresses of a host, each once.
pub(super) async fn addresses(host: &str, families: Families) -> io::Result<Vec<IpAddr>> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = lookup_host((host, 0)).await?.map(|address| address.ip());
    let mut addresses = Vec::new();
    for address in found.filter(|address| families.has(*address)) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() { Err(io::ErrorKind::NotFound.into()) } else { Ok(addresses) }
}

/// Connects to whichever address of a host takes it first.
pub(super) async fn connect(
    host: &str,
    port: u16,
    families: Families,
    within: Option<Duration>,
) -> Result<TcpStream, NotDialled> {
    let mut known = None;
    let connected = async {
        let addresses = addresses(host, families).await.map_err(NotDialled::NoAddress)?;
        known = addresses.first().copied();
        let attempts = addresses.into_iter().map(|address| {
            Box::pin(async move {
                let stream = TcpStream::connect(SocketAddr::from((address, port))).await;
                stream.map_err(|error| NotDialled::Refused(address, error))
            })
        });
        // There is one at least.
        select_ok(attempts).await.map(|(stream, _)| stream)
    };
    let result = match within {
        Some(within) => timeout(within, connected).await,
        None => Ok(connected.await),
    };
    match result {
        Ok(result) => result,
        Err(_) => Err(NotDialled::Late(known)),
    }
}

/// What the system says of an error, without its number.
pub(super) fn said(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
