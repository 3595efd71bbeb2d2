//! Which IP families a run asks in.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    cluster::Cluster,
    model::Family,
    sandbox::{fault::Fault, layout::IpFamily, node},
    suite::{Change, Peer, Suite},
};

/// Of a sandbox of the run's own: what was asked for; else IPv4, and IPv6 beside it where
/// something at hand is about IPv6.
pub(super) fn of_sandbox(asked: Option<IpFamily>, suites: &[Suite], faults: &[Fault]) -> IpFamily {
    let about_v6 = || {
        faults.iter().any(|fault| fault.to_string().contains("ipv6"))
            || suites.iter().any(is_about_v6)
    };
    asked.unwrap_or_else(|| if about_v6() { IpFamily::Dual } else { IpFamily::Ipv4 })
}

/// That a sandbox which should have both families can have IPv4 alone, and why.
pub(super) fn left_out(wanted: IpFamily) -> Option<String> {
    let reason = node::has_ipv6().err().filter(|_| wanted == IpFamily::Dual)?;
    Some(format!("the sandbox has IPv4 alone: {reason}; for both, {}", reason.remedy()))
}

fn is_about_v6(suite: &Suite) -> bool {
    let by_peer = |peer: &Peer| matches!(peer, Peer::Ip(address) if address.is_ipv6());
    let of_steps = suite.changes().flatten().filter_map(|change| match change {
        Change::Apply(manifest) => Some(manifest),
        _ => None,
    });
    let mut objects =
        suite.setup.manifests.iter().chain(of_steps).flat_map(|manifest| &manifest.objects);
    suite.all_cases().any(|case| case.family == Some(Family::Ipv6))
        || suite.peers.values().any(by_peer)
        || objects.any(names_v6)
}

/// Whether some text of an object is an IPv6 address or range, or the word itself.
fn names_v6(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let address = text.split('/').next().unwrap_or_default();
            text == "IPv6" || address.parse::<std::net::Ipv6Addr>().is_ok()
        }
        Value::Array(items) => items.iter().any(names_v6),
        Value::Object(fields) => fields.values().any(names_v6),
        _ => false,
    }
}

/// The families of a cluster, and those of its Services, by namespace and name.
pub(super) type Found = (Vec<Family>, BTreeMap<(String, String), Vec<Family>>);

/// What nobody has looked at.
pub(super) fn assumed(family: IpFamily) -> Found {
    let families = match family {
        IpFamily::Ipv4 => vec![Family::Ipv4],
        IpFamily::Ipv6 => vec![Family::Ipv6],
        IpFamily::Dual => vec![Family::Ipv4, Family::Ipv6],
    };
    (families, BTreeMap::new())
}

/// What a cluster has, and each Service that suites name and the run doesn't make.
pub(super) async fn of_cluster(
    cluster: &Cluster,
    suites: &[Suite],
    asked: Option<IpFamily>,
) -> Found {
    let mut families = cluster.families().await;
    match asked {
        Some(IpFamily::Ipv4) => families = vec![Family::Ipv4],
        Some(IpFamily::Ipv6) => families = vec![Family::Ipv6],
        Some(IpFamily::Dual) => {
            for family in [Family::Ipv4, Family::Ipv6] {
                if !families.contains(&family) {
                    families.push(family);
                }
            }
        }
        None => {}
    }
    let mut services = BTreeMap::new();
    for suite in suites {
        for peer in suite.peers.values() {
            let Peer::Service(peer) = peer else { continue };
            let place = (peer.namespace.clone(), peer.name.clone());
            if suite.setup.namespaces.contains_key(&peer.namespace) || services.contains_key(&place)
            {
                continue;
            }
            // Who may not read it now is told so when it is dialled.
            let found = cluster.service_families(&peer.namespace, &peer.name).await;
            if let Ok(Some(found)) = found {
                services.insert(place, found);
            }
        }
    }
    (families, services)
}
