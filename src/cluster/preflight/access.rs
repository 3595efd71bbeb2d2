//! Permissions: what the run will do, asked beforehand.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{
    Api,
    api::{PostParams, TypeMeta},
};

use super::{
    super::{Cluster, Error, ErrorKind, RunContext},
    Finding, PARALLEL, Severity,
};
use crate::{
    plan::{Plan, PlannedChange, Role, SuitePlan},
    suite::ObjectName,
};

/// Something that the run will do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Deed {
    verb: &'static str,
    group: String,
    /// With its subresource: `pods/exec`.
    resource: String,
    /// None for cluster-scoped objects.
    namespace: Option<String>,
    severity: Severity,
}

/// Verb, group and resource of a deed.
type Rule = (&'static str, &'static str, &'static str);

/// What is done wherever a probe pod goes.
const WITH_PODS: &[Rule] = &[
    ("create", "", "pods"),
    ("get", "", "pods"),
    ("list", "", "pods"),
    ("watch", "", "pods"),
    ("delete", "", "pods"),
    // A websocket begins with a GET; Kubernetes 1.35 asks for `create` on top.
    ("get", "", "pods/exec"),
    ("create", "", "pods/exec"),
];

/// What is done, besides, where a pod's first instants are watched: its log has them.
const WITH_NEWCOMERS: &[Rule] = &[("get", "", "pods/log")];

/// What is done where the run has no namespace of its own.
const AS_GUEST: &[Rule] = &[("create", "", "configmaps"), ("delete", "", "configmaps")];

/// What is done in the control namespace.
const IN_CONTROL: &[Rule] = &[
    ("create", "coordination.k8s.io", "leases"),
    ("patch", "coordination.k8s.io", "leases"),
    ("create", "networking.k8s.io", "networkpolicies"),
    ("delete", "networking.k8s.io", "networkpolicies"),
];

/// What is done with the namespaces that the run makes.
const NAMESPACES: &[&str] = &["create", "list", "watch", "delete"];

pub(super) async fn look(context: &RunContext, plan: &Plan) -> Result<Vec<Finding>, Error> {
    let mut deeds = deeds(plan);
    deeds.extend(of_manifests(context, plan).await);
    let mut asked = stream::iter(deeds)
        .map(async |deed| {
            let allowed = ask(context, &deed).await;
            (deed, allowed)
        })
        .buffer_unordered(PARALLEL);
    let mut denied = BTreeSet::new();
    let mut findings = Vec::new();
    while let Some((deed, allowed)) = asked.next().await {
        match allowed {
            Ok(true) => {}
            Ok(false) => {
                denied.insert(deed);
            }
            // Without this API there is no such thing as a permission to be asked for.
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                findings.push(Finding::warn(format!("permissions were not checked: {error}")));
                break;
            }
            Err(error) => return Err(error),
        }
    }
    // Where no namespace can be made, what may be done in it is no question.
    if denied.iter().any(|deed| deed.resource == "namespaces" && deed.verb == "create") {
        denied.retain(|deed| deed.severity == Severity::Refuse);
    }
    findings.extend(tell(context.cluster().context(), &denied));
    Ok(findings)
}

fn deeds(plan: &Plan) -> BTreeSet<Deed> {
    let mut deeds = BTreeSet::new();
    let mut add = |rules: &[Rule], namespace: &str, created: bool| {
        for &(verb, group, resource) in rules {
            let is_new = (verb, resource) == ("create", "pods/exec");
            deeds.insert(Deed {
                verb,
                group: group.to_owned(),
                resource: resource.to_owned(),
                namespace: Some(namespace.to_owned()),
                // Whoever may make a namespace may be given rights in it by then.
                severity: if created || is_new { Severity::Warn } else { Severity::Refuse },
            });
        }
    };
    // One of those that are made stands for all: nothing but its name is known yet.
    let mut made = plan.pods.iter().filter(|pod| pod.namespace_created).take(1);
    for pod in plan.pods.iter().filter(|pod| !pod.namespace_created).chain(made.by_ref()) {
        add(WITH_PODS, &pod.namespace, pod.namespace_created);
        if !pod.namespace_created {
            add(AS_GUEST, &pod.namespace, false);
        }
    }
    for pod in plan.pods.iter().filter(|pod| matches!(pod.role, Role::Newcomer { .. })) {
        add(WITH_NEWCOMERS, &pod.namespace, pod.namespace_created);
    }
    let mut foreign: BTreeSet<&str> =
        plan.suites.iter().flat_map(|suite| suite.foreign_namespaces()).collect();
    // The pods' own are in already.
    foreign.retain(|name| !plan.pods.iter().any(|pod| pod.namespace == *name));
    for namespace in foreign {
        add(AS_GUEST, namespace, false);
    }
    let control = &plan.control_namespace;
    add(IN_CONTROL, &control.name, control.created);
    let makes_some =
        control.created || plan.suites.iter().any(|suite| !suite.namespaces.is_empty());
    if makes_some {
        for &verb in NAMESPACES {
            deeds.insert(Deed {
                verb,
                group: String::new(),
                resource: "namespaces".to_owned(),
                namespace: None,
                // Without list and watch the sweep asks for each by its name.
                severity: match verb {
                    "create" | "delete" => Severity::Refuse,
                    _ => Severity::Warn,
                },
            });
        }
    }
    deeds
}

