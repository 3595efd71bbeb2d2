//! Which IP families a claim is asked in.

use serde_json::Value;

use super::{build::Inputs, objects, services};
use crate::{
    model::Family,
    suite::{Peer, Suite},
};

/// The families of a claim that names none: those that both ends have, as far as that can
/// be told before anything runs. One that turns out to be missing is not run, and said.
pub(super) fn of(suite: &Suite, to: &Peer, inputs: &Inputs, step: Option<usize>) -> Vec<Family> {
    let cluster = &inputs.families;
    let of_end = match to {
        // Also one that the cluster's pods don't have: then the case is listed as not run,
        // in place of vanishing.
        Peer::Ip(address) => return vec![Family::of(*address)],
        Peer::Pod(_) => return cluster.clone(),
        Peer::Service(peer) => {
            let place = (peer.namespace.clone(), peer.name.clone());
            let existing = inputs.services.get(&place).cloned();
            services::in_step(suite, peer, step)
                .and_then(|service| of_service(service, cluster))
                .or(existing)
        }
        Peer::Host(name) => {
            let first = name.split('.').next().unwrap_or_default();
            let named = |object: &&Value| objects::text(object, "/metadata/name") == first;
            let mut own = services::services(suite).filter(named);
            own.next().and_then(|service| of_service(service, cluster))
        }
    };
    let Some(of_end) = of_end else { return cluster.clone() };
    let both: Vec<Family> =
        cluster.iter().copied().filter(|family| of_end.contains(family)).collect();
    // Nothing in common: listed, so that the report says so.
    if both.is_empty() { of_end } else { both }
}

/// The families that the API server gives a Service; `cluster` lists its own, the primary
/// one first. None where the Service has no addresses of its own to tell.
fn of_service(service: &Value, cluster: &[Family]) -> Option<Vec<Family>> {
    let spec = &service["spec"];
    if spec["type"] == "ExternalName" {
        return None;
    }
    let listed: Vec<Family> = spec["ipFamilies"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|family| match family.as_str()? {
            "IPv4" => Some(Family::Ipv4),
            "IPv6" => Some(Family::Ipv6),
            _ => None,
        })
        .collect();
    let without_selector = spec["selector"].as_object().is_none_or(serde_json::Map::is_empty);
    let headless = spec["clusterIP"] == "None";
    let all = match spec["ipFamilyPolicy"].as_str() {
        Some(policy) => policy != "SingleStack",
        // What the API server fills in.
        None => listed.is_empty() && headless && without_selector,
    };
    Some(if all {
        cluster.to_vec()
    } else if listed.is_empty() {
        cluster.iter().copied().take(1).collect()
    } else {
        listed
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_has_the_families_that_the_api_server_gives_it() {
        use Family::{Ipv4, Ipv6};
        let dual = [Ipv4, Ipv6];
        for (what, spec, cluster, expected) in [
            ("nothing said", json!({"selector": {"a": "b"}}), &dual[..], Some(vec![Ipv4])),
            ("IPv6 first", json!({"selector": {"a": "b"}}), &[Ipv6, Ipv4], Some(vec![Ipv6])),
            ("one listed", json!({"ipFamilies": ["IPv6"]}), &dual, Some(vec![Ipv6])),
            ("two listed", json!({"ipFamilies": ["IPv6", "IPv4"]}), &dual, Some(vec![Ipv6, Ipv4])),
            ("preferred", json!({"ipFamilyPolicy": "PreferDualStack"}), &dual, Some(dual.into())),
            (
                "preferred, in vain",
                json!({"ipFamilyPolicy": "PreferDualStack"}),
                &[Ipv4],
                Some(vec![Ipv4]),
            ),
            ("headless without selector", json!({"clusterIP": "None"}), &dual, Some(dual.into())),
            (
                "headless",
                json!({"clusterIP": "None", "selector": {"a": "b"}}),
                &dual,
                Some(vec![Ipv4]),
            ),
            ("a name", json!({"type": "ExternalName"}), &dual, None),
        ] {
            assert_eq!(of_service(&json!({"spec": spec}), cluster), expected, "{what}");
        }
    }
}
