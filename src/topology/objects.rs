//! YAML or JSON text to objects.

use serde::Deserialize;
use serde_json::Value;

/// A document that is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: document {document}: {message}")]
pub struct BrokenYaml {
    /// The file as it was named.
    pub file: String,
    /// Which of its documents, counted from 1.
    pub document: usize,
    /// What is wrong, with line and column where the parser knows them.
    pub message: String,
}

/// The objects of a text with any number of documents; Lists are flattened, empty
/// documents are passed over. JSON is YAML.
///
/// # Errors
/// The first document that can't be read.
pub fn parse(file: &str, text: &str) -> Result<Vec<Value>, BrokenYaml> {
    let mut objects = Vec::new();
    for (index, document) in serde_yaml::Deserializer::from_str(text).enumerate() {
        let broken =
            |message: String| BrokenYaml { file: file.to_owned(), document: index + 1, message };
        let value =
            serde_yaml::Value::deserialize(document).map_err(|error| broken(error.to_string()))?;
        let value = untag(value);
        let value: Value =
            serde_json::to_value(value).map_err(|error| broken(error.to_string()))?;
        flatten(value, &mut objects).map_err(broken)?;
    }
    Ok(objects)
}

/// Merge keys are applied, which the parser leaves to its user.
fn untag(mut value: serde_yaml::Value) -> serde_yaml::Value {
    // It fails only on a merge key that isn't a mapping, which then stays what it is.
    let _ = value.apply_merge();
    value
}

fn flatten(value: Value, objects: &mut Vec<Value>) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        Value::Array(items) => items.into_iter().try_for_each(|item| flatten(item, objects)),
        Value::Object(mut map) => {
            let is_list =
                map.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
            if is_list && map.get("items").is_some_and(|items| items.is_array() || items.is_null())
            {
                return flatten(map.remove("items").unwrap_or_default(), objects);
            }
            if map.get("kind").and_then(Value::as_str).is_none() {
                return Err("an object without `kind`".to_owned());
            }
            objects.push(Value::Object(map));
            Ok(())
        }
        _ => Err("a document that is no object".to_owned()),
    }
}
