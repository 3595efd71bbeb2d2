//! What is refused, and in which words.

use serde_json::{Value, json};

use super::{APPLY, JSON, MERGE, OPERATIONS, STRATEGIC, hold, refused, turn};

#[tokio::test]
async fn objects_that_are_refused_are_refused_in_its_words() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    const MAP: &str = "/api/v1/namespaces/default/configmaps/a";
    const SECRETS: &str = "/api/v1/namespaces/default/secrets";
    const PODS: &str = "/api/v1/namespaces/default/pods";
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let invalid = (422, "Invalid");
    let bad = (400, "BadRequest");
    hold(vec![
        refused(
            "POST", MAPS, JSON, json!("{"), bad,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get \
             version/kind; json parse error: unexpected end of JSON input ({)",
        ),
        refused(
            "POST", MAPS, JSON, json!("no"), bad,
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get \
             version/kind; json parse error: invalid character 'o' looking for beginning of value \
             (6e6f)",
        ),
        refused(
            "POST", MAPS, "text/plain", json!("a"), (415, "UnsupportedMediaType"),
            "the body of the request was in an unknown format - accepted media types include: \
             application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        refused(
            "POST", MAPS, JSON, json!({"metadata": {"name": "a"}, "data": {"a": 1}}), bad,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: json: cannot unmarshal \
             number into Go struct field ConfigMap.data of type string",
        ),
        refused(
            "POST", MAPS, JSON, json!({"metadata": {"name": "a"}, "data": {"a b": ""}}), invalid,
            "ConfigMap \"a\" is invalid: data[a b]: Invalid value: \"a b\": a valid config key must \
             consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  \
             or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ),
        refused(
            "POST", "/api/v1/namespaces/default/configmaps?fieldValidation=Never", JSON,
            json!({"metadata": {"name": "a"}}), invalid,
            "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \
             \"Never\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
        ),
        turn(
            "POST", MAPS, JSON,
            json!({"metadata": {"name": "a"}, "data": {"k": "v"}, "immutable": true}), 201,
            &[("/immutable", json!(true)), ("/metadata/namespace", json!("default"))],
        ),
        turn(
            "POST", MAPS, JSON, json!({"metadata": {"name": "a"}}), 409,
            &[
                ("/reason", json!("AlreadyExists")),
                ("/details", json!({"name": "a", "kind": "configmaps"})),
            ],
        ),
        refused(
            "PUT", MAP, JSON, json!({"metadata": {"name": "a"}, "data": {"k": "w"}}), invalid,
            "ConfigMap \"a\" is invalid: [immutable: Forbidden: field is immutable when `immutable` \
             is set, data: Forbidden: field is immutable when `immutable` is set]",
        ),
        refused(
            "PUT", MAP, JSON, json!({}), bad,
            "the name of the object (a based on URL) was undeterminable: name must be provided",
        ),
        refused(
            "PATCH", MAP, OPERATIONS, json!([{"op": "test", "path": "/data/k", "value": "x"}]),
            invalid, "the server rejected our request due to an error in our request",
        ),
        refused(
            "PATCH", MAP, OPERATIONS, json!({}), bad,
            "error decoding patch: json: cannot unmarshal object into Go value of type \
             []handlers.jsonPatchOp",
        ),
        refused(
            "PATCH", MAP, MERGE, json!([]), bad,
            "error decoding patch: json: cannot unmarshal array into Go value of type \
             map[string]interface {}",
        ),
        refused(
            "PATCH", MAP, JSON, json!({}), (415, "UnsupportedMediaType"),
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, \
             application/strategic-merge-patch+json, application/apply-patch+yaml",
        ),
        turn(
            "PATCH", MAP, APPLY, json!({}), 422,
            &[
                ("/details/group", json!("meta.k8s.io")),
                ("/details/kind", json!("PatchOptions")),
                ("/details/causes/0/field", json!("fieldManager")),
            ],
        ),
        refused(
            "PATCH",
            "/api/v1/namespaces/default/configmaps/a?fieldManager=m",
            APPLY,
            json!({"data": {"k": "v"}}),
            bad,
            "Incorrect version specified in apply patch. Specified patch version: , expected: v1",
        ),
        refused(
            "PATCH",
            "/api/v1/namespaces/default/configmaps/a?force=true",
            MERGE,
            json!({}),
            invalid,
            "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for \
             non-apply patch",
        ),
        refused(
            "DELETE", MAP, JSON,
            json!({"propagationPolicy": "Orphan", "orphanDependents": true}), invalid,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \
             \"Orphan\": orphanDependents and deletionPropagation cannot be both set",
        ),
        refused(
            "DELETE", MAP, JSON, json!({"propagationPolicy": "Never"}), invalid,
            "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \
             \"Never\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
        ),
        turn(
            "DELETE", MAP, JSON, Value::Null, 200,
            &[("/kind", json!("Status")), ("/details/kind", json!("configmaps"))],
        ),
        refused(
            "POST", SECRETS, JSON,
            json!({"metadata": {"name": "t"}, "type": "kubernetes.io/tls"}), invalid,
            "Secret \"t\" is invalid: [data[tls.crt]: Required value, data[tls.key]: Required value]",
        ),
        refused(
            "POST", PODS, JSON,
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{
                "name": "c", "image": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }]}}),
            invalid,
            "Pod \"p\" is invalid: spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
        ),
        refused(
            "POST", PODS, JSON,
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{
                "name": "c", "image": "c",
                "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
            }]}}),
            invalid,
            "Pod \"p\" is invalid: spec.containers[0].resources.requests: Invalid value: \"2\": must \
             be less than or equal to cpu limit of 1",
        ),
        refused(
            "POST", PODS, JSON,
            json!({"metadata": {"name": "p"}, "spec": {
                "serviceAccountName": "nobody", "containers": [{"name": "c", "image": "c"}],
            }}),
            (403, "Forbidden"),
            "pods \"p\" is forbidden: error looking up service account default/nobody: \
             serviceaccount \"nobody\" not found",
        ),
        refused(
            "POST", ROLES, JSON,
            json!({"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"]}]}),
            invalid,
            "Role.rbac.authorization.k8s.io \"r\" is invalid: rules[0].verbs: Required value: verbs \
             must contain at least one value",
        ),
        turn("PUT", "/api/v1/namespaces/default/pods", JSON, json!({}), 405, &[
            ("/reason", json!("MethodNotAllowed")), ("/details", json!({})),
        ]),
        turn("GET", "/api/v1/namespaces/default/things", JSON, Value::Null, 404, &[
            ("/message", json!("the server could not find the requested resource")),
        ]),
    ])
    .await;
}

