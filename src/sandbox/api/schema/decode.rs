//! From what a client sent to the canonical form of a type.
//!
//! Null fields, and empty lists and maps that needn't be there, are left out, as the API's
//! own types leave them out; quantities and times take their one form.

use serde_json::{Map, Number, Value};

use super::{
    node::{Leaf, Node, Struct},
    quantity,
};

/// A value of the wrong type, in the words of Go's decoder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TypeError(String);

impl TypeError {
    /// An error in the words of another decoder.
    pub fn of(text: String) -> Self {
        Self(text)
    }
}

/// Where the walk is.
struct Walk {
    /// With indices, for messages on unknown fields.
    path: String,
    /// Names alone, for messages on types.
    names: Vec<String>,
    /// How many names lead to the outermost struct: 0 but in custom resources.
    base: usize,
    /// The innermost struct.
    within: String,
    unknown: Vec<String>,
}

/// The canonical form of a value, and the paths of fields that its type doesn't have.
///
/// # Errors
/// The first value that is not of its type.
pub fn decode(node: &Node, value: Value) -> Result<(Value, Vec<String>), TypeError> {
    let mut walk = Walk {
        path: String::new(),
        names: Vec::new(),
        base: 0,
        within: String::new(),
        unknown: Vec::new(),
    };
    let value = walk.value(node, value)?;
    Ok((value, walk.unknown))
}

impl Walk {
    fn value(&mut self, node: &Node, value: Value) -> Result<Value, TypeError> {
        match (node.resolve(), value) {
            (Node::Any | Node::Named(_), value) => Ok(value),
            (Node::Struct(node), Value::Object(map)) => self.fields(node, map),
            (Node::Map { item, .. }, Value::Object(map)) => {
                let mut out = Map::new();
                for (key, value) in map {
                    // Go's messages on types name the map, and not the key.
                    let length = self.path.len();
                    self.path = join(&self.path, &key);
                    let value = self.value(item, value)?;
                    self.path.truncate(length);
                    out.insert(key, value);
                }
                Ok(Value::Object(out))
            }
            (Node::List { item, .. }, Value::Array(items)) => {
                let length = self.path.len();
                let mut out = Vec::with_capacity(items.len());
                for (index, value) in items.into_iter().enumerate() {
                    self.path.push_str(&format!("[{index}]"));
                    out.push(self.value(item, value)?);
                    self.path.truncate(length);
                }
                Ok(Value::Array(out))
            }
            // A null item of a list or map is the type's zero.
            (resolved, Value::Null) => Ok(zero(resolved)),
            (Node::Leaf(leaf), value) => self.leaf(*leaf, value),
            // What a custom resource holds is for its schema to check.
            (_, value) if self.within.is_empty() => Ok(value),
            (_, value) => Err(self.wrong(node, &value)),
        }
    }

    fn fields(&mut self, node: &Struct, map: Map<String, Value>) -> Result<Value, TypeError> {
        let outer = if node.name.is_empty() {
            None
        } else {
            let own = node.name.rsplit('.').next().unwrap_or_default().to_owned();
            if self.within.is_empty() {
                self.base = self.names.len();
            }
            Some(std::mem::replace(&mut self.within, own))
        };
        let mut out = Map::new();
        for (name, value) in map {
            let Some(field) = node.fields.get(&name) else {
                if node.open {
                    out.insert(name, value);
                } else {
                    self.unknown.push(join(&self.path, &name));
                }
                continue;
            };
            if value.is_null() {
                // Whether null is a value, only the schema of a custom resource says.
                if node.name.is_empty() {
                    out.insert(name, value);
                }
                continue;
            }
            let value = self.at(&name, |walk| walk.value(&field.node, value))?;
            if field.omits_zero && is_zero(&value) {
                continue;
            }
            let hollow = match &value {
                Value::Array(items) => items.is_empty(),
                Value::Object(map) => {
                    map.is_empty() && matches!(field.node.resolve(), Node::Map { .. })
                }
                _ => false,
            };
            if !hollow || field.required || node.name.is_empty() {
                out.insert(name, value);
            }
        }
        if let Some(outer) = outer {
            self.within = outer;
        }
        Ok(Value::Object(out))
    }

    /// Does something one name deeper.
    fn at<R>(&mut self, name: &str, with: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        self.names.push(name.to_owned());
        let result = with(self);
        self.names.pop();
        self.path.truncate(length);
        result
    }

