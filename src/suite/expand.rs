//! From claims to cases: every pair with every port, and the checks that need both ends.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    ask,
    claims::{Claim, Options, Pair},
    mistake::Mistake,
    nearest::{listed, nearest},
    ports::parse_port,
    reader::{Reader, Word},
    scope::Scope,
    services::{Service, ServicePort},
    source::Span,
    types::{Case, CasePort, EvidenceRule, Peer, PodPeer, ServicePeer},
};
use crate::model::{Connectivity, Family, Port, Protocol};

/// What a word says about a port.
enum Said {
    /// A declared name.
    Name(Port),
    /// A number alone.
    Number(u16),
    /// A number with its protocol.
    Full(Port),
}

/// Families and places of the cases so far, by name and port label.
type Ids = HashMap<(String, String), Vec<(Option<Family>, Span)>>;

/// Expands all claims of a suite, in their order.
pub(super) fn expand(reader: &mut Reader, scope: &Scope, claims: Vec<Claim>) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut ids = Ids::new();
    for claim in &claims {
        let count = cases.len() + claim.pairs.len() * claim.ports.len();
        if let Some(pair) = claim.pairs.first()
            && scope.too_many(reader, count, &pair.span)
        {
            return cases;
        }
        if let Some(startup) = &claim.options.startup {
            startup.check(reader, &claim.pairs);
        }
        for pair in &claim.pairs {
            if !check_pair(reader, scope, pair, &claim.options) {
                continue;
            }
            for word in &claim.ports {
                let Some(port) = resolve_port(reader, scope, pair, word, claim.protocol) else {
                    continue;
                };
                if !ask::check(reader, scope, pair, port.port, &claim.options.asked) {
                    continue;
                }
                let established = claim.options.established.as_ref();
                let established =
                    established.and_then(|words| words.of(reader, scope, pair, &port));
                let mut case = case(reader, scope, pair, port, &claim.options);
                case.established = established;
                let id = (case.name.clone(), case.port.label.clone());
                let same = ids.entry(id).or_default();
                let twin = same.iter().find(|(family, _)| {
                    family.is_none() || case.family.is_none() || *family == case.family
                });
                if let Some((_, twin)) = twin {
                    let message =
                        format!("there are two cases `{}` on port {}", case.name, case.port.label);
                    let source = Arc::clone(&reader.source);
                    reader.mistake(&pair.span, message).see(&source, twin, "the first is here");
                    continue;
                }
                same.push((case.family, pair.span.clone()));
                cases.push(case);
            }
        }
    }
    cases
}

fn case(reader: &Reader, scope: &Scope, pair: &Pair, port: CasePort, options: &Options) -> Case {
    // In a table, what is said about denials says nothing about the allows beside them.
    let denied = pair.expect == Connectivity::Blocked;
    Case {
        name: pair.name.clone(),
        from: pair.from.clone(),
        to: pair.to.clone(),
        port,
        expect: pair.expect,
        within: options.within.or(scope.within),
        timeout: options.timeout,
        family: options.family,
        because: options.because.clone(),
        evidence: if denied { options.evidence } else { EvidenceRule::Controls },
        denial: options.denial.filter(|_| denied),
        reached_by: options.reached_by.as_ref().map(|word| word.text.clone()),
        established: None,
        startup: options.startup.as_ref().and_then(|words| words.of(pair)),
        ask: if denied {
            options.asked.ask.clone().without_answer()
        } else {
            options.asked.ask.clone()
        },
        location: reader.source.location(pair.span.start),
    }
}

/// The checks of a pair that don't depend on the port.
fn check_pair(reader: &mut Reader, scope: &Scope, pair: &Pair, options: &Options) -> bool {
    let (Some(source), Some(destination)) = (scope.pod(&pair.from), scope.peer(&pair.to)) else {
        return false;
    };
    for name in [&pair.from, &pair.to] {
        if !scope.is_there(name) {
            let message = format!("`{name}` isn't there in this step");
            reader
                .mistake(&pair.span, message)
                .help("a peer that a step creates is not there before it, nor after its deletion");
            return false;
        }
    }
    if scope.same_pod(&pair.from, &pair.to) {
        let mistake = reader.mistake(&pair.span, "a pod can always reach itself");
        if pair.from == pair.to {
            mistake.help(format!("`{}` is both ends of this claim", pair.from));
        } else {
            mistake.help(format!(
                "`{}` and `{}` have the same namespace, labels, service account and node: they are one pod",
                pair.from, pair.to
            ));
        }
        return false;
    }
    if let Some(word) = &options.reached_by {
        if matches!(destination, Peer::Pod(_)) {
            let message = format!("`{}` answers itself, and needs no `reachedBy`", pair.to);
            reader
                .mistake(&word.span, message)
                .help("`reachedBy` vouches for destinations that are no probe pods");
            return false;
        }
        if scope.same_pod(&pair.from, &word.text) {
            let message = format!("`{}` can't vouch for its own dial", pair.from);
            reader.mistake(&word.span, message).help("name another pod peer in `reachedBy`");
            return false;
        }
    }
    match destination {
        Peer::Ip(address) => {
            match options.family.filter(|family| *family != Family::of(*address)) {
                Some(family) => {
                    let message = format!("`{}` is {address}, which is not {family}", pair.to);
                    reader.mistake(&pair.span, message);
                    false
                }
                None => true,
            }
        }
        Peer::Service(service) => check_hairpin(reader, scope, pair, source, service),
        _ => true,
    }
}

/// A pod that would only reach itself through a Service proves nothing.
fn check_hairpin(
    reader: &mut Reader,
    scope: &Scope,
    pair: &Pair,
    source: &PodPeer,
    peer: &ServicePeer,
) -> bool {
    let Some((services, service)) = known_service(scope, peer) else { return true };
    // In a namespace that the run doesn't create others may stand behind the Service.
    let own = scope.namespaces.contains_key(&peer.namespace);
    let others = scope.pods().any(|name| {
        !scope.same_pod(name, &pair.from)
            && scope
                .pod(name)
                .is_some_and(|pod| service.selects(&pod.namespace, &scope.labels(name)))
    });
    if !own
        || others
        || services.has_application_pods(service)
        || !service.selects(&source.namespace, &scope.labels(&pair.from))
    {
        return true;
    }
    let message = format!("`{}` stands alone behind the Service `{}`", pair.from, peer.name);
    reader
        .mistake(&pair.span, message)
        .help("whether a pod reaches itself through its own Service is implementation-defined");
    false
}

fn known_service<'a>(
    scope: &'a Scope,
    peer: &ServicePeer,
) -> Option<(&'a super::services::Services, &'a Service)> {
    let services = scope.services.as_ref()?;
    Some((services, services.get(&peer.namespace, &peer.name)?))
}

/// What a word of `port` means at a destination; None and a mistake if nothing.
fn resolve_port(
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
