//! The names that the server knows.

use std::{collections::BTreeMap, net::IpAddr, ops::Bound};

use serde::{Deserialize, Serialize};

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Entry {
    /// Addresses, of either family; the name exists also without any.
    Addresses(Vec<IpAddr>),
    /// Another name.
    Alias(String),
}

/// A line on the server's standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// The name, in lower case and without a last dot.
    pub name: String,
    /// What it stands for from now on; nothing if it is no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
}

/// All names, each with its labels in reverse, so that a domain's names stand together.
#[derive(Clone, Debug, Default)]
pub struct Records(BTreeMap<Vec<String>, Entry>);

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known<'a> {
    /// It stands for something.
    Entry(&'a Entry),
    /// Only names below it do.
    Domain,
    /// Nothing.
    Nothing,
}

fn path(name: &str) -> Vec<String> {
    name.split('.').rev().map(str::to_owned).collect()
}

impl Records {
    /// Takes in a line.
    pub fn update(&mut self, update: Update) {
        let path = path(&update.name);
        match update.entry {
            Some(entry) => self.0.insert(path, entry),
            None => self.0.remove(&path),
        };
    }

    /// Looks a name up, in lower case and without a last dot.
    pub fn find(&self, name: &str) -> Known<'_> {
        let path = path(name);
        if let Some(entry) = self.0.get(&path) {
            return Known::Entry(entry);
        }
        let after = (Bound::Excluded(&path), Bound::Unbounded);
        let next = self.0.range::<Vec<String>, _>(after).next();
        match next {
            Some((next, _)) if next.starts_with(&path) => Known::Domain,
            _ => Known::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_of_names_exist_without_standing_for_anything() {
        let mut records = Records::default();
        let entry = Entry::Addresses(Vec::new());
        for name in ["web.shop.svc.cluster.local", "a.example.com"] {
            records.update(Update { name: name.into(), entry: Some(entry.clone()) });
        }
        for (name, expected) in [
            ("web.shop.svc.cluster.local", Known::Entry(&entry)),
            ("shop.svc.cluster.local", Known::Domain),
            ("cluster.local", Known::Domain),
            ("com", Known::Domain),
            ("op.svc.cluster.local", Known::Nothing),
            ("x.web.shop.svc.cluster.local", Known::Nothing),
            ("org", Known::Nothing),
        ] {
            assert_eq!(records.find(name), expected, "{name}");
        }
        let gone = Update { name: "a.example.com".into(), entry: None };
        records.update(gone);
        assert_eq!(records.find("com"), Known::Nothing, "no name is left in it");
    }
}
