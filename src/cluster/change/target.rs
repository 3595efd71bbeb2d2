//! What a step is about to change, and whether it may.

use kube::{
    Api,
    api::{DynamicObject, TypeMeta},
};

use super::super::{Cluster, Error, ErrorKind, ObjectRef, RunContext, kinds::Kind, marks};
use crate::suite::ObjectName;

/// An object as it stands, with all that is needed to write it.
pub(super) struct Target {
    pub(super) what: String,
    pub(super) api: Api<DynamicObject>,
    pub(super) reference: ObjectRef,
    pub(super) current: DynamicObject,
    /// It is the run's own and goes with it.
    pub(super) own: bool,
}

impl RunContext {
    /// Lets steps change what belongs to the cluster itself: objects in `kube-*` namespaces
    /// and cluster-scoped ones.
    pub fn permit_system_changes(&self) {
        self.memory().system_changes = true;
    }

    /// Whether a step may change an object as things stand.
    ///
    /// # Errors
    /// It isn't there, belongs to the cluster itself, or could not be put back.
    pub(in super::super) async fn may_be_changed(
        &self,
        name: &ObjectName,
        deletes: bool,
    ) -> Result<(), Error> {
        let target = self.target(if deletes { "delete" } else { "change" }, name).await?;
        if target.own {
            return Ok(());
        }
        self.guard(&target.what, &target.reference)?;
        if deletes { can_be_made_anew(&target) } else { Ok(()) }
    }

    pub(super) async fn target(&self, verb: &str, name: &ObjectName) -> Result<Target, Error> {
        let what = format!("{verb} {name}");
        let types = TypeMeta { api_version: name.api_version.clone(), kind: name.kind.clone() };
        let kind = self.kinds.find(&types).await.map_err(|error| error.during(&what))?;
        if kind.namespaced && name.namespace.is_none() {
            return Err(Error::new(what, ErrorKind::Invalid, "it names no namespace"));
        }
        let api = kind.api(self.client(), name.namespace.as_deref());
        let mut current = Cluster::call(&what, api.get(&name.name)).await?;
        current.types = Some(types.clone());
        let reference = reference(&current, &types, &kind);
        let own = self.owns(&current);
        Ok(Target { what, api, reference, current, own })
    }

    /// Whether an object goes with the run: it is marked so, or its namespace is.
    pub(super) fn owns(&self, object: &DynamicObject) -> bool {
        let namespace = object.metadata.namespace.as_ref();
        marks::run_of(&object.metadata).as_ref() == Some(self.run())
            || namespace.is_some_and(|name| self.memory().namespaces.contains(name))
    }

    /// What belongs to the cluster itself is changed only where that was permitted.
    pub(super) fn guard(&self, what: &str, object: &ObjectRef) -> Result<(), Error> {
        let system = match (&object.namespace, object.kind.as_str()) {
            (Some(namespace), _) => namespace.starts_with("kube-"),
            (None, "Namespace") => object.name.starts_with("kube-"),
            (None, _) => true,
        };
        if system && !self.memory().system_changes {
            let message = "it belongs to the cluster itself; --allow-system-changes permits that";
            return Err(Error::new(what, ErrorKind::Invalid, message));
        }
        Ok(())
    }
}

/// Only of what holds nothing but itself is the deletion undone by making it anew.
pub(super) fn can_be_made_anew(target: &Target) -> Result<(), Error> {
    let refuse = |message: String| Err(Error::new(&target.what, ErrorKind::Invalid, message));
    let kind = target.reference.kind.as_str();
    if !(kind.ends_with("Policy") || matches!(kind, "Service" | "Ingress" | "ConfigMap")) {
        return refuse(format!(
            "it is not this run's, and what hangs on a {kind} would go with it and not come back: \
             steps delete policies, Services, Ingresses and ConfigMaps of others only"
        ));
    }
    let metadata = &target.current.metadata;
    if let Some(finalizers) = metadata.finalizers.as_ref().filter(|list| !list.is_empty()) {
        return refuse(format!(
            "it waits for {} before it goes, so that it might not come back",
            finalizers.join(", ")
        ));
    }
    let controller =
        metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    if let Some(owner) = controller {
        return refuse(format!(
            "{} {} makes it anew as soon as it is gone: patch that in its place",
            owner.kind, owner.name
        ));
    }
    Ok(())
}

/// What an object is called.
pub(super) fn reference(object: &DynamicObject, types: &TypeMeta, kind: &Kind) -> ObjectRef {
    ObjectRef {
        api_version: types.api_version.clone(),
        kind: types.kind.clone(),
        namespace: object.metadata.namespace.clone().filter(|_| kind.namespaced),
        name: object.metadata.name.clone().unwrap_or_default(),
    }
}
