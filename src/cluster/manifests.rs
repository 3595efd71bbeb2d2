//! Applying a suite's manifests: objects of any kind that the cluster knows.

use std::{collections::BTreeMap, fmt, time::Instant};

use kube::{
    Api,
    api::{DynamicObject, TypeMeta},
};
use serde::{Deserialize, Serialize};

use super::{
    Cluster, Error, ErrorKind, RunContext, kinds::Kind, marks, removal::Item, run_context,
};
use crate::plan::PlannedObject;

/// An object in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `networking.k8s.io/v1`.
    pub api_version: String,
    /// `NetworkPolicy`.
    pub kind: String,
    /// None for cluster-scoped objects.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// An object that has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Which.
    pub reference: ObjectRef,
    /// When the server's answer came.
    pub written: Instant,
}

impl RunContext {
    /// Creates an object of a suite's manifests, with the run's labels. One that exists
    /// already is never taken over.
    ///
    /// # Errors
    /// The cluster doesn't know the kind, refuses the object, or has one of that name.
    pub async fn apply(&self, planned: &PlannedObject) -> Result<Applied, Error> {
        let stage = format!("apply {}", planned.source);
        let mut object: DynamicObject =
            serde_json::from_value(planned.object.clone()).map_err(|error| {
                Error::new(&stage, ErrorKind::Invalid, format!("this is no object: {error}"))
            })?;
        let types = object
            .types
            .clone()
            .unwrap_or_else(|| TypeMeta { api_version: String::new(), kind: String::new() });
        let kind = self.kinds.find(&types).await.map_err(|error| error.during(&stage))?;
        let reference = reference(&object, &types, &kind);
        let what = format!("{stage}: create {reference}");
        if kind.namespaced && reference.namespace.is_none() {
            return Err(Error::new(what, ErrorKind::Invalid, "it names no namespace"));
        }
        if self.memory().applied.iter().any(|created| created.reference == reference) {
            let message = "this run has created an object of that name already";
            return Err(Error::new(what, ErrorKind::AlreadyExists, message));
        }
        self.mark(&mut object, &types, reference.namespace.as_deref());
        let api = kind.api(self.client(), reference.namespace.as_deref());
        let writing = run_context::writing();
        let answer = match Cluster::call_again(&what, || api.create(&writing, &object)).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                self.found_ours(&api, &reference, error).await?
            }
            answer => answer?,
        };
        let written = Instant::now();
        self.note_own(answer.metadata.resource_version.as_ref());
        let uid = answer.metadata.uid;
        self.memory().applied.push(Item {
            reference: reference.clone(),
            kind,
            uid,
            found_by: None,
        });
        Ok(Applied { reference, written })
    }

    /// Puts the run's marks on an object of a manifest.
    pub(super) fn mark(
        &self,
        object: &mut DynamicObject,
        types: &TypeMeta,
        namespace: Option<&str>,
    ) {
        let run = (marks::RUN.to_owned(), self.run().to_string());
        let metadata = &mut object.metadata;
        if types.kind == "Pod" && types.api_version == "v1" {
            // A pod's labels are what policies see.
            metadata.annotations.get_or_insert_default().extend([run]);
        } else {
            let labels: &mut BTreeMap<_, _> = metadata.labels.get_or_insert_default();
            labels.extend([run]);
            labels.entry(marks::MANAGED_BY.to_owned()).or_insert_with(|| marks::MANAGER.to_owned());
        }
        if let Some(owner) = namespace.and_then(|namespace| self.owner(namespace)) {
            metadata.owner_references.get_or_insert_default().push(owner);
        }
    }

    /// After "already exists": the object, if it is this run's. The client repeats a write
    /// whose answer was a 503 or 504, and the first one may have gone through.
    async fn found_ours(
        &self,
        api: &Api<DynamicObject>,
        reference: &ObjectRef,
        error: Error,
    ) -> Result<DynamicObject, Error> {
        let found = Cluster::call(format!("get {reference}"), api.get(&reference.name)).await?;
        if marks::run_of(&found.metadata).as_ref() == Some(self.run()) {
            Ok(found)
        } else {
            Err(error)
        }
    }
}

fn reference(object: &DynamicObject, types: &TypeMeta, kind: &Kind) -> ObjectRef {
    ObjectRef {
        api_version: types.api_version.clone(),
        kind: types.kind.clone(),
        namespace: object.metadata.namespace.clone().filter(|_| kind.namespaced),
        name: object.metadata.name.clone().unwrap_or_default(),
    }
}
