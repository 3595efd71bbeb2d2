//! Everything in a cluster that policies depend on, as it stands.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use http::Request;
use serde_json::Value;

use super::{
    Cluster, Error, ErrorKind,
    policy_kinds::{Listed, Need, native_kinds},
};
use crate::policy::{Foreign, Unread};

/// How many objects a page has.
const PAGE: usize = 500;

/// Requests in flight at once.
const PARALLEL: usize = 8;

/// What stands in a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyState {
    /// The objects, each with its `apiVersion` and `kind`.
    pub objects: Vec<Value>,
    /// What may not be read, and may decide all the same.
    pub missing: BTreeSet<Missing>,
    /// True where only some namespaces were looked at.
    pub partial: bool,
}

/// Something that may not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The kind: `CiliumNetworkPolicy`.
    pub kind: String,
    /// Where; nothing where it is so in the whole cluster.
    pub namespace: Option<String>,
    /// Why, by the server.
    pub why: String,
    /// True for a kind of policy.
    pub decides: bool,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} in {namespace}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}

impl PolicyState {
    /// The kinds of policy that may not be read, as the evaluator takes them.
    pub fn foreign(&self) -> impl Iterator<Item = Foreign> {
        self.missing.iter().filter(|missing| missing.decides).map(|missing| Foreign {
            kind: missing.kind.clone(),
            namespace: missing.namespace.clone(),
            name: "(may not be read)".to_owned(),
        })
    }

    /// What else isn't known of the cluster, as the evaluator takes it.
    pub fn unread(&self) -> BTreeSet<Unread> {
        let lacks = |kinds: &[&str]| {
            self.missing.iter().any(|missing| kinds.contains(&missing.kind.as_str()))
        };
        let mut unread = BTreeSet::new();
        unread.extend(lacks(&["Node"]).then_some(Unread::Nodes));
        unread.extend(
            (self.partial || lacks(&["Service", "EndpointSlice"])).then_some(Unread::Services),
        );
        unread.extend(self.partial.then_some(Unread::Pods));
        unread
    }
}

/// What came of one list.
type Answer = Result<Vec<Value>, Missing>;

impl Cluster {
    /// Lists the namespaces, pods, nodes, Services and all kinds of policy: everywhere, or
    /// in some namespaces alone, for which fewer rights are enough.
    ///
    /// # Errors
    /// The server doesn't answer, or refuses what can't be done without: namespaces, pods
    /// and NetworkPolicies.
    pub async fn policy_state(
        &self,
        near: Option<&BTreeSet<String>>,
    ) -> Result<PolicyState, Error> {
        let (kinds, mut missing) = self.policy_kinds().await?;
        let mut requests: Vec<(Listed, Option<String>)> = Vec::new();
        for listed in native_kinds() {
            match near {
                Some(near) if listed.by_name || listed.namespaced => {
                    requests.extend(near.iter().map(|name| (listed.clone(), Some(name.clone()))));
                }
                _ => requests.push((listed, None)),
            }
        }
        requests.extend(kinds.into_iter().map(|listed| (listed, None)));
        let mut answers = stream::iter(requests)
            .map(async |(listed, namespace)| self.answer(&listed, namespace.as_deref(), near).await)
            .buffered(PARALLEL);
        let mut objects = Vec::new();
        while let Some(answer) = answers.next().await {
            for part in answer? {
                match part {
                    Ok(found) => objects.extend(found),
                    Err(lacking) => {
                        missing.insert(lacking);
                    }
                }
            }
        }
        Ok(PolicyState { objects, missing, partial: near.is_some() })
    }

    /// One kind: in a namespace, or everywhere. A kind of others that may not be listed
    /// everywhere is asked for in each of the namespaces that matter.
    async fn answer(
        &self,
        listed: &Listed,
        namespace: Option<&str>,
        near: Option<&BTreeSet<String>>,
    ) -> Result<Vec<Answer>, Error> {
        let first = self.list(listed, namespace).await;
        let answers = match (first, near) {
            (Err(error), Some(near))
                if error.kind() == ErrorKind::Forbidden
                    && namespace.is_none()
                    && listed.namespaced =>
            {
                let mut answers = Vec::new();
                for name in near.iter().map(String::as_str).chain(listed.root()) {
                    answers.push((self.list(listed, Some(name)).await, Some(name)));
                }
                answers
            }
            (first, _) => vec![(first, namespace)],
        };
        let judge = |(answer, namespace): (Result<Vec<Value>, Error>, Option<&str>)| match answer {
            Ok(objects) => Ok(Ok(objects)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Ok(Vec::new())),
            // It may not be read, or the server that has it doesn't answer.
            Err(error) if listed.need != Need::All => Ok(Err(Missing {
                kind: listed.kind.clone().into_owned(),
                namespace: namespace.map(str::to_owned),
                why: error.to_string(),
                decides: listed.need == Need::Policy,
            })),
            Err(error) => Err(error),
        };
        answers.into_iter().map(judge).collect()
    }

    async fn list(&self, listed: &Listed, namespace: Option<&str>) -> Result<Vec<Value>, Error> {
        let (mut objects, mut next) = (Vec::new(), String::new());
        let path = listed.path(namespace);
        loop {
            let uri = match listed.by_name && namespace.is_some() {
                true => path.clone(),
                false => format!("{path}?limit={PAGE}{next}"),
            };
            let request = || async {
                let request = Request::get(&uri).body(Vec::new());
                self.client.request::<Value>(request.map_err(kube::Error::HttpError)?).await
            };
            let mut page = Self::call(format!("list {path}"), request()).await?;
            let named = |mut object: Value| {
                object["apiVersion"] = listed.version.as_ref().into();
                object["kind"] = listed.kind.as_ref().into();
                object
            };
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(items)) => objects.extend(items.into_iter().map(named)),
                _ if listed.by_name && namespace.is_some() => return Ok(vec![named(page)]),
                _ => {}
            }
            match page.pointer("/metadata/continue").and_then(Value::as_str) {
                Some(token) if !token.is_empty() => next = format!("&continue={token}"),
                _ => return Ok(objects),
            }
        }
    }
}
