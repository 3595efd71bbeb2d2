//! Creating an application's objects, and waiting until it works.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::{
    Api,
    api::{DynamicObject, ListParams, Patch, PatchParams, PostParams, TypeMeta},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout_at};

use super::{
    Application, Part, name_of,
    ready::{self, Standing, WORKLOADS},
    text,
};
use crate::cluster::{
    Cluster, Error, ErrorKind,
    kinds::{Kind, Kinds},
};

/// Who writes the objects that were there already.
const MANAGER: &str = "netproof";
/// How long a kind may take to be served after its CustomResourceDefinition was created.
const ESTABLISHED: Duration = Duration::from_secs(10);
/// The condition of a sandbox's pods in which processes stand in for containers.
const STAND_IN: &str = "sandbox.netproof.dev/StandIn";

/// An application that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// How many objects were created.
    pub objects: usize,
    /// Pods in which processes stand in for the images' own, as `namespace/name`.
    pub stand_ins: Vec<String>,
    /// What is not as it is written.
    pub notes: Vec<String>,
}

/// An application could not be brought.
#[derive(Debug, thiserror::Error)]
pub enum BringError {
    /// An object was refused.
    #[error("{place}: create {object}")]
    Refused {
        /// The file and the document in it.
        place: String,
        /// The object.
        object: String,
        /// The cluster's answer.
        #[source]
        source: Error,
    },
    /// What there is could not be read.
    #[error(transparent)]
    Read(#[from] Error),
    /// Some of it is not available in time, or never will be: a line for each object.
    #[error("not available after {}: {}", humantime::format_duration(*within), left.join("; "))]
    Unavailable {
        /// How long was waited.
        within: Duration,
        /// The objects, and why.
        left: Vec<String>,
    },
}

/// A workload that is waited for.
struct Workload {
    api: Api<DynamicObject>,
    object: Value,
}

impl Cluster {
    /// Creates the objects, those of Helm's hooks before and after the rest, and waits after
    /// each wave until its workloads are available. What is there already is changed.
    ///
    /// # Errors
    /// See [`BringError`].
    pub async fn bring(
        &self,
        application: &Application,
        within: Duration,
    ) -> Result<Brought, BringError> {
        let kinds = Kinds::new(self.client.clone());
        let deadline = tokio::time::Instant::now() + within;
        let mut brought = Brought { notes: application.notes.clone(), ..Brought::default() };
        let mut namespaces = self.namespaces().await?;
        for wave in &application.waves {
            let mut workloads = Vec::new();
            for part in wave {
                let notes = &mut brought.notes;
                let made = self.create(application, part, &kinds, &mut namespaces, notes).await;
                workloads.extend(made.map_err(|source| BringError::Refused {
                    place: part.source.clone(),
                    object: name_of(&part.object),
                    source,
                })?);
                brought.objects += 1;
            }
            let left = join_all(workloads.iter().map(|workload| workload.ready(deadline))).await;
            let mut left: Vec<_> = left.into_iter().flatten().collect();
            if !left.is_empty() {
                left.extend(self.unready_pods(&workloads).await);
                return Err(BringError::Unavailable { within, left });
            }
        }
        brought.stand_ins = self.stand_ins().await?;
        Ok(brought)
    }

    async fn namespaces(&self) -> Result<BTreeSet<String>, Error> {
        let api = Api::<Namespace>::all(self.client.clone());
        let list = Self::call("list namespaces", api.list(&ListParams::default())).await?;
        Ok(list.into_iter().filter_map(|namespace| namespace.metadata.name).collect())
    }

