//! Sets of fields, as `metadata.managedFields` keeps them: a tree of steps.
//!
//! A step is written as in `fieldsV1`: `f:name` is a field, `k:{…}` the item of a list with
//! these keys, `v:…` the item with this value.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::schema::{Key, ListKind, Node};

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Whether the place itself is in the set.
    pub own: bool,
    /// What lies below it.
    pub below: BTreeMap<String, Fields>,
}

/// The step to a field.
pub fn field_step(name: &str) -> String {
    format!("f:{name}")
}

/// The step to a list's item, if items of that list have one.
pub fn item_step(item: &Value, kind: &ListKind) -> Option<String> {
    match kind {
        ListKind::Atomic => None,
        ListKind::Set => Some(format!("v:{item}")),
        ListKind::Keyed(keys) => {
            let mut known = Map::new();
            for Key { name, default } in keys {
                // Some of the keys are enough.
                if let Some(value) = item.get(name).or(default.as_ref()) {
                    known.insert(name.clone(), value.clone());
                }
            }
            if known.is_empty() {
                return None;
            }
            Some(format!("k:{}", Value::Object(known)))
        }
    }
}

/// The steps to all items of a list; `None` where it is one value.
pub fn item_steps(items: &[Value], kind: &ListKind) -> Option<Vec<String>> {
    if items.is_empty() {
        return None;
    }
    items.iter().map(|item| item_step(item, kind)).collect()
}

impl Fields {
    /// The set of one place.
    pub fn place() -> Self {
        Self { own: true, below: BTreeMap::new() }
    }

    /// Everything that a value states.
    pub fn of(node: &Node, value: &Value) -> Self {
        let mut fields = Self::default();
        match value {
            Value::Object(map) if !map.is_empty() && !node.is_atomic() => {
                for (name, value) in map {
                    let atomic = node.field(name).is_some_and(|field| field.atomic);
                    let mut below = match node.child(name) {
                        Some(child) if !atomic => Self::of(child, value),
                        _ => Self::place(),
                    };
                    // A key is its writer's with what stands under it; a field is not.
                    below.own |= node.field(name).is_none();
                    if !below.is_empty() {
                        fields.below.insert(field_step(name), below);
                    }
                }
            }
            Value::Array(items) => {
                let (item, kind) = node.list();
                if items.is_empty() && *kind != ListKind::Atomic {
                    return fields;
                }
                let Some(steps) = item_steps(items, kind) else { return Self::place() };
                for (step, value) in steps.into_iter().zip(items) {
                    let mut below =
                        if value.is_object() { Self::of(item, value) } else { Self::default() };
                    below.own = true;
                    fields.below.insert(step, below);
                }
            }
            _ => fields.own = true,
        }
        fields
    }

    /// As [`Self::of`], and everything that holds something beside it: what is new is its
    /// writer's altogether.
    pub fn of_new(node: &Node, value: &Value) -> Self {
        let mut fields = Self::of(node, value);
        fields.own_all();
        fields
    }

    fn own_all(&mut self) {
        self.own = true;
        self.below.values_mut().for_each(Self::own_all);
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        !self.own && self.below.values().all(Self::is_empty)
    }

    /// Adds another set.
    pub fn add(&mut self, other: &Self) {
        self.own |= other.own;
        for (step, below) in &other.below {
            self.below.entry(step.clone()).or_default().add(below);
        }
    }

    /// Takes another set away.
    pub fn subtract(&mut self, other: &Self) {
        self.own &= !other.own;
        for (step, below) in &other.below {
            if let Some(mine) = self.below.get_mut(step) {
                mine.subtract(below);
                if mine.is_empty() {
                    self.below.remove(step);
                }
            }
        }
    }

    /// Takes another set and everything below it away.
    pub fn cut(&mut self, other: &Self) {
        if other.own {
            *self = Self::default();
            return;
        }
        for (step, below) in &other.below {
            if let Some(mine) = self.below.get_mut(step) {
                mine.cut(below);
                if mine.is_empty() {
                    self.below.remove(step);
                }
            }
        }
    }

    /// What is in both sets.
    pub fn common(&self, other: &Self) -> Self {
        let below = self.below.iter().filter_map(|(step, mine)| {
            let common = mine.common(other.below.get(step)?);
            (!common.is_empty()).then(|| (step.clone(), common))
        });
        Self { own: self.own && other.own, below: below.collect() }
    }

    /// Whether the place at a path, or something below it, is in the set.
    pub fn reaches(&self, path: &[String]) -> bool {
        match path.split_first() {
            None => !self.is_empty(),
            Some((first, rest)) => self.below.get(first).is_some_and(|below| below.reaches(rest)),
        }
    }

    /// The paths of all places in the set, those above before those below, and what holds
    /// nothing before what does.
    pub fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        self.walk(&mut Vec::new(), &mut paths);
        paths
    }

    fn walk(&self, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
        if self.own {
            paths.push(path.clone());
        }
        let is_leaf = |below: &Self| below.below.is_empty();
        for leaves in [true, false] {
            for (step, below) in self.below.iter().filter(|(_, below)| is_leaf(below) == leaves) {
                path.push(step.clone());
                below.walk(path, paths);
                path.pop();
            }
        }
    }

    /// Reads `fieldsV1`.
    pub fn read(fields: &Value) -> Self {
        let Some(map) = fields.as_object() else { return Self::default() };
        let mut read = Self::default();
        for (step, below) in map {
            if step == "." {
                read.own = true;
                continue;
            }
            let mut below = Self::read(below);
            if below.below.is_empty() {
                below.own = true;
            }
            read.below.insert(step.clone(), below);
        }
        read
    }

    /// Writes `fieldsV1`.
    pub fn write(&self) -> Value {
        let mut map = Map::new();
        if self.own && !self.below.is_empty() {
            map.insert(".".into(), json!({}));
        }
        for (step, below) in &self.below {
            map.insert(step.clone(), below.write());
        }
        Value::Object(map)
    }
}

/// `.spec.containers[name="web"].image`, as conflicts are shown.
pub fn display(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if let Some(field) = step.strip_prefix("f:") {
            text.push('.');
            text.push_str(field);
        } else if let Some(keys) = step.strip_prefix("k:") {
            let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
            let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
            text.push_str(&format!("[{}]", keys.join(",")));
        } else {
            text.push_str(&format!("[={}]", step.strip_prefix("v:").unwrap_or_default()));
        }
    }
    text
}
