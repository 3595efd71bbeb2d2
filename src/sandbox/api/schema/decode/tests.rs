use serde_json::json;

use super::{super::builtin, *};

fn read(kind: &str, value: Value) -> Result<(Value, Vec<String>), String> {
    let name = builtin()
        .kinds
        .iter()
        .find(|((_, known), _)| known == kind)
        .map(|(_, name)| name.clone())
        .expect("the kind");
    decode(&Node::Named(name), value).map_err(|error| error.to_string())
}

#[test]
fn wrong_types_are_named_as_go_names_them() {
    for (kind, object, expected) in [
        (
            "Deployment",
            json!({"spec": {"replicas": "two"}}),
            "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas \
             of type int32",
        ),
        (
            "Deployment",
            json!({"spec": {"template": {"spec": {"containers": {"name": "a"}}}}}),
            "json: cannot unmarshal object into Go struct field \
             PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            "ConfigMap",
            json!({"data": {"a": 1}}),
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            "Pod",
            json!({"spec": {"containers": [{"image": ["x"]}]}}),
            "json: cannot unmarshal array into Go struct field Container.spec.containers.image \
             of type string",
        ),
        (
            "Pod",
            json!({"spec": {"terminationGracePeriodSeconds": 1.5}}),
            "json: cannot unmarshal number 1.5 into Go struct field \
             PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        ("Secret", json!({"data": {"a": "!"}}), "illegal base64 data at input byte 0"),
    ] {
        assert_eq!(read(kind, object.clone()).expect_err("wrong"), expected, "{object}");
    }
}

#[test]
fn unknown_fields_are_left_out_and_named() {
    let pod = json!({
        "metadata": {"name": "a", "nmae": "b"},
        "spec": {"containers": [{"name": "a"}, {"name": "b", "imgae": "c"}]},
    });
    let (pod, unknown) = read("Pod", pod).expect("of its type");
    assert_eq!(unknown, ["metadata.nmae", "spec.containers[1].imgae"]);
    assert_eq!(pod["spec"]["containers"][1], json!({"name": "b"}));
}

#[test]
fn values_take_their_one_form() {
    let pod = json!({
        "metadata": {"labels": {}, "creationTimestamp": null, "finalizers": []},
        "spec": {
            "containers": [{
                "name": "a", "args": [], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
            }],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "securityContext": {},
            "hostNetwork": false,
            "nodeName": "",
            "activeDeadlineSeconds": 0,
        },
        "status": {"startTime": "2026-01-01T02:00:00.5+02:00"},
    });
    let (pod, _) = read("Pod", pod).expect("of its type");
    assert_eq!(pod["metadata"], json!({}));
    assert_eq!(pod["spec"]["securityContext"], json!({}));
    assert_eq!(pod["spec"].get("hostNetwork"), None);
    assert_eq!(pod["spec"].get("nodeName"), None);
    assert_eq!(pod["spec"]["activeDeadlineSeconds"], 0, "a pointer in Go");
    assert_eq!(pod["spec"]["volumes"][0]["emptyDir"], json!({}));
    assert_eq!(
        pod["spec"]["containers"][0],
        json!({"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}})
    );
    assert_eq!(pod["status"]["startTime"], "2026-01-01T00:00:00Z");
}
