//! `metadata.managedFields`: who set which field, by apply or by other writes.

use serde_json::{Value, json};

use super::{
    super::object::{Object, now},
    fields::Fields,
};

/// One manager's entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Manager {
    /// The name.
    pub name: String,
    /// By apply; else by any other write.
    pub applies: bool,
    /// In which version the fields are.
    pub api_version: String,
    /// `status`, `scale`, or empty.
    pub subresource: String,
    /// Since when it is so.
    pub time: String,
    /// What it manages.
    pub fields: Fields,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Author<'a> {
    /// The manager's name.
    pub name: &'a str,
    /// The version of the object that it writes.
    pub api_version: &'a str,
    /// `status`, `scale`, or empty.
    pub subresource: &'a str,
}

impl Manager {
    fn new(author: Author<'_>, applies: bool) -> Self {
        Self {
            name: author.name.to_owned(),
            applies,
            api_version: author.api_version.to_owned(),
            subresource: author.subresource.to_owned(),
            time: now(),
            fields: Fields::default(),
        }
    }

    fn is(&self, author: Author<'_>, applies: bool) -> bool {
        self.name == author.name
            && self.applies == applies
            && self.subresource == author.subresource
            && (applies || self.api_version == author.api_version)
    }

    /// `"kubectl-create" using apps/v1`, as conflicts name it.
    pub fn display(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if !self.applies {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }

    fn read(entry: &Value) -> Self {
        let text = |field: &str| entry.text(&format!("/{field}")).to_owned();
        Self {
            name: text("manager"),
            applies: entry["operation"] == "Apply",
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            fields: Fields::read(&entry["fieldsV1"]),
        }
    }

    fn write(&self) -> Value {
        let mut entry = json!({
            "manager": self.name, "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": self.api_version, "time": self.time,
            "fieldsType": "FieldsV1", "fieldsV1": self.fields.write(),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = self.subresource.as_str().into();
        }
        entry
    }
}

/// Everybody's entries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Managers(pub Vec<Manager>);

impl Managers {
    /// Reads an object's entries.
    pub fn of(object: &Value) -> Self {
        Self(object.items("/metadata/managedFields").iter().map(Manager::read).collect())
    }

    /// The entries that a plain write starts from: those it brings along, else those that
    /// are there. A single empty entry asks to forget all.
    pub fn brought(before: &Value, after: &Value, subresource: &str) -> Self {
        let brought = after.items("/metadata/managedFields");
        if brought.is_empty() || !subresource.is_empty() {
            return Self::of(before);
        }
        if brought.len() == 1 && brought[0].as_object().is_some_and(serde_json::Map::is_empty) {
            return Self::default();
        }
        Self::of(after)
    }

    /// The entry of an author, made if it is missing.
    pub fn entry(&mut self, author: Author<'_>, applies: bool) -> &mut Manager {
        let place = self.0.iter().position(|manager| manager.is(author, applies));
        let place = place.unwrap_or_else(|| {
            self.0.push(Manager::new(author, applies));
            self.0.len() - 1
        });
        &mut self.0[place]
    }

    /// Gives an author its fields. The time changes only with the fields.
    pub fn give(&mut self, author: Author<'_>, applies: bool, fields: Fields) {
        let manager = self.entry(author, applies);
        if manager.fields != fields || manager.api_version != author.api_version {
            manager.time = now();
            author.api_version.clone_into(&mut manager.api_version);
            manager.fields = fields;
        }
    }

    /// Everybody but an author.
    pub fn others(
        &mut self,
        author: Author<'_>,
        applies: bool,
    ) -> impl Iterator<Item = &mut Manager> {
        self.0.iter_mut().filter(move |manager| !manager.is(author, applies))
    }

    /// Writes the entries into an object: who applies first, then by time and name.
    pub fn write(mut self, object: &mut Value) {
        self.0.retain(|manager| !manager.fields.is_empty());
        self.0.sort_by(|a, b| {
            (!a.applies, &a.time, &a.name, &a.api_version, &a.subresource).cmp(&(
                !b.applies,
                &b.time,
                &b.name,
                &b.api_version,
                &b.subresource,
            ))
        });
        let entries: Vec<_> = self.0.iter().map(Manager::write).collect();
        let metadata = object.metadata_mut();
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            metadata.insert("managedFields".into(), entries.into());
        }
    }
}
