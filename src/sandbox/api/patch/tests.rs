use proptest::{
    collection::{btree_map, btree_set, vec},
    prelude::*,
};
use serde_json::{Value, json};

use super::{
    super::schema::{Field, Key, ListKind, Merge, Node, Struct},
    ApplyConflict, Author, PatchKind, patched, track,
};

/// A type with a list that has keys, a set, a plain list and a map.
fn node() -> Node {
    fn object<const N: usize>(fields: [(&str, Node); N]) -> Node {
        let field = |node| Field {
            node,
            required: false,
            atomic: false,
            omits_zero: false,
            replaced: false,
        };
        let fields = fields.map(|(name, node)| (name.to_owned(), field(node)));
        Node::Struct(Struct { fields: fields.into(), ..Struct::default() })
    }
    let map = || Node::Map { item: Box::new(Node::Any), atomic: false };
    let keyed = |item: Node| Node::List {
        item: Box::new(item),
        kind: ListKind::Keyed(vec![Key { name: "name".to_owned(), default: None }]),
        merge: Merge::Keyed("name".to_owned()),
    };
    let variable = object([("name", Node::Any), ("value", Node::Any)]);
    let container = object([("name", Node::Any), ("image", Node::Any), ("env", keyed(variable))]);
    let finalizers =
        Node::List { item: Box::new(Node::Any), kind: ListKind::Set, merge: Merge::Set };
    object([
        (
            "metadata",
            object([
                ("name", Node::Any),
                ("labels", map()),
                ("finalizers", finalizers),
                ("managedFields", Node::Any),
            ]),
        ),
        ("data", map()),
        ("spec", object([("containers", keyed(container)), ("arguments", Node::Any)])),
    ])
}

fn author(name: &str) -> Author<'_> {
    Author { name, api_version: "v1", subresource: "" }
}

fn apply(
    before: Option<&Value>,
    wanted: &Value,
    manager: &str,
    _: &str,
    force: bool,
) -> Result<Value, ApplyConflict> {
    super::apply(&node(), before, wanted, author(manager), force)
}

#[test]
fn a_plain_write_takes_what_it_changes() {
    let mut first = json!({"metadata": {"name": "m", "labels": {"a": "b"}}, "data": {"a": "1"}});
    track(&node(), None, &mut first, author("one"));
    let entries = &first["metadata"]["managedFields"];
    assert_eq!(entries[0]["operation"], "Update");
    assert_eq!(
        entries[0]["fieldsV1"],
        json!({
            "f:data": {".": {}, "f:a": {}}, "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
        })
    );
    let mut second = first.clone();
    second["data"] = json!({"a": "2", "b": "3"});
    track(&node(), Some(&first), &mut second, author("two"));
    let conflict = apply(Some(&second), &json!({"data": {"a": "1"}}), "three", "v1", false);
    let conflict = conflict.expect_err("two has it now");
    assert_eq!(conflict.fields, [("\"two\" using v1".to_owned(), ".data.a".to_owned())]);
    let same = apply(Some(&second), &json!({"data": {"a": "2"}}), "three", "v1", false);
    assert_eq!(same.expect("the same value")["data"], json!({"a": "2", "b": "3"}));
}

#[test]
fn what_nobody_was_asked_about_is_the_first_managers() {
    let before = json!({"metadata": {"name": "m"}, "data": {"a": "1"}});
    let conflict = apply(Some(&before), &json!({"data": {"a": "2"}}), "one", "v1", false);
    let conflict = conflict.expect_err("somebody set it");
    assert_eq!(conflict.fields[0].0, "\"before-first-apply\" using v1");
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web", "tier": "1"}},
        "spec": {"containers": [
            {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
            {"name": "b", "image": "b:1"},
        ]},
    })
}

