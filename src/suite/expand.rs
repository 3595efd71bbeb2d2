//! From claims to cases: every pair with every port, and the checks that need both ends.

use std::{collections::HashMap, sync::Arc};

use super::{
    ask,
    claims::{Claim, Pair},
    options::Options,
    reader::Reader,
    resolve::{known_service, resolve_port},
    scope::Scope,
    source::Span,
    types::{Case, CasePort, EvidenceRule, Peer, PodPeer, ServicePeer},
};
use crate::model::{Connectivity, Family};

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
