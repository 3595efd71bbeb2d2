//! Labels that fit a selector, and labels that just don't.

use std::collections::BTreeSet;

use super::people::Person;
use crate::{
    model::Labels,
    policy::{Requirement, Selector},
};

/// The same labels but for one thing, so that a requirement isn't met; each with a word for it.
pub(super) fn failing(labels: &Labels, requirement: &Requirement) -> Vec<(String, Labels)> {
    let key = requirement.key();
    let short = slug(key.rsplit('/').next().unwrap_or_default());
    let with = |value: String| {
        let mut labels = labels.clone();
        labels.insert(key.to_owned(), value);
        labels
    };
    let without = || {
        let mut labels = labels.clone();
        labels.remove(key);
        (format!("without-{short}"), labels)
    };
    match requirement {
        Requirement::In(_, values) => {
            vec![(format!("other-{short}"), with(other_than(values))), without()]
        }
        Requirement::Exists(_) => vec![without()],
        Requirement::NotIn(_, values) => {
            let value = values.iter().next().cloned().unwrap_or_default();
            vec![(format!("with-{short}"), with(value))]
        }
        Requirement::DoesNotExist(_) => vec![(format!("with-{short}"), with("any".to_owned()))],
    }
}

/// A value that is none of these.
fn other_than(values: &BTreeSet<String>) -> String {
    let first = values.iter().next().map(String::as_str).unwrap_or_default();
    let mut other = match first.len() {
        0 => "other".to_owned(),
        length if length + 6 <= 63 => format!("other-{first}"),
        _ => "other".to_owned(),
    };
    while values.contains(&other) {
        other.insert(0, 'x');
        other.truncate(63);
    }
    other
}

/// A pod that fits a selector, as nobody runs it.
pub(super) fn made_up(namespace: &str, selector: &Selector) -> Option<Person> {
    let labels = fitting(selector)?;
    let word = labels.values().find(|value| !value.is_empty()).map_or("anybody", String::as_str);
    Some(Person { name: slug(word), namespace: namespace.to_owned(), labels, ports: Vec::new() })
}

/// The fewest labels that a selector selects; `None` where none can fit.
pub(super) fn fitting(selector: &Selector) -> Option<Labels> {
    let mut labels = Labels::new();
    for requirement in &selector.requirements {
        match requirement {
            Requirement::In(key, values) => {
                let first = values.iter().find(|value| {
                    let mut with = labels.clone();
                    with.insert(key.clone(), (*value).clone());
                    selector
                        .requirements
                        .iter()
                        .all(|other| other.key() != key || other.matches(&with))
                });
                labels.insert(key.clone(), first.or(values.iter().next())?.clone());
            }
            Requirement::Exists(key) => {
                labels.entry(key.clone()).or_insert_with(|| "any".to_owned());
            }
            Requirement::NotIn(..) | Requirement::DoesNotExist(_) => {}
        }
    }
    selector.matches(&labels).then_some(labels)
}

/// A word as a DNS label begins and goes on.
pub(super) fn slug(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let word: String = lower
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
        .take(30)
        .collect();
    let word = word.trim_matches('-');
    if word.starts_with(|first: char| first.is_ascii_lowercase()) {
        word.to_owned()
    } else {
        format!("p{word}")
    }
}