#[test]
fn patches_change_what_they_say() {
    use PatchKind::{Json, Merge, Strategic};
    for (message, kind, patch, pointer, expected) in [
        (
            "a merge sets",
            Merge,
            json!({"metadata": {"labels": {"x": "y"}}}),
            "/metadata/labels/x",
            json!("y"),
        ),
        (
            "a merge removes by null",
            Merge,
            json!({"metadata": {"labels": {"tier": null}}}),
            "/metadata/labels",
            json!({"app": "web"}),
        ),
        (
            "a merge replaces lists",
            Merge,
            json!({"spec": {"containers": [{"name": "c"}]}}),
            "/spec/containers",
            json!([{"name": "c"}]),
        ),
        (
            "a strategic merge merges by name",
            Strategic,
            json!({"spec": {"containers": [{"name": "b", "image": "b:2"}]}}),
            "/spec/containers/1",
            json!({"name": "b", "image": "b:2"}),
        ),
        (
            "and leaves the others",
            Strategic,
            json!({"spec": {"containers": [{"name": "b", "image": "b:2"}]}}),
            "/spec/containers/0/image",
            json!("a:1"),
        ),
        (
            "and goes deep",
            Strategic,
            json!({"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}}),
            "/spec/containers/0/env",
            json!([{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]),
        ),
        (
            "and puts what is new first",
            Strategic,
            json!({"spec": {"containers": [{"name": "c"}]}}),
            "/spec/containers/0",
            json!({"name": "c"}),
        ),
        (
            "and deletes",
            Strategic,
            json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}),
            "/spec/containers/0/name",
            json!("b"),
        ),
        (
            "and replaces",
            Strategic,
            json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}),
            "/spec/containers",
            json!([{"name": "c"}]),
        ),
        (
            "and orders",
            Strategic,
            json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]}}),
            "/spec/containers/0/name",
            json!("b"),
        ),
        (
            "JSON patch",
            Json,
            json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "a:2"}]),
            "/spec/containers/0/image",
            json!("a:2"),
        ),
    ] {
        let after = patched(kind, &node(), &pod(), patch)
            .unwrap_or_else(|error| panic!("{message}: {error}"));
        assert_eq!(after.pointer(pointer), Some(&expected), "{message}");
    }
}

#[test]
fn patches_that_do_not_fit_are_refused() {
    for (kind, patch, code) in [
        (PatchKind::Json, json!([{"op": "test", "path": "/metadata/name", "value": "x"}]), 422),
        (PatchKind::Json, json!({"not": "a list"}), 400),
        (PatchKind::Merge, json!(["no object"]), 400),
        (PatchKind::Strategic, json!({"spec": {"containers": [{"image": "no name"}]}}), 500),
    ] {
        let failure = patched(kind, &node(), &pod(), patch.clone()).expect_err("must not fit");
        assert_eq!(failure.code.as_u16(), code, "{patch}");
    }
}

fn applied(before: Option<&Value>, manager: &str, data: Value) -> Result<Value, ApplyConflict> {
    let wanted = json!({"metadata": {"name": "m"}, "data": data});
    apply(before, &wanted, manager, "v1", false)
}

#[test]
fn a_manager_that_stops_applying_a_field_takes_it_away() {
    let first = applied(None, "one", json!({"a": "1", "b": "2"})).expect("new");
    let second = applied(Some(&first), "one", json!({"a": "1"})).expect("fewer");
    assert_eq!(second["data"], json!({"a": "1"}));
}

#[test]
fn a_field_of_two_managers_stays_until_both_let_it_go() {
    let first = applied(None, "one", json!({"a": "1", "b": "2"})).expect("new");
    let both = applied(Some(&first), "two", json!({"b": "2"})).expect("the same value");
    let one = applied(Some(&both), "one", json!({"a": "1"})).expect("fewer");
    assert_eq!(one["data"], json!({"a": "1", "b": "2"}));
    let none = applied(Some(&one), "two", json!({"c": "3"})).expect("another");
    assert_eq!(none["data"], json!({"a": "1", "c": "3"}));
}

