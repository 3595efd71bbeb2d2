//! The order of merged lists: as the patch has it, and what only the server has in between,
//! where it stood.

use serde_json::{Map, Value};

use super::{
    super::super::{
        failure::Failure,
        schema::{Merge, Node},
    },
    DIRECTIVE, fresh,
    list::merge_list,
    told::{expected_list, expected_map, go, no_key},
};

/// What orders a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order<'a> {
    /// The items that the patch puts in an order.
    pub(super) first: &'a [Value],
    /// The list as it was.
    pub(super) before: &'a [Value],
    /// What tells maps apart; `None` for plain values.
    pub(super) key: Option<&'a str>,
}

impl Order<'_> {
    fn index(&self, list: &[Value], item: &Value) -> Option<usize> {
        list.iter().position(|known| match self.key {
            Some(key) => known.get(key) == item.get(key),
            None => known == item,
        })
    }
}

/// Merges a list for which a patch states the order, and takes it out of the patch.
pub(super) fn settle(
    map: &mut Map<String, Value>,
    patch: &mut Map<String, Value>,
    field: &str,
    wanted: &[Value],
    node: &Node,
) -> Result<(), Failure> {
    let child = node.child(field).unwrap_or(&Node::Any);
    let key = child.merge().1.key();
    let list = |from: &Map<String, Value>| match from.get(field) {
        None => Ok(None),
        Some(Value::Array(list)) => Ok(Some(list.clone())),
        Some(other) => Err(expected_list(other)),
    };
    let (there, asked) = (list(map)?, list(patch)?);
    check_order(asked.as_deref().unwrap_or_default(), wanted, key)?;
    let merged = match (&there, &asked) {
        (None, None) => return Ok(()),
        (Some(there), None) => there.clone(),
        (None, Some(asked)) => asked.iter().cloned().filter_map(fresh).collect(),
        (Some(there), Some(asked)) => merge_list(there.clone(), asked.clone(), child)?,
    };
    let before = there.unwrap_or_default();
    if check_kinds(&[&before, asked.as_deref().unwrap_or_default()])?.is_none() {
        return Err(Failure::unexplained("no elements in any of the given slices"));
    }
    let ordered = arrange(merged, &Order { first: wanted, before: &before, key })?;
    map.insert(field.to_owned(), Value::Array(ordered));
    patch.remove(field);
    Ok(())
}

/// Refuses an order that the patch's own items don't keep.
fn check_order(items: &[Value], wanted: &[Value], key: Option<&str>) -> Result<(), Failure> {
    if items.is_empty() || wanted.is_empty() {
        return Ok(());
    }
    let is_deleted = |item: &Value| item.get(DIRECTIVE).is_some_and(|word| word == "delete");
    if let Some(other) = items.iter().find(|item| key.is_some() && !item.is_object()) {
        return Err(expected_map(other));
    }
    let kept: Vec<_> = items.iter().filter(|item| key.is_none() || !is_deleted(item)).collect();
    let known = |item: &Value| -> Result<Option<Value>, Failure> {
        match key {
            None => Ok(Some(item.clone())),
            Some(_) if !item.is_object() => Err(expected_map(item)),
            Some(key) => item.get(key).cloned().map(Some).ok_or_else(|| no_key(item, key)),
        }
    };
    let (mut kept, mut places) = (kept.as_slice(), wanted);
    while let ([next, others @ ..], [place, later @ ..]) = (kept, places) {
        if next.get(DIRECTIVE).is_some() {
            kept = others;
            continue;
        }
        if known(next)? == known(place)? {
            kept = others;
        }
        places = later;
    }
    if kept.is_empty() {
        return Ok(());
    }
    let (items, wanted) = (go(&items.to_vec().into()), go(&wanted.to_vec().into()));
    Err(Failure::unexplained(format!(
        "The order in patch list:\n{items}\n doesn't match $setElementOrder list:\n{wanted}\n"
    )))
}

/// Puts a merged list in its order.
pub(super) fn arrange(merged: Vec<Value>, order: &Order<'_>) -> Result<Vec<Value>, Failure> {
    if let Some(key) = order.key {
        for item in merged.iter().chain(order.first) {
            match item {
                Value::Object(map) if map.contains_key(key) => {}
                Value::Object(_) => return Err(no_key(item, key)),
                other => return Err(expected_map(other)),
            }
        }
    }
    let (mut first, mut others): (Vec<_>, Vec<_>) =
        merged.into_iter().partition(|item| order.index(order.first, item).is_some());
    sort(&mut first, order.first, order);
    sort(&mut others, order.before, order);
    let place = |item: &Value| order.index(order.before, item);
    let (mut first, mut others) = (first.into_iter().peekable(), others.into_iter().peekable());
    let mut all = Vec::new();
    loop {
        let earlier = match (others.peek(), first.peek()) {
            (Some(other), Some(mine)) => {
                place(other).zip(place(mine)).is_some_and(|(other, mine)| other < mine)
            }
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return Ok(all),
        };
        all.extend(if earlier { others.next() } else { first.next() });
    }
}

/// Brings items into an order. One that it doesn't know goes before what precedes it.
fn sort(items: &mut [Value], by: &[Value], order: &Order<'_>) {
    for end in 1..items.len() {
        for at in (1..=end).rev() {
            let places = order.index(by, &items[at]).zip(order.index(by, &items[at - 1]));
            if places.is_some_and(|(here, before)| here >= before) {
                break;
            }
            items.swap(at, at - 1);
        }
    }
}

/// Whether the items of lists are maps; `None` where there is no item.
pub(super) fn check_kinds(lists: &[&[Value]]) -> Result<Option<bool>, Failure> {
    let mut all = lists.iter().flat_map(|list| list.iter());
    let Some(first) = all.next() else { return Ok(None) };
    if first.is_array() {
        return Err(Failure::rejected_patch());
    }
    let kind = std::mem::discriminant(first);
    if all.any(|item| std::mem::discriminant(item) != kind) {
        let lists: Vec<_> = lists.iter().map(|list| go(&list.to_vec().into())).collect();
        let text = format!("list element types are not identical: [{}]", lists.join(" "));
        return Err(Failure::unexplained(text));
    }
    Ok(Some(first.is_object()))
}

impl Merge {
    /// The key of items that are maps.
    pub(super) fn key(&self) -> Option<&str> {
        match self {
            Self::Keyed(key) => Some(key),
            _ => None,
        }
    }
}
