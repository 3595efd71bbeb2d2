//! The two ends of one question, as people name them, as peers of a suite.

use serde_json::{Map, Value, json};

use crate::{
    cli::named,
    model::{IpProtocol, Labels, NamedPort, Pod, Service, Topology},
    suite::nearest::nearest,
};

/// Tells two pods of one identity apart, where both ends are the same workload.
const TWIN_LABEL: (&str, &str) = ("probe-end", "destination");

/// An end of a question.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    /// A probe pod: a copy of one that is there, or of labels alone.
    Pod(PodEnd),
    /// A Service that exists.
    Service(Service),
    /// An address.
    Address(std::net::IpAddr),
    /// A host name.
    Host(String),
}

/// What a probe pod copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PodEnd {
    pub(super) namespace: String,
    pub(super) labels: Labels,
    pub(super) account: Option<String>,
    pub(super) ports: Vec<NamedPort>,
    /// The pod that it copies; none where no pod has the labels.
    pub(super) like: Option<String>,
}

/// Why a text names no end, and what to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoEnd {
    pub(super) message: String,
    pub(super) remedy: String,
}

fn no(message: impl Into<String>, remedy: impl Into<String>) -> NoEnd {
    NoEnd { message: message.into(), remedy: remedy.into() }
}

/// The end that a text names: `shop/frontend` (a pod, a workload or a Service),
/// `shop/Deployment/frontend`, `shop/app=web,tier=back`, an address or a host name. What
/// names no namespace is in the given one.
pub(super) fn find(topology: &Topology, text: &str, namespace: &str) -> Result<Asked, NoEnd> {
    if let Ok(address) = text.parse() {
        return Ok(Asked::Address(address));
    }
    let is_host = text.contains('.') && !text.contains(['/', '=']);
    let (space, name) = named::split(text, namespace);
    if !is_host && !topology.namespaces().contains_key(space) {
        let known = topology.namespaces().keys().map(String::as_str);
        let remedy = nearest(space, known).map_or_else(
            || "name one that exists; in a sandbox --manifests brings it".to_owned(),
            |near| format!("`{near}`"),
        );
        return Err(no(format!("`{text}`: there is no namespace {space}"), remedy));
    }
    let pod = |index: usize| &topology.pods()[index];
    if let Some(labels) = named::labels(name) {
        let found = named::labelled(topology, space, &labels).map(pod);
        return Ok(Asked::Pod(found.map_or_else(
            || PodEnd { namespace: space.to_owned(), labels, ..PodEnd::default() },
            copy,
        )));
    }
    if let Some(pod) = named::called(topology, space, name).map(pod) {
        if pod.host_network {
            return Err(no(
                format!("`{text}` shares its node's network, which no probe pod may"),
                "name another pod, or its address",
            ));
        }
        return Ok(Asked::Pod(copy(pod)));
    }
    if let Some(service) = topology.service(space, name) {
        return Ok(match &service.external_name {
            Some(host) => Asked::Host(host.clone()),
            None => Asked::Service(service.clone()),
        });
    }
    if is_host {
        return Ok(Asked::Host(text.to_owned()));
    }
    let pods = topology.pods().iter().filter(|pod| pod.namespace == space);
    let names = pods.map(|pod| pod.workload.as_ref().map_or(&pod.name, |workload| &workload.name));
    let services = topology.services().iter().filter(|service| service.namespace == space);
    let known: Vec<String> = names
        .chain(services.map(|service| &service.name))
        .map(|it| format!("{space}/{it}"))
        .collect();
    let near = nearest(&format!("{space}/{name}"), known.iter().map(String::as_str));
    let remedy = near.map_or_else(
        || {
            "NAMESPACE/NAME of a pod, a workload or a Service, NAMESPACE/key=value, an address \
            or a host name"
                .to_owned()
        },
        |near| format!("`{near}`"),
    );
    Err(no(format!("`{text}` is no pod, workload or Service"), remedy))
}

fn copy(pod: &Pod) -> PodEnd {
    let labels = named::copied_labels(pod);
    PodEnd {
        namespace: pod.namespace.clone(),
        labels,
        account: pod.service_account.clone().filter(|name| name != "default"),
        ports: pod.ports.clone(),
        like: Some(format!("{}/{}", pod.namespace, pod.name)),
    }
}

