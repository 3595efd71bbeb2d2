//! Lists: selection, order and pages.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    failure::Failure,
    list_options::ListOptions,
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

    /// Whether it has no condition but where objects live.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything() && self.name.is_none()
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
    let options = ListOptions::of(parameters, store)?;
    let namespace = target.namespace.as_deref();
    let (objects, version) = match options.exact {
        Some(version) => {
            let objects = store.list_at(target.resource, namespace, version);
            (objects.map_err(|_| options.expired())?, version)
        }
        None => store.list(target.resource, namespace),
    };
    let mut selected = objects.into_iter().filter(|object| {
        let place = (object.namespace(), object.name());
        let later = options.after.as_ref().is_none_or(|(space, name)| place > (space, name));
        later && selection.matches(object)
    });
    let limit = if options.limit == 0 { usize::MAX } else { options.limit };
    let page: Vec<_> = selected.by_ref().take(limit).collect();
    let remaining = selected.count();
    let mut list = envelope(target.resource, &page, version);
    if let Some(last) = page.last().filter(|_| remaining > 0) {
        list["metadata"]["continue"] = ListOptions::token(version, last).into();
        // What a selector leaves out is not counted, and so nothing is told.
        if selection.is_everything() {
            list["metadata"]["remainingItemCount"] = remaining.into();
        }
    }
    Ok(list)
}

/// Objects as the API wraps them.
pub fn envelope(resource: &Resource, objects: &[Arc<Value>], version: u64) -> Value {
    let items: Vec<Value> =
        objects.iter().map(|object| resource.present(object).into_owned()).collect();
    let mut list = json!({
        "apiVersion": resource.api_version(),
        "kind": resource.list_kind(),
        "metadata": {"resourceVersion": version.to_string()},
        "items": items,
    });
    if resource.definition().is_some() {
        // Lists without a Go type of their own say also that there is no next page.
        list["metadata"]["continue"] = "".into();
    }
    list
}
