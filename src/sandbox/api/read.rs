//! Lists: selection, order and pages.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    failure::Failure,
    object::Object,
    request::{Parameters, Target},
    resource::Resource,
    selector::{FieldSelector, Selector},
    store::Store,
};

/// What a list or a watch selects.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Only what has these labels.
    pub labels: Selector,
    /// Only what has these fields.
    pub fields: FieldSelector,
    /// Only this name: a watch of one object.
    pub name: Option<String>,
}

impl Selection {
    /// Reads a request's selectors.
    ///
    /// # Errors
    /// 400 for a selector that can't be read.
    pub fn of(target: &Target, parameters: &Parameters) -> Result<Self, Failure> {
        let labels = Selector::parse(parameters.text("labelSelector"))
            .map_err(|error| Failure::bad_request(error.to_string()))?;
        Ok(Self {
            namespace: target.namespace.clone(),
            labels,
            fields: FieldSelector::parse(parameters.text("fieldSelector"), target.resource)?,
            name: target.name.clone(),
        })
    }

    /// Whether an object is selected.
    pub fn matches(&self, object: &Value) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| object.namespace() == namespace)
            && self.name.as_deref().is_none_or(|name| object.name() == name)
            && self.fields.matches(object)
            && self.labels.matches(&object.labels())
    }
}

/// The list that a request asks for.
///
/// # Errors
/// 400 for a bad selector, limit or `continue`.
pub fn list(store: &Store, target: &Target, parameters: &Parameters) -> Result<Value, Failure> {
    let selection = Selection::of(target, parameters)?;
    let limit = parameters.number::<usize>("limit")?.unwrap_or_default();
    let after = match parameters.text("continue") {
        "" => None,
        token => Some(read_continue(token)?),
    };
    let (objects, version) = store.list(target.resource, target.namespace.as_deref());
    let mut selected = objects.into_iter().filter(|object| {
        let place = (object.namespace(), object.name());
        let later = after.as_ref().is_none_or(|(space, name)| place > (space, name));
        later && selection.matches(object)
    });
    let page: Vec<_> =
        selected.by_ref().take(if limit == 0 { usize::MAX } else { limit }).collect();
    let remaining = if limit == 0 { 0 } else { selected.count() };
    let mut list = envelope(target.resource, &page, version);
    if let Some(last) = page.last().filter(|_| remaining > 0) {
        list["metadata"]["continue"] = write_continue(last).into();
        list["metadata"]["remainingItemCount"] = remaining.into();
    }
    Ok(list)
}

/// Objects as the API wraps them.
pub fn envelope(resource: &Resource, objects: &[Arc<Value>], version: u64) -> Value {
    let items: Vec<Value> =
        objects.iter().map(|object| resource.present(object).into_owned()).collect();
    json!({
        "apiVersion": resource.api_version(),
        "kind": resource.list_kind(),
        "metadata": {"resourceVersion": version.to_string()},
        "items": items,
    })
}

fn write_continue(last: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json!([last.namespace(), last.name()]).to_string())
}

fn read_continue(token: &str) -> Result<(String, String), Failure> {
    let text = URL_SAFE_NO_PAD.decode(token).ok();
    text.and_then(|text| serde_json::from_slice(&text).ok())
        .ok_or_else(|| Failure::bad_request("continue key is not valid"))
}
