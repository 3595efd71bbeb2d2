//! Names, as the pod itself would resolve them: its hosts file, then its resolv.conf, search
//! list and ndots.
//!
//! Nothing is cached. A name that doesn't exist and a resolver
//! that doesn't answer are told apart: only the first is a fact about the name.

use std::{net::IpAddr, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_resolver::{
    TokioResolver,
    config::{ResolveHosts, ResolverConfig, ResolverOpts},
    lookup::Lookup,
    net::{NetError, runtime::TokioRuntimeProvider},
    system_conf::read_system_conf,
};
use nix::ifaddrs::getifaddrs;
use tokio::time::{sleep, timeout};

use crate::wire::Resolution;

/// Queries for one name and type, one after the other: as with dials, loss must not
/// decide. At 10 % loss each way fewer than one in 500,000 loses all.
const TRIES: u32 = 8;

/// Time between two tries.
const STAGGER: Duration = Duration::from_millis(250);

/// How long the name servers may take for one name and type, all tries together.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// How long a name may take with its whole search list.
const NAME_LIMIT: Duration = Duration::from_secs(10);

/// Resolves names.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resolver;

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Missing {
    NoSuchName(String),
    Failed(String),
}

impl Resolver {
    /// Resolves a name. The resolver's settings are read anew, as a pod's may change.
    pub async fn resolve(&self, name: &str) -> Resolution {
        // A pod has both files from its kubelet; what isn't there says nothing.
        let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
        let mut addresses = listed(&hosts, name);
        addresses.retain(|address| address.is_ipv4() || has_v6());
        if !addresses.is_empty() {
            return Resolution::Resolved { addresses };
        }
        let settings = match read_system_conf() {
            Ok(settings) => settings,
            Err(error) => {
                return Resolution::Failed { message: format!("read /etc/resolv.conf: {error}") };
            }
        };
        resolve(name, settings).await
    }
}

/// The addresses that a hosts file has for a name, each once.
fn listed(hosts: &str, name: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in hosts.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
        if let Some(address) = address
            && words.any(|word| word.eq_ignore_ascii_case(name))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

async fn resolve(name: &str, (config, options): (ResolverConfig, ResolverOpts)) -> Resolution {
    let candidates = match candidates(name, options.ndots, config.search()) {
        Ok(candidates) => candidates,
        Err(message) => return Resolution::NoSuchName { message },
    };
    let servers = Servers { config, options };
    let limit = format!("no answer within {} s", NAME_LIMIT.as_secs());
    match timeout(NAME_LIMIT, search(&servers, candidates)).await {
        Ok(Ok(addresses)) => Resolution::Resolved { addresses },
        Ok(Err(Missing::NoSuchName(message))) => Resolution::NoSuchName { message },
        Ok(Err(Missing::Failed(message))) => Resolution::Failed { message },
        Err(_) => Resolution::Failed { message: limit },
    }
}

/// The name servers of resolv.conf.
struct Servers {
    config: ResolverConfig,
    options: ResolverOpts,
}

impl Servers {
    /// Asks once. Questions that share a resolver would share one packet, and its loss.
    async fn ask(&self, name: Name, kind: RecordType) -> Result<Lookup, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(self.config.clone(), provider);
        let options = builder.options_mut();
        *options = self.options.clone();
        // Tries and waits are ours.
        options.attempts = 0;
        options.timeout = 2 * ANSWER_LIMIT;
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        builder.build()?.lookup(name, kind).await
    }
}

/// The names to try, in order, as resolv.conf(5) has it.
fn candidates(name: &str, ndots: usize, search: &[Name]) -> Result<Vec<Name>, String> {
    let broken = |error| format!("`{name}` is no host name: {error}");
    let mut absolute = Name::from_str_relaxed(name).map_err(broken)?;
    if absolute.is_fqdn() {
        return Ok(vec![absolute]);
    }
    let dots = name.matches('.').count();
    let mut names: Vec<Name> =
        search.iter().filter_map(|domain| absolute.clone().append_domain(domain).ok()).collect();
    absolute.set_fqdn(true);
    let place = if dots >= ndots { 0 } else { names.len() };
    names.insert(place, absolute);
    Ok(names)
}

/// The first name that has addresses.
async fn search(servers: &Servers, names: Vec<Name>) -> Result<Vec<IpAddr>, Missing> {
    let mut missing = Missing::NoSuchName("no name to try".into());
    for name in names {
        match addresses(servers, &name).await {
            Ok(addresses) => return Ok(addresses),
            // A silent resolver is silent for the next name too.
            Err(failed @ Missing::Failed(_)) => return Err(failed),
            Err(absent) => missing = absent,
        }
    }
    Err(missing)
}

/// All addresses of one name, of the families that the pod has.
async fn addresses(servers: &Servers, name: &Name) -> Result<Vec<IpAddr>, Missing> {
    let v4 = ask(servers, name, RecordType::A);
    let v6 =
        async { if has_v6() { Some(ask(servers, name, RecordType::AAAA).await) } else { None } };
    let (v4, v6) = tokio::join!(v4, v6);
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for result in [Some(v4), v6].into_iter().flatten() {
        match result {
            Ok(addresses) => found.extend(addresses),
            Err(why) => missing.push(why),
        }
    }
    // One family's silence would hide addresses that the name may have.
    let failed = missing.iter().find(|why| matches!(why, Missing::Failed(_)));
    match (failed, missing.first()) {
        (Some(why), _) => Err(why.clone()),
        (None, Some(why)) if found.is_empty() => Err(why.clone()),
        _ => {
            let mut seen = std::collections::HashSet::new();
            found.retain(|address| seen.insert(*address));
            Ok(found)
        }
    }
}

async fn ask(servers: &Servers, name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, Missing> {
    timeout(ANSWER_LIMIT, persist(servers, name, kind)).await.unwrap_or_else(|_| {
        let limit = ANSWER_LIMIT.as_secs();
        Err(Missing::Failed(format!("{name}: no name server answered within {limit} s")))
    })
}

/// Asks until there is an answer, each time anew while the earlier questions stand.
async fn persist(servers: &Servers, name: &Name, kind: RecordType) -> Result<Vec<IpAddr>, Missing> {
    let mut questions: FuturesUnordered<_> = (0..TRIES)
        .map(|turn| async move {
            sleep(STAGGER * turn).await;
            servers.ask(name.clone(), kind).await
        })
        .collect();
    let mut last = String::from("no answer");
    while let Some(result) = questions.next().await {
        match result {
            Ok(lookup) => {
                let found: Vec<_> = lookup
                    .answers()
                    .iter()
                    .filter_map(|record| match &record.data {
                        RData::A(address) => Some(IpAddr::V4(address.0)),
                        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                        _ => None,
                    })
                    .collect();
                if found.is_empty() {
                    return Err(Missing::NoSuchName(format!("{name} has no addresses")));
                }
                return Ok(found);
            }
            Err(error) if error.is_nx_domain() => {
                return Err(Missing::NoSuchName(format!("{name} does not exist")));
            }
            Err(error) if error.is_no_records_found() => {
                return Err(Missing::NoSuchName(format!("{name} has no {kind} record")));
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(Missing::Failed(format!("{name}: {last}")))
}

/// Whether the pod has an IPv6 address that reaches further than its own link.
fn has_v6() -> bool {
    let Ok(interfaces) = getifaddrs() else { return false };
    interfaces
        .filter_map(|interface| Some(interface.address?.as_sockaddr_in6()?.ip()))
        .any(|address| !address.is_loopback() && !address.is_unicast_link_local())
}

#[cfg(test)]
mod tests;
