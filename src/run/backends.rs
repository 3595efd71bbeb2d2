//! Who stands behind a Service, as its EndpointSlices have it.

use std::borrow::Cow;

use super::{asked::Asked, dial::Whom, live::Live};
use crate::{
    cluster::Endpoint,
    model::{IpProtocol, Port},
    plan::{PlannedCase, PodIndex},
};

/// The launched pod that an endpoint is, if it is one.
pub(super) fn planned(live: &Live<'_>, endpoint: &Endpoint) -> Option<PodIndex> {
    let (namespace, name) = endpoint.pod.as_ref()?;
    let mut all = live.plan.pods.iter();
    all.position(|pod| pod.namespace == *namespace && pod.name == *name).map(PodIndex)
}

/// The number that a port of a Service has at an endpoint.
pub(super) fn target(endpoint: &Endpoint, port_name: &str, transport: IpProtocol) -> Option<u16> {
    let mut ports = endpoint.ports.iter();
    let found = ports.find(|(name, _, over)| (name.as_str(), *over) == (port_name, transport));
    found.map(|(_, number, _)| *number)
}

/// A backend by its own address.
pub(super) fn backend<'a>(
    live: &Live<'_>,
    case: &PlannedCase,
    pod: PodIndex,
    number: u16,
) -> Asked<'a> {
    let own = PlannedCase { port: Port { number, ..case.port }, ..case.clone() };
    let mut asked = Asked::of_nobody(live, Cow::Owned(own));
    asked.towards_pod(live, pod);
    asked
}

/// The endpoints of a headless Service, ours and others', without the source itself.
pub(super) fn headless<'a, 'e>(
    live: &Live<'_>,
    case: &PlannedCase,
    endpoints: impl Iterator<Item = &'e Endpoint>,
    port_name: &str,
) -> Vec<Asked<'a>> {
    let mut all = Vec::new();
    for endpoint in endpoints {
        let transport = case.port.protocol.transport();
        let Some(number) = target(endpoint, port_name, transport) else { continue };
        match planned(live, endpoint) {
            Some(pod) if pod == case.source => {}
            Some(pod) => all.push(backend(live, case, pod, number)),
            None => {
                let own = PlannedCase { port: Port { number, ..case.port }, ..case.clone() };
                let mut asked = Asked::of_nobody(live, Cow::Owned(own));
                asked.described = match &endpoint.pod {
                    Some((namespace, name)) => {
                        format!("{namespace}/{name} ({})", endpoint.address)
                    }
                    None => endpoint.address.to_string(),
                };
                asked.towards_foreign(live, Whom::Address(endpoint.address));
                all.push(asked);
            }
        }
    }
    all
}