/// A port as it is asked for: `5432`, `53/udp`, `80/http`, or the name that the destination
/// has for it. Gives what a case writes.
pub(super) fn port(to: &Asked, text: &str) -> Result<String, NoEnd> {
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return Ok(text.to_owned());
    }
    let (known, whose): (Vec<(&str, u16, IpProtocol)>, _) = match to {
        Asked::Pod(pod) => {
            let named = pod.ports.iter();
            let named =
                named.filter_map(|port| Some((port.name.as_deref()?, port.number, port.protocol)));
            (named.collect(), "a pod")
        }
        Asked::Service(service) => {
            let named = service.ports.iter();
            let named =
                named.filter_map(|port| Some((port.name.as_deref()?, port.number, port.protocol)));
            (named.collect(), "a Service")
        }
        Asked::Address(_) | Asked::Host(_) => {
            let message = format!("`{text}` is no port number, and an address has no named ports");
            return Err(no(message, "write it as 443, 53/udp or 80/http"));
        }
    };
    match known.iter().find(|(name, ..)| *name == text) {
        Some((_, number, protocol)) => {
            Ok(format!("{number}/{}", protocol.name().to_ascii_lowercase()))
        }
        None => {
            let names: Vec<_> = known.iter().map(|(name, ..)| *name).collect();
            let message = format!("the destination, {whose}, has no port named `{text}`");
            let remedy = if names.is_empty() {
                "it names none; write a number, as 5432 or 53/udp".to_owned()
            } else {
                format!("it has: {}", names.join(", "))
            };
            Err(no(message, remedy))
        }
    }
}

/// The two ends as peers: their names and definitions. The destination listens on `port`
/// and on all that the pod it copies declares, by the same names, because policies go by them.
pub(super) fn peers(
    (from, from_text): (&PodEnd, &str),
    (to, to_text): (&Asked, &str),
    port: &str,
) -> [(String, Value); 2] {
    let source = (slug(from_text, "source"), peer(from, Map::new()));
    let mut name = slug(to_text, "destination");
    if name == source.0 {
        name.push_str("-too");
    }
    let value = match to {
        Asked::Pod(pod) => {
            let mut end = pod.clone();
            let alike = end.namespace == from.namespace
                && end.labels == from.labels
                && end.account == from.account;
            if alike {
                end.labels.insert(TWIN_LABEL.0.to_owned(), TWIN_LABEL.1.to_owned());
            }
            peer(&end, listened(pod, port))
        }
        Asked::Service(service) => {
            json!({"service": {"namespace": service.namespace, "name": service.name}})
        }
        Asked::Address(address) => json!({"ip": address}),
        Asked::Host(host) => json!({"host": host}),
    };
    [source, (name, value)]
}

fn peer(end: &PodEnd, ports: Map<String, Value>) -> Value {
    let mut pod = json!({"namespace": end.namespace, "labels": end.labels, "ports": ports});
    if let Some(account) = &end.account {
        pod["serviceAccount"] = json!(account);
    }
    json!({"pod": pod})
}

/// What the destination listens on; `port` is empty where none is asked for.
fn listened(pod: &PodEnd, port: &str) -> Map<String, Value> {
    let number = |text: &str| text.split('/').next().unwrap_or_default().to_owned();
    let transport = |text: &str| match text.rsplit_once('/').map(|(_, word)| word) {
        Some("udp") => "udp",
        Some("sctp") => "sctp",
        _ => "tcp",
    };
    let mut ports = Map::new();
    let mut is_asked = false;
    for declared in &pod.ports {
        let Some(name) = &declared.name else { continue };
        let written = match declared.protocol {
            IpProtocol::Tcp => format!("{}/tcp", declared.number),
            IpProtocol::Udp => format!("{}/udp", declared.number),
            // Many kernels lack it: it is listened on only where it is asked for.
            IpProtocol::Sctp if transport(port) == "sctp" => format!("{}/sctp", declared.number),
            IpProtocol::Sctp | IpProtocol::Icmp => continue,
        };
        let same = number(&written) == number(port) && transport(&written) == transport(port);
        is_asked |= same;
        ports.insert(name.clone(), json!(if same { port.to_owned() } else { written }));
    }
    if !is_asked && !port.is_empty() {
        ports.insert("asked".to_owned(), json!(port));
    }
    ports
}

/// A name for a peer: the last word of what was written.
fn slug(text: &str, default: &str) -> String {
    let last = text.rsplit(['/', '=']).next().unwrap_or_default().to_ascii_lowercase();
    let word: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(30).collect();
    let word = word.trim_matches('-');
    if word.starts_with(|first: char| first.is_ascii_lowercase()) { word } else { default }
        .to_owned()
}