/// Creating the objects of manifests. Kinds that aren't known are told when they are
/// applied: a manifest before them may define them.
async fn of_manifests(context: &RunContext, plan: &Plan) -> BTreeSet<Deed> {
    let made: BTreeSet<&String> = plan
        .suites
        .iter()
        .flat_map(|suite| suite.namespaces.iter().map(|namespace| &namespace.name))
        .collect();
    let mut wanted: Vec<(TypeMeta, Option<String>, &'static str)> = Vec::new();
    for object in plan.suites.iter().flat_map(SuitePlan::all_objects) {
        let text = |at: &str| {
            object
                .object
                .pointer(at)
                .and_then(|value| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let types = TypeMeta { api_version: text("/apiVersion"), kind: text("/kind") };
        let namespace = Some(text("/metadata/namespace")).filter(|name| !name.is_empty());
        wanted.push((types, namespace, "create"));
    }
    wanted.extend(of_steps(plan));
    wanted.dedup();
    let mut deeds = BTreeSet::new();
    for (types, namespace, verb) in wanted {
        let Ok(kind) = context.kinds.find(&types).await else { continue };
        let namespace = namespace.filter(|_| kind.namespaced);
        let created = namespace.as_ref().is_some_and(|name| made.contains(name));
        deeds.insert(Deed {
            verb,
            group: kind.resource.group,
            resource: kind.resource.plural,
            namespace,
            severity: if created { Severity::Warn } else { Severity::Refuse },
        });
    }
    deeds
}

/// What is done with the objects that steps name, putting them back included.
fn of_steps(plan: &Plan) -> Vec<(TypeMeta, Option<String>, &'static str)> {
    let steps = plan.suites.iter().flat_map(|suite| &suite.steps);
    let mut wanted = Vec::new();
    for change in steps.flat_map(|step| &step.changes) {
        let (object, verbs) = match change {
            PlannedChange::Patch { object, .. } => (object.clone(), ["get", "patch", "update"]),
            PlannedChange::Delete(object) => (object.clone(), ["get", "delete", "create"]),
            PlannedChange::LabelNamespace { namespace, .. } => {
                (ObjectName::of_namespace(namespace), ["get", "patch", "update"])
            }
            _ => continue,
        };
        let types = TypeMeta { api_version: object.api_version, kind: object.kind };
        wanted.extend(verbs.map(|verb| (types.clone(), object.namespace.clone(), verb)));
    }
    wanted
}

async fn ask(context: &RunContext, deed: &Deed) -> Result<bool, Error> {
    let (resource, subresource) = match deed.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (deed.resource.as_str(), None),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                verb: Some(deed.verb.to_owned()),
                group: Some(deed.group.clone()),
                resource: Some(resource.to_owned()),
                subresource,
                namespace: deed.namespace.clone(),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(context.client());
    let what = format!("ask for the permission to {} {}", deed.verb, deed.resource);
    let answer = Cluster::call(what, reviews.create(&PostParams::default(), &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// What may not be done, by resource.
type Verbs<'a> = BTreeMap<String, Vec<&'a str>>;

/// One finding for each place and gravity.
fn tell(context: &str, denied: &BTreeSet<Deed>) -> Vec<Finding> {
    let mut places: BTreeMap<(Severity, Option<&str>), Verbs<'_>> = BTreeMap::new();
    for deed in denied {
        let what = if deed.group.is_empty() {
            deed.resource.clone()
        } else {
            format!("{}.{}", deed.resource, deed.group)
        };
        let place = places.entry((deed.severity, deed.namespace.as_deref())).or_default();
        place.entry(what).or_default().push(deed.verb);
    }
    let finding = |((severity, namespace), denied): ((_, Option<&str>), Verbs<'_>)| {
        let deeds: Vec<String> = denied
            .iter()
            .map(|(what, verbs): (&String, &Vec<&str>)| format!("{} {what}", verbs.join(", ")))
            .collect();
        let place = namespace.map(|name| format!(" in namespace {name}")).unwrap_or_default();
        let remedy = match namespace {
            Some(name) => format!("ask for that; `kubectl auth can-i --list -n {name}` tells"),
            None if severity == Severity::Warn && denied.keys().eq(["namespaces"]) => {
                "without it namespaces are asked for one by one".into()
            }
            None if denied.contains_key("namespaces") => {
                "ask for that, or use peers in namespaces that exist and --control-namespace".into()
            }
            None => "ask for that; `kubectl auth can-i --list` tells".into(),
        };
        Finding {
            severity,
            message: format!("context {context} may not {}{place}", deeds.join("; ")),
            remedy: Some(remedy),
        }
    };
    places.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_denied_in_one_place_is_told_in_one_sentence() {
        let deed = |verb, group: &str, resource: &str, namespace: Option<&str>, severity| Deed {
            verb,
            group: group.into(),
            resource: resource.into(),
            namespace: namespace.map(str::to_owned),
            severity,
        };
        let denied = BTreeSet::from([
            deed("create", "", "pods", Some("shop"), Severity::Refuse),
            deed("delete", "", "pods", Some("shop"), Severity::Refuse),
            deed("patch", "coordination.k8s.io", "leases", Some("shop"), Severity::Refuse),
            deed("create", "", "pods/exec", Some("shop"), Severity::Warn),
            deed("create", "", "namespaces", None, Severity::Refuse),
            deed("list", "", "namespaces", None, Severity::Warn),
        ]);
        let told = tell("dev", &denied).into_iter().map(|finding| {
            let severity = finding.severity;
            format!("{severity:?}: {}\n  {}", finding.message, finding.remedy.unwrap_or_default())
        });
        insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"), @r"
        Refuse: context dev may not create namespaces
          ask for that, or use peers in namespaces that exist and --control-namespace
        Refuse: context dev may not patch leases.coordination.k8s.io; create, delete pods in namespace shop
          ask for that; `kubectl auth can-i --list -n shop` tells
        Warn: context dev may not list namespaces
          without it namespaces are asked for one by one
        Warn: context dev may not create pods/exec in namespace shop
          ask for that; `kubectl auth can-i --list -n shop` tells
        ");
    }
}
