//! What a word of `port` means at a destination.

use serde_json::Value;

use super::{
    claims::Pair,
    mistake::Mistake,
    nearest::{listed, nearest},
    ports::parse_port,
    reader::{Reader, Word},
    scope::Scope,
    services::{Service, ServicePort},
    types::{CasePort, Peer, PodPeer, ServicePeer},
};
use crate::model::{Port, Protocol};

/// What a word says about a port.
enum Said {
    /// A declared name.
    Name(Port),
    /// A number alone.
    Number(u16),
    /// A number with its protocol.
    Full(Port),
}

/// A Service of the suite's own manifests.
pub(super) fn known_service<'a>(
    scope: &'a Scope,
    peer: &ServicePeer,
) -> Option<(&'a super::services::Services, &'a Service)> {
    let services = scope.services.as_ref()?;
    Some((services, services.get(&peer.namespace, &peer.name)?))
}

/// What a word of `port` means at a destination; None and a mistake if nothing.
pub(super) fn resolve_port(
    reader: &mut Reader,
    scope: &Scope,
    pair: &Pair,
    word: &Word,
    protocol: Option<Protocol>,
) -> Option<CasePort> {
    let destination = scope.peer(&pair.to)?;
    let text = word.text.as_str();
    let service = match destination {
        Peer::Service(peer) => known_service(scope, peer).map(|(_, service)| service),
        _ => None,
    };
    let own = match destination {
        Peer::Pod(pod) => pod.ports.get(text).copied(),
        _ => None,
    };
    let of_service = service.and_then(|service| {
        let port = service.ports.iter().find(|port| port.name == text)?;
        let protocol = Protocol::ALL.into_iter().find(|p| Some(p.transport()) == port.transport)?;
        Some(Port { number: port.number, protocol: spoken(scope, service, port, protocol) })
    });
    let named = own.or(of_service).or_else(|| scope.default_ports.get(text).copied());
    let said = match named {
        Some(port) => Said::Name(port),
        None if text == Protocol::Icmp.name() => Said::Full(Port::ICMP),
        None if !text.starts_with(|first: char| first.is_ascii_digit()) && !text.contains('/') => {
            unknown_port(reader, scope, pair, word, service);
            return None;
        }
        None => match parse_port(text) {
            Ok(port) if text.contains('/') => Said::Full(port),
            Ok(port) => Said::Number(port.number),
            Err(wrong) => {
                let mistake = reader.mistake(&word.span, wrong.message);
                for help in wrong.helps {
                    mistake.help(help);
                }
                return None;
            }
        },
    };
    let said = match (said, protocol) {
        (Said::Number(number), Some(protocol)) => Said::Full(Port { number, protocol }),
        (said, Some(protocol)) if said.port().protocol != protocol => {
            let message = format!("`{text}` is {}, and `protocol` says {protocol}", said.port());
            reader.mistake(&word.span, message).help("leave out one of the two");
            return None;
        }
        (said, _) => said,
    };
    let port = match destination {
        _ if said.port() == Port::ICMP => check_icmp(reader, pair, word, destination)?,
        Peer::Pod(pod) => check_listener(reader, pair, word, pod, &said)?,
        Peer::Service(_) => match service {
            Some(service) => check_service(reader, scope, pair, word, service, &said)?,
            None => said.port(),
        },
        Peer::Ip(_) | Peer::Host(_) => said.port(),
    };
    let label = match said {
        Said::Name(_) => text.to_owned(),
        Said::Number(number) => number.to_string(),
        // `8080/tcp` and `8080` are one port, and get one id.
        Said::Full(Port { number, protocol: Protocol::Tcp }) => number.to_string(),
        Said::Full(Port::ICMP) => Protocol::Icmp.name().to_owned(),
        Said::Full(Port { number, protocol }) => format!("{number}-{protocol}"),
    };
    Some(CasePort { label, port })
}

impl Said {
    fn port(&self) -> Port {
        match self {
            Self::Name(port) | Self::Full(port) => *port,
            Self::Number(number) => Port { number: *number, protocol: Protocol::Tcp },
        }
    }
}

