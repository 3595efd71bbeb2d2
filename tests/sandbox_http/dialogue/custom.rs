//! Custom resources: what the library that serves them does otherwise than for the kinds
//! that are built in. Every turn was compared with that library's own server.

use serde_json::{Value, json};

use super::{APPLY, JSON, MERGE, OPERATIONS, Turn, hold, refused, turn};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const BOATS: &str = "/apis/lab.example.com/v1/namespaces/default/boats";
const BOAT: &str = "/apis/lab.example.com/v1/namespaces/default/boats/b";

fn definition() -> Turn {
    let schema = |description: &str| {
        json!({"openAPIV3Schema": {
            "type": "object", "description": description,
            "properties": {
                "spec": {"type": "object", "required": ["size"],
                "x-kubernetes-validations": [{"rule": "self.size < 100"}], "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "name": {"type": "string", "maxLength": 4, "pattern": "^[a-z]+$"},
                    "flag": {"type": "string", "nullable": true, "default": "none"},
                    "crew": {
                        "type": "array", "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {"type": "object", "required": ["name"], "properties": {
                            "name": {"type": "string"}, "rank": {"type": "string"},
                        }},
                    },
                    "tags": {
                        "type": "array", "x-kubernetes-list-type": "set",
                        "items": {"type": "string"},
                    },
                    "cargo": {"type": "object", "additionalProperties": {"type": "string"}},
                }},
                "status": {"type": "object", "properties": {"at": {"type": "string"}}},
            },
        }})
    };
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "deprecated": !storage,
            "schema": schema(name), "subresources": {"status": {}},
            "selectableFields": [{"jsonPath": ".spec.name"}],
        })
    };
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boats.lab.example.com"},
        "spec": {
            "group": "lab.example.com", "scope": "Namespaced",
            "names": {"plural": "boats", "kind": "Boat"},
            "versions": [version("v1", true), version("v1beta1", false)],
        },
    });
    turn("POST", DEFINITIONS, JSON, definition, 201, &[]).warns(
        "spec.versions[0].schema.openAPIV3Schema: 1 x-kubernetes-validations are kept, but this \
         sandbox does not evaluate them: it takes objects that they would refuse",
    )
}

fn boat(spec: Value) -> Value {
    json!({
        "apiVersion": "lab.example.com/v1", "kind": "Boat", "metadata": {"name": "b"}, "spec": spec,
    })
}

#[tokio::test]
async fn custom_resources_are_read_and_refused_in_its_words() {
    let bad = (400, "BadRequest");
    let invalid = (422, "Invalid");
    let untyped = json!({"metadata": {"name": "b"}, "spec": {"size": 1}});
    hold(vec![
        definition(),
        refused(
            "POST",
            BOATS,
            JSON,
            untyped.clone(),
            bad,
            &format!(
                "the object provided is unrecognized (must be of type Boat): Object 'Kind' is \
                 missing in '{untyped}' ({} ...)",
                &untyped.to_string()[..30]
            ),
        ),
        refused(
            "POST",
            BOATS,
            JSON,
            json!({"kind": "Boat", "metadata": {"name": "b"}, "spec": {"size": 1}}),
            bad,
            "the API version in the data () does not match the expected API version \
             (lab.example.com/v1)",
        ),
        refused(
            "POST",
            BOATS,
            JSON,
            json!({"apiVersion": "lab.example.com/v1", "kind": "Raft", "metadata": {"name": "b"}}),
            invalid,
            "Raft.lab.example.com \"b\" is invalid: kind: Invalid value: \"Raft\": must be Boat",
        ),
        refused(
            "POST",
            BOATS,
            JSON,
            boat(json!({"size": 1, "tags": "a"})),
            invalid,
            "Boat.lab.example.com \"b\" is invalid: spec.tags: Invalid value: \"string\": spec.tags \
             in body must be of type array: \"string\"",
        ),
        refused(
            "POST",
            BOATS,
            JSON,
            boat(json!({"size": 1, "name": "LONGER"})),
            invalid,
            "Boat.lab.example.com \"b\" is invalid: spec.name: Too long: may not be more than 4 \
             bytes",
        ),
        turn(
            "POST",
            BOATS,
            JSON,
            boat(json!({"size": 1, "flag": null, "name": null, "cargo": {"a": "b"}})),
            201,
            &[
                ("/spec", json!({"size": 1, "flag": null, "cargo": {"a": "b"}})),
                (
                    "/metadata/managedFields/0/fieldsV1/f:spec",
                    json!({
                        ".": {}, "f:size": {}, "f:flag": {}, "f:cargo": {".": {}, "f:a": {}},
                    }),
                ),
            ],
        ),
        turn("GET", BOATS, JSON, Value::Null, 200, &[("/metadata/continue", json!(""))]),
        turn(
            "GET",
            "/apis/lab.example.com/v1/namespaces/default/boats?fieldSelector=spec.name%3Dx",
            JSON,
            Value::Null,
            200,
            &[("/items", json!([]))],
        ),
        refused(
            "GET",
            "/apis/lab.example.com/v1/namespaces/default/boats?fieldSelector=spec.size%3D1",
            JSON,
            Value::Null,
            bad,
            "field label not supported: spec.size",
        ),
        refused("PUT", BOATS, JSON, boat(json!({"size": 2})), bad, "name must be provided"),
        refused(
            "PUT",
            BOAT,
            JSON,
            boat(json!({"size": 2})),
            invalid,
            "boats.lab.example.com \"b\" is invalid: metadata.resourceVersion: Invalid value: 0: \
             must be specified for an update",
        ),
        refused(
            "PATCH",
            BOAT,
            MERGE,
            json!({"metadata": {"name": null}}),
            bad,
            "the name of the object (b based on URL) was undeterminable: name must be provided",
        ),
        turn(
            "PATCH",
            BOAT,
            OPERATIONS,
            json!([{"op": "replace", "path": "/spec/name", "value": "ab"}]),
            200,
            &[("/spec/name", json!("ab"))],
        ),
        refused(
            "DELETE",
            BOAT,
            JSON,
            json!({"preconditions": {"resourceVersion": "1"}}),
            (409, "Conflict"),
            "",
        )
        .about(&[("/details/kind", json!("Boat"))]),
        turn("GET", "/apis/lab.example.com/v1beta1/namespaces/default/boats/b", JSON, Value::Null, 200, &[])
            .warns("lab.example.com/v1beta1 Boat is deprecated; use lab.example.com/v1 Boat"),
    ])
    .await;
}

