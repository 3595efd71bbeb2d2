//! create, apply, diff, label, annotate, patch, replace, delete.

use crate::{
    Claim,
    lab::{Lab, line},
};

pub const CLAIMS: &[Claim] = &[
    ("every_kind_can_be_created_from_the_command_line", create),
    ("a_client_side_apply_changes_what_the_file_changes", apply),
    ("a_list_is_checked_and_created_item_by_item", list),
    ("a_server_side_apply_is_refused_what_others_manage", server_side),
    ("a_diff_shows_what_an_apply_would_change", diff),
    ("unknown_fields_and_wrong_types_are_refused_in_the_servers_words", validation),
    ("labels_annotations_and_patches_change_objects", patch),
    ("a_replaced_object_is_the_file", replace),
    ("a_deleted_object_is_gone_when_kubectl_returns", delete),
];

fn config(value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: file\n  labels: {{app: web}}\ndata:\n  \
         one: {value}\n  two: \"2\"\n"
    )
}

fn create(lab: &Lab, namespace: &str) {
    for (arguments, expected) in [
        (&["create", "secret", "generic", "s", "--from-literal=a=b"][..], "secret/s created"),
        (&["create", "serviceaccount", "bob"], "serviceaccount/bob created"),
        (&["create", "role", "r", "--verb=get", "--resource=pods"], "/r created"),
        (
            &["create", "rolebinding", "rb", "--role=r", "--serviceaccount=default:bob"],
            "/rb created",
        ),
        (&["create", "ingress", "i", "--rule=a.example/x=web:80"], "/i created"),
        (&["create", "quota", "q", "--hard=configmaps=9"], "/q created"),
        (
            &["create", "poddisruptionbudget", "p", "--selector=a=b", "--min-available=1"],
            "/p created",
        ),
        (&["create", "service", "clusterip", "svc", "--tcp=80:8080"], "service/svc created"),
        (&["create", "priorityclass", "high", "--value=100"], "/high created"),
    ] {
        let said = lab.ok(namespace, arguments);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
    let role = lab.json(namespace, &["get", "role", "r"]);
    assert_eq!(role["rules"][0]["resources"][0], "pods", "protobuf is read whole: {role}");
    let binding = lab.ok(namespace, &["get", "rolebinding", "rb", "-o", "wide"]);
    assert_eq!(line(&binding, "rb")[1], "Role/r");
    let said = lab.fails(namespace, &["create", "configmap", "kube-root-ca.crt"], "");
    assert!(said.contains("configmaps \"kube-root-ca.crt\" already exists"), "{said}");
    let said = lab.ok(namespace, &["create", "configmap", "dry", "--dry-run=server", "-o", "name"]);
    assert_eq!(said.trim(), "configmap/dry");
    lab.fails(namespace, &["get", "configmap", "dry"], "");
}

/// For a list kubectl reads the older description of the API, and nothing but protobuf.
fn list(lab: &Lab, namespace: &str) {
    let list = |name: &str, field: &str| {
        serde_json::json!({"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
             field: {"a": "b"}},
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": "l"}}, "template": {
                    "metadata": {"labels": {"app": "l"}},
                    "spec": {"containers": [
                        {"name": "c", "image": "c", "ports": [{"containerPort": 80}]}]}}}},
        ]})
        .to_string()
    };
    let said = lab.ok_with(namespace, &["create", "-f", "-"], &list("right", "data"));
    assert!(said.contains("configmap/right created"), "{said}");
    assert!(said.contains("deployment.apps/right created"), "{said}");
    let said = lab.fails(namespace, &["create", "-f", "-"], &list("wrong", "dta"));
    assert!(said.contains("unknown field \"dta\" in io.k8s.api.core.v1.ConfigMap"), "{said}");
    lab.fails(namespace, &["get", "configmap", "wrong"], "");
}

fn apply(lab: &Lab, namespace: &str) {
    let apply = &["apply", "-f", "-"];
    assert!(lab.ok_with(namespace, apply, &config("x")).contains("created"));
    assert!(lab.ok_with(namespace, apply, &config("x")).contains("unchanged"));
    lab.ok(namespace, &["annotate", "configmap", "file", "mine=yes"]);
    let without_two = config("new").replace("  two: \"2\"\n", "");
    assert!(lab.ok_with(namespace, apply, &without_two).contains("configured"));
    let map = lab.json(namespace, &["get", "configmap", "file"]);
    assert_eq!(map["data"], serde_json::json!({"one": "new"}), "what the file left out is gone");
    assert_eq!(map["metadata"]["annotations"]["mine"], "yes", "what it never said stays");
}

