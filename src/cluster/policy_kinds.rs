//! Which kinds of object decide about traffic in this cluster: those that are understood,
//! and by discovery those that aren't.

use std::{borrow::Cow, collections::BTreeSet};

use futures::{StreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResource};

use super::{Cluster, Error, ErrorKind, policy_state::Missing};
use crate::policy::{is_foreign_group, is_foreign_kind, is_read_kind};

/// Requests in flight at once.
const PARALLEL: usize = 8;

/// A kind to be listed.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// Its `apiVersion`, which lists don't repeat.
    pub(super) version: Cow<'static, str>,
    /// Its kind, which neither do they.
    pub(super) kind: Cow<'static, str>,
    plural: Cow<'static, str>,
    /// False for objects of the whole cluster.
    pub(super) namespaced: bool,
    /// True for namespaces: one of them is got by its name.
    pub(super) by_name: bool,
    pub(super) need: Need,
}

/// What it means that a kind may not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing at all can be said.
    All,
    /// Some answers are less sure.
    Detail,
    /// Another policy may decide.
    Policy,
}

fn native(
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
    need: Need,
) -> Listed {
    Listed {
        version: Cow::Borrowed(version),
        kind: Cow::Borrowed(kind),
        plural: Cow::Borrowed(plural),
        namespaced,
        by_name: kind == "Namespace",
        need,
    }
}

/// What every cluster has. Other kinds are asked for only where discovery knows them: who
/// has few rights is refused what isn't there, too.
pub(super) fn native_kinds() -> Vec<Listed> {
    vec![
        native("v1", "namespaces", "Namespace", false, Need::All),
        native("v1", "pods", "Pod", true, Need::All),
        native("networking.k8s.io/v1", "networkpolicies", "NetworkPolicy", true, Need::All),
        native("v1", "nodes", "Node", false, Need::Detail),
        native("v1", "services", "Service", true, Need::Detail),
        native("discovery.k8s.io/v1", "endpointslices", "EndpointSlice", true, Need::Detail),
    ]
}

impl Listed {
    /// Where it is listed; a namespace's own place where it is one.
    pub(super) fn path(&self, namespace: Option<&str>) -> String {
        let version = &self.version;
        let root = if version.contains('/') { "apis" } else { "api" };
        let plural = &self.plural;
        match namespace {
            Some(name) if self.by_name => format!("/{root}/{version}/{plural}/{name}"),
            Some(name) => format!("/{root}/{version}/namespaces/{name}/{plural}"),
            None => format!("/{root}/{version}/{plural}"),
        }
    }

    /// The namespace whose objects count everywhere, if the kind has such a one.
    pub(super) fn root(&self) -> Option<&'static str> {
        self.version.starts_with("security.istio.io/").then_some("istio-system")
    }
}

impl Cluster {
    /// The kinds of policy that the cluster has besides NetworkPolicies, understood here or
    /// not, and the groups that could not be asked.
    pub(super) async fn policy_kinds(&self) -> Result<(Vec<Listed>, BTreeSet<Missing>), Error> {
        let groups = match Self::call("list API groups", self.client.list_api_groups()).await {
            Ok(groups) => groups.groups,
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                return Ok((
                    Vec::new(),
                    BTreeSet::from([unasked("other kinds of policy", &error)]),
                ));
            }
            Err(error) => return Err(error),
        };
        let asked = groups.into_iter().filter(|group| is_foreign_group(&group.name));
        let mut answers = stream::iter(asked)
            .map(async |group| {
                let kinds = self.kinds_of(&group).await;
                (group, kinds)
            })
            .buffered(PARALLEL);
        let (mut kinds, mut missing) = (Vec::new(), BTreeSet::new());
        while let Some((group, answer)) = answers.next().await {
            match answer {
                Ok(found) => kinds.extend(deciding(found)),
                // A group is gone between two requests, or its server doesn't answer.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    missing.insert(unasked(&format!("the kinds of {}", group.name), &error));
                }
            }
        }
        Ok((kinds, missing))
    }

    /// The kinds of a group, those of its preferred version first.
    async fn kinds_of(&self, group: &APIGroup) -> Result<Vec<(String, APIResource)>, Error> {
        let preferred = group.preferred_version.as_ref().map(|version| &version.group_version);
        let mut versions: Vec<&String> =
            group.versions.iter().map(|version| &version.group_version).collect();
        versions.sort_by_key(|version| Some(*version) != preferred);
        let mut kinds = Vec::new();
        for version in versions {
            let what = format!("list the kinds of {version}");
            let listed = Self::call(what, self.client.list_api_group_resources(version)).await?;
            kinds.extend(listed.resources.into_iter().map(|kind| (version.clone(), kind)));
        }
        Ok(kinds)
    }
}