    /// Creates one object, and its namespace where that is missing; what is of a kind that
    /// nobody knows is left out with a note. Gives it back if it is to be waited for.
    async fn create(
        &self,
        application: &Application,
        part: &Part,
        kinds: &Kinds,
        namespaces: &mut BTreeSet<String>,
        notes: &mut Vec<String>,
    ) -> Result<Option<Workload>, Error> {
        let types = TypeMeta {
            api_version: text(&part.object, "/apiVersion").to_owned(),
            kind: text(&part.object, "/kind").to_owned(),
        };
        let within = if application.defines(&types) { ESTABLISHED } else { Duration::ZERO };
        let kind = match established(kinds, &types, within).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let (what, group) = (name_of(&part.object), types.api_version);
                notes.push(format!("{what} is left out: there is no such kind in {group}"));
                return Ok(None);
            }
            kind => kind?,
        };
        let mut object = part.object.clone();
        if kind.namespaced && text(&object, "/metadata/namespace").is_empty() {
            object["metadata"]["namespace"] = "default".into();
        }
        let namespace = text(&object, "/metadata/namespace").to_owned();
        if kind.namespaced && namespaces.insert(namespace.clone()) {
            let api = Api::<Namespace>::all(self.client.clone());
            let missing: Namespace =
                serde_json::from_value(json!({"metadata": {"name": namespace}}))
                    .map_err(|error| invalid(&error))?;
            let what = format!("create the namespace {namespace}");
            Self::call(what, api.create(&PostParams::default(), &missing)).await?;
            notes.push(format!("the namespace {namespace} was missing and was created"));
        }
        if types.kind == "Namespace" {
            namespaces.insert(text(&object, "/metadata/name").to_owned());
        }
        let api = kind.api(self.client.clone(), kind.namespaced.then_some(namespace.as_str()));
        let typed: DynamicObject =
            serde_json::from_value(object.clone()).map_err(|error| invalid(&error))?;
        let what = format!("create {}", name_of(&object));
        let created =
            Self::call_again(&what, || async { api.create(&PostParams::default(), &typed).await });
        let created = match created.await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let name = text(&object, "/metadata/name");
                let params = PatchParams::apply(MANAGER).force();
                Self::call(&*what, api.patch(name, &params, &Patch::Apply(&object))).await?
            }
            answer => answer?,
        };
        if !WORKLOADS.contains(&types.kind.as_str()) {
            return Ok(None);
        }
        object["metadata"]["name"] = created.metadata.name.unwrap_or_default().into();
        Ok(Some(Workload { api, object }))
    }

    /// Pods that say why a workload isn't there: those in its namespace that aren't ready.
    async fn unready_pods(&self, workloads: &[Workload]) -> Vec<String> {
        let namespaces: BTreeSet<_> =
            workloads.iter().map(|each| text(&each.object, "/metadata/namespace")).collect();
        let mut found = Vec::new();
        for namespace in namespaces {
            let api = Api::<Pod>::namespaced(self.client.clone(), namespace);
            let what = format!("list the pods of {namespace}");
            // Without them the account is shorter, and still right.
            let Ok(list) = Self::call(what, api.list(&ListParams::default())).await else {
                continue;
            };
            let warnings = self.warnings(namespace).await;
            for pod in list {
                let Ok(mut pod) = serde_json::to_value(&pod) else { continue };
                pod["kind"] = "Pod".into();
                if let Standing::Waiting(why) | Standing::Failed(why) = ready::standing(&pod) {
                    // What a container waits for stands in events alone.
                    let warning = warnings.get(text(&pod, "/metadata/name"));
                    let warning = warning.filter(|_| why.ends_with("ContainerCreating"));
                    let more = warning.map(|text| format!(" ({text})")).unwrap_or_default();
                    found.push(format!("{}: {why}{more}", name_of(&pod)));
                }
            }
        }
        found
    }

    /// The last warning about each pod of a namespace; none where they can't be read.
    async fn warnings(&self, namespace: &str) -> BTreeMap<String, String> {
        let api = Api::<Event>::namespaced(self.client.clone(), namespace);
        let of_pods = ListParams::default().fields("type=Warning,involvedObject.kind=Pod");
        let what = format!("list the events of {namespace}");
        let list = Self::call(what, api.list(&of_pods)).await;
        let warning = |event: Event| {
            let said = format!("{}: {}", event.reason?, event.message?);
            Some((event.involved_object.name?, said))
        };
        list.into_iter().flatten().filter_map(warning).collect()
    }

    async fn stand_ins(&self) -> Result<Vec<String>, Error> {
        let api = Api::<Pod>::all(self.client.clone());
        let list = Self::call("list pods", api.list(&ListParams::default())).await?;
        let stands_in = |pod: &Pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|condition| condition.type_ == STAND_IN)
        };
        let name = |pod: Pod| {
            let meta = pod.metadata;
            format!("{}/{}", meta.namespace.unwrap_or_default(), meta.name.unwrap_or_default())
        };
        Ok(list.into_iter().filter(stands_in).map(name).collect())
    }
}

impl Workload {
    /// Waits until it is ready; says what it is otherwise.
    async fn ready(&self, deadline: tokio::time::Instant) -> Option<String> {
        let kind = text(&self.object, "/kind");
        let standing = |found: Option<&DynamicObject>| {
            let mut found = serde_json::to_value(found?).ok()?;
            found["kind"] = kind.into();
            Some(ready::standing(&found))
        };
        let decided = |found: Option<&DynamicObject>| {
            standing(found).is_some_and(|standing| !matches!(standing, Standing::Waiting(_)))
        };
        let name = text(&self.object, "/metadata/name");
        let waiting = await_condition(self.api.clone(), name, decided);
        let last = match timeout_at(deadline, waiting).await {
            Ok(Ok(found)) => standing(found.as_ref()),
            Ok(Err(error)) => Some(Standing::Failed(error.to_string())),
            Err(_) => {
                let found = Cluster::call(name, self.api.get(name)).await;
                found.map_or_else(
                    |error| Some(Standing::Failed(error.to_string())),
                    |found| standing(Some(&found)),
                )
            }
        };
        match last {
            Some(Standing::Ready) => None,
            Some(Standing::Waiting(why) | Standing::Failed(why)) => {
                Some(format!("{}: {why}", name_of(&self.object)))
            }
            None => Some(format!("{}: it is gone", name_of(&self.object))),
        }
    }
}

/// Looks a kind up; one that a CustomResourceDefinition defines may take a moment.
async fn established(kinds: &Kinds, types: &TypeMeta, within: Duration) -> Result<Kind, Error> {
    let begun = Instant::now();
    loop {
        match kinds.find(types).await {
            Err(error) if error.kind() == ErrorKind::NotFound && begun.elapsed() < within => {
                sleep(Duration::from_millis(100)).await;
            }
            found => return found,
        }
    }
}

fn invalid(error: &serde_json::Error) -> Error {
    Error::new("read it", ErrorKind::Invalid, format!("this is no object: {error}"))
}
