//! Selectors of labels, wherever an object has one.

use serde_json::Value;

use super::super::{failure::Cause, names, object::Object};

/// What is wrong with a selector: its labels first, then its expressions.
pub(super) fn check(selector: &Value, field: &str, causes: &mut Vec<Cause>) {
    let labels = selector.pointer("/matchLabels").and_then(Value::as_object);
    let place = format!("{field}.matchLabels");
    for (key, value) in labels.into_iter().flatten() {
        for error in names::label_key_errors(key) {
            causes.push(Cause::invalid(&place, &key.as_str().into(), &error));
        }
        for error in names::label_value_errors(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(&place, value, &error));
        }
    }
    for (index, expression) in selector.items("/matchExpressions").iter().enumerate() {
        check_expression(expression, &format!("{field}.matchExpressions[{index}]"), causes);
    }
}

fn check_expression(expression: &Value, field: &str, causes: &mut Vec<Cause>) {
    let values = expression.items("/values");
    match expression.text("/operator") {
        "In" | "NotIn" if values.is_empty() => {
            let detail = "must be specified when `operator` is 'In' or 'NotIn'";
            causes.push(Cause::required(format!("{field}.values"), detail));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
            causes.push(Cause::forbidden(format!("{field}.values"), detail));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        other => {
            let detail = "not a valid selector operator";
            causes.push(Cause::invalid(format!("{field}.operator"), &other.into(), detail));
        }
    }
    let key = expression.text("/key");
    for error in names::label_key_errors(key) {
        causes.push(Cause::invalid(format!("{field}.key"), &key.into(), &error));
    }
    for (index, value) in values.iter().enumerate() {
        for error in names::label_value_errors(value.as_str().unwrap_or_default()) {
            causes.push(Cause::invalid(format!("{field}.values[{index}]"), value, &error));
        }
    }
}