#[tokio::test]
async fn custom_resources_are_applied_as_it_applies_them() {
    const ONE: &str = "/apis/lab.example.com/v1/namespaces/default/boats/b?fieldManager=one";
    const TWO: &str = "/apis/lab.example.com/v1/namespaces/default/boats/b?fieldManager=two";
    const FORCED: &str =
        "/apis/lab.example.com/v1/namespaces/default/boats/b?fieldManager=two&force=true";
    const STATUS: &str =
        "/apis/lab.example.com/v1/namespaces/default/boats/b/status?fieldManager=mate";
    const OTHER_STATUS: &str =
        "/apis/lab.example.com/v1/namespaces/default/boats/b/status?fieldManager=other";
    let bad = (400, "BadRequest");
    let crew = json!([{"name": "ann", "rank": "1"}, {"name": "bob"}]);
    let at = |place: &str| json!({"apiVersion": "lab.example.com/v1", "kind": "Boat", "status": {"at": place}});
    hold(vec![
        definition(),
        turn(
            "PATCH",
            ONE,
            APPLY,
            boat(json!({"size": 1, "crew": crew, "tags": ["x", "y"], "cargo": {"a": "1"}})),
            201,
            &[],
        ),
        turn(
            "PATCH",
            TWO,
            APPLY,
            boat(
                json!({"size": 1, "crew": [{"name": "cid"}, {"name": "ann"}], "tags": ["z", "x"]}),
            ),
            200,
            &[
                (
                    "/spec/crew",
                    json!([{"name": "cid"}, {"name": "ann", "rank": "1"}, {"name": "bob"}]),
                ),
                ("/spec/tags", json!(["z", "x", "y"])),
            ],
        ),
        turn(
            "PATCH",
            TWO,
            APPLY,
            boat(json!({"size": 2, "cargo": {"a": "2"}})),
            409,
            &[
                ("/details/causes/0/field", json!(".spec.size")),
                ("/details/causes/1/field", json!(".spec.cargo.a")),
            ],
        ),
        turn("PATCH", FORCED, APPLY, boat(json!({"size": 2, "cargo": {"a": "2"}})), 200, &[]),
        turn("PATCH", TWO, APPLY, boat(json!({"size": 2})), 200, &[("/spec/cargo", Value::Null)]),
        refused(
            "PATCH",
            ONE,
            APPLY,
            json!({"apiVersion": "lab.example.com/v1", "spec": {"size": 1}}),
            bad,
            "invalid object type: lab.example.com/v1, Kind=",
        ),
        refused(
            "PATCH",
            ONE,
            APPLY,
            json!("- a"),
            bad,
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot \
             unmarshal array into Go value of type map[string]interface {}",
        ),
        turn(
            "PATCH",
            ONE,
            APPLY,
            boat(json!({"size": 2, "tags": ["a", "a"]})),
            500,
            &[(
                "/message",
                json!(
                    "failed to create typed patch object (/b; lab.example.com/v1, Kind=Boat): \
                     .spec.tags: duplicate entries for key [=\"a\"]"
                ),
            )],
        ),
        turn("PATCH", STATUS, APPLY, at("sea"), 200, &[("/status/at", json!("sea"))]),
        turn(
            "PATCH",
            OTHER_STATUS,
            APPLY,
            at("port"),
            409,
            &[(
                "/message",
                json!(
                    "Apply failed with 1 conflict: conflict with \"mate\" with subresource \
                     \"status\": .status.at"
                ),
            )],
        ),
    ])
    .await;
}
