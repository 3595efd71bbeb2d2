//! Other people's manifests: what `helm template` and `kubectl kustomize` print, brought
//! into a cluster and waited for.
//!
//! ```text
//! text ─▶ parse: documents, Lists ─▶ order: hooks, waves, kinds ─▶ bring: create ─▶ ready
//! ```
//!
//! This is for sandboxes: nothing that is brought is removed again.

mod bring;
mod order;
mod parse;
mod ready;

use kube::api::TypeMeta;
use serde_json::Value;

pub use bring::{BringError, Brought};

/// The annotation of Helm by which an object is no part of the release itself.
const HOOK: &str = "helm.sh/hook";
/// The one that orders hooks among each other.
const WEIGHT: &str = "helm.sh/hook-weight";

/// The objects of an application, in the order in which they are to be created.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    waves: [Vec<Part>; 3],
    /// What was left out, or is not as it is written.
    pub notes: Vec<String>,
}

/// An object, and where it was written.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    object: Value,
    source: String,
}

impl Application {
    /// Adds the objects of a file.
    ///
    /// # Errors
    /// What is no YAML, or no object of Kubernetes, with its place.
    pub fn add(&mut self, source: &str, text: &str) -> Result<(), String> {
        for part in parse::objects(source, text)? {
            order::place(self, part);
        }
        Ok(())
    }

    /// Whether there is nothing to bring.
    pub fn is_empty(&self) -> bool {
        self.waves.iter().all(Vec::is_empty)
    }
}

impl Application {
    /// Whether a CustomResourceDefinition of its own defines a kind.
    fn defines(&self, types: &TypeMeta) -> bool {
        let group = types.api_version.split_once('/').map_or("", |(group, _)| group);
        self.waves.iter().flatten().any(|part| {
            text(&part.object, "/kind") == "CustomResourceDefinition"
                && text(&part.object, "/spec/group") == group
                && text(&part.object, "/spec/names/kind") == types.kind
        })
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `Deployment shop/web`, or without a namespace `Namespace shop`.
fn name_of(object: &Value) -> String {
    let (kind, namespace) = (text(object, "/kind"), text(object, "/metadata/namespace"));
    let name = match text(object, "/metadata/name") {
        "" => format!("{}…", text(object, "/metadata/generateName")),
        name => name.to_owned(),
    };
    if namespace.is_empty() {
        format!("{kind} {name}")
    } else {
        format!("{kind} {namespace}/{name}")
    }
}
