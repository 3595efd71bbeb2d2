//! Patches of a step.

use super::{
    change::{Change, PatchBody},
    manifest::ManifestReader,
    nearest::listed,
    node::{Node, NodeKind},
    objects::NameNodes,
    reader::Reader,
};

/// The languages of patches, as the fields that hold them.
const LANGUAGES: [&str; 3] = ["merge", "strategic", "json"];

/// The operations of RFC 6902.
const OPERATIONS: [&str; 6] = ["add", "remove", "replace", "move", "copy", "test"];

/// Fields that the API server keeps and nobody else changes.
const KEPT: [&str; 6] =
    ["name", "namespace", "uid", "resourceVersion", "managedFields", "creationTimestamp"];

/// An entry of `patch`.
pub(super) fn read_patch(
    reader: &mut Reader,
    manifests: &ManifestReader<'_>,
    node: &Node,
) -> Option<Change> {
    let mut fields = reader.fields(node, "a patch")?;
    let names = NameNodes::of(&mut fields);
    let found: Vec<(&str, &Node)> =
        LANGUAGES.iter().filter_map(|name| Some((*name, fields.optional(name)?))).collect();
    let span = fields.span.clone();
    fields.finish(reader, &[]);
    let object = names.read(reader, manifests);
    let patch = match found[..] {
        [(language, body)] => read_body(reader, manifests, language, body),
        [] => {
            reader.mistake(&span, format!("a patch needs one of {}", listed(LANGUAGES)));
            None
        }
        [_, (_, second), ..] => {
            let message = format!("a patch is exactly one of {}", listed(LANGUAGES));
            reader.mistake(&second.span, message);
            None
        }
    };
    Some(Change::Patch { object: object?, patch: patch? })
}

fn read_body(
    reader: &mut Reader,
    manifests: &ManifestReader<'_>,
    language: &str,
    node: &Node,
) -> Option<PatchBody> {
    let before = reader.mistakes.len();
    manifests.check_references(reader, node);
    if language == "json" {
        for operation in reader.list(node, "a list of operations") {
            read_operation(reader, operation);
        }
        if reader.mistakes.len() > before {
            return None;
        }
        return Some(PatchBody::Json(node.to_value()));
    }
    let NodeKind::Map(entries) = &node.kind else {
        let message = format!("expected a part of an object, found {}", node.describe());
        reader.mistake(&node.span, message);
        return None;
    };
    if entries.is_empty() {
        reader.mistake(&node.span, "this patch changes nothing");
    }
    for kept in KEPT {
        if let Some(field) = node.get("metadata").and_then(|metadata| metadata.get(kept)) {
            reader.mistake(&field.span, format!("a patch can't change `metadata.{kept}`"));
        }
    }
    let body = node.to_value();
    if reader.mistakes.len() > before {
        return None;
    }
    Some(match language {
        "strategic" => PatchBody::Strategic(body),
        _ => PatchBody::Merge(body),
    })
}

fn read_operation(reader: &mut Reader, node: &Node) {
    let Some(mut fields) = reader.fields(node, "an operation") else { return };
    let (op, path) = (fields.required("op"), fields.required("path"));
    let (value, from) = (fields.optional("value"), fields.optional("from"));
    fields.finish(reader, &[]);
    let choices: Vec<(&str, &str)> = OPERATIONS.iter().map(|name| (*name, *name)).collect();
    let op = op.and_then(|node| reader.choice(node, "op", &choices));
    for pointer in [path, from].into_iter().flatten() {
        if let Some(word) = reader.text(pointer, "a JSON pointer")
            && !word.text.starts_with('/')
        {
            reader
                .mistake(&word.span, format!("`{}` is no JSON pointer", word.text))
                .help("it begins with `/`: `/spec/podSelector`");
        }
    }
    match op {
        Some("add" | "replace" | "test") if value.is_none() => {
            reader.mistake(&node.span, "this operation needs `value`");
        }
        Some("move" | "copy") if from.is_none() => {
            reader.mistake(&node.span, "this operation needs `from`");
        }
        _ => {}
    }
}
