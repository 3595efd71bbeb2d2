//! What is wrong with what a Job says of its pods' failures and successes.

use serde_json::{Value, json};

use super::super::super::{failure::Cause, names, object::Object};

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];
/// The most that each list may hold.
const RULES: usize = 20;
const VALUES: usize = 255;
const PATTERNS: usize = 20;
/// The longest text of indexes.
const INDEXES: usize = 64 * 1024;
/// How many indexes a Job with a limit for each may have without further limits.
const MANY: i64 = 100_000;
const AT_ONCE: i64 = 10_000;

fn stated(value: &Value) -> Option<&Value> {
    (!value.is_null()).then_some(value)
}

fn too_many(field: &str, count: usize, most: usize) -> Cause {
    let message = format!("Too many: {count}: must have at most {most} items");
    Cause { reason: "FieldValueTooMany", field: field.to_owned(), message }
}

fn must_be(field: &str, known: &[&str]) -> Cause {
    let known: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
    Cause::required(field, &format!("valid values: [{}]", known.join(" ")))
}

/// The value itself is not told.
fn wrong(field: &str, detail: &str) -> Cause {
    let message = format!("Invalid value: {detail}");
    Cause { reason: "FieldValueInvalid", field: field.to_owned(), message }
}

/// Limits for each index.
pub(super) fn per_index(spec: &Value, field: &str, causes: &mut Vec<Cause>) {
    let (limit, most) = (&spec["backoffLimitPerIndex"], &spec["maxFailedIndexes"]);
    for (name, value) in [("backoffLimitPerIndex", limit), ("maxFailedIndexes", most)] {
        if stated(value).is_some() && spec["completionMode"] != "Indexed" {
            let place = format!("{field}.{name}");
            causes.push(Cause::invalid(place, value, "requires indexed completion mode"));
        }
    }
    if stated(most).is_some() && limit.is_null() {
        let place = format!("{field}.backoffLimitPerIndex");
        causes.push(Cause::required(place, "when maxFailedIndexes is specified"));
    }
    if spec["completionMode"] != "Indexed" {
        return;
    }
    let completions = spec["completions"].as_i64();
    let place = format!("{field}.maxFailedIndexes");
    if let (Some(most), Some(completions)) = (most.as_i64(), completions)
        && most > completions
    {
        let detail = "must be less than or equal to completions";
        causes.push(Cause::invalid(&*place, &most.into(), detail));
    }
    if let Some(most) = most.as_i64().filter(|most| *most > MANY) {
        let detail = format!("must be less than or equal to {MANY}");
        causes.push(Cause::invalid(&*place, &most.into(), &detail));
    }
    if completions.is_some_and(|completions| completions > MANY) && stated(limit).is_some() {
        if most.is_null() {
            let detail = format!("must be specified when completions is above {MANY}");
            causes.push(Cause::required(&*place, &detail));
        }
        for (name, value) in [("parallelism", &spec["parallelism"]), ("maxFailedIndexes", most)] {
            if value.as_i64().is_some_and(|value| value > AT_ONCE) {
                let detail = format!(
                    "must be less than or equal to {AT_ONCE} when completions are above {MANY} \
                     and used with backoff limit per index"
                );
                causes.push(Cause::invalid(format!("{field}.{name}"), value, &detail));
            }
        }
    }
}

