//! Lists as `kubectl get` shows them: the server makes the columns.

mod cells;
mod columns;
mod parts;
mod pod;
mod time;
mod workloads;

use http::{HeaderMap, header::ACCEPT};
use serde_json::{Value, json};

use super::{
    failure::Failure,
    object::{Object, object_mut},
    request::Parameters,
    resource::Resource,
};
use cells::Column;

pub use time::human;

/// What of the objects comes along with their rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Include {
    Nothing,
    Metadata,
    Everything,
}

/// How a client wants objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Whole,
    /// Without specification and status.
    Metadata,
    /// As rows of a table.
    Table(Rows),
}

/// How a client wants a table's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows(Include);

impl Form {
    /// What the `Accept` header and the query ask for: the first that can be served.
    ///
    /// # Errors
    /// 406 if none can be, 422 for an unknown `includeObject`.
    pub fn of(headers: &HeaderMap, parameters: &Parameters) -> Result<Self, Failure> {
        let accepted: Vec<_> =
            headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let accepted = accepted.join(",");
        if accepted.trim().is_empty() {
            return Ok(Self::Whole);
        }
        for range in accepted.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            if !matches!(media, "application/json" | "application/*" | "*/*" | "application/yaml") {
                continue;
            }
            let parts: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let value = |key: &str| parts.iter().find(|part| part.0 == key).map(|part| part.1);
            let known =
                value("g") == Some("meta.k8s.io") && matches!(value("v"), Some("v1" | "v1beta1"));
            match value("as") {
                None => return Ok(Self::Whole),
                Some("Table") if known => {
                    return Ok(Self::Table(Rows(include(parameters)?)));
                }
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if known => {
                    return Ok(Self::Metadata);
                }
                Some(_) => {}
            }
        }
        Err(Failure::not_acceptable(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ))
    }

    /// One object, as it is asked for.
    pub fn one(&self, resource: &Resource, object: &Value) -> Value {
        match self {
            Self::Whole => resource.present(object).into_owned(),
            Self::Metadata => metadata(object),
            Self::Table(_) => self.event(resource, object, true),
        }
    }

    /// A list, as it is asked for.
    pub fn list(&self, resource: &Resource, mut list: Value) -> Value {
        match self {
            Self::Whole => list,
            Self::Metadata => {
                for item in
                    list.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    *item = metadata(item);
                }
                if list["metadata"]["continue"] == "" {
                    list.metadata_mut().remove("continue");
                }
                list["kind"] = "PartialObjectMetadataList".into();
                list["apiVersion"] = "meta.k8s.io/v1".into();
                list
            }
            Self::Table(rows) => {
                let mut metadata = list["metadata"].clone();
                if metadata["continue"] == "" {
                    object_mut(&mut metadata).remove("continue");
                }
                rows.table(resource, list.items("/items"), metadata, true)
            }
        }
    }

    /// The object of a watch event. Columns are told once: with the first.
    pub fn event(&self, resource: &Resource, object: &Value, first: bool) -> Value {
        match self {
            Self::Table(rows) => {
                let list = json!({"resourceVersion": object.text("/metadata/resourceVersion")});
                rows.table(resource, std::slice::from_ref(&*resource.present(object)), list, first)
            }
            other => other.one(resource, object),
        }
    }

    /// A bookmark: a row without cells, or the object itself.
    pub fn bookmark(&self, object: &Value) -> Value {
        match self {
            Self::Table(_) => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": object.text("/metadata/resourceVersion")},
                "columnDefinitions": [], "rows": [{"cells": [], "object": object}],
            }),
            Self::Metadata => metadata(object),
            Self::Whole => object.clone(),
        }
    }
}

fn include(parameters: &Parameters) -> Result<Include, Failure> {
    match parameters.text("includeObject") {
        "None" => Ok(Include::Nothing),
        "" | "Metadata" => Ok(Include::Metadata),
        "Object" => Ok(Include::Everything),
        other => Err(Failure::bad_request(format!(
            "Unable to convert to Table as requested: includeObject: Invalid value: \"{other}\": \
             must be 'Metadata', 'Object', 'None', or empty"
        ))),
    }
}

fn metadata(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

impl Rows {
    fn table(
        &self,
        resource: &Resource,
        objects: &[Value],
        metadata_of_list: Value,
        with_columns: bool,
    ) -> Value {
        let columns = columns::of(resource);
        let rows: Vec<_> = objects.iter().map(|object| self.row(&columns, object)).collect();
        let definitions: Vec<_> = if with_columns {
            columns.iter().map(Column::definition).collect()
        } else {
            Vec::new()
        };
        json!({
            "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata_of_list,
            "columnDefinitions": definitions, "rows": rows,
        })
    }

    fn row(&self, columns: &[Column], object: &Value) -> Value {
        let cells: Vec<_> = columns.iter().map(|column| column.cell(object)).collect();
        let object_of_row = match self.0 {
            Include::Nothing => Value::Null,
            Include::Metadata => metadata(object),
            Include::Everything => object.clone(),
        };
        let mut row = json!({"cells": cells, "object": object_of_row});
        if let Some(condition) = pod::finished(object) {
            row["conditions"] = json!([condition]);
        }
        row
    }
}

#[cfg(test)]
mod tests;
