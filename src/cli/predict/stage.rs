//! The objects of a suite as they stand before and after each of its steps, without a cluster.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde_json::{Value, json};

use super::super::{Exit, exit::complain, state::Objects, workloads::Families};
use crate::{
    model::{Family, Labels, chain},
    suite::{
        Change, Labelled, ObjectName, PatchBody, Peer, Suite, fill_addresses, rewrite_namespaces,
    },
};

/// Which addresses the pods of a suite are taken to have. Nobody knows beforehand: what holds
/// for both may be relied on, and what doesn't depends on where the pods come to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One beside the other.
    Near,
    /// Each in a block of its own.
    Far,
}

impl Layout {
    /// An address of each family for every pod of the suite.
    fn of(self, suite: &Suite) -> BTreeMap<String, [IpAddr; 2]> {
        let pods = suite.peers.iter().filter(|(_, peer)| matches!(peer, Peer::Pod(_)));
        let each = (1u16..).zip(pods).map(|(number, (name, _))| {
            let [high, low] = number.to_be_bytes();
            let (v4, v6) = match self {
                Self::Near => (
                    Ipv4Addr::new(10, 244, high, low),
                    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, number),
                ),
                Self::Far => (
                    // A cluster's pods are in one large range: the first 8 or 16 bits are shared.
                    Ipv4Addr::new(10, low, high, 7),
                    Ipv6Addr::new(0xfd00, number, 0, 0, 0, 0, 0, 7),
                ),
            };
            (name.clone(), [v4.into(), v6.into()])
        });
        each.collect()
    }
}

/// The objects as they stand at a point of a suite.
pub(super) struct Stage<'a> {
    pub(super) objects: Objects,
    /// Real names of namespaces, by alias; without a cluster the alias itself.
    pub(super) names: BTreeMap<String, String>,
    pub(super) namespace: &'a str,
    pub(super) families: &'a Families,
    /// Where the suite goes by addresses of its pods: which those are taken to be.
    addresses: BTreeMap<String, [IpAddr; 2]>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        suite: &Suite,
        base: &Objects,
        namespace: &'a str,
        families: &'a Families,
        layout: Option<Layout>,
    ) -> Result<Self, Exit> {
        let setup = &suite.setup;
        let name = |alias: &String| {
            let given = setup.namespaces[alias].name.clone();
            (alias.clone(), given.unwrap_or_else(|| alias.clone()))
        };
        let names: BTreeMap<_, _> = setup.namespaces.keys().map(name).collect();
        let addresses = layout.map(|layout| layout.of(suite)).unwrap_or_default();
        let mut stage = Self { objects: base.clone(), names, namespace, families, addresses };
        for (alias, space) in &setup.namespaces {
            stage.put(json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": stage.names[alias], "labels": space.labels},
            }));
        }
        for object in setup.manifests.iter().flat_map(|manifest| &manifest.objects) {
            stage.put_rewritten(object)?;
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
            let addresses = stage.addresses.get(peer).into_iter().flatten();
            let addresses: Vec<_> = addresses.map(|address| json!({"ip": address})).collect();
            stage.put(json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": peer, "namespace": namespace, "labels": pod.labels},
                "spec": {"containers": [{"name": "probe", "ports": ports}]},
                "status": {"podIPs": addresses},
            }));
        }
        Ok(stage)
    }

    /// The real name of a namespace.
    pub(super) fn real(&self, alias: &str) -> String {
        self.names.get(alias).cloned().unwrap_or_else(|| alias.to_owned())
    }

    fn put_rewritten(&mut self, object: &Value) -> Result<(), Exit> {
        let mut object = object.clone();
        rewrite_namespaces(&mut object, &self.names);
        self.fill(&mut object)?;
        self.put(object);
        Ok(())
    }

    /// Writes the addresses of pods where they are referred to.
    fn fill(&self, value: &mut Value) -> Result<(), Exit> {
        let address = |peer: &str, family: Option<Family>| {
            let all = self.addresses.get(peer)?.iter().copied();
            all.into_iter().find(|one| family.is_none_or(|family| Family::of(*one) == family))
        };
        fill_addresses(value, &address).map_err(|message| {
            complain(&message, None);
            Exit::BadInput
        })
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

    pub(super) fn change(&mut self, change: &Change) -> Result<(), Exit> {
        match change {
            Change::Apply(manifest) => {
                manifest.objects.iter().try_for_each(|object| self.put_rewritten(object))?;
            }
            Change::Delete(object) => {
                let space = self.place(object);
                self.remove(&object.kind, &space, &object.name);
            }
            Change::Patch { object, patch } => {
                let space = self.place(object);
                let mut body = patch.body().clone();
                self.fill(&mut body)?;
                let found = self.object(&object.kind, &space, &object.name)?;
                match patch.with_body(body) {
                    // The lists of a policy have no merge keys: both languages replace them.
                    PatchBody::Merge(body) | PatchBody::Strategic(body) => {
                        json_patch::merge(found, &body);
                    }
                    PatchBody::Json(body) => {
                        let patched = serde_json::from_value::<json_patch::Patch>(body)
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