/// Whoever has an address answers ICMP echoes; a Service's address is nobody's.
fn check_icmp(reader: &mut Reader, pair: &Pair, word: &Word, to: &Peer) -> Option<Port> {
    if matches!(to, Peer::Service(_)) {
        reader
            .mistake(&word.span, format!("`{}` is a Service, which has no ICMP", pair.to))
            .help("whether its address is echoed depends on the proxy; ask a pod behind it");
        return None;
    }
    Some(Port::ICMP)
}

/// A claim about a launched pod has to be about a port that it listens on.
fn check_listener(
    reader: &mut Reader,
    pair: &Pair,
    word: &Word,
    pod: &PodPeer,
    said: &Said,
) -> Option<Port> {
    let port = said.port();
    let mut listeners = pod.ports.values().copied();
    let same_socket = listeners.find(|listener| {
        (listener.number, listener.protocol.transport()) == (port.number, port.protocol.transport())
    });
    match same_socket {
        Some(listener) if listener == port || matches!(said, Said::Number(_)) => Some(listener),
        _ => {
            let message = format!("`{}` does not listen on {port}", pair.to);
            let mistake = reader.mistake(&word.span, message);
            mistake.help(if pod.ports.is_empty() {
                format!("it listens on nothing: give `{}` some `ports`", pair.to)
            } else {
                let ports: Vec<String> =
                    pod.ports.iter().map(|(name, port)| format!("{name} ({port})")).collect();
                format!("it listens on {}", listed(ports.iter().map(String::as_str)))
            });
            None
        }
    }
}

/// A claim about a Service of the suite has to be about a port that it exposes.
fn check_service(
    reader: &mut Reader,
    scope: &Scope,
    pair: &Pair,
    word: &Word,
    service: &Service,
    said: &Said,
) -> Option<Port> {
    let port = said.port();
    let exposed = service
        .ports
        .iter()
        .find(|one| one.number == port.number && one.transport == Some(port.protocol.transport()));
    match exposed {
        Some(exposed) if matches!(said, Said::Number(_)) => {
            Some(Port { protocol: spoken(scope, service, exposed, port.protocol), ..port })
        }
        Some(_) => Some(port),
        None => {
            let message =
                format!("the Service `{}` (`{}`) has no port {port}", service.name, pair.to);
            let ports: Vec<String> = service.ports.iter().map(ServicePort::describe).collect();
            let help = format!("its ports are {}", listed(ports.iter().map(String::as_str)));
            reader.mistake(&word.span, message).help(help);
            None
        }
    }
}

/// The protocol in which the pods behind a Service are spoken to: HTTP where all of the
/// suite's own pods behind it serve that.
fn spoken(scope: &Scope, service: &Service, port: &ServicePort, otherwise: Protocol) -> Protocol {
    let mut found = scope
        .pods()
        .filter_map(|name| Some((scope.pod(name)?, scope.labels(name))))
        .filter(|(pod, labels)| service.selects(&pod.namespace, labels))
        .map(|(pod, _)| match &port.target {
            Value::String(name) => pod.ports.get(name).copied(),
            target => pod
                .ports
                .values()
                .find(|listener| {
                    Some(u64::from(listener.number)) == target.as_u64()
                        && Some(listener.protocol.transport()) == port.transport
                })
                .copied(),
        })
        .peekable();
    let http = found.peek().is_some()
        && found.all(|listener| listener.is_some_and(|port| port.protocol == Protocol::Http));
    if http { Protocol::Http } else { otherwise }
}

fn unknown_port(
    reader: &mut Reader,
    scope: &Scope,
    pair: &Pair,
    word: &Word,
    service: Option<&Service>,
) {
    let own: Vec<&str> = match scope.peer(&pair.to) {
        Some(Peer::Pod(pod)) => pod.ports.keys().map(String::as_str).collect(),
        _ => {
            let of_service = service.iter().flat_map(|service| &service.ports);
            let of_service = of_service.map(|port| port.name.as_str());
            let names = of_service.chain(scope.default_ports.keys().map(String::as_str));
            names.filter(|name| !name.is_empty()).collect()
        }
    };
    let message = format!("`{}` has no port `{}`", pair.to, word.text);
    let near = nearest(&word.text, own.iter().copied());
    let mistake: &mut Mistake = reader.mistake(&word.span, message);
    mistake.did_you_mean(near);
    mistake.help(if own.is_empty() {
        "it declares none; write a number, or that and a protocol: `53/udp`".to_owned()
    } else {
        format!("its ports are {}", listed(own))
    });
}