#[tokio::test]
async fn custom_resources_have_their_own_ways() {
    const THING: &str = "/apis/example.com/v1/namespaces/default/things/a";
    hold(vec![
        turn(
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            JSON,
            json!({
                "metadata": {"name": "things.example.com"},
                "spec": {
                    "group": "example.com", "scope": "Namespaced",
                    "names": {"plural": "things", "kind": "Thing"},
                    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                        "openAPIV3Schema": {
                            "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                        },
                    }}],
                },
            }),
            201,
            &[],
        ),
        turn(
            "POST",
            "/apis/example.com/v1/namespaces/default/things",
            JSON,
            json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "a"}}),
            201,
            &[],
        ),
        refused(
            "PATCH",
            THING,
            STRATEGIC,
            json!({"spec": {}}),
            (415, "UnsupportedMediaType"),
            "the body of the request was in an unknown format - accepted media types include: \
             application/json-patch+json, application/merge-patch+json, \
             application/apply-patch+yaml",
        ),
        turn("PATCH", THING, MERGE, json!({"spec": {"a": 1}}), 200, &[("/spec/a", json!(1))]),
        refused(
            "POST",
            THING,
            JSON,
            json!({}),
            (405, "MethodNotAllowed"),
            "create is not supported on resources of kind \"things.example.com\"",
        ),
    ])
    .await;
}
