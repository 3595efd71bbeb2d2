//! The indexes of Indexed Jobs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    super::pod::{annotation, mark},
    Failures,
};
use crate::sandbox::api::object::Object;

/// The label and annotation with a pod's index.
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The index of a pod.
pub(super) fn of(pod: &Value) -> Option<i64> {
    annotation(pod, INDEX).parse().ok()
}

/// The first indexes that are neither done nor taken.
pub(super) fn free(
    completions: i64,
    done: &BTreeSet<i64>,
    taken: &BTreeSet<i64>,
    count: usize,
) -> Vec<i64> {
    let all = 0..completions;
    all.filter(|place| !done.contains(place) && !taken.contains(place)).take(count).collect()
}

/// Gives a new pod its index: annotation, label, host name, name and variable.
pub(super) fn assign(job: &Value, pod: &mut Value, place: i64) {
    let text = place.to_string();
    mark(pod, "annotations", INDEX, &text);
    mark(pod, "labels", INDEX, &text);
    let metadata = pod.metadata_mut();
    metadata.insert("generateName".into(), format!("{}-{place}-", job.name()).into());
    let host = format!("{}-{place}", job.name());
    pod.section_mut("spec").insert("hostname".into(), host.into());
    let path = format!("metadata.annotations['{INDEX}']");
    let variable = json!({
        "name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {"fieldPath": path}},
    });
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            match container.get_mut("env").and_then(Value::as_array_mut) {
                Some(list) if list.iter().any(|known| known["name"] == variable["name"]) => {}
                Some(list) => list.push(variable.clone()),
                None => container["env"] = json!([variable]),
            }
        }
    }
}

/// Says on a new pod how often its index has failed before.
pub(super) fn note_failures(pod: &mut Value, failures: Failures) {
    let counted = failures.counted.to_string();
    mark(pod, "annotations", "batch.kubernetes.io/job-index-failure-count", &counted);
    if failures.ignored > 0 {
        let kind = "batch.kubernetes.io/job-index-ignored-failure-count";
        mark(pod, "annotations", kind, &failures.ignored.to_string());
    }
}

/// Indexes as text: `0-2,4`.
pub(super) fn ranges(indexes: &BTreeSet<i64>) -> String {
    let mut parts: Vec<(i64, i64)> = Vec::new();
    for &index in indexes {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => parts.push((index, index)),
        }
    }
    let texts: Vec<_> = parts
        .into_iter()
        .map(|(first, last)| match last - first {
            0 => first.to_string(),
            1 => format!("{first},{last}"),
            _ => format!("{first}-{last}"),
        })
        .collect();
    texts.join(",")
}

/// The indexes in such a text. At most as many as a Job may have.
pub(super) fn parse(text: &str) -> BTreeSet<i64> {
    let mut indexes = BTreeSet::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<i64>(), last.parse::<i64>()) {
            indexes.extend((first..=last).take(100_000));
        }
    }
    indexes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_told_in_ranges() {
        for (indexes, expected) in [
            (vec![], ""),
            (vec![3], "3"),
            (vec![0, 1], "0,1"),
            (vec![0, 1, 2, 4, 6, 7, 8], "0-2,4,6-8"),
        ] {
            let indexes: BTreeSet<_> = indexes.into_iter().collect();
            assert_eq!(ranges(&indexes), expected);
            assert_eq!(parse(expected), indexes, "{expected} and back");
        }
    }

    #[test]
    fn free_indexes_come_in_order() {
        let set = |indexes: &[i64]| indexes.iter().copied().collect();
        assert_eq!(free(5, &set(&[0, 2]), &set(&[1]), 9), [3, 4]);
        assert_eq!(free(5, &set(&[]), &set(&[]), 2), [0, 1]);
    }
}
