//! What steps are going to change of objects that aren't the run's own: it has to be there,
//! and it must be possible to put it back.

use std::collections::BTreeSet;

use super::{
    super::{Error, ErrorKind, RunContext},
    Finding,
};
use crate::{
    plan::{Plan, PlannedChange, SuitePlan},
    suite::ObjectName,
};

/// Looks at each object that some step changes and that the run doesn't bring itself.
pub(super) async fn look(context: &RunContext, plan: &Plan) -> Result<Vec<Finding>, Error> {
    let made: BTreeSet<&str> = plan
        .suites
        .iter()
        .flat_map(|suite| suite.namespaces.iter().map(|namespace| namespace.name.as_str()))
        .collect();
    let mut findings = Vec::new();
    for suite in &plan.suites {
        for step in &suite.steps {
            for (object, deletes) in step.changes.iter().filter_map(changed) {
                let place = object.namespace.as_deref().unwrap_or(&object.name);
                if made.contains(place) || brings(suite, &object) {
                    continue;
                }
                let Err(error) = context.may_be_changed(&object, deletes).await else { continue };
                if matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Deadline) {
                    return Err(error);
                }
                let remedy = error.remedy().unwrap_or_else(|| {
                    "a step may only change what is there and can be put back".to_owned()
                });
                let message = format!("suite {}, step {}: {error}", suite.name, step.name);
                findings.push(Finding::refuse(message, remedy));
            }
        }
    }
    Ok(findings)
}

/// The object that a change is about, and whether it deletes it.
fn changed(change: &PlannedChange) -> Option<(ObjectName, bool)> {
    match change {
        PlannedChange::Patch { object, .. } => Some((object.clone(), false)),
        PlannedChange::Delete(object) => Some((object.clone(), true)),
        PlannedChange::LabelNamespace { namespace, .. } => {
            Some((ObjectName::of_namespace(namespace), false))
        }
        _ => None,
    }
}

/// Whether the suite itself creates an object of that name.
fn brings(suite: &SuitePlan, object: &ObjectName) -> bool {
    suite.all_objects().any(|planned| {
        let text = |at: &str| planned.object.pointer(at).and_then(|value| value.as_str());
        text("/kind") == Some(object.kind.as_str())
            && text("/metadata/name") == Some(object.name.as_str())
            && (object.namespace.is_none()
                || text("/metadata/namespace") == object.namespace.as_deref())
    })
}
