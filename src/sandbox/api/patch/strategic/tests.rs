use serde_json::{Value, json};

use super::{super::super::resource::Resource, merge};

fn patched(plural: &str, before: Value, patch: Value) -> Result<Value, String> {
    let row = ["v1", "apps/v1", "policy/v1"].iter().find_map(|version| {
        let (group, version) = version.split_once('/').unwrap_or(("", version));
        Resource::find(group, version, plural)
    });
    let mut object = before;
    merge(row.expect("a kind").schema(), &mut object, patch).map_err(|failure| failure.message)?;
    Ok(object)
}

/// Each answer is the API machinery's own.
#[test]
fn directives_do_what_the_api_makes_of_them() {
    let finalizers = |list: &[&str]| json!({"metadata": {"finalizers": list}});
    let ports = |list: Value| json!({"spec": {"ports": list}});
    let cases = [
        (
            "what is new keeps its place, and what only the server has goes between",
            "configmaps",
            finalizers(&["f/a", "f/b"]),
            finalizers(&["f/c", "f/b"]),
            Ok(finalizers(&["f/c", "f/a", "f/b"])),
        ),
        (
            "a stated order is kept",
            "configmaps",
            finalizers(&["f/a", "f/b"]),
            json!({"metadata": {
                "finalizers": ["f/c"],
                "$setElementOrder/finalizers": ["f/b", "f/c", "f/a"],
            }}),
            Ok(finalizers(&["f/b", "f/c", "f/a"])),
        ),
        (
            "an order that the patch doesn't keep is refused",
            "configmaps",
            finalizers(&["f/a", "f/b"]),
            json!({"metadata": {
                "finalizers": ["f/c", "f/b"],
                "$setElementOrder/finalizers": ["f/b", "f/c"],
            }}),
            Err("The order in patch list:\n[f/c f/b]\n doesn't match $setElementOrder list:\n\
                 [f/b f/c]\n"),
        ),
        (
            "plain values are taken out by name",
            "configmaps",
            finalizers(&["f/a", "f/b"]),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["f/a"]}}),
            Ok(finalizers(&["f/b"])),
        ),
        (
            "an order goes for a list that the patch leaves alone, too",
            "configmaps",
            finalizers(&["f/a", "f/b", "f/c"]),
            json!({"metadata": {"$setElementOrder/finalizers": ["f/c", "f/a"]}}),
            Ok(finalizers(&["f/b", "f/c", "f/a"])),
        ),
        (
            "the ports of a Service are told apart by their number alone",
            "services",
            ports(json!([{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}])),
            ports(json!([{"port": 53, "name": "dns"}])),
            Ok(ports(json!([
                {"port": 53, "protocol": "UDP", "name": "dns"},
                {"port": 53, "protocol": "TCP"},
            ]))),
        ),
        (
            "all items of a key go with it",
            "services",
            ports(json!([{"port": 53, "protocol": "UDP"}, {"port": 80}, {"port": 53}])),
            ports(json!([{"port": 53, "$patch": "delete"}])),
            Ok(ports(json!([{"port": 80}]))),
        ),
        (
            "a list is replaced by the patch's other items",
            "services",
            ports(json!([{"port": 53}, {"port": 80}])),
            ports(json!([{"port": 443}, {"$patch": "replace"}])),
            Ok(ports(json!([{"port": 443}]))),
        ),
        (
            "an item without its key",
            "services",
            ports(json!([{"port": 53}])),
            ports(json!([{"name": "x"}])),
            Err("map: map[name:x] does not contain declared merge key: port"),
        ),
        (
            "maps can't be told to merge",
            "services",
            json!({"spec": {"selector": {"a": "1"}}}),
            json!({"spec": {"selector": {"$patch": "merge", "b": "2"}}}),
            Err("unknown patch type: merge in map: map[$patch:merge b:2]"),
        ),
        (
            "other fields go where it is said which ones stay",
            "deployments",
            json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}}),
            json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}}),
            Ok(json!({"spec": {"strategy": {"type": "Recreate"}}})),
        ),
        (
            "a patch states what it says must stay",
            "deployments",
            json!({"spec": {"strategy": {"type": "RollingUpdate"}}}),
            json!({"spec": {"strategy": {"$retainKeys": [], "type": "Recreate"}}}),
            Err("invalid patch format of retainKeys"),
        ),
        (
            "an order is a list",
            "deployments",
            json!({"spec": {}}),
            json!({"spec": {"$setElementOrder/x": "a"}}),
            Err("expected a []interface {}, but received a string"),
        ),
        (
            "in what is new, directives and nulls are left out",
            "pods",
            json!({"spec": {}}),
            json!({"spec": {"containers": [
                {"name": "a", "image": null, "env": [{"name": "X", "$patch": "delete"}]},
                {"name": "b", "$patch": "delete"},
            ]}}),
            Ok(json!({"spec": {"containers": [{"name": "a", "env": []}]}})),
        ),
        (
            "a budget's selector is replaced, not merged",
            "poddisruptionbudgets",
            json!({"spec": {"selector": {"matchLabels": {"a": "1"}}}}),
            json!({"spec": {"selector": {"matchLabels": {"b": "1"}}}}),
            Ok(json!({"spec": {"selector": {"matchLabels": {"b": "1"}}}})),
        ),
    ];
    for (what, plural, before, patch, wanted) in cases {
        let wanted = wanted.map_err(str::to_owned);
        assert_eq!(patched(plural, before, patch), wanted, "{what}");
    }
}