fn server_side(lab: &Lab, namespace: &str) {
    let apply = ["apply", "--server-side", "-f", "-"];
    let said = lab.ok_with(namespace, &apply, &config("x"));
    assert!(said.contains("serverside-applied"), "{said}");
    lab.ok(
        namespace,
        &["patch", "cm", "file", "--type=merge", "-p", r#"{"data":{"one":"theirs"}}"#],
    );
    let said = lab.fails(namespace, &apply, &config("mine"));
    assert!(
        said.contains(
            "Apply failed with 1 conflict: conflict with \"kubectl-patch\" using v1: .data.one"
        ),
        "{said}"
    );
    lab.ok_with(namespace, &[&apply[..], &["--force-conflicts"]].concat(), &config("mine"));
    let map = lab.json(namespace, &["get", "cm", "file", "--show-managed-fields"]);
    assert_eq!(map["data"]["one"], "mine");
    let managers = map["metadata"]["managedFields"].as_array().expect("managers");
    assert_eq!(managers[0]["manager"], "kubectl");
    assert_eq!(managers[0]["operation"], "Apply");
    // What a file applied from the client's side becomes the server's.
    let other = config("x").replace("name: file", "name: moved");
    lab.ok_with(namespace, &["apply", "-f", "-"], &other);
    lab.ok_with(namespace, &apply, &other.replace("  two: \"2\"\n", ""));
    let map = lab.json(namespace, &["get", "cm", "moved"]);
    assert_eq!(map["data"], serde_json::json!({"one": "x"}));
}

fn diff(lab: &Lab, namespace: &str) {
    lab.ok_with(namespace, &["apply", "-f", "-"], &config("old"));
    lab.ok_with(namespace, &["diff", "-f", "-"], &config("old"));
    let output = lab.run(namespace, &["diff", "-f", "-"], &config("new"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("-  one: old") && said.contains("+  one: new"), "{said}");
}

fn validation(lab: &Lab, namespace: &str) {
    let pod = |spec: &str| {
        format!(
            "{{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{{\"name\":\"a\"}},\"spec\":{spec}}}"
        )
    };
    let good = r#""containers":[{"name":"a","image":"i"}]"#;
    for (spec, expected) in [
        (format!("{{{good},\"foo\":1}}"), "strict decoding error: unknown field \"spec.foo\""),
        (
            format!("{{{good},\"terminationGracePeriodSeconds\":\"soon\"}}"),
            "json: cannot unmarshal string into Go struct field \
             PodSpec.spec.terminationGracePeriodSeconds of type int64",
        ),
        ("{}".to_owned(), "The Pod \"a\" is invalid: spec.containers: Required value"),
    ] {
        let said = lab.fails(namespace, &["create", "-f", "-"], &pod(&spec));
        assert!(said.contains(expected), "{spec}: {said}");
    }
    let output = lab.run(
        namespace,
        &["create", "--validate=warn", "--dry-run=server", "-f", "-"],
        &pod(&format!("{{{good},\"foo\":1}}")),
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("Warning: unknown field \"spec.foo\""),
        "{said}"
    );
}

fn patch(lab: &Lab, namespace: &str) {
    lab.ok_with(namespace, &["apply", "-f", "-"], &config("x"));
    lab.ok(namespace, &["label", "cm", "file", "tier=back", "app-"]);
    lab.ok(namespace, &["annotate", "cm", "file", "note=a b"]);
    for (kind, patch) in [
        ("strategic", r#"{"data":{"s":"1"}}"#),
        ("merge", r#"{"data":{"m":"1","two":null}}"#),
        ("json", r#"[{"op":"replace","path":"/data/one","value":"z"}]"#),
    ] {
        lab.ok(namespace, &["patch", "cm", "file", "--type", kind, "-p", patch]);
    }
    let map = lab.json(namespace, &["get", "cm", "file"]);
    assert_eq!(map["data"], serde_json::json!({"one": "z", "s": "1", "m": "1"}));
    assert_eq!(map["metadata"]["labels"], serde_json::json!({"tier": "back"}));
    let patch = r#"{"status":{"conditions":[{"type":"Odd","status":"True"}]}}"#;
    lab.ok(namespace, &["patch", "node", "node-1", "--subresource=status", "-p", patch]);
    lab.ok(namespace, &["wait", "node/node-1", "--for=condition=Odd", "--timeout=10s"]);
}

fn replace(lab: &Lab, namespace: &str) {
    lab.ok_with(namespace, &["create", "-f", "-"], &config("x"));
    lab.ok_with(namespace, &["replace", "-f", "-"], &config("new"));
    let said = lab.ok(namespace, &["get", "cm", "file", "-o", "jsonpath={.data.one}"]);
    assert_eq!(said, "new");
    lab.ok_with(namespace, &["replace", "--force", "-f", "-"], &config("z"));
    let said = lab.fails(namespace, &["replace", "-f", "-"], &config("x").replace("file", "none"));
    assert!(said.contains("configmaps \"none\" not found"), "{said}");
}

fn delete(lab: &Lab, namespace: &str) {
    lab.ok_with(namespace, &["create", "-f", "-"], &config("x"));
    let said = lab.ok(namespace, &["delete", "cm", "file"]);
    assert!(said.contains("configmap \"file\" deleted"), "{said}");
    let said = lab.fails(namespace, &["get", "cm", "file"], "");
    assert!(said.contains("Error from server (NotFound): configmaps \"file\" not found"), "{said}");
    lab.ok(namespace, &["delete", "cm", "file", "--ignore-not-found"]);
    lab.ok("default", &["create", "namespace", "short-lived"]);
    lab.ok("short-lived", &["create", "configmap", "inside"]);
    lab.ok("default", &["delete", "namespace", "short-lived"]);
    lab.fails("default", &["get", "namespace", "short-lived"], "");
}
