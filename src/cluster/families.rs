//! Which IP families a cluster's pods and Services have.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Node, Pod, Service};
use kube::{Api, api::ListParams};

use super::{Cluster, Error, ErrorKind};
use crate::model::Family;

/// How many nodes and pods are looked at: a cluster's are all alike in this.
const SAMPLE: u32 = 50;

impl Cluster {
    /// The families of the cluster's pods, the primary one first: of its nodes' ranges and
    /// of the addresses that the pods of `kube-system` have, for neither need tell all. Who
    /// may see neither learns the families of the API's own Service; IPv4 where even that
    /// can't be read.
    pub async fn families(&self) -> Vec<Family> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "kube-system");
        let sample = ListParams::default().limit(SAMPLE);
        let (nodes, pods, api) = tokio::join!(
            Self::call("list nodes", nodes.list(&sample)),
            Self::call("list pods in namespace kube-system", pods.list(&sample)),
            self.service_families("default", "kubernetes"),
        );
        let mut found = Vec::new();
        for node in nodes.into_iter().flat_map(|list| list.items) {
            note(&mut found, ranges(&node));
        }
        for pod in pods.into_iter().flat_map(|list| list.items) {
            note(&mut found, addresses(&pod));
        }
        if found.is_empty() {
            note(&mut found, api.ok().flatten().unwrap_or_default());
        }
        if found.is_empty() {
            found.push(Family::Ipv4);
        }
        found
    }

    /// The families of a Service; none if it doesn't exist or has no address of its own.
    ///
    /// # Errors
    /// It can't be read.
    pub async fn service_families(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Vec<Family>>, Error> {
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let what = format!("get service {namespace}/{name}");
        match Self::call(what, services.get(name)).await {
            Ok(service) => Ok(families_of(&service)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn note(found: &mut Vec<Family>, more: Vec<Family>) {
    for family in more {
        if !found.contains(&family) {
            found.push(family);
        }
    }
}

fn ranges(node: &Node) -> Vec<Family> {
    let spec = node.spec.clone().unwrap_or_default();
    let ranges = spec.pod_cidrs.unwrap_or_else(|| spec.pod_cidr.into_iter().collect());
    ranges.iter().filter_map(|range| of_text(range.split('/').next()?)).collect()
}

/// Nothing of a pod with its node's addresses, and of one that is gone.
fn addresses(pod: &Pod) -> Vec<Family> {
    let on_host = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
    let Some(status) = pod.status.as_ref().filter(|_| !on_host) else { return Vec::new() };
    if status.phase.as_deref() != Some("Running") {
        return Vec::new();
    }
    status.pod_ips.iter().flatten().filter_map(|address| of_text(&address.ip)).collect()
}

fn families_of(service: &Service) -> Option<Vec<Family>> {
    let spec = service.spec.as_ref()?;
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let listed = spec.ip_families.iter().flatten().filter_map(|family| match family.as_str() {
        "IPv4" => Some(Family::Ipv4),
        "IPv6" => Some(Family::Ipv6),
        _ => None,
    });
    let listed: Vec<Family> = listed.collect();
    (!listed.is_empty()).then_some(listed)
}

fn of_text(address: &str) -> Option<Family> {
    address.parse::<IpAddr>().ok().map(Family::of)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_running_pod_of_its_own_network_tells_the_families() {
        let both = json!([{"ip": "10.0.0.5"}, {"ip": "fd00::5"}]);
        for (what, spec, phase, expected) in [
            ("a pod", json!({}), "Running", vec![Family::Ipv4, Family::Ipv6]),
            ("on the host's network", json!({"hostNetwork": true}), "Running", Vec::new()),
            ("one that has ended", json!({}), "Succeeded", Vec::new()),
        ] {
            let mut pod = json!({"spec": spec, "status": {"phase": phase, "podIPs": both}});
            pod["spec"]["containers"] = json!([]);
            let pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(addresses(&pod), expected, "{what}");
        }
    }
}