/// `podFailurePolicy`, and what goes with it.
pub(super) fn failure(spec: &Value, field: &str, causes: &mut Vec<Cause>) {
    let replacement = &spec["podReplacementPolicy"];
    let place = format!("{field}.podReplacementPolicy");
    let Some(policy) = stated(&spec["podFailurePolicy"]) else {
        let known = &["Failed", "TerminatingOrFailed"];
        if let Some(text) = replacement.as_str().filter(|text| !known.contains(text)) {
            causes.push(Cause::not_supported(place, &text.into(), known));
        }
        return;
    };
    if replacement.as_str().is_some_and(|text| text != "Failed") {
        causes.push(Cause::not_supported(place, replacement, &["Failed"]));
    }
    let restart = &spec["template"]["spec"]["restartPolicy"];
    if restart == "OnFailure" {
        let detail = "only \"Never\" is supported when podFailurePolicy is specified";
        let place = format!("{field}.template.spec.restartPolicy");
        causes.push(Cause::invalid(place, restart, detail));
    }
    let rules = policy.items("/rules");
    let place = format!("{field}.podFailurePolicy.rules");
    if rules.len() > RULES {
        causes.push(too_many(&place, rules.len(), RULES));
    }
    let containers: Vec<&str> = ["containers", "initContainers"]
        .iter()
        .filter_map(|list| spec["template"]["spec"][*list].as_array())
        .flatten()
        .map(|container| container.text("/name"))
        .collect();
    for (number, rule) in rules.iter().enumerate() {
        failure_rule(spec, rule, &format!("{place}[{number}]"), &containers, causes);
    }
}

fn failure_rule(
    spec: &Value,
    rule: &Value,
    field: &str,
    containers: &[&str],
    causes: &mut Vec<Cause>,
) {
    let place = format!("{field}.action");
    match rule.text("/action") {
        "" => causes.push(must_be(&place, &ACTIONS)),
        "FailIndex" if spec["backoffLimitPerIndex"].is_null() => {
            let detail = "requires the backoffLimitPerIndex to be set";
            causes.push(Cause::invalid(place, &rule["action"], detail));
        }
        action if ACTIONS.contains(&action) => {}
        _ => causes.push(Cause::not_supported(place, &rule["action"], &ACTIONS)),
    }
    let (codes, patterns) = (stated(&rule["onExitCodes"]), rule.items("/onPodConditions"));
    if let Some(codes) = codes {
        exit_codes(codes, &format!("{field}.onExitCodes"), containers, causes);
    }
    let place = format!("{field}.onPodConditions");
    if patterns.len() > PATTERNS {
        causes.push(too_many(&place, patterns.len(), PATTERNS));
    }
    for (number, pattern) in patterns.iter().enumerate() {
        let place = format!("{place}[{number}]");
        for error in names::label_key_errors(pattern.text("/type")) {
            causes.push(Cause::invalid(format!("{place}.type"), &pattern["type"], &error));
        }
        let known = &["False", "True", "Unknown"];
        match pattern.text("/status") {
            "" => causes.push(must_be(&format!("{place}.status"), known)),
            status if known.contains(&status) => {}
            status => {
                let place = format!("{place}.status");
                causes.push(Cause::not_supported(place, &status.into(), known));
            }
        }
    }
    if codes.is_some() && !patterns.is_empty() {
        let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
        causes.push(wrong(field, detail));
    }
    if codes.is_none() && patterns.is_empty() {
        let detail = "specifying one of OnExitCodes and OnPodConditions is required";
        causes.push(wrong(field, detail));
    }
}

fn exit_codes(codes: &Value, field: &str, containers: &[&str], causes: &mut Vec<Cause>) {
    let known = &["In", "NotIn"];
    let operator = codes.text("/operator");
    let place = format!("{field}.operator");
    match operator {
        "" => causes.push(must_be(&place, known)),
        operator if known.contains(&operator) => {}
        operator => causes.push(Cause::not_supported(place, &operator.into(), known)),
    }
    if let Some(name) = codes["containerName"].as_str().filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        causes.push(Cause::invalid(format!("{field}.containerName"), &name.into(), detail));
    }
    let values = codes.items("/values");
    let place = format!("{field}.values");
    if values.is_empty() {
        causes.push(Cause::invalid(&*place, &json!(values), "at least one value is required"));
    } else if values.len() > VALUES {
        causes.push(too_many(&place, values.len(), VALUES));
    }
    for (number, value) in values.iter().enumerate() {
        let place = format!("{place}[{number}]");
        if operator == "In" && *value == 0 {
            causes.push(Cause::invalid(&*place, value, "must not be 0 for the In operator"));
        }
        if values[..number].contains(value) {
            causes.push(Cause::duplicate(place, value));
        }
    }
    let numbers: Vec<_> = values.iter().filter_map(Value::as_i64).collect();
    if !numbers.is_sorted() {
        causes.push(Cause::invalid(place, &json!(values), "must be ordered"));
    }
}

