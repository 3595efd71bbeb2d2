//! Replacing the pods of a DaemonSet's old revisions.

use super::{
    super::{deployment::resolve, pod::is_active},
    DaemonSets, View,
    place::with_tolerations,
};
use crate::sandbox::api::failure::Failure;

impl DaemonSets {
    /// How many nodes may have a new pod beside the old one.
    pub(super) fn surge(&self, view: &View) -> i64 {
        let rolling = &view.set["spec"]["updateStrategy"]["rollingUpdate"];
        let total = i64::try_from(view.wanted.len()).unwrap_or_default();
        resolve(&rolling["maxSurge"], total, true)
    }

    /// Replaces pods of old revisions, as many at a time as may be unavailable; with a
    /// surge, new ones first.
    pub(super) fn roll(&self, view: &View) -> Result<(), Failure> {
        if view.set["spec"]["updateStrategy"]["type"] != "RollingUpdate" {
            return Ok(());
        }
        let rolling = &view.set["spec"]["updateStrategy"]["rollingUpdate"];
        let total = i64::try_from(view.wanted.len()).unwrap_or_default();
        let surge = self.surge(view);
        let mut unavailable = resolve(&rolling["maxUnavailable"], total, true);
        if surge == 0 && unavailable == 0 {
            unavailable = 1;
        }
        let mut down = 0;
        let mut sick = Vec::new();
        let mut well = Vec::new();
        let mut surging = 0;
        let mut to_surge = Vec::new();
        for node in &view.wanted {
            let pods = view.on(node);
            let old = pods.iter().find(|pod| is_active(pod) && !view.is_new(pod));
            let new = pods.iter().find(|pod| is_active(pod) && view.is_new(pod));
            if surge > 0 {
                match (old, new) {
                    (Some(old), Some(new)) if view.is_available(new) => well.push(old),
                    (Some(_), Some(_)) => surging += 1,
                    (Some(old), None) if !view.is_available(old) => sick.push(old),
                    (Some(_), None) => to_surge.push(node),
                    _ => {}
                }
                continue;
            }
            match (old, new) {
                (Some(old), _) if view.is_available(old) => well.push(old),
                (Some(old), _) => {
                    down += 1;
                    sick.push(old);
                }
                (None, Some(new)) if view.is_available(new) => {}
                (None, _) => down += 1,
            }
        }
        for pod in sick {
            self.delete(&view.set, pod)?;
        }
        if surge > 0 {
            for pod in well {
                self.delete(&view.set, pod)?;
            }
            let room = usize::try_from(surge - surging).unwrap_or_default();
            let model = with_tolerations(&view.set);
            for node in to_surge.into_iter().take(room) {
                self.create(view, &model, node)?;
            }
            return Ok(());
        }
        let room = usize::try_from(unavailable - down).unwrap_or_default();
        for pod in well.into_iter().take(room) {
            self.delete(&view.set, pod)?;
        }
        Ok(())
    }
}
