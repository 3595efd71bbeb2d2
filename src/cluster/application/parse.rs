//! From a file's text to objects.

use serde::Deserialize as _;
use serde_json::Value;
use serde_yaml::Value as Yaml;

use super::{Part, text};

/// Keys whose numbers people write in octal, as YAML 1.1 has them: `defaultMode: 0644`.
const MODES: [&str; 2] = ["defaultMode", "mode"];

/// All objects of a file; those in Lists one by one. Empty documents are passed over.
pub(super) fn objects(source: &str, text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let place = format!("{source}, document {}", index + 1);
        let mut yaml = Yaml::deserialize(document).map_err(|error| format!("{source}: {error}"))?;
        yaml.apply_merge().map_err(|error| format!("{place}: {error}"))?;
        let object = serde_json::to_value(yaml).map_err(|error| format!("{place}: {error}"))?;
        unpack(&place, object, &mut parts)?;
    }
    Ok(parts)
}

fn unpack(place: &str, mut object: Value, parts: &mut Vec<Part>) -> Result<(), String> {
    if object.is_null() {
        return Ok(());
    }
    if !object.is_object() {
        return Err(format!("{place}: this is no object of Kubernetes"));
    }
    for key in ["/apiVersion", "/kind"] {
        if text(&object, key).is_empty() {
            return Err(format!("{place}: this object has no `{}`", &key[1..]));
        }
    }
    if text(&object, "/kind").ends_with("List")
        && let Some(Value::Array(items)) = object.get_mut("items").map(Value::take)
    {
        return items.into_iter().try_for_each(|item| unpack(place, item, parts));
    }
    let named = |key: &str| !text(&object, key).is_empty();
    if !named("/metadata/name") && !named("/metadata/generateName") {
        let kind = text(&object, "/kind");
        return Err(format!("{place}: this {kind} has no `metadata.name`"));
    }
    octal(&mut object);
    parts.push(Part { object, source: place.to_owned() });
    Ok(())
}

/// Reads file modes as YAML 1.1 does, which Kubernetes' own tools use.
fn octal(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(octal),
        Value::Object(map) => {
            for (key, value) in map {
                let digits = value.as_str().and_then(|text| text.strip_prefix('0'));
                let number = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok());
                match number.filter(|_| MODES.contains(&key.as_str())) {
                    Some(number) => *value = number.into(),
                    None => octal(value),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let text = "\
# Source: chart/templates/a.yaml
---
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {mode: '0x'}}
- {apiVersion: v1, kind: Secret, metadata: {generateName: b-}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: c, labels: &labels {app: c}}
spec:
  template:
    metadata: {labels: {<<: *labels, more: d}}
    spec: {volumes: [{name: v, configMap: {defaultMode: 0644}}]}
";
        let parts = objects("f", text).expect("objects");
        let names: Vec<_> = parts.iter().map(|part| super::super::name_of(&part.object)).collect();
        assert_eq!(names, ["ConfigMap a", "Secret b-…", "Deployment c"]);
        assert_eq!(parts[0].object["data"]["mode"], "0x");
        let template = &parts[2].object["spec"]["template"];
        assert_eq!(template["metadata"]["labels"]["app"], "c");
        assert_eq!(template["spec"]["volumes"][0]["configMap"]["defaultMode"], 420);
    }

    #[test]
    fn what_is_no_object_is_named_with_its_place() {
        for (text, expected) in [
            ("- a", "f, document 1: this is no object of Kubernetes"),
            ("---\nkind: Pod", "f, document 1: this object has no `apiVersion`"),
            ("{apiVersion: v1}", "f, document 1: this object has no `kind`"),
            ("{apiVersion: v1, kind: Pod}", "f, document 1: this Pod has no `metadata.name`"),
        ] {
            assert_eq!(objects("f", text).map(drop), Err(expected.to_owned()), "{text}");
        }
        assert!(objects("f", "a: [").is_err());
    }
}