/// `successPolicy`.
pub(super) fn success(spec: &Value, field: &str, causes: &mut Vec<Cause>) {
    let Some(policy) = stated(&spec["successPolicy"]) else { return };
    let field = format!("{field}.successPolicy");
    if spec["completionMode"] != "Indexed" {
        causes.push(Cause::invalid(field, policy, "requires indexed completion mode"));
        return;
    }
    let rules = policy.items("/rules");
    let place = format!("{field}.rules");
    if rules.is_empty() {
        let detail = "at least one rules must be specified when the successPolicy is specified";
        causes.push(Cause::required(&*place, detail));
    }
    if rules.len() > RULES {
        causes.push(too_many(&place, rules.len(), RULES));
    }
    let completions = spec["completions"].as_i64().unwrap_or_default();
    for (number, rule) in rules.iter().enumerate() {
        success_rule(rule, &format!("{place}[{number}]"), completions, causes);
    }
}

fn success_rule(rule: &Value, field: &str, completions: i64, causes: &mut Vec<Cause>) {
    let (indexes, count) = (rule["succeededIndexes"].as_str(), rule["succeededCount"].as_i64());
    if indexes.is_none() && count.is_none() {
        let detail = "at least one of succeededCount or succeededIndexes must be specified";
        causes.push(Cause::required(field, detail));
    }
    let mut total = 0;
    if let Some(text) = indexes {
        let place = format!("{field}.succeededIndexes");
        if text.len() > INDEXES {
            causes.push(Cause::too_long(&*place, INDEXES));
        }
        match index_count(text, completions) {
            Ok(found) => total = found,
            Err(error) => {
                let detail = format!("error parsing succeededIndexes: {error}");
                causes.push(Cause::invalid(place, &text.into(), &detail));
            }
        }
    }
    let Some(count) = count else { return };
    let place = format!("{field}.succeededCount");
    if count < 0 {
        let detail = "must be greater than or equal to 0";
        causes.push(Cause::invalid(&*place, &count.into(), detail));
    }
    if count > completions {
        let detail = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        causes.push(Cause::invalid(&*place, &count.into(), &detail));
    }
    if indexes.is_some() && count > total {
        let detail = format!(
            "must be less than or equal to {total} (the number of indexes in the specified \
             succeededIndexes field)"
        );
        causes.push(Cause::invalid(place, &count.into(), &detail));
    }
}

/// How many indexes a text like `0,2-4` names.
fn index_count(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let (mut total, mut last) = (0, None::<i64>);
    for part in text.split(',') {
        let limits: Vec<&str> = part.split('-').collect();
        if limits.len() > 2 {
            return Err(format!(
                "the fragment {part:?} violates the requirement that an index \
                                interval can have at most two parts separated by '-'"
            ));
        }
        let read = |text: &str| {
            let number = text
                .parse::<i64>()
                .map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
            if number >= completions {
                return Err(format!("too large index: {text:?}"));
            }
            Ok(number)
        };
        let first = read(limits[0])?;
        if let Some(last) = last.filter(|last| *last >= first) {
            return Err(format!("non-increasing order, previous: {last}, current: {first}"));
        }
        let end = match limits.get(1) {
            None => first,
            Some(text) => {
                let end = read(text)?;
                if first >= end {
                    return Err(format!("non-increasing order, previous: {first}, current: {end}"));
                }
                end
            }
        };
        total += end - first + 1;
        last = Some(end);
    }
    Ok(total)
}