#[test]
fn two_managers_that_want_different_values_are_in_conflict() {
    let first = applied(None, "one", json!({"a": "1"})).expect("new");
    let conflict = applied(Some(&first), "two", json!({"a": "2"})).expect_err("a conflict");
    assert_eq!(conflict.fields, [("\"one\"".to_owned(), ".data.a".to_owned())]);
    let wanted = json!({"metadata": {"name": "m"}, "data": {"a": "2"}});
    let forced = apply(Some(&first), &wanted, "two", "v1", true).expect("forced");
    assert_eq!(forced["data"], json!({"a": "2"}));
    let again = applied(Some(&forced), "one", json!({"a": "1"})).expect_err("now two owns it");
    assert_eq!(again.fields, [("\"two\"".to_owned(), ".data.a".to_owned())]);
}

#[test]
fn lists_with_keys_are_applied_item_by_item() {
    let containers =
        |items: Value| json!({"metadata": {"name": "p"}, "spec": {"containers": items}});
    let first = apply(
        None,
        &containers(json!([{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}])),
        "one",
        "v1",
        false,
    );
    let first = first.expect("new");
    let second = apply(
        Some(&first),
        &containers(json!([{"name": "a", "image": "a:2"}])),
        "one",
        "v1",
        false,
    );
    let second = second.expect("fewer");
    assert_eq!(second["spec"]["containers"], json!([{"name": "a", "image": "a:2"}]));
}

/// Objects of a few fields, among them a list with keys, a set and a plain list.
fn objects() -> impl Strategy<Value = Value> {
    let data = btree_map("[a-c]", "[0-2]", 0..3);
    let names = btree_set("[a-c]", 0..3);
    let images = vec("[a-c]", 0..3);
    (data, names, images).prop_map(|(data, names, images)| {
        let containers: Vec<_> = names
            .iter()
            .zip(images.iter().chain(std::iter::repeat(&"x".to_owned())))
            .map(|(name, image)| json!({"name": name, "image": image}))
            .collect();
        json!({
            "metadata": {"name": "m", "finalizers": names},
            "data": data,
            "spec": {"containers": containers, "arguments": images},
        })
    })
}

proptest! {
    #[test]
    fn to_apply_the_same_again_changes_nothing(
        first in objects(),
        other in objects(),
        config in objects(),
    ) {
        let apply = |before: Option<&Value>, config: &Value, manager: &str| {
            apply(before, config, manager, "v1", true).expect("forced")
        };
        let before = apply(None, &first, "one");
        let before = apply(Some(&before), &other, "two");
        let once = apply(Some(&before), &config, "one");
        let twice = apply(Some(&once), &config, "one");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn what_is_applied_is_there(first in objects(), config in objects()) {
        let before = apply(None, &first, "one", "v1", true).expect("forced");
        let after = apply(Some(&before), &config, "two", "v1", true).expect("forced");
        for (key, value) in config["data"].as_object().into_iter().flatten() {
            prop_assert_eq!(&after["data"][key], value);
        }
        prop_assert_eq!(&after["spec"]["arguments"], &config["spec"]["arguments"]);
    }

    #[test]
    fn an_object_is_its_own_strategic_merge(object in objects()) {
        let after = patched(PatchKind::Strategic, &node(), &object, object.clone()).expect("fits");
        prop_assert_eq!(after, object);
    }
}

/// What is stated as empty is owned where it is one value, and not where items are.
#[test]
fn empty_values_are_owned_as_a_whole_or_not_at_all() {
    use super::super::resource::PODS;
    let wanted = json!({
        "metadata": {"name": "x", "annotations": {}, "finalizers": []},
        "spec": {"containers": [{"name": "a", "args": [], "ports": [], "image": null}]},
    });
    let made =
        super::apply(PODS.schema(), None, &wanted, author("m"), false).expect("nobody else's");
    assert_eq!(
        made["metadata"]["managedFields"][0]["fieldsV1"],
        json!({
            "f:metadata": {"f:annotations": {}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {
                ".": {}, "f:args": {}, "f:image": {}, "f:name": {},
            }}},
        })
    );
}
