//! Lists: replaced, merged as sets, or merged by the key of their items.

use serde_json::Value;

use super::{
    super::super::{
        failure::Failure,
        schema::{Merge, Node},
    },
    DIRECTIVE, merge_map,
    order::{Order, arrange, check_kinds},
    told::no_key,
    unknown_directive,
};

/// The list that a patch makes of another.
pub(super) fn merge_list(
    list: Vec<Value>,
    patch: Vec<Value>,
    node: &Node,
) -> Result<Vec<Value>, Failure> {
    let merged = merge_items(list.clone(), patch.clone(), node)?;
    let (_, kind) = node.merge();
    if *kind == Merge::Replace || merged.is_empty() {
        return Ok(merged);
    }
    let key = kind.key();
    let is_replaced =
        |item: &Value| item.get(DIRECTIVE).is_some_and(|directive| directive == "replace");
    if patch.iter().any(is_replaced) {
        let order = Order { first: &[], before: &merged, key };
        return arrange(merged.clone(), &order);
    }
    let plain: Vec<_> = patch.into_iter().filter(|item| item.get(DIRECTIVE).is_none()).collect();
    arrange(merged, &Order { first: &plain, before: &list, key })
}

/// The items, in no order to speak of.
pub(super) fn merge_items(
    mut list: Vec<Value>,
    patch: Vec<Value>,
    node: &Node,
) -> Result<Vec<Value>, Failure> {
    let (item_node, kind) = node.merge();
    if *kind == Merge::Replace {
        return Ok(patch);
    }
    let Some(is_map) = check_kinds(&[&list, &patch])? else { return Ok(list) };
    if !is_map {
        for item in patch {
            if !list.contains(&item) {
                list.push(item);
            }
        }
        return Ok(list);
    }
    let Merge::Keyed(key) = kind else {
        return Err(Failure::unexplained("cannot merge lists without merge key"));
    };
    let (mut plain, mut replace) = (Vec::new(), false);
    for item in patch {
        match item.get(DIRECTIVE).map(|word| word.as_str().unwrap_or_default()) {
            None => plain.push(item),
            Some("replace") => replace = true,
            Some("delete") => {
                let Some(unwanted) = item.get(key) else { return Err(no_key(&item, key)) };
                list.retain(|known| known.get(key) != Some(unwanted));
            }
            Some("merge") => {
                let text = "merging lists cannot yet be specified in the patch";
                return Err(Failure::unexplained(text));
            }
            Some(_) => {
                return Err(unknown_directive(item.as_object().unwrap_or(&serde_json::Map::new())));
            }
        }
    }
    if replace {
        return Ok(plain);
    }
    for item in plain {
        let Some(wanted) = item.get(key) else { return Err(no_key(&item, key)) };
        let known = list.iter_mut().find(|known| known.get(key) == Some(wanted));
        match (known, item) {
            (Some(Value::Object(known)), Value::Object(item)) => merge_map(known, item, item_node)?,
            (_, item) => list.push(item),
        }
    }
    Ok(list)
}
