//! The Services of a suite's manifests: who stands behind them, and who dials them.

use serde_json::Value;

use super::{
    identity::Identities,
    kept::{End, claims},
    objects,
};
use crate::{
    model::{Connectivity, IpProtocol, Labels, Port},
    suite::{Case, Change, Labelled, Peer, ServicePeer, Suite, relabelled},
};

/// A pod of the suite that is known to stand behind a Service.
pub(super) struct Endpoint {
    /// The first of its peers.
    pub(super) peer: String,
    pub(super) identity: usize,
    /// The port that the Service leads to.
    pub(super) port: Port,
}

/// The suite's pods behind the Service that a case dials, by the labels that they have in
/// the case's step; none where manifests don't tell, and never the source itself.
pub(super) fn endpoints(
    suite: &Suite,
    identities: &Identities<'_>,
    step: Option<usize>,
    case: &Case,
    source: usize,
) -> Vec<Endpoint> {
    let Some(Peer::Service(peer)) = suite.peers.get(&case.to) else { return Vec::new() };
    // A guest in somebody else's namespace stands behind no Service.
    if !suite.setup.namespaces.contains_key(&peer.namespace) {
        return Vec::new();
    }
    let Some(service) = in_step(suite, peer, step) else { return Vec::new() };
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else {
        return Vec::new();
    };
    let Some(target) = target(service, case.port.port) else { return Vec::new() };
    let mut found = Vec::new();
    for identity in in_namespace(identities, &peer.namespace) {
        let own = &identities.all[identity];
        let Some(first) = own.names.first().copied() else { continue };
        let labels = labels_in(suite, first, &own.peer.labels, step);
        let selected = selector
            .iter()
            .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str());
        let port = match target {
            Value::String(name) => own.ports.get(name),
            number => own.ports.values().find(|port| {
                Some(port.number.into()) == number.as_u64()
                    && port.protocol.transport() == case.port.port.protocol.transport()
            }),
        };
        let transport = case.port.port.protocol.transport();
        let port = port.filter(|port| port.protocol.transport() == transport);
        if let Some(port) = port
            && selected
            && identity != source
            && is_there(suite, first, step)
        {
            found.push(Endpoint { peer: first.to_owned(), identity, port: *port });
        }
    }
    found
}

/// The definition of a Service as it stands in a step; none where the manifests have none,
/// or where a step has made something of it that they don't tell.
pub(super) fn in_step<'a>(
    suite: &'a Suite,
    peer: &ServicePeer,
    step: Option<usize>,
) -> Option<&'a Value> {
    let is_it = |object: &Value| {
        objects::text(object, "/kind") == "Service" && is_named(suite, object, peer)
    };
    let mut of_setup = suite.setup.manifests.iter().flat_map(|manifest| &manifest.objects);
    let mut found = of_setup.rfind(|object| is_it(object));
    let so_far = step.map_or(0, |step| step + 1);
    for change in suite.changes().take(so_far).flatten() {
        match change {
            Change::Apply(manifest) => {
                found = manifest.objects.iter().rfind(|object| is_it(object)).or(found);
            }
            Change::Patch { object, .. } | Change::Delete(object)
                if object.kind == "Service" && object.name == peer.name =>
            {
                found = None;
            }
            _ => {}
        }
    }
    found
}

fn is_named(suite: &Suite, object: &Value, peer: &ServicePeer) -> bool {
    let own = suite.setup.namespaces.get(&peer.namespace);
    let namespace = objects::text(object, "/metadata/namespace");
    objects::text(object, "/metadata/name") == peer.name
        && (namespace == peer.namespace
            || own.is_some_and(|own| own.name.as_deref() == Some(namespace)))
}

/// What a Service's port leads to at its pods: a number, or a port's name.
fn target(service: &Value, port: Port) -> Option<&Value> {
    let mut ports = service.pointer("/spec/ports")?.as_array()?.iter();
    let exposed = ports.find(|exposed| {
        let transport = match exposed["protocol"].as_str() {
            None | Some("TCP") => Some(IpProtocol::Tcp),
            Some("UDP") => Some(IpProtocol::Udp),
            Some("SCTP") => Some(IpProtocol::Sctp),
            Some(_) => None,
        };
        exposed["port"].as_u64() == Some(port.number.into())
            && transport == Some(port.protocol.transport())
    })?;
    match &exposed["targetPort"] {
        Value::Null => exposed.get("port"),
        target => Some(target),
    }
}