/// Of a group's kinds those that decide, each in a version that is understood here where
/// there is one, and else in the first.
fn deciding(kinds: Vec<(String, APIResource)>) -> Vec<Listed> {
    let is_listed = |kind: &APIResource| {
        !kind.name.contains('/') && kind.verbs.iter().any(|verb| verb == "list")
    };
    let (mut understood, rest): (Vec<_>, Vec<_>) = kinds
        .into_iter()
        .filter(|(_, kind)| is_listed(kind))
        .partition(|(version, kind)| is_read_kind(version, &kind.kind));
    let foreign = rest.into_iter().filter(|(version, kind)| is_foreign_kind(version, &kind.kind));
    understood.extend(foreign);
    let mut seen = BTreeSet::new();
    understood
        .into_iter()
        .filter(|(_, kind)| seen.insert(kind.kind.clone()))
        .map(|(version, kind)| Listed {
            version: Cow::Owned(version),
            kind: Cow::Owned(kind.kind),
            plural: Cow::Owned(kind.name),
            namespaced: kind.namespaced,
            by_name: false,
            need: Need::Policy,
        })
        .collect()
}

fn unasked(what: &str, error: &Error) -> Missing {
    Missing { kind: what.to_owned(), namespace: None, why: error.to_string(), decides: true }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(version: &str, kind: &str, name: &str) -> (String, APIResource) {
        let resource = APIResource {
            kind: kind.to_owned(),
            name: name.to_owned(),
            verbs: vec!["get".to_owned(), "list".to_owned()],
            ..APIResource::default()
        };
        (version.to_owned(), resource)
    }

    #[test]
    fn a_kind_is_listed_once_and_in_a_version_that_is_understood_where_there_is_one() {
        let group = "policy.networking.k8s.io";
        let found = deciding(vec![
            kind(&format!("{group}/v1"), "ClusterNetworkPolicy", "clusternetworkpolicies"),
            kind(&format!("{group}/v1beta1"), "AdminNetworkPolicy", "adminnetworkpolicies"),
            kind(
                &format!("{group}/v1beta1"),
                "ClusterNetworkPolicy",
                "clusternetworkpolicies/status",
            ),
            kind(&format!("{group}/v1alpha3"), "AdminNetworkPolicy", "adminnetworkpolicies"),
            kind(&format!("{group}/v1alpha2"), "ClusterNetworkPolicy", "clusternetworkpolicies"),
        ]);
        let paths: Vec<String> = found.iter().map(|listed| listed.path(None)).collect();
        let expected = ["v1alpha2/clusternetworkpolicies", "v1beta1/adminnetworkpolicies"];
        assert_eq!(paths, expected.map(|path| format!("/apis/{group}/{path}")));
    }

    #[test]
    fn a_namespace_has_its_place_in_the_path() {
        let all = native_kinds();
        let [namespaces, pods, policies, nodes, ..] = &all[..] else { panic!("{all:?}") };
        for (listed, namespace, expected) in [
            (namespaces, None, "/api/v1/namespaces"),
            (namespaces, Some("shop"), "/api/v1/namespaces/shop"),
            (pods, Some("shop"), "/api/v1/namespaces/shop/pods"),
            (nodes, None, "/api/v1/nodes"),
            (policies, Some("a"), "/apis/networking.k8s.io/v1/namespaces/a/networkpolicies"),
        ] {
            assert_eq!(listed.path(namespace), expected);
        }
    }
}
