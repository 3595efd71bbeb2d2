//! Whether a value fits a schema, in the words of Kubernetes' validation.

mod leaf;

use regex::Regex;
use serde_json::{Value, json};

use super::{
    super::{failure::Cause, names, object::Object},
    expression, pattern,
};

/// Reads every pattern of a schema. One that can't be read fits everything.
pub(super) fn patterns(schema: &Value, into: &mut Vec<(String, Option<Regex>)>) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(pattern)) = map.get("pattern")
                && !into.iter().any(|(known, _)| known == pattern)
            {
                into.push((pattern.clone(), pattern::read(pattern).ok()));
            }
            map.values().for_each(|inner| patterns(inner, into));
        }
        Value::Array(items) => items.iter().for_each(|inner| patterns(inner, into)),
        _ => {}
    }
}

struct Check<'c> {
    patterns: &'c [(String, Option<Regex>)],
    causes: Vec<Cause>,
}

/// What is wrong with an object.
pub(super) fn causes(
    schema: &Value,
    object: &Value,
    patterns: &[(String, Option<Regex>)],
) -> Vec<Cause> {
    let mut check = Check { patterns, causes: Vec::new() };
    // Its metadata is checked for every kind alike.
    check.value(schema, object, "");
    check.causes.retain(|cause| !cause.field.starts_with("metadata."));
    let blocking =
        ["FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", "FieldValueTypeInvalid"];
    if !expression::any(schema) {
        return check.causes;
    }
    if check.causes.iter().any(|cause| blocking.contains(&cause.reason)) {
        let text = "some validation rules were not checked because the object was invalid; \
                    correct the existing errors to complete validation";
        check.causes.push(Cause::invalid("<nil>", &Value::Null, text));
    } else {
        check.expressions(schema, object, "");
    }
    check.causes
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn fits_type(wanted: &str, value: &Value) -> bool {
    let found = type_of(value);
    let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
    found == wanted
        || (wanted == "number" && found == "integer")
        || (wanted == "integer" && found == "number" && whole)
}

impl Check<'_> {
    fn refuse(&mut self, path: &str, value: &Value, text: &str) {
        let named = if path.is_empty() { "<nil>" } else { path };
        let detail = format!("{path} in body {text}");
        self.causes.push(Cause::invalid(named, value, &detail));
    }

    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        if value.is_null() && schema["nullable"] == true {
            return;
        }
        if !self.is_of_type(schema, value, path) {
            return;
        }
        if let Some(known) = schema["enum"].as_array()
            && !known.contains(value)
        {
            let words = known.iter().map(|word| match word {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            let words: Vec<_> = words.collect();
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            self.causes.push(Cause::not_supported(path, value, &words));
        }
        match value {
            Value::String(text) => self.text(schema, text, path),
            Value::Number(_) => self.number(schema, value, path),
            Value::Array(items) => self.items(schema, items, path),
            Value::Object(_) => self.fields(schema, value, path),
            _ => {}
        }
        self.combined(schema, value, path);
    }

    fn is_of_type(&mut self, schema: &Value, value: &Value, path: &str) -> bool {
        let wanted = if schema["x-kubernetes-int-or-string"] == true {
            if fits_type("integer", value) || value.is_string() {
                return true;
            }
            "integer,string"
        } else {
            match schema["type"].as_str() {
                Some(wanted) if !fits_type(wanted, value) => wanted,
                _ => return true,
            }
        };
        let found = type_of(value);
        let mut cause = Cause::invalid(
            path,
            &found.into(),
            &format!("{path} in body must be of type {wanted}: \"{found}\""),
        );
        cause.reason = "FieldValueTypeInvalid";
        self.causes.push(cause);
        false
    }

    fn items(&mut self, schema: &Value, items: &[Value], path: &str) {
        let length = items.len() as u64;
        if let Some(most) = schema["maxItems"].as_u64().filter(|most| length > *most) {
            self.causes.push(Cause {
                reason: "FieldValueTooMany",
                field: path.to_owned(),
                message: format!("Too many: {length}: must have at most {most} items"),
            });
        }
        if let Some(least) = schema["minItems"].as_u64().filter(|least| length < *least) {
            let count = Value::from(length);
            self.refuse(path, &count, &format!("should have at least {least} items"));
        }
        for (index, item) in items.iter().enumerate() {
            self.value(&schema["items"], item, &format!("{path}[{index}]"));
        }
        let keys = schema.items("/x-kubernetes-list-map-keys");
        let list = schema.text("/x-kubernetes-list-type");
        let mut seen: Vec<Value> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let key = match list {
                "set" => item.clone(),
                "map" => keys
                    .iter()
                    .filter_map(Value::as_str)
                    .filter_map(|key| Some((key.to_owned(), item.get(key)?.clone())))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
                _ => break,
            };
            if seen.contains(&key) {
                self.causes.push(Cause::duplicate(format!("{path}[{index}]"), &key));
            }
            seen.push(key);
        }
    }

    fn fields(&mut self, schema: &Value, object: &Value, path: &str) {
        let Some(map) = object.as_object() else { return };
        for name in schema.items("/required").iter().filter_map(Value::as_str) {
            if !map.contains_key(name) {
                self.causes.push(Cause::required(join(path, name), ""));
            }
        }
        let length = map.len() as u64;
        if let Some(most) = schema["maxProperties"].as_u64().filter(|most| length > *most) {
            self.causes.push(Cause {
                reason: "FieldValueTooMany",
                field: path.to_owned(),
                message: format!("Too many: {length}: must have at most {most} items"),
            });
        }
        if let Some(least) = schema["minProperties"].as_u64().filter(|least| length < *least) {
            let count = Value::from(length);
            self.refuse(path, &count, &format!("should have at least {least} properties"));
        }
        let properties = schema["properties"].as_object();
        for (name, value) in map {
            let known = properties.and_then(|properties| properties.get(name));
            let known = known
                .or_else(|| schema.get("additionalProperties").filter(|more| more.is_object()));
            if let Some(schema) = known {
                self.value(schema, value, &join(path, name));
            }
        }
        if schema["x-kubernetes-embedded-resource"] == true {
            for field in ["apiVersion", "kind"] {
                if object.text(&format!("/{field}")).is_empty() {
                    self.causes.push(Cause::required(join(path, field), ""));
                }
            }
            if let Some(error) =
                names::subdomain_error(object.name()).filter(|_| !object.name().is_empty())
            {
                let cause =
                    Cause::invalid(join(path, "metadata.name"), &object.name().into(), &error);
                self.causes.push(cause);
            }
        }
    }

    /// The rules in CEL, of those that are known.
    fn expressions(&mut self, schema: &Value, value: &Value, path: &str) {
        for rule in schema.items("/x-kubernetes-validations") {
            if expression::holds(rule.text("/rule"), value) == Some(false) {
                let kind = schema["type"].clone();
                self.causes.push(Cause::invalid(path, &kind, rule.text("/message")));
            }
        }
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.expressions(&schema["items"], item, &format!("{path}[{index}]"));
                }
            }
            Value::Object(map) => {
                for (name, value) in map {
                    let known = schema["properties"].get(name);
                    if let Some(schema) = known.or_else(|| schema.get("additionalProperties")) {
                        self.expressions(schema, value, &join(path, name));
                    }
                }
            }
            _ => {}
        }
    }

    fn combined(&mut self, schema: &Value, value: &Value, path: &str) {
        let fits = |schema: &Value| {
            let mut check = Check { patterns: self.patterns, causes: Vec::new() };
            check.value(schema, value, path);
            check.causes.is_empty()
        };
        let (any, one) = (schema.items("/anyOf"), schema.items("/oneOf"));
        let shown = if value.is_object() || value.is_array() { json!("") } else { value.clone() };
        let mut wrong = Vec::new();
        if !any.is_empty() && !any.iter().any(fits) {
            wrong.push("must validate at least one schema (anyOf)".to_owned());
        }
        let fitting = one.iter().filter(|schema| fits(schema)).count();
        if !one.is_empty() && fitting != 1 {
            let found = if fitting == 0 {
                "Found none valid".to_owned()
            } else {
                format!("Found {fitting} valid alternatives")
            };
            wrong.push(format!("must validate one and only one schema (oneOf). {found}"));
        }
        if let Some(not) = schema.get("not").filter(|not| fits(not)) {
            let _ = not;
            wrong.push("must not validate the schema (not)".to_owned());
        }
        for text in wrong {
            let named = if path.is_empty() { "<nil>" } else { path };
            let detail = if path.is_empty() { text } else { format!("\"{path}\" {text}") };
            self.causes.push(Cause::invalid(named, &shown, &detail));
        }
        for schema in schema.items("/allOf") {
            self.value(schema, value, path);
        }
    }
}