/// The labels that a pod peer has in a step.
fn labels_in(suite: &Suite, peer: &str, first: &Labels, step: Option<usize>) -> Labels {
    let so_far = step.map_or(0, |step| step + 1);
    let mut labels = first.clone();
    for change in suite.changes().take(so_far).flatten() {
        if let Change::Label { of: Labelled::Peer(name), set, remove } = change
            && name == peer
        {
            labels = relabelled(&labels, set, remove);
        }
    }
    labels
}

/// Whether a pod peer is there in a step.
fn is_there(suite: &Suite, peer: &str, step: Option<usize>) -> bool {
    let steps = || suite.changes().enumerate();
    let created = steps().find(|(_, changes)| changes.contains(&Change::CreatePeer(peer.into())));
    let deleted = steps().find(|(_, changes)| changes.contains(&Change::DeletePeer(peer.into())));
    let since = created.map(|(created, _)| created);
    let until = deleted.map(|(deleted, _)| deleted);
    match step {
        None => since.is_none(),
        Some(step) => {
            since.is_none_or(|since| since <= step) && until.is_none_or(|until| until > step)
        }
    }
}

/// Sources of the step's allow cases to the same Service and port, filtered out or not.
pub(super) fn backers(
    suite: &Suite,
    step: Option<usize>,
    identities: &Identities<'_>,
    of: &Case,
    end: End<'_>,
) -> Vec<usize> {
    let End::Service(service) = end else { return Vec::new() };
    let mut backers = Vec::new();
    for (_, _, case) in claims(suite).filter(|(of, ..)| *of == step) {
        let same = matches!(suite.peers.get(&case.to), Some(Peer::Service(to)) if to == service)
            && case.port.port.number == of.port.port.number
            && case.port.port.protocol.transport() == of.port.port.protocol.transport()
            && case.expect == Connectivity::Allowed;
        if same
            && let Some(source) = identities.of(&case.from)
            && !backers.contains(&source)
        {
            backers.push(source);
        }
    }
    backers
}

/// The identities that a Service of the suite may have as backends.
pub(super) fn backends(
    suite: &Suite,
    identities: &Identities<'_>,
    service: &ServicePeer,
) -> Vec<usize> {
    let own = suite.setup.namespaces.get(&service.namespace);
    let found = services(suite).find(|object| is_named(suite, object, service));
    match found {
        Some(object) => selected(object, identities, &service.namespace),
        // Somebody else makes it, in a namespace of ours: any pod there may be behind it.
        None if own.is_some() => in_namespace(identities, &service.namespace).collect(),
        None => Vec::new(),
    }
}

/// The identities that may answer for a name, which is most often a Service's.
pub(super) fn behind_name(suite: &Suite, identities: &Identities<'_>, name: &str) -> Vec<usize> {
    let first = name.split('.').next().unwrap_or_default();
    let named = services(suite).filter(|object| objects::text(object, "/metadata/name") == first);
    named
        .flat_map(|object| {
            selected(object, identities, objects::text(object, "/metadata/namespace"))
        })
        .collect()
}

pub(super) fn services(suite: &Suite) -> impl Iterator<Item = &Value> {
    let of_steps = suite.changes().flatten().filter_map(|change| match change {
        Change::Apply(manifest) => Some(manifest),
        _ => None,
    });
    let manifests = suite.setup.manifests.iter().chain(of_steps);
    manifests
        .flat_map(|manifest| &manifest.objects)
        .filter(|object| objects::text(object, "/kind") == "Service")
}

/// What a Service selects; all of its namespace where its endpoints are made by hand.
fn selected(service: &Value, identities: &Identities<'_>, namespace: &str) -> Vec<usize> {
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    let has = |index: &usize| {
        identities.all[*index].worn.iter().any(|labels| {
            selector
                .into_iter()
                .flatten()
                .all(|(key, value)| labels.get(key).map(String::as_str) == value.as_str())
        })
    };
    in_namespace(identities, namespace).filter(has).collect()
}

fn in_namespace(identities: &Identities<'_>, namespace: &str) -> impl Iterator<Item = usize> {
    let all = identities.all.iter().enumerate();
    all.filter(move |(_, identity)| identity.peer.namespace == namespace).map(|(index, _)| index)
}
