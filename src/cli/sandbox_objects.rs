//! What only a sandbox has: external hosts and faults, which suites bring as objects of a group
//! of their own. In other clusters they are left out, as the suites say.

use serde_json::Value;

use super::exit::{Exit, complain, warn};
use crate::{
    cluster::Cluster,
    model::chain,
    suite::{Change, Suite},
};

/// The group of these kinds.
const GROUP: &str = "sandbox.netproof.dev";

/// The suites without what this cluster can't have; says so in a line. The cluster is asked
/// only where some suite has such objects.
pub(super) async fn leave_out(
    cluster: &Cluster,
    mut suites: Vec<Suite>,
) -> Result<Vec<Suite>, Exit> {
    if !suites.iter().any(has_any) {
        return Ok(suites);
    }
    let serves = cluster.serves(GROUP).await.map_err(|error| {
        complain(&chain(&error), error.remedy().as_deref());
        Exit::Undecided
    })?;
    if !serves {
        let left_out: usize = suites.iter_mut().map(strip).sum();
        let objects =
            if left_out == 1 { "1 object".to_owned() } else { format!("{left_out} objects") };
        let message =
            format!("left out {objects} of {GROUP}, which only netproof's sandbox serves");
        warn(&message, None);
    }
    Ok(suites)
}

fn is_sandboxs(object: &Value) -> bool {
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    version.split_once('/').is_some_and(|(group, _)| group == GROUP)
}

fn has_any(suite: &Suite) -> bool {
    let of_steps = suite.changes().flatten().filter_map(|change| match change {
        Change::Apply(manifest) => Some(manifest),
        _ => None,
    });
    let mut manifests = suite.setup.manifests.iter().chain(of_steps);
    manifests.any(|manifest| manifest.objects.iter().any(is_sandboxs))
}

/// Takes such objects out of a suite; says how many.
fn strip(suite: &mut Suite) -> usize {
    let of_steps = suite.steps.iter_mut().flat_map(|step| &mut step.changes);
    let of_steps = of_steps.filter_map(|change| match change {
        Change::Apply(manifest) => Some(manifest),
        _ => None,
    });
    let mut left_out = 0;
    for manifest in suite.setup.manifests.iter_mut().chain(of_steps) {
        let before = manifest.objects.len();
        manifest.objects.retain(|object| !is_sandboxs(object));
        left_out += before - manifest.objects.len();
    }
    left_out
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn external_hosts_and_faults_are_taken_out_and_nothing_else() {
        let file =
            PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/suites/restrict-egress.yaml"));
        let mut suite = crate::suite::load(&[file]).unwrap().remove(0);
        let objects = |suite: &Suite| {
            suite.setup.manifests.iter().map(|one| one.objects.len()).sum::<usize>()
        };
        let before = objects(&suite);
        assert!(has_any(&suite));
        assert_eq!(strip(&mut suite), 1);
        assert!(!has_any(&suite));
        assert_eq!(objects(&suite), before - 1);
    }
}
