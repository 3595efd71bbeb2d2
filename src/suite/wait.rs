//! What a step waits for before its cases are asked.

use std::time::Duration;

use super::{
    change::Wait,
    manifest::ManifestReader,
    node::{Node, NodeKind},
    objects::NameNodes,
    reader::Reader,
};

/// `wait.timeout`, where the suite doesn't say.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Reads `wait`: a time, or a condition of an object.
pub(super) fn read_wait(
    reader: &mut Reader,
    manifests: &ManifestReader<'_>,
    node: &Node,
) -> Option<Wait> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        return reader.duration(node, "wait").map(Wait::Time);
    }
    let mut fields = reader.fields(node, "`wait`")?;
    let names = NameNodes::of(&mut fields);
    let (condition, timeout) = (fields.required("condition"), fields.optional("timeout"));
    fields.finish(reader, &[]);
    let object = names.read(reader, manifests);
    let condition = condition.and_then(|node| reader.text(node, "a condition's type"));
    let timeout = match timeout {
        Some(node) => reader.duration(node, "timeout"),
        None => Some(TIMEOUT),
    };
    Some(Wait::Condition { object: object?, condition: condition?.text, timeout: timeout? })
}
