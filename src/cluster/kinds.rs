//! Which kinds the cluster has, asked once for each group and version.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, stream};
use kube::{
    Api,
    api::{DynamicObject, TypeMeta},
    core::{
        GroupVersion,
        discovery::{ApiResource, Scope},
    },
    discovery,
};

use super::{Cluster, Error, ErrorKind};

/// Requests in flight while all kinds are asked for.
const PARALLEL: usize = 8;

/// The cluster's kinds, as far as they were asked for. Clones share them.
#[derive(Clone)]
pub(super) struct Kinds {
    client: kube::Client,
    known: Arc<Mutex<HashMap<String, Arc<Vec<Kind>>>>>,
}

/// A kind of object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its name and place in the API.
    pub(super) resource: ApiResource,
    /// False for cluster-scoped objects.
    pub(super) namespaced: bool,
    /// True if its objects can be listed and deleted.
    pub(super) removable: bool,
}

impl Kind {
    /// The API for its objects, in a namespace if it has those.
    pub(super) fn api(&self, client: kube::Client, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) if self.namespaced => {
                Api::namespaced_with(client, namespace, &self.resource)
            }
            _ => Api::all_with(client, &self.resource),
        }
    }
}

impl Kinds {
    pub(super) fn new(client: kube::Client) -> Self {
        Self { client, known: Arc::default() }
    }

    /// Looks a kind up.
    pub(super) async fn find(&self, types: &TypeMeta) -> Result<Kind, Error> {
        let what = format!("find the kind {} of {}", types.kind, types.api_version);
        let version: GroupVersion = types.api_version.parse().map_err(|_| {
            Error::new(&what, ErrorKind::Invalid, "an apiVersion reads `group/version` or `v1`")
        })?;
        let of_kind =
            |kinds: &[Kind]| kinds.iter().find(|kind| kind.resource.kind == types.kind).cloned();
        if let Some(kind) = self.cached(&types.api_version).and_then(|kinds| of_kind(&kinds)) {
            return Ok(kind);
        }
        // Asked again even where the version is known: a manifest before this one may have
        // defined the kind.
        match self.ask(&version).await {
            Ok(kinds) => of_kind(&kinds).ok_or_else(|| {
                let message =
                    "the cluster has no such kind; is its CustomResourceDefinition installed?";
                Error::new(what, ErrorKind::NotFound, message)
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Error::new(what, ErrorKind::NotFound, "the cluster has no such API"))
            }
            Err(error) => Err(error.during(&what)),
        }
    }

    /// Every kind in its preferred version, and the groups that gave no answer: one broken
    /// aggregated API must not hide all others.
    pub(super) async fn all(&self) -> Result<(Vec<Kind>, Vec<String>), Error> {
        let groups = Cluster::call("list API groups", self.client.list_api_groups()).await?;
        let mut versions = vec![GroupVersion::gv("", "v1")];
        for group in groups.groups {
            let preferred = group.preferred_version.or_else(|| group.versions.into_iter().next());
            if let Some(Ok(version)) = preferred.map(|version| version.group_version.parse()) {
                versions.push(version);
            }
        }
        let answers: Vec<Result<Arc<Vec<Kind>>, Error>> = stream::iter(versions)
            .map(async |version| self.ask(&version).await)
            .buffer_unordered(PARALLEL)
            .collect()
            .await;
        let mut kinds = Vec::new();
        let mut unseen = Vec::new();
        for answer in answers {
            match answer {
                Ok(found) => kinds.extend(found.iter().cloned()),
                Err(error) => unseen.push(error.to_string()),
            }
        }
        Ok((kinds, unseen))
    }

    fn cached(&self, api_version: &str) -> Option<Arc<Vec<Kind>>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(api_version).cloned()
    }

    async fn ask(&self, version: &GroupVersion) -> Result<Arc<Vec<Kind>>, Error> {
        let api_version = version.api_version();
        let what = format!("list the kinds of {api_version}");
        let group = Cluster::call(what, discovery::pinned_group(&self.client, version)).await?;
        let kinds: Vec<Kind> = group
            .versioned_resources(&version.version)
            .into_iter()
            .map(|(resource, capabilities)| Kind {
                resource,
                namespaced: capabilities.scope == Scope::Namespaced,
                removable: capabilities.supports_operation("list")
                    && capabilities.supports_operation("delete"),
            })
            .collect();
        let kinds = Arc::new(kinds);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(api_version, kinds.clone());
        Ok(kinds)
    }
}
