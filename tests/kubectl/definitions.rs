//! CustomResourceDefinitions and their objects.

use crate::{
    Claim,
    lab::{Lab, line},
};

pub const CLAIMS: &[Claim] = &[("a_definition_makes_a_kind_like_any_other", kind)];

const DEFINITION: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: tabs, singular: tab, kind: Tab, shortNames: [tb], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [cronSpec]
            properties:
              cronSpec: {type: string, description: When it runs., pattern: '^(\S+ ?){5}$'}
              replicas: {type: integer, minimum: 1, default: 1}
          status:
            type: object
            properties: {replicas: {type: integer}}
"#;

fn tab(spec: &str) -> String {
    format!("apiVersion: stable.example.com/v1\nkind: Tab\nmetadata: {{name: a}}\nspec: {spec}\n")
}

fn kind(lab: &Lab, namespace: &str) {
    lab.ok_with(namespace, &["apply", "-f", "-"], DEFINITION);
    lab.ok(namespace, &["wait", "crd/tabs.stable.example.com", "--for=condition=Established"]);
    lab.ok_with(namespace, &["apply", "-f", "-"], &tab("{cronSpec: '* * * * 5'}"));
    let tabs = lab.ok(namespace, &["get", "tb"]);
    assert!(tabs.starts_with("NAME   SPEC        REPLICAS"), "{tabs}");
    assert_eq!(line(&tabs, "a")[6], "1", "the default was filled in");
    lab.ok(namespace, &["scale", "tab/a", "--replicas=3"]);
    let said = lab.ok(namespace, &["get", "tab", "a", "-o", "jsonpath={.spec.replicas}"]);
    assert_eq!(said, "3");
    let patch = r#"{"status":{"replicas":2}}"#;
    lab.ok(namespace, &["patch", "tab", "a", "--subresource=status", "--type=merge", "-p", patch]);
    lab.ok(namespace, &["wait", "tab/a", "--for=jsonpath={.status.replicas}=2", "--timeout=10s"]);
    let said = lab.ok(namespace, &["explain", "tab.spec.cronSpec"]);
    assert!(said.contains("When it runs."), "{said}");
    for (spec, expected) in [
        (
            "{cronSpec: x}",
            "spec.cronSpec: Invalid value: \"x\": spec.cronSpec in body should match",
        ),
        ("{replicas: 2}", "spec.cronSpec: Required value"),
        ("{cronSpec: '* * * * 5', replicas: 0}", "should be greater than or equal to 1"),
        ("{cronSpec: '* * * * 5', odd: 0}", "unknown field \"spec.odd\""),
    ] {
        let other = tab(spec).replace("name: a", "name: b");
        let said = lab.fails(namespace, &["create", "-f", "-"], &other);
        assert!(said.contains(expected), "{spec}: {said}");
    }
    lab.ok(namespace, &["delete", "crd", "tabs.stable.example.com"]);
    let said = lab.fails(namespace, &["get", "tabs"], "");
    // Which of the two depends on what kubectl remembers of the server.
    let gone = ["doesn't have a resource type", "could not find the requested resource"];
    assert!(gone.iter().any(|words| said.contains(words)), "{said}");
    lab.ok_with(namespace, &["apply", "-f", "-"], DEFINITION);
    assert_eq!(lab.ok(namespace, &["get", "tabs", "-o", "name"]), "", "its objects went with it");
    lab.ok(namespace, &["delete", "crd", "tabs.stable.example.com"]);
}
