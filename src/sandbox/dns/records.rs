//! The names that the server knows.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::Bound,
};

use serde::{Deserialize, Serialize};

/// What a name stands for. It exists also where it stands for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Entry {
    /// Another name, and then nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Addresses, of either family.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub addresses: BTreeSet<IpAddr>,
    /// Where a service is offered.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<Service>,
    /// The names of the address that this name is made of.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub pointers: BTreeSet<String>,
    /// A text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Every address, written with dashes, is a name below it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pods: bool,
}

/// A port of a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// The host's name.
    pub host: String,
    /// The port.
    pub port: u16,
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
    /// It is an address, written with dashes.
    Pod(IpAddr),
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
        if let Some(address) = self.pod(&path, name) {
            return Known::Pod(address);
        }
        let after = (Bound::Excluded(&path), Bound::Unbounded);
        let next = self.0.range::<Vec<String>, _>(after).next();
        match next {
            Some((next, _)) if next.starts_with(&path) => Known::Domain,
            _ => Known::Nothing,
        }
    }

    /// The address that a name below one with pods consists of.
    fn pod(&self, path: &[String], name: &str) -> Option<IpAddr> {
        let above = path.get(..path.len().checked_sub(1)?)?;
        if !self.0.get(above).is_some_and(|entry| entry.pods) {
            return None;
        }
        let label = name.split('.').next()?;
        let v4 = label.replace('-', ".").parse().map(IpAddr::V4);
        v4.or_else(|_| label.replace('-', ":").parse().map(IpAddr::V6)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_of_names_exist_without_standing_for_anything() {
        let mut records = Records::default();
        let entry = Entry::default();
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
        let pods = Entry { pods: true, ..Entry::default() };
        records.update(Update { name: "shop.pod.cluster.local".into(), entry: Some(pods) });
        for (name, expected) in [
            ("10-244-0-5.shop.pod.cluster.local", Known::Pod([10, 244, 0, 5].into())),
            ("fd00--5.shop.pod.cluster.local", Known::Pod("fd00::5".parse().expect("an address"))),
            ("10-244-0.shop.pod.cluster.local", Known::Nothing),
            ("10-244-0-5.other.pod.cluster.local", Known::Nothing),
        ] {
            assert_eq!(records.find(name), expected, "{name}");
        }
        let gone = Update { name: "a.example.com".into(), entry: None };
        records.update(gone);
        assert_eq!(records.find("com"), Known::Nothing, "no name is left in it");
    }
}
