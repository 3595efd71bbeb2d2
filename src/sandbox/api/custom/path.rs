//! The part of kubectl's JSONPath that CustomResourceDefinitions use.

use serde_json::Value;

use super::super::table::human;

/// A path into an object.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Items in which a path leads to a value.
    Where(Vec<Step>, Value),
    /// A path that can't be read leads nowhere.
    Nowhere,
}

impl JsonPath {
    /// Reads `.status.conditions[?(@.type=="Ready")].status` and its like.
    pub fn parse(text: &str) -> Self {
        Self(steps(text.trim().trim_start_matches('$')).unwrap_or_else(|| vec![Step::Nowhere]))
    }

    /// Everything that the path leads to.
    pub fn find<'v>(&self, object: &'v Value) -> Vec<&'v Value> {
        follow(&self.0, object)
    }

    /// What a column of a type shows.
    pub fn cell(&self, object: &Value, kind: &str) -> Value {
        let found = self.find(object);
        let Some(&first) = found.first() else { return Value::Null };
        match kind {
            "integer" => first
                .as_i64()
                .or_else(|| first.as_f64().map(|number| number as i64))
                .map_or(Value::Null, Value::from),
            "number" => first.as_f64().map_or(Value::Null, Value::from),
            "boolean" => first.as_bool().map_or(Value::Null, Value::from),
            "date" => date(first),
            _ => {
                let texts: Vec<_> = found.into_iter().map(plain).collect();
                texts.join(" ").into()
            }
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn date(value: &Value) -> Value {
    let Some(text) = value.as_str() else { return Value::Null };
    let Ok(moment) = text.parse::<jiff::Timestamp>() else { return "<invalid>".into() };
    let span = jiff::Timestamp::now().duration_since(moment);
    if span.as_secs() < -1 {
        "<invalid>".into()
    } else {
        human(std::time::Duration::try_from(span).unwrap_or_default()).into()
    }
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            let end = closing(rest)?;
            steps.push(bracket(&rest[1..end])?);
            rest = &rest[end + 1..];
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let mut name = String::new();
        let mut letters = rest.char_indices().peekable();
        let mut end = rest.len();
        while let Some((place, letter)) = letters.next() {
            match letter {
                '\\' => name.extend(letters.next().map(|(_, letter)| letter)),
                '.' | '[' => {
                    end = place;
                    break;
                }
                letter => name.push(letter),
            }
        }
        if name == "*" {
            steps.push(Step::All);
        } else if !name.is_empty() {
            steps.push(Step::Field(name));
        } else if end == 0 && rest.starts_with('.') {
            return None;
        }
        rest = &rest[end..];
    }
    Some(steps)
}

/// Where the bracket ends that a text begins with.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0_u32, None);
    for (place, letter) in text.char_indices() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(letter),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(place);
                }
            }
            _ => {}
        }
    }
    None
}

fn bracket(inner: &str) -> Option<Step> {
    let inner = inner.trim();
    if inner == "*" {
        return Some(Step::All);
    }
    if let Some(condition) = inner.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        let (left, right) = condition.split_once("==")?;
        let path = steps(left.trim().strip_prefix('@')?)?;
        return Some(Step::Where(path, literal(right.trim())?));
    }
    if let Ok(index) = inner.parse() {
        return Some(Step::Index(index));
    }
    literal(inner)?.as_str().map(|name| Step::Field(name.to_owned()))
}

fn literal(text: &str) -> Option<Value> {
    let quoted = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    match quoted {
        Some(inner) => Some(inner.into()),
        None => serde_json::from_str(text).ok(),
    }
}

fn follow<'v>(steps: &[Step], value: &'v Value) -> Vec<&'v Value> {
    let Some((first, rest)) = steps.split_first() else { return vec![value] };
    let next: Vec<&Value> = match first {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            let place = match usize::try_from(*index) {
                Ok(place) => Some(place),
                Err(_) => usize::try_from(index.unsigned_abs())
                    .ok()
                    .and_then(|back| items.len().checked_sub(back)),
            };
            place.and_then(|place| items.get(place)).into_iter().collect()
        }
        Step::All => match value {
            Value::Array(items) => items.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Where(path, wanted) => {
            let items = value.as_array().map_or(&[][..], Vec::as_slice);
            items.iter().filter(|item| follow(path, item).contains(&wanted)).collect()
        }
        Step::Nowhere => Vec::new(),
    };
    next.into_iter().flat_map(|value| follow(rest, value)).collect()
}
