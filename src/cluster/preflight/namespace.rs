//! Namespaces that must be there, and those that must not.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};

use super::{
    super::{Cluster, Error, ErrorKind, RunContext},
    Finding, PARALLEL,
};
use crate::plan::Plan;

pub(super) async fn look(context: &RunContext, plan: &Plan) -> Result<Vec<Finding>, Error> {
    let foreign = plan.suites.iter().flat_map(|suite| suite.foreign_namespaces());
    let foreign: BTreeSet<String> = foreign.map(str::to_owned).collect();
    let mut names: BTreeSet<(&String, bool)> = plan
        .suites
        .iter()
        .flat_map(|suite| suite.namespaces.iter().map(|namespace| (&namespace.name, true)))
        .chain(plan.pods.iter().map(|pod| (&pod.namespace, pod.namespace_created)))
        .collect();
    names.extend(foreign.iter().map(|name| (name, false)));
    names.insert((&plan.control_namespace.name, plan.control_namespace.created));

    let namespaces: Api<Namespace> = Api::all(context.client());
    let mut asked = stream::iter(names)
        .map(async |(name, created)| {
            let found = Cluster::call(format!("get namespace {name}"), namespaces.get(name)).await;
            (name, created, found)
        })
        .buffer_unordered(PARALLEL);
    let mut findings = Vec::new();
    while let Some((name, created, found)) = asked.next().await {
        match found {
            Ok(namespace) => findings.extend(present(&namespace, created)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if !created {
                    findings.push(Finding::refuse(
                        format!("namespace {name} does not exist"),
                        "create it, or list it under `setup.namespaces` to have the run make it",
                    ));
                }
            }
            // Whether it is there will be seen when it is used.
            Err(error) if error.kind() == ErrorKind::Forbidden => {}
            Err(error) => return Err(error),
        }
    }
    Ok(findings)
}

/// What is wrong with a namespace that is there.
fn present(namespace: &Namespace, created: bool) -> Option<Finding> {
    let name = namespace.name_any();
    let terminating = namespace.metadata.deletion_timestamp.is_some();
    match (created, terminating) {
        (true, true) => Some(Finding::refuse(
            format!("namespace {name} is still being deleted"),
            "wait until it is gone",
        )),
        (true, false) => Some(Finding::refuse(
            format!("namespace {name} exists already, and is never taken over"),
            "leave its `name` out to get a generated one, or delete it",
        )),
        (false, true) => Some(Finding::refuse(
            format!("namespace {name} is being deleted"),
            "wait until it is gone and made anew",
        )),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_must_be_there_or_not_as_planned() {
        let standing = json!({"metadata": {"name": "shop"}});
        let going = json!({"metadata": {
            "name": "shop", "deletionTimestamp": "2026-01-01T00:00:00Z",
        }});
        for (what, namespace, created, expected) in [
            ("used and there", &standing, false, None),
            ("used and going", &going, false, Some("namespace shop is being deleted")),
            (
                "to be made and there",
                &standing,
                true,
                Some("namespace shop exists already, and is never taken over"),
            ),
            ("to be made and going", &going, true, Some("namespace shop is still being deleted")),
        ] {
            let namespace: Namespace = serde_json::from_value(namespace.clone()).unwrap();
            let found = present(&namespace, created).map(|finding| finding.message);
            assert_eq!(found.as_deref(), expected, "{what}");
        }
    }
}
