//! Deployments: rollouts, scale, images, and how their pods go with them.

use crate::{
    Claim,
    lab::{Lab, line},
};

pub const CLAIMS: &[Claim] = &[
    ("a_deployment_rolls_out_and_back", rollout),
    ("a_deleted_deployment_takes_its_pods_unless_it_orphans_them", cascade),
];

fn rollout(lab: &Lab, namespace: &str) {
    let status = &["rollout", "status", "deployment/web", "--timeout=60s"];
    lab.ok(namespace, &["create", "deployment", "web", "--image=nginx:1", "--replicas=2"]);
    let said = lab.ok(namespace, status);
    assert!(said.contains("deployment \"web\" successfully rolled out"), "{said}");
    let table = lab.ok(namespace, &["get", "deployments"]);
    assert_eq!(line(&table, "web")[1..4], ["2/2", "2", "2"]);
    lab.ok(namespace, &["scale", "deployment", "web", "--replicas=3"]);
    lab.ok(namespace, status);
    lab.ok(namespace, &["set", "image", "deployment/web", "nginx=nginx:2"]);
    lab.ok(namespace, status);
    let image = &["get", "pods", "-o", "jsonpath={.items[*].spec.containers[0].image}"];
    let history = lab.ok(namespace, &["rollout", "history", "deployment/web"]);
    assert!(history.contains("REVISION") && line(&history, "2").len() == 2, "{history}");
    lab.ok(namespace, &["rollout", "undo", "deployment/web"]);
    lab.ok(namespace, status);
    let said = lab.ok(
        namespace,
        &["get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}"],
    );
    assert_eq!(said, "nginx:1");
    lab.ok(namespace, &["rollout", "restart", "deployment/web"]);
    lab.ok(namespace, status);
    lab.ok(namespace, image);
    let said = lab.ok(namespace, &["describe", "deployment", "web"]);
    assert!(said.contains("StrategyType:           RollingUpdate"), "{said}");
    assert!(said.contains("ScalingReplicaSet"), "its events are there: {said}");
}

fn cascade(lab: &Lab, namespace: &str) {
    for (name, mode, remains) in
        [("back", "background", false), ("front", "foreground", false), ("let-go", "orphan", true)]
    {
        lab.ok(namespace, &["create", "deployment", name, "--image=nginx:1"]);
        let target = format!("deployment/{name}");
        lab.ok(namespace, &["rollout", "status", &target, "--timeout=60s"]);
        let cascade = format!("--cascade={mode}");
        lab.ok(namespace, &["delete", &target, &cascade, "--timeout=60s"]);
        let label = format!("app={name}");
        if remains {
            let sets = lab.ok(namespace, &["get", "rs", "-l", &label, "-o", "name"]);
            assert_eq!(sets.lines().count(), 1, "{mode} leaves the ReplicaSet: {sets}");
            continue;
        }
        let wait = ["wait", "pod", "-l", &label, "--for=delete", "--timeout=60s"];
        lab.ok(namespace, &wait);
        let sets = lab.ok(namespace, &["get", "rs", "-l", &label, "-o", "name"]);
        assert_eq!(sets, "", "{mode} takes the ReplicaSet along");
    }
}
