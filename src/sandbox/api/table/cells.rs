//! Columns, and what many of them have in common.

use serde_json::{Value, json};

use super::{
    super::{object::Object, schema::builtin},
    time,
};

/// What stands in a column.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// The text at a JSON pointer.
    Text(&'static str),
    /// The text at a JSON pointer, or another one where it is missing.
    TextOr(&'static str, &'static str),
    /// The number at a JSON pointer, or 0.
    Number(&'static str),
    /// The truth at a JSON pointer, or `false`.
    Flag(&'static str),
    /// How long ago the object was made.
    Age,
    /// Something else.
    Of(fn(&Value) -> Value),
    /// What a JSONPath of a CustomResourceDefinition leads to.
    Path(Box<crate::sandbox::api::custom::JsonPath>),
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    /// Above 0 only with `-o wide`.
    pub priority: i64,
    pub cell: Cell,
}

/// What the API says of a field of the metadata of every object.
fn of_metadata(field: &str) -> String {
    let metadata = builtin().definitions.get("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    let text = metadata.and_then(|metadata| {
        metadata.pointer(&format!("/properties/{field}/description"))?.as_str()
    });
    text.unwrap_or_default().to_owned()
}

impl Column {
    pub(super) fn new(name: &str, kind: &str, cell: Cell) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: if name == "Name" { "name".to_owned() } else { String::new() },
            description: match name {
                "Name" => of_metadata("name"),
                "Age" => of_metadata("creationTimestamp"),
                _ => String::new(),
            },
            priority: 0,
            cell,
        }
    }

    pub(super) fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }

    pub(super) fn definition(&self) -> Value {
        json!({
            "name": self.name, "type": self.kind, "format": self.format,
            "description": self.description, "priority": self.priority,
        })
    }

    pub(super) fn cell(&self, object: &Value) -> Value {
        match &self.cell {
            Cell::Text(pointer) => plain(object.pointer(pointer)).into(),
            Cell::TextOr(pointer, other) => {
                let text = plain(object.pointer(pointer));
                if text.is_empty() { (*other).into() } else { text.into() }
            }
            Cell::Number(pointer) => object.pointer(pointer).cloned().unwrap_or_else(|| 0.into()),
            Cell::Flag(pointer) => object.pointer(pointer).cloned().unwrap_or_else(|| false.into()),
            Cell::Age => time::age(object).into(),
            Cell::Of(cell) => cell(object),
            Cell::Path(path) => path.cell(object, &self.kind),
        }
    }
}

/// A value without quotes.
pub(super) fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// A number at a pointer, or 0.
pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// The first few of a list, and how many more there are.
pub(super) fn some(list: &[String], most: usize) -> String {
    if list.len() > most {
        format!("{} + {} more...", list[..most].join(","), list.len() - most)
    } else {
        list.join(",")
    }
}

/// A text, or another one where it is empty.
pub(super) fn or(text: String, other: &str) -> String {
    if text.is_empty() { other.to_owned() } else { text }
}

/// A map of labels: `app=web,tier=front`.
pub(super) fn labels(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let labels: Vec<_> =
        labels.map(|(key, value)| format!("{key}={}", plain(Some(value)))).collect();
    or(labels.join(","), "<none>")
}

/// A label selector: `app=web,tier in (back,front)`.
pub(super) fn selector(selector: &Value) -> String {
    let plain_labels = selector.pointer("/matchLabels").and_then(Value::as_object);
    let mut parts: Vec<_> = plain_labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", plain(Some(value))))
        .collect();
    for expression in selector.items("/matchExpressions") {
        let key = expression.text("/key");
        let mut values: Vec<_> =
            expression.items("/values").iter().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        parts.push(match expression.text("/operator") {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            _ => format!("!{key}"),
        });
    }
    or(parts.join(","), "<none>")
}

/// What one field of all items of a list says: `web,proxy`.
pub(super) fn joined(items: &[Value], pointer: &str) -> String {
    let texts: Vec<_> = items.iter().map(|item| plain(item.pointer(pointer))).collect();
    texts.join(",")
}

/// The addresses or names of a load balancer.
pub(super) fn balancer(object: &Value) -> String {
    let mut places: Vec<_> = object
        .items("/status/loadBalancer/ingress")
        .iter()
        .map(|place| or(place.text("/ip").to_owned(), place.text("/hostname")))
        .filter(|place| !place.is_empty())
        .collect();
    places.sort();
    places.dedup();
    places.join(",")
}

/// Whether an annotation says that a class is the default one.
pub(super) fn name_of_class(object: &Value, annotation: &str) -> Value {
    let annotations = object.pointer("/metadata/annotations");
    let default = annotations.is_some_and(|annotations| annotations[annotation] == "true");
    let name = object.name();
    if default { format!("{name} (default)").into() } else { name.into() }
}