    fn leaf(&self, leaf: Leaf, value: Value) -> Result<Value, TypeError> {
        let fits = match (leaf, &value) {
            (Leaf::String, Value::String(_))
            | (Leaf::Boolean, Value::Bool(_))
            | (Leaf::Number, Value::Number(_)) => true,
            (Leaf::Bytes, Value::String(text)) => {
                use base64::Engine;
                let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                if let Err(error) = decoded {
                    return Err(TypeError(illegal_base64(text, &error)));
                }
                true
            }
            (Leaf::Int32, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (Leaf::Int64, Value::Number(number)) => number.as_i64().is_some(),
            (Leaf::IntOrString, Value::String(_)) => true,
            (Leaf::IntOrString, Value::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (Leaf::Quantity, Value::String(text)) => return quantity(text),
            (Leaf::Quantity, Value::Number(number)) => return quantity(&plain(number)),
            (Leaf::Time | Leaf::MicroTime, Value::String(text)) => return time(leaf, text),
            _ => false,
        };
        if fits { Ok(value) } else { Err(self.wrong(&Node::Leaf(leaf), &value)) }
    }

    fn wrong(&self, node: &Node, value: &Value) -> TypeError {
        let found = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number)
                if matches!(
                    node.resolve(),
                    Node::Leaf(Leaf::Int32 | Leaf::Int64 | Leaf::IntOrString)
                ) =>
            {
                format!("number {number}")
            }
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let wanted = go_type(node);
        // Types that read themselves don't know where they stand.
        let own = matches!(node, Node::Leaf(Leaf::IntOrString));
        TypeError(if self.names.len() <= self.base || own {
            format!("json: cannot unmarshal {found} into Go value of type {wanted}")
        } else {
            format!(
                "json: cannot unmarshal {found} into Go struct field {}.{} of type {wanted}",
                self.within,
                self.names[self.base..].join("."),
            )
        })
    }
}

/// The paths of fields that were given and are not in the canonical form.
pub fn missing(given: &Value, canonical: &Value) -> Vec<String> {
    let mut paths = Vec::new();
    find_missing(given, canonical, "", &mut paths);
    paths
}

fn find_missing(given: &Value, canonical: &Value, path: &str, paths: &mut Vec<String>) {
    match (given, canonical) {
        (Value::Object(given), Value::Object(canonical)) => {
            for (key, value) in given {
                let path = join(path, key);
                match canonical.get(key) {
                    Some(known) => find_missing(value, known, &path, paths),
                    // Empty lists and maps may vanish without being unknown.
                    None if value.is_null() || *value == Value::Array(Vec::new()) => {}
                    None if value.as_object().is_some_and(Map::is_empty) => {}
                    None => paths.push(path),
                }
            }
        }
        (Value::Array(given), Value::Array(canonical)) => {
            for (index, (given, canonical)) in given.iter().zip(canonical).enumerate() {
                find_missing(given, canonical, &format!("{path}[{index}]"), paths);
            }
        }
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn zero(node: &Node) -> Value {
    match node {
        Node::Struct(_) | Node::Map { .. } => Value::Object(Map::new()),
        Node::List { .. } => Value::Array(Vec::new()),
        Node::Leaf(Leaf::String | Leaf::Bytes) => "".into(),
        Node::Leaf(Leaf::Int32 | Leaf::Int64 | Leaf::Number | Leaf::IntOrString) => 0.into(),
        Node::Leaf(Leaf::Boolean) => false.into(),
        Node::Leaf(Leaf::Quantity) => "0".into(),
        _ => Value::Null,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// A type as Go names it: `int32`, `[]v1.Container`, `map[string]string`.
fn go_type(node: &Node) -> String {
    match node.resolve() {
        Node::Struct(node) if !node.name.is_empty() => {
            let mut parts = node.name.rsplitn(3, '.');
            let (name, version) = (parts.next().unwrap_or_default(), parts.next());
            format!("{}.{name}", version.unwrap_or_default())
        }
        Node::Struct(_) => "map[string]interface {}".to_owned(),
        Node::Map { item, .. } => format!("map[string]{}", go_type(item)),
        Node::List { item, .. } => format!("[]{}", go_type(item)),
        Node::Leaf(leaf) => match leaf {
            Leaf::String | Leaf::Quantity => "string",
            Leaf::Bytes => "[]uint8",
            Leaf::Int32 | Leaf::IntOrString => "int32",
            Leaf::Int64 => "int64",
            Leaf::Number => "float64",
            Leaf::Boolean => "bool",
            Leaf::Time | Leaf::MicroTime => "string",
        }
        .to_owned(),
        Node::Any | Node::Named(_) => "interface {}".to_owned(),
    }
}

/// A number without the exponent that its shortest form may have.
fn plain(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => format!("{float}"),
        _ => number.to_string(),
    }
}

fn quantity(text: &str) -> Result<Value, TypeError> {
    quantity::canonical(text).map(Value::String).ok_or_else(|| {
        TypeError(
            "quantities must match the regular expression \
             '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
                .to_owned(),
        )
    })
}

fn time(leaf: Leaf, text: &str) -> Result<Value, TypeError> {
    let (form, layout) = match leaf {
        Leaf::MicroTime => ("%Y-%m-%dT%H:%M:%S%.6fZ", "2006-01-02T15:04:05.000000Z07:00"),
        _ => ("%Y-%m-%dT%H:%M:%SZ", "2006-01-02T15:04:05Z07:00"),
    };
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(time.strftime(form).to_string().into()),
        Err(_) => Err(TypeError(format!(
            "parsing time \"{text}\" as \"{layout}\": cannot parse \"{text}\" as \"2006\""
        ))),
    }
}

fn illegal_base64(text: &str, error: &base64::DecodeError) -> String {
    let place = match error {
        base64::DecodeError::InvalidByte(place, _)
        | base64::DecodeError::InvalidLastSymbol(place, _) => *place,
        _ => text.len().saturating_sub(text.len() % 4),
    };
    format!("illegal base64 data at input byte {place}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::builtin, *};

    fn read(kind: &str, value: Value) -> Result<(Value, Vec<String>), String> {
        let name = builtin()
            .kinds
            .iter()
            .find(|((_, known), _)| known == kind)
            .map(|(_, name)| name.clone())
            .expect("the kind");
        decode(&Node::Named(name), value).map_err(|error| error.to_string())
    }

    #[test]
    fn wrong_types_are_named_as_go_names_them() {
        for (kind, object, expected) in [
            (
                "Deployment",
                json!({"spec": {"replicas": "two"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas \
                 of type int32",
            ),
            (
                "Deployment",
                json!({"spec": {"template": {"spec": {"containers": {"name": "a"}}}}}),
                "json: cannot unmarshal object into Go struct field \
                 PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                "ConfigMap",
                json!({"data": {"a": 1}}),
                "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
            ),
            (
                "Pod",
                json!({"spec": {"containers": [{"image": ["x"]}]}}),
                "json: cannot unmarshal array into Go struct field Container.spec.containers.image \
                 of type string",
            ),
            (
                "Pod",
                json!({"spec": {"terminationGracePeriodSeconds": 1.5}}),
                "json: cannot unmarshal number 1.5 into Go struct field \
                 PodSpec.spec.terminationGracePeriodSeconds of type int64",
            ),
            ("Secret", json!({"data": {"a": "!"}}), "illegal base64 data at input byte 0"),
        ] {
            assert_eq!(read(kind, object.clone()).expect_err("wrong"), expected, "{object}");
        }
    }

    #[test]
    fn unknown_fields_are_left_out_and_named() {
        let pod = json!({
            "metadata": {"name": "a", "nmae": "b"},
            "spec": {"containers": [{"name": "a"}, {"name": "b", "imgae": "c"}]},
        });
        let (pod, unknown) = read("Pod", pod).expect("of its type");
        assert_eq!(unknown, ["metadata.nmae", "spec.containers[1].imgae"]);
        assert_eq!(pod["spec"]["containers"][1], json!({"name": "b"}));
    }

    #[test]
    fn values_take_their_one_form() {
        let pod = json!({
            "metadata": {"labels": {}, "creationTimestamp": null, "finalizers": []},
            "spec": {
                "containers": [{
                    "name": "a", "args": [], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                }],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "securityContext": {},
                "hostNetwork": false,
                "nodeName": "",
                "activeDeadlineSeconds": 0,
            },
            "status": {"startTime": "2026-01-01T02:00:00.5+02:00"},
        });
        let (pod, _) = read("Pod", pod).expect("of its type");
        assert_eq!(pod["metadata"], json!({}));
        assert_eq!(pod["spec"]["securityContext"], json!({}));
        assert_eq!(pod["spec"].get("hostNetwork"), None);
        assert_eq!(pod["spec"].get("nodeName"), None);
        assert_eq!(pod["spec"]["activeDeadlineSeconds"], 0, "a pointer in Go");
        assert_eq!(pod["spec"]["volumes"][0]["emptyDir"], json!({}));
        assert_eq!(
            pod["spec"]["containers"][0],
            json!({"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}})
        );
        assert_eq!(pod["status"]["startTime"], "2026-01-01T00:00:00Z");
    }
}
