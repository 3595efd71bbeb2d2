//! The proxy of a service mesh, where one was put into a pod.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use crate::sandbox::{
    api::{admission::SIDECAR_IMAGE, object::Object},
    firewall::Redirect,
    stand_in::sidecar::{INBOUND, OUTBOUND, PRIORITY},
};

/// Ports of the proxy's own, which are never led to it.
const OWN_PORTS: [u16; 3] = [15_020, 15_021, 15_090];

/// What is led to a pod's proxy, as its annotations say; `None` for a pod without one. One on
/// the host network has none: its connections are its node's.
pub(super) fn redirect(pod: &Value, addresses: &[IpAddr]) -> Option<Redirect> {
    let containers = pod.items("/spec/containers").iter().chain(pod.items("/spec/initContainers"));
    let mut images = containers.map(|container| container.text("/image"));
    if pod["spec"]["hostNetwork"] == true || !images.any(|image| image == SIDECAR_IMAGE) {
        return None;
    }
    let words = |name: &str| -> Option<Vec<&str>> {
        let key = format!("traffic.sidecar.istio.io/{name}");
        let text = pod["metadata"]["annotations"].get(key)?.as_str()?;
        Some(text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect())
    };
    // What can't be read says nothing: the mesh's own webhook would have refused it.
    let ports = |name: &str| -> Vec<u16> {
        words(name).unwrap_or_default().iter().filter_map(|word| word.parse().ok()).collect()
    };
    let networks = words("excludeOutboundIPRanges").unwrap_or_default();
    let only = words("includeInboundPorts").filter(|words| !words.contains(&"*"));
    Some(Redirect {
        own: addresses.to_vec(),
        inbound: INBOUND,
        outbound: OUTBOUND,
        priority: u32::try_from(PRIORITY).unwrap_or_default(),
        only_inbound: only.map(|_| ports("includeInboundPorts")),
        except_inbound: [&OWN_PORTS[..], &ports("excludeInboundPorts")].concat(),
        except_outbound: ports("excludeOutboundPorts"),
        except_networks: networks.iter().filter_map(|word| word.parse::<IpNet>().ok()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn annotations_exclude_ports_and_networks() {
        let own: Vec<IpAddr> = vec!["10.0.0.1".parse().expect("an address")];
        let pod = |annotations: Value, image: &str| {
            let annotations: serde_json::Map<_, _> = annotations
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| (format!("traffic.sidecar.istio.io/{name}"), value.clone()))
                .collect();
            json!({
                "metadata": {"annotations": annotations},
                "spec": {"containers": [{"image": image}]},
            })
        };
        assert_eq!(redirect(&pod(json!({}), "nginx"), &own), None, "no proxy");
        let all = redirect(&pod(json!({}), SIDECAR_IMAGE), &own).expect("a proxy");
        assert_eq!((all.only_inbound, all.except_outbound), (None, vec![]));
        let some = json!({
            "includeInboundPorts": "80, 81", "excludeInboundPorts": "22,x",
            "excludeOutboundPorts": "3306", "excludeOutboundIPRanges": "192.0.2.0/24,nonsense",
        });
        let some = redirect(&pod(some, SIDECAR_IMAGE), &own).expect("a proxy");
        assert_eq!(some.only_inbound, Some(vec![80, 81]));
        assert_eq!(some.except_inbound, [15_020, 15_021, 15_090, 22]);
        assert_eq!(some.except_outbound, [3306]);
        assert_eq!(some.except_networks.len(), 1);
        let star = pod(json!({"includeInboundPorts": "*"}), SIDECAR_IMAGE);
        assert_eq!(redirect(&star, &own).expect("a proxy").only_inbound, None);
    }
}
