//! A suite's claims, held against what the policies mean.

use super::{
    super::{
        Exit,
        state::{Objects, State},
        workloads::{AskedPort, Families, endpoints},
    },
    stage::{Layout, Stage},
};
use crate::{
    model::{Connectivity, End, Family, Service, Traffic},
    policy::Outcome,
    suite::{Case, Peer, Suite, addressed_peers, replace_namespace_references},
};

/// A claim, and what the policies say of it.
pub(super) struct Judged {
    /// `suite/step/case/port`.
    pub(super) id: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) port: AskedPort,
    pub(super) expect: Connectivity,
    pub(super) outcome: Outcome,
    pub(super) cause: String,
}

impl Judged {
    /// Whether the policies say what the claim says, where they say anything.
    pub(super) fn holds(&self) -> Option<bool> {
        match self.outcome {
            Outcome::Undetermined => None,
            Outcome::Allowed => Some(self.expect == Connectivity::Allowed),
            Outcome::Denied => Some(self.expect == Connectivity::Blocked),
        }
    }
}

/// Judges all claims of a suite, step by step.
pub(super) fn judge(
    suite: &Suite,
    objects: &Objects,
    namespace: &str,
    families: &Families,
) -> Result<Vec<Judged>, Exit> {
    let with = |layout| judge_with(suite, objects, namespace, families, layout);
    if addressed_peers(suite).is_empty() {
        return with(None);
    }
    let near = with(Some(Layout::Near))?.into_iter();
    let far = with(Some(Layout::Far))?.into_iter();
    Ok(near.zip(far).map(|(near, far)| whichever(near, far)).collect())
}

fn judge_with(
    suite: &Suite,
    objects: &Objects,
    namespace: &str,
    families: &Families,
    layout: Option<Layout>,
) -> Result<Vec<Judged>, Exit> {
    let mut stage = Stage::new(suite, objects, namespace, families, layout)?;
    let mut judged = stage.claims(suite, crate::suite::BASE, &suite.cases)?;
    for step in &suite.steps {
        for change in &step.changes {
            stage.change(change)?;
        }
        judged.extend(stage.claims(suite, &step.name, &step.cases)?);
    }
    Ok(judged)
}

/// What holds whichever addresses the pods get.
fn whichever(near: Judged, far: Judged) -> Judged {
    if near.outcome == far.outcome {
        return near;
    }
    let cause = format!(
        "it depends on which addresses the pods get: {} where they are near each other ({}), else \
         {} ({})",
        near.outcome, near.cause, far.outcome, far.cause
    );
    Judged { outcome: Outcome::Undetermined, cause, ..near }
}

impl Stage<'_> {
    fn claims(&self, suite: &Suite, step: &str, cases: &[Case]) -> Result<Vec<Judged>, Exit> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.objects.compile(self.namespace)?;
        let claims = cases.iter().flat_map(|case| {
            // A claim about one family is asked about that alone.
            let families = match case.family {
                Some(family) => vec![Some(family)],
                None => self.families.each(),
            };
            let asked = families.into_iter();
            asked.map(|family| self.claim(suite, step, case, family, &state)).collect::<Vec<_>>()
        });
        Ok(claims.collect())
    }

    fn claim(
        &self,
        suite: &Suite,
        step: &str,
        case: &Case,
        family: Option<Family>,
        state: &State,
    ) -> Judged {
        let protocol = case.port.port.protocol.transport();
        let port = AskedPort { protocol, number: case.port.port.number };
        let decisions: Vec<_> = self
            .connections(suite, case, port, family, state)
            .into_iter()
            .map(|traffic| state.all.decide(&traffic))
            .collect();
        let outcomes = || decisions.iter().map(|decision| decision.outcome);
        // Behind a Service each endpoint counts; where they differ, it depends on which.
        let outcome = match outcomes().next() {
            Some(first) if outcomes().all(|other| other == first) => first,
            _ => Outcome::Undetermined,
        };
        let cause = match decisions.first() {
            None => match suite.peers.get(&case.to) {
                Some(Peer::Host(name)) => {
                    format!("nothing is known of the name {name} among the objects")
                }
                Some(Peer::Service(service)) => format!(
                    "Service {}/{} is not among the objects, or leads nowhere on this port",
                    self.real(&service.namespace),
                    service.name
                ),
                _ => "nothing is known of one end".to_owned(),
            },
            Some(_) if outcomes().any(|other| other != outcome) => {
                "its endpoints differ".to_owned()
            }
            Some(decision) => state.all.cause(decision),
        };
        Judged {
            id: match family {
                Some(family) => {
                    format!("{}/{step}/{}/{}/{family}", suite.name, case.name, case.port.label)
                }
                None => format!("{}/{step}/{}/{}", suite.name, case.name, case.port.label),
            },
            from: case.from.clone(),
            to: case.to.clone(),
            port,
            expect: case.expect,
            outcome,
            cause,
        }
    }

    fn connections(
        &self,
        suite: &Suite,
        case: &Case,
        port: AskedPort,
        family: Option<Family>,
        state: &State,
    ) -> Vec<Traffic> {
        let topology = state.all.topology();
        let pod = |peer: &str| match suite.peers.get(peer) {
            Some(Peer::Pod(pod)) => topology.pod(&self.real(&pod.namespace), peer),
            _ => None,
        };
        let Some(from) = pod(&case.from).map(End::Pod) else { return Vec::new() };
        let make = |to: End, port: AskedPort| {
            let mut traffic = Traffic::new(from.clone(), to, port.protocol, port.number);
            traffic.family = family.or(traffic.family);
            traffic
        };
        let through = |service: &Service| -> Vec<Traffic> {
            let found = endpoints(topology, service, port).into_iter();
            found.map(|(to, port)| make(to, port).through(service.addresses.clone())).collect()
        };
        match suite.peers.get(&case.to) {
            Some(Peer::Pod(_)) => {
                pod(&case.to).map(|to| make(End::Pod(to), port)).into_iter().collect()
            }
            Some(Peer::Service(service)) => {
                let found = topology.service(&self.real(&service.namespace), &service.name);
                found.map_or_else(Vec::new, through)
            }
            Some(Peer::Ip(address)) => vec![make(End::Address(*address), port)],
            Some(Peer::Host(name)) => {
                let name = replace_namespace_references(name, &self.names);
                let own = match &from {
                    End::Pod(pod) => topology.pods()[*pod].namespace.as_str(),
                    End::Address(_) | End::Host(_) => self.namespace,
                };
                match crate::topology::named_service(topology, &name, own) {
                    Some(service) => through(service),
                    // Inside the cluster's own domain nothing but a Service has a name.
                    None if is_of_cluster(&name) => Vec::new(),
                    None => vec![make(End::Host(name), port)],
                }
            }
            None => Vec::new(),
        }
    }
}

/// True for a name that only the cluster's own DNS knows.
fn is_of_cluster(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    !name.contains('.') || name.ends_with(".svc") || name.ends_with(".cluster.local")
}
