//! The table of resources: one row for each kind that the API serves.
//!
//! Everything else in the API is generic over [`serde_json::Value`] and a row. A row says
//! where the kind stands in URLs, how its objects are brought into canonical form, and
//! which rules are its own. A new kind is one more row.

mod below;
mod build;
mod habits;
mod rows;

use std::borrow::Cow;

use schemars::SchemaGenerator;
use serde_json::Value;

use super::{
    custom::{Custom, Names},
    rules::Rules,
    schema::{self, Node, TypeError},
};

pub use below::Subresource;
pub use rows::*;

/// A kind of object, and where it stands in the API.
#[derive(Debug)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: &'static str,
    /// The version in the group.
    pub version: &'static str,
    /// The kind, as objects state it.
    pub kind: &'static str,
    /// The plural, as URLs state it.
    pub plural: &'static str,
    /// What kubectl takes for the plural.
    pub short_names: &'static [&'static str],
    /// The groups of resources that kubectl knows this one under.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub namespaced: bool,
    /// Whether `status` is a subresource, which plain writes leave alone.
    pub status: bool,
    /// Whether `scale` is a subresource.
    pub scale: bool,
    /// The other subresources.
    pub extra: &'static [Subresource],
    /// Whether changes of the specification are counted in `metadata.generation`.
    pub generation: bool,
    /// What is special about this kind.
    pub rules: Rules,
    /// The version that is stored in place of this one.
    hub: Option<Hub>,
    /// Where its type comes from.
    origin: Origin,
}

/// How objects of a version are stored that isn't the stored one.
#[derive(Clone, Copy, Debug)]
pub struct Hub {
    /// The `apiVersion` that is stored.
    pub version: &'static str,
    /// From this version to the stored one.
    pub newer: fn(Value) -> Value,
    /// From the stored version to this one.
    pub older: fn(&Value) -> Value,
}

/// Where the type of a kind comes from.
#[derive(Debug)]
enum Origin {
    /// Kubernetes' own types; defines the type and says its name.
    Builtin(fn(&mut SchemaGenerator) -> String),
    /// A type of this crate, which reads and writes an object.
    Sandbox(fn(Value) -> Result<Value, serde_json::Error>),
    /// A CustomResourceDefinition.
    Custom(Box<Custom>, Names),
}

impl Resource {
    /// `apiVersion` of the objects: group and version, or the version alone.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The resource's name in messages: `networkpolicies.networking.k8s.io`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }

    /// The name for one object, as kubectl takes it.
    pub fn singular(&self) -> String {
        match &self.origin {
            Origin::Custom(_, names) => names.singular.to_owned(),
            _ => self.kind.to_lowercase(),
        }
    }

    /// The kind of a list of these objects.
    pub fn list_kind(&self) -> String {
        match &self.origin {
            Origin::Custom(_, names) => names.list_kind.to_owned(),
            _ => format!("{}List", self.kind),
        }
    }

    /// The `apiVersion` under which objects are stored, whatever version they came in.
    pub fn stored_version(&self) -> String {
        match &self.origin {
            Origin::Custom(custom, _) => format!("{}/{}", self.group, custom.stored),
            _ => self.hub.map_or_else(|| self.api_version(), |hub| hub.version.to_owned()),
        }
    }

    /// An object of this row's version as it is stored.
    pub fn store(&self, object: Value) -> Value {
        match self.hub {
            Some(hub) if object["apiVersion"] != hub.version => (hub.newer)(object),
            _ => object,
        }
    }

    /// A stored object in this row's version.
    pub fn present<'v>(&self, object: &'v Value) -> Cow<'v, Value> {
        if let Some(hub) = self.hub {
            return Cow::Owned((hub.older)(object));
        }
        match &self.origin {
            Origin::Custom(..) if object["apiVersion"] != self.api_version() => {
                let mut object = object.clone();
                object["apiVersion"] = self.api_version().into();
                Cow::Owned(object)
            }
            _ => Cow::Borrowed(object),
        }
    }

    /// The row of a version of a custom resource.
    pub fn of_definition(names: &Names, version: &'static str, custom: Custom) -> Self {
        Self {
            group: names.group,
            version,
            kind: names.kind,
            plural: names.plural,
            short_names: names.short_names,
            categories: names.categories,
            namespaced: names.namespaced,
            status: custom.version.pointer("/subresources/status").is_some(),
            scale: custom.version.pointer("/subresources/scale").is_some(),
            extra: &[],
            generation: true,
            rules: Rules::NONE,
            hub: None,
            origin: Origin::Custom(Box::new(custom), *names),
        }
    }

    /// Defines the type of a built-in kind, and says its name.
    pub fn define(&self, generator: &mut SchemaGenerator) -> Option<String> {
        match &self.origin {
            Origin::Builtin(define) => Some(define(generator)),
            _ => None,
        }
    }

    /// The type of the objects; [`Node::Any`] where it is not known field by field.
    pub fn schema(&self) -> &Node {
        match &self.origin {
            Origin::Builtin(_) => {
                schema::builtin().kind(&self.api_version(), self.kind).unwrap_or(&Node::Any)
            }
            Origin::Sandbox(_) => &Node::Any,
            Origin::Custom(custom, _) => &custom.node,
        }
    }

    /// Whether the kind is one of Kubernetes' own.
    pub fn is_builtin(&self) -> bool {
        matches!(self.origin, Origin::Builtin(_))
    }

    /// What can be asked for below an object.
    pub fn subresources(&self) -> impl Iterator<Item = Subresource> {
        let change = &["get", "patch", "update"][..];
        let of = |name, kind, verbs| Subresource { name, kind, verbs };
        let status = self.status.then(|| of("status", self.kind, change));
        let scale = self.scale.then(|| of("scale", "Scale", change));
        status.into_iter().chain(scale).chain(self.extra.iter().copied())
    }

    /// The definition that the kind comes from, unless it is built in.
    pub fn definition(&self) -> Option<&Custom> {
        match &self.origin {
            Origin::Custom(custom, _) => Some(custom),
            _ => None,
        }
    }

    /// Brings an object into the canonical form of its type. Fields that the type doesn't
    /// have are dropped; their paths are told.
    ///
    /// # Errors
    /// The value that is not of its type.
    pub fn canonical(&self, object: Value) -> Result<(Value, Vec<String>), TypeError> {
        match &self.origin {
            Origin::Sandbox(canonical) => {
                let given = object.clone();
                let canonical =
                    canonical(object).map_err(|error| TypeError::of(error.to_string()))?;
                let unknown = schema::missing(&given, &canonical);
                Ok((canonical, unknown))
            }
            _ => schema::decode(self.schema(), object),
        }
    }

    /// The built-in row for a plural in a group and version. A [`super::store::Store`] knows
    /// the rows of custom resources too.
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Self> {
        ALL.iter()
            .copied()
            .find(|row| row.plural == plural && row.group == group && row.version == version)
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.storage() == other.storage()
    }
}

impl Eq for Resource {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_place_and_no_two_share_one() {
        for row in ALL {
            let found = Resource::find(row.group, row.version, row.plural);
            assert!(found.is_some_and(|found| std::ptr::eq(found, *row)), "{}", row.qualified());
        }
    }
}
