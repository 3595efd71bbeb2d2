//! The tree of types.

use std::collections::BTreeMap;

use serde_json::Value;

use super::builtin;

/// What a value may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// A type that has a name in the API: `io.k8s.api.core.v1.PodSpec`.
    Named(String),
    /// An object with known fields.
    Struct(Struct),
    /// An object with keys of the user's choice.
    Map {
        /// What stands under each key.
        item: Box<Node>,
        /// Whether it is one value to server-side apply.
        atomic: bool,
    },
    /// A list.
    List {
        /// What its items are.
        item: Box<Node>,
        /// How server-side apply merges it.
        kind: ListKind,
        /// How a strategic merge patch merges it.
        merge: Merge,
    },
    /// A plain value.
    Leaf(Leaf),
    /// Whatever its writer likes.
    Any,
}

/// An object with known fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Struct {
    /// The name in the API; empty for a part of a custom resource.
    pub name: String,
    /// Its fields.
    pub fields: BTreeMap<String, Field>,
    /// Whether it is one value to server-side apply.
    pub atomic: bool,
    /// Whether fields beside the known ones are kept.
    pub open: bool,
}

/// A field of a [`Struct`].
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// What it is.
    pub node: Node,
    /// Whether it must be there.
    pub required: bool,
    /// Whether it is one value to server-side apply, whatever its type says.
    pub atomic: bool,
    /// Whether it is left out where it is 0, false or empty.
    pub omits_zero: bool,
    /// Whether a strategic merge patch takes its place, although it is a map.
    pub replaced: bool,
}

/// How server-side apply merges a list.
#[derive(Clone, Debug, PartialEq)]
pub enum ListKind {
    /// As a whole.
    Atomic,
    /// A set of plain values.
    Set,
    /// Objects, known by the values of these keys.
    Keyed(Vec<Key>),
}

/// A key of a list's items.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The field.
    pub name: String,
    /// Its value where an item doesn't state one.
    pub default: Option<Value>,
}

/// How a strategic merge patch merges a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merge {
    /// As a whole.
    Replace,
    /// A set of plain values.
    Set,
    /// Objects, known by this key.
    Keyed(String),
}

/// Plain values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Text.
    String,
    /// Base64.
    Bytes,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A whole number or a text.
    IntOrString,
    /// A number with a unit: `500m`, `2Gi`.
    Quantity,
    /// A moment, in whole seconds.
    Time,
    /// A moment, in microseconds.
    MicroTime,
}

impl Node {
    /// The type itself, where the node only names one. A name that nobody knows is
    /// [`Node::Any`].
    pub fn resolve(&self) -> &Self {
        match self {
            Self::Named(name) => builtin().types.get(name).unwrap_or(&Self::Any),
            other => other,
        }
    }

    /// The node of a field or key of an object, where there is one.
    pub fn child(&self, name: &str) -> Option<&Self> {
        match self.resolve() {
            Self::Struct(node) => match node.fields.get(name) {
                Some(field) => Some(&field.node),
                None => node.open.then_some(&Self::Any),
            },
            Self::Map { item, .. } => Some(item),
            Self::Any => Some(&Self::Any),
            _ => None,
        }
    }

    /// A field of an object with known fields.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match self.resolve() {
            Self::Struct(node) => node.fields.get(name),
            _ => None,
        }
    }

    /// Whether an object is one value to server-side apply.
    pub fn is_atomic(&self) -> bool {
        match self.resolve() {
            Self::Struct(node) => node.atomic,
            Self::Map { atomic, .. } => *atomic,
            _ => false,
        }
    }

    /// What the items of a list are, and how server-side apply merges it.
    pub fn list(&self) -> (&Self, &ListKind) {
        match self.resolve() {
            Self::List { item, kind, .. } => (item, kind),
            _ => (&Self::Any, &ListKind::Atomic),
        }
    }

    /// What the items of a list are, and how a strategic merge patch merges it.
    pub fn merge(&self) -> (&Self, &Merge) {
        match self.resolve() {
            Self::List { item, merge, .. } => (item, merge),
            _ => (&Self::Any, &Merge::Replace),
        }
    }
}
