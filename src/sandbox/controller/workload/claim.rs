//! Whose a dependent is: controllers adopt what their selector matches and nobody controls,
//! and let go what it doesn't match any more.

use std::sync::Arc;

use serde_json::Value;

use super::hands::{Hands, controller_of, controller_reference};
use crate::{
    model::Labels,
    sandbox::api::{
        failure::Failure,
        object::Object,
        resource::Resource,
        selector::{Requirement, Selector},
        write::Part,
    },
};

/// The selector of an object: of labels and expressions.
///
/// # Errors
/// An operator that isn't known; the API refuses such objects.
pub(in crate::sandbox::controller) fn selector_of(selector: &Value) -> Option<Claims> {
    let map = Selector::from_map(&selector["matchLabels"]);
    let expressions = selector.items("/matchExpressions").iter();
    let expressions: Result<Vec<_>, _> = expressions.map(Requirement::from_expression).collect();
    let expressions = expressions.ok()?;
    let everything = selector["matchLabels"].as_object().is_none_or(serde_json::Map::is_empty)
        && expressions.is_empty();
    Some(Claims { map, expressions, everything })
}

/// What a controller's selector matches.
#[derive(Clone, Debug)]
pub(in crate::sandbox::controller) struct Claims {
    map: Selector,
    expressions: Vec<Requirement>,
    /// It has no condition.
    pub everything: bool,
}

impl Claims {
    /// The selector of a ReplicationController or a Service: a plain map.
    pub(in crate::sandbox::controller) fn of_map(map: &Value) -> Self {
        let everything = map.as_object().is_none_or(serde_json::Map::is_empty);
        Self { map: Selector::from_map(map), expressions: Vec::new(), everything }
    }

    pub(in crate::sandbox::controller) fn matches(&self, labels: &Labels) -> bool {
        self.map.matches(labels) && self.expressions.iter().all(|one| one.matches(labels))
    }
}

impl Hands {
    /// The dependents of one kind that an owner controls, after it has adopted and let go.
    /// What `adoptable` refuses is neither.
    pub(in crate::sandbox::controller) fn claim(
        &self,
        owner_kind: &'static Resource,
        owner: &Value,
        kind: &'static Resource,
        claims: &Claims,
        adoptable: impl Fn(&Value) -> bool,
    ) -> Result<Vec<Arc<Value>>, Failure> {
        let mut claimed = Vec::new();
        for (_, object) in self.store.owned(owner.uid(), Some(kind)) {
            if controller_of(&object).is_none_or(|one| one.text("/uid") != owner.uid()) {
                continue;
            }
            if claims.matches(&object.labels()) {
                claimed.push(object);
            } else if !owner.is_deleting() {
                self.update(kind, &object, Part::Main, |object| release(object, owner.uid()))?;
            }
        }
        if owner.is_deleting() {
            return Ok(claimed);
        }
        for object in self.store.masterless(kind, owner.namespace()) {
            if object.is_deleting() || !adoptable(&object) || !claims.matches(&object.labels()) {
                continue;
            }
            let reference = controller_reference(owner_kind, owner);
            let adopted = self.update(kind, &object, Part::Main, |object| {
                if controller_of(object).is_some() {
                    return;
                }
                let owners = object.metadata_mut().entry("ownerReferences").or_insert(Value::Null);
                if !owners.is_array() {
                    *owners = Value::Array(Vec::new());
                }
                if let Some(owners) = owners.as_array_mut() {
                    owners.retain(|known| known["uid"] != reference["uid"]);
                    owners.push(reference);
                }
            })?;
            let ours = |object: &Arc<Value>| {
                controller_of(object).is_some_and(|one| one.text("/uid") == owner.uid())
            };
            claimed.extend(adopted.filter(ours));
        }
        Ok(claimed)
    }
}

/// Takes the references to an owner off an object.
pub(in crate::sandbox::controller) fn release(object: &mut Value, uid: &str) {
    let mut owners = object.owners().to_vec();
    owners.retain(|owner| owner.text("/uid") != uid);
    let metadata = object.metadata_mut();
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    } else {
        metadata.insert("ownerReferences".into(), owners.into());
    }
}
