//! How a row is written down.

use schemars::{JsonSchema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};

use super::{super::sandbox, Hub, Origin, Resource, Rules, Subresource};

impl Resource {
    pub(super) const fn of<T>(plural: &'static str) -> Self
    where
        T: k8s_openapi::Resource + JsonSchema,
    {
        Self {
            group: T::GROUP,
            version: T::VERSION,
            kind: T::KIND,
            plural,
            short_names: &[],
            categories: &[],
            namespaced: true,
            status: false,
            scale: false,
            extra: &[],
            generation: false,
            rules: Rules::NONE,
            hub: None,
            origin: Origin::Builtin(define::<T>),
        }
    }

    pub(super) const fn custom<Spec>(kind: &'static str, plural: &'static str) -> Self
    where
        Spec: Serialize + DeserializeOwned,
    {
        Self {
            group: sandbox::GROUP,
            version: sandbox::VERSION,
            kind,
            plural,
            short_names: &[],
            categories: &[],
            namespaced: false,
            status: false,
            scale: false,
            extra: &[],
            generation: true,
            rules: Rules::NONE,
            hub: None,
            origin: Origin::Sandbox(sandbox::canonical::<Spec>),
        }
    }

    pub(super) const fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    pub(super) const fn status(mut self) -> Self {
        self.status = true;
        self
    }

    pub(super) const fn scale(mut self) -> Self {
        self.scale = true;
        self
    }

    pub(super) const fn extra(mut self, subresources: &'static [Subresource]) -> Self {
        self.extra = subresources;
        self
    }

    pub(super) const fn generation(mut self) -> Self {
        self.generation = true;
        self
    }

    pub(super) const fn short(mut self, names: &'static [&'static str]) -> Self {
        self.short_names = names;
        self
    }

    pub(super) const fn all(mut self) -> Self {
        self.categories = &["all"];
        self
    }

    pub(super) const fn stored_as(mut self, hub: Hub) -> Self {
        self.hub = Some(hub);
        self
    }

    pub(super) const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    pub(super) const fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }
}

fn define<T: JsonSchema>(generator: &mut SchemaGenerator) -> String {
    generator.subschema_for::<T>();
    T::schema_name().into_owned()
}
