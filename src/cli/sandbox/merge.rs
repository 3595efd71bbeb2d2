//! Adding a sandbox's context to a kubeconfig that is there.

use serde_yaml::{Mapping, Value};

/// A kubeconfig with one more context.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Merged {
    pub text: String,
    /// The new context is the current one, because there was none.
    pub is_current: bool,
}

/// Adds the first cluster, user and context of a kubeconfig to another, all under one name.
/// What had that name before is replaced; all else stays.
///
/// # Errors
/// The kubeconfig that is there can't be read.
pub(super) fn merge(there: &str, added: &str, name: &str) -> Result<Merged, String> {
    let parse = |text: &str| serde_yaml::from_str(text).map_err(|error| error.to_string());
    let mut merged = match parse(there)? {
        Value::Null => Mapping::new(),
        Value::Mapping(map) => map,
        _ => return Err("it is no kubeconfig".to_owned()),
    };
    let added: Value = parse(added)?;
    merged.entry("apiVersion".into()).or_insert("v1".into());
    merged.entry("kind".into()).or_insert("Config".into());
    for list in ["clusters", "users", "contexts"] {
        let mut entry = added[list][0].clone();
        entry["name"] = name.into();
        if list == "contexts" {
            entry["context"]["cluster"] = name.into();
            entry["context"]["user"] = name.into();
        }
        match merged.entry(list.into()).or_insert(Value::Null) {
            Value::Sequence(entries) => {
                entries.retain(|known| known["name"] != name);
                entries.push(entry);
            }
            none @ Value::Null => *none = Value::Sequence(vec![entry]),
            _ => return Err(format!("its `{list}` is no list")),
        }
    }
    let current = merged.entry("current-context".into()).or_insert(Value::Null);
    if current.as_str().unwrap_or_default().is_empty() {
        *current = name.into();
    }
    let is_current = *current == name;
    let text = serde_yaml::to_string(&merged).map_err(|error| error.to_string())?;
    Ok(Merged { text, is_current })
}

/// Takes out what [`merge`] has added under a name; the text without it.
///
/// # Errors
/// The kubeconfig can't be read.
pub(super) fn part(there: &str, name: &str) -> Result<String, String> {
    let text = |error: serde_yaml::Error| error.to_string();
    let Value::Mapping(mut map) = serde_yaml::from_str(there).map_err(text)? else {
        return Ok(there.to_owned());
    };
    for list in ["clusters", "users", "contexts"] {
        if let Some(Value::Sequence(entries)) = map.get_mut(list) {
            entries.retain(|known| known["name"] != name);
        }
    }
    if map.get("current-context").is_some_and(|current| *current == name) {
        map.insert("current-context".into(), "".into());
    }
    serde_yaml::to_string(&map).map_err(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SANDBOX: &str = "\
clusters: [{name: s, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: s, user: {token: t}}]
contexts: [{name: s, context: {cluster: s, user: s, namespace: default}}]
current-context: s
";

    fn read(text: &str) -> Value {
        serde_yaml::from_str(text).expect("YAML")
    }

    #[test]
    fn an_empty_file_becomes_a_kubeconfig() {
        let Merged { text, is_current } = merge("", SANDBOX, "netproof-a").expect("merged");
        assert!(is_current);
        assert_eq!(
            read(&text),
            read(
                "{apiVersion: v1, kind: Config, \
                 clusters: [{name: netproof-a, cluster: {server: 'https://127.0.0.1:1'}}], \
                 users: [{name: netproof-a, user: {token: t}}], \
                 contexts: [{name: netproof-a, context: {cluster: netproof-a, user: netproof-a, \
                 namespace: default}}], current-context: netproof-a}"
            )
        );
    }

    #[test]
    fn what_is_there_stays_and_the_same_name_is_replaced() {
        let there = "\
{apiVersion: v1, kind: Config, preferences: {colors: true}, current-context: prod,
 clusters: [{name: prod, cluster: {server: x}}, {name: netproof-a, cluster: {server: old}}],
 users: [{name: prod, user: {exec: {command: aws}}}],
 contexts: [{name: prod, context: {cluster: prod, user: prod}}]}";
        let Merged { text, is_current } = merge(there, SANDBOX, "netproof-a").expect("merged");
        let merged = read(&text);
        assert!(!is_current);
        assert_eq!(merged["current-context"], "prod");
        assert_eq!(merged["preferences"]["colors"], true);
        assert_eq!(merged["users"][0]["user"]["exec"]["command"], "aws");
        assert_eq!(merged["clusters"].as_sequence().map(Vec::len), Some(2));
        assert_eq!(merged["clusters"][1]["cluster"]["server"], "https://127.0.0.1:1");
    }

    #[test]
    fn what_was_added_is_taken_out_again() {
        let there = "\
{apiVersion: v1, kind: Config, current-context: prod,
 clusters: [{name: prod, cluster: {server: x}}],
 users: [{name: prod, user: {exec: {command: aws}}}],
 contexts: [{name: prod, context: {cluster: prod, user: prod}}]}";
        let merged = merge(there, SANDBOX, "netproof-a").expect("merged").text;
        assert_eq!(read(&part(&merged, "netproof-a").expect("read")), read(there));
        let alone = merge("", SANDBOX, "netproof-a").expect("merged").text;
        let parted = read(&part(&alone, "netproof-a").expect("read"));
        assert_eq!(parted["current-context"], "", "it was the current one");
        assert_eq!(parted["clusters"].as_sequence().map(Vec::len), Some(0));
    }

    #[test]
    fn what_is_no_kubeconfig_is_left_alone() {
        for there in ["[1]", "clusters: 1", "{"] {
            assert!(merge(there, SANDBOX, "a").is_err(), "{there}");
        }
    }
}
