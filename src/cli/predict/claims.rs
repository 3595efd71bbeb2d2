//! A suite's claims, held against what the policies mean.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::{
    Exit,
    exit::complain,
    state::{Objects, State},
    workloads::{AskedPort, Families, endpoints},
};
use crate::{
    model::{Connectivity, End, Family, Labels, Service, Traffic, chain},
    policy::Outcome,
    suite::{
        Case, Change, Labelled, ObjectName, PatchBody, Peer, Suite, replace_namespace_references,
        rewrite_namespaces,
    },
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
    let mut stage = Stage::new(suite, objects, namespace, families);
    let mut judged = stage.claims(suite, "base", &suite.cases)?;
    for step in &suite.steps {
        for change in &step.changes {
            stage.change(change)?;
        }
        judged.extend(stage.claims(suite, &step.name, &step.cases)?);
    }
    Ok(judged)
}

/// The objects as they stand at a point of a suite.
struct Stage<'a> {
    objects: Objects,
    /// Real names of namespaces, by alias; without a cluster the alias itself.
    names: BTreeMap<String, String>,
    namespace: &'a str,
    families: &'a Families,
}

impl<'a> Stage<'a> {
    fn new(suite: &Suite, base: &Objects, namespace: &'a str, families: &'a Families) -> Self {
        let setup = &suite.setup;
        let name = |alias: &String| {
            let given = setup.namespaces[alias].name.clone();
            (alias.clone(), given.unwrap_or_else(|| alias.clone()))
        };
        let names: BTreeMap<_, _> = setup.namespaces.keys().map(name).collect();
        let mut stage = Self { objects: base.clone(), names, namespace, families };
        for (alias, space) in &setup.namespaces {
            stage.put(json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": stage.names[alias], "labels": space.labels},
            }));
        }
        for object in setup.manifests.iter().flat_map(|manifest| &manifest.objects) {
            stage.put_rewritten(object);
        }
        for (peer, pod) in &suite.peers {
            let Peer::Pod(pod) = pod else { continue };
            let ports: Vec<Value> = pod
                .ports
                .iter()
                .map(|(name, port)| {
                    let protocol = port.protocol.transport().name();
                    json!({"name": name, "containerPort": port.number, "protocol": protocol})
                })
                .collect();
            let namespace = stage.real(&pod.namespace);
            stage.put(json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": peer, "namespace": namespace, "labels": pod.labels},
                "spec": {"containers": [{"name": "probe", "ports": ports}]},
            }));
        }
        stage
    }

    /// The real name of a namespace.
    fn real(&self, alias: &str) -> String {
        self.names.get(alias).cloned().unwrap_or_else(|| alias.to_owned())
    }

    fn put_rewritten(&mut self, object: &Value) {
        let mut object = object.clone();
        rewrite_namespaces(&mut object, &self.names);
        self.put(object);
    }

    /// Adds an object, in the place of one of the same kind and name.
    fn put(&mut self, object: Value) {
        let (kind, space, name) = identity(&object, self.namespace);
        self.remove(&kind, &space, &name);
        self.objects.items.push(object);
    }

    fn remove(&mut self, kind: &str, space: &str, name: &str) {
        let default = self.namespace.to_owned();
        self.objects.items.retain(|other| {
            let (other_kind, other_space, other_name) = identity(other, &default);
            (other_kind.as_str(), other_space.as_str(), other_name.as_str()) != (kind, space, name)
        });
    }

    /// The object of a kind and a name.
    fn object(&mut self, kind: &str, space: &str, name: &str) -> Result<&mut Value, Exit> {
        let default = self.namespace.to_owned();
        let is_it = |object: &&mut Value| {
            let (other_kind, other_space, other_name) = identity(object, &default);
            (other_kind.as_str(), other_space.as_str(), other_name.as_str()) == (kind, space, name)
        };
        self.objects.items.iter_mut().find(is_it).ok_or_else(|| {
            let place = if space.is_empty() { name.to_owned() } else { format!("{space}/{name}") };
            complain(
                &format!("{kind} {place} is to be changed, and is not there"),
                Some("name the manifests that have it by --manifests"),
            );
            Exit::BadInput
        })
    }

    fn place(&self, object: &ObjectName) -> String {
        object.namespace.as_ref().map_or_else(String::new, |space| self.real(space))
    }

    fn change(&mut self, change: &Change) -> Result<(), Exit> {
        match change {
            Change::Apply(manifest) => {
                manifest.objects.iter().for_each(|object| self.put_rewritten(object));
            }
            Change::Delete(object) => {
                let space = self.place(object);
                self.remove(&object.kind, &space, &object.name);
            }
            Change::Patch { object, patch } => {
                let space = self.place(object);
                let found = self.object(&object.kind, &space, &object.name)?;
                match patch {
                    // The lists of a policy have no merge keys: both languages replace them.
                    PatchBody::Merge(body) | PatchBody::Strategic(body) => {
                        json_patch::merge(found, body);
                    }
                    PatchBody::Json(body) => {
                        let patched = serde_json::from_value::<json_patch::Patch>(body.clone())
                            .map_err(|error| chain(&error))
                            .and_then(|patch| {
                                json_patch::patch(found, &patch).map_err(|error| chain(&error))
                            });
                        if let Err(why) = patched {
                            complain(
                                &format!("patch {} {}: {why}", object.kind, object.name),
                                None,
                            );
                            return Err(Exit::BadInput);
                        }
                    }
                }
            }
            Change::Label { of, set, remove } => {
                let found = match of {
                    Labelled::Namespace(alias) => {
                        let name = self.real(alias);
                        self.object("Namespace", "", &name)?
                    }
                    Labelled::Peer(peer) => {
                        let is_it = |object: &&Value| {
                            object["kind"] == "Pod" && object["metadata"]["name"] == peer.as_str()
                        };
                        let space = self
                            .objects
                            .items
                            .iter()
                            .find(is_it)
                            .map(|object| identity(object, self.namespace).1);
                        self.object("Pod", &space.unwrap_or_default(), peer)?
                    }
                };
                let labels = found.pointer("/metadata/labels").cloned().unwrap_or_default();
                let mut labels: Labels = serde_json::from_value(labels).unwrap_or_default();
                labels.extend(set.clone());
                labels.retain(|key, _| !remove.contains(key));
                found["metadata"]["labels"] = json!(labels);
            }
            // A pod that goes and one that comes change nothing between two others.
            Change::DeletePeer(_) | Change::CreatePeer(_) | Change::Wait(_) => {}
        }
        Ok(())
    }

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

/// Kind, namespace (none where the object is of the whole cluster) and name.
fn identity(object: &Value, default: &str) -> (String, String, String) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let kind = text("/kind");
    let is_wide = matches!(
        kind,
        "Namespace"
            | "Node"
            | "ClusterNetworkPolicy"
            | "AdminNetworkPolicy"
            | "BaselineAdminNetworkPolicy"
    );
    let space = match text("/metadata/namespace") {
        _ if is_wide => "",
        "" => default,
        space => space,
    };
    (kind.to_owned(), space.to_owned(), text("/metadata/name").to_owned())
}
