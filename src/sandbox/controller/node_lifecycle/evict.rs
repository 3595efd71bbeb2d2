//! Eviction from nodes whose taints say NoExecute.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::{Nodes, PERIOD};
use crate::sandbox::{
    api::{conditions, delete::Propagation, object::Object, resource::PODS},
    controller::{scheduler::tolerates, worker::Again},
};

impl Nodes {
    /// Evicts the pods that don't tolerate the node's taints, or not any longer. Says when
    /// the next one's time is over.
    pub(super) fn evict(&self, node: &Value) -> Again {
        let taints: Vec<_> = node
            .items("/spec/taints")
            .iter()
            .filter(|taint| taint["effect"] == "NoExecute")
            .collect();
        let since: Vec<_> = self.with(node.name(), |known| {
            let key =
                |taint: &Value| (taint.text("/key").to_owned(), taint.text("/value").to_owned());
            known.taints.retain(|known, _| taints.iter().any(|taint| key(taint) == *known));
            let now = Instant::now();
            taints.iter().map(|taint| *known.taints.entry(key(taint)).or_insert(now)).collect()
        });
        if taints.is_empty() {
            return None;
        }
        let mut again: Again = None;
        for pod in self.pods_on(node.name()).into_iter().filter(|pod| !pod.is_deleting()) {
            let left = taints
                .iter()
                .zip(&since)
                .filter_map(|(taint, since)| {
                    let limit = tolerated_for(pod.items("/spec/tolerations"), taint)?;
                    Some(limit.saturating_sub(since.elapsed()))
                })
                .min();
            match left {
                None => {}
                Some(left) if left.is_zero() => self.delete(&pod),
                Some(left) => again = Some(again.map_or(left, |known| known.min(left))),
            }
        }
        again.map(|left| left.min(PERIOD) + Duration::from_millis(5))
    }

    fn delete(&self, pod: &Value) {
        let text = format!("Marking for deletion Pod {}/{}", pod.namespace(), pod.name());
        self.evictions.normal(pod, "TaintManagerEviction", text);
        self.hands.store.write(|writer| {
            let now = writer.get(&PODS, pod.namespace(), pod.name());
            if let Some(now) = now.filter(|now| now.uid() == pod.uid()) {
                let mut marked = Value::clone(&now);
                let text = "Taint manager: deleting due to NoExecute taint";
                let reason = "DeletionByTaintManager";
                conditions::set(&mut marked, "DisruptionTarget", true, reason, text);
                writer.put(&PODS, marked);
            }
        });
        if let Err(failure) = self.hands.delete(&PODS, pod, Propagation::Background) {
            tracing::warn!(%failure, pod = pod.name(), "evict");
        }
    }
}

/// How long a taint is tolerated; `None` is for ever.
fn tolerated_for(tolerations: &[Value], taint: &Value) -> Option<Duration> {
    let fitting: Vec<_> = tolerations
        .iter()
        .filter(|toleration| tolerates(std::slice::from_ref(*toleration), taint))
        .collect();
    if fitting.is_empty() {
        return Some(Duration::ZERO);
    }
    let limits = fitting.iter().filter_map(|toleration| toleration["tolerationSeconds"].as_i64());
    let shortest = limits.min()?;
    Some(Duration::from_secs(u64::try_from(shortest).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::{NOT_READY, UNREACHABLE},
        *,
    };

    #[test]
    fn the_shortest_toleration_counts() {
        let taint = json!({"key": UNREACHABLE, "effect": "NoExecute"});
        let some = |seconds| Some(Duration::from_secs(seconds));
        let one = |seconds: Value| json!({"key": UNREACHABLE, "operator": "Exists", "tolerationSeconds": seconds});
        for (message, tolerations, expected) in [
            ("none", json!([]), some(0)),
            ("for a while", json!([one(300.into())]), some(300)),
            ("for ever", json!([one(Value::Null)]), None),
            ("the shorter of two", json!([one(300.into()), one(5.into())]), some(5)),
            ("less than nothing", json!([one((-1).into())]), some(0)),
            ("another", json!([{"key": NOT_READY, "operator": "Exists"}]), some(0)),
        ] {
            let tolerations = tolerations.as_array().expect("a list").clone();
            assert_eq!(tolerated_for(&tolerations, &taint), expected, "{message}");
        }
    }
}
