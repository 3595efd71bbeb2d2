//! Decisions in sentences.

use super::Lab;

const SHOP: &str = "
{kind: Namespace, metadata: {name: shop}}
---
{kind: Pod, metadata: {name: frontend, namespace: shop, labels: {app: front-end}}}
---
{kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{podSelector: {matchLabels: {app: frontend}}}], ports: [{port: 5432}]}]
---
";

fn told(lab: &Lab, from: &str, to: &str, port: &str) -> String {
    let traffic = lab.traffic(from, to, port);
    let told = lab.all.explain(&traffic, &lab.all.decide(&traffic));
    [vec![told.headline], told.reasons, told.flip].concat().join("\n")
}

#[test]
fn a_denial_names_the_policy_and_the_nearest_miss() {
    insta::assert_snapshot!(told(&Lab::new(SHOP), "shop/frontend", "shop/db", "5432"));
}

#[test]
fn an_allow_names_the_rule() {
    let text = SHOP.replace("front-end", "frontend");
    insta::assert_snapshot!(told(&Lab::new(&text), "shop/frontend", "shop/db", "5432"));
}

#[test]
fn a_wrong_port_is_the_nearest_miss() {
    let text = SHOP.replace("front-end", "frontend");
    insta::assert_snapshot!(told(&Lab::new(&text), "shop/frontend", "shop/db", "5433"));
}

#[test]
fn a_policy_that_selects_no_pod_is_told() {
    let text = format!(
        "{SHOP}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: allow-frontend, namespace: shop}}
spec: {{podSelector: {{matchLabels: {{app: dbs}}}}, ingress: [{{}}]}}
"
    );
    insta::assert_snapshot!(told(&Lab::new(&text), "shop/frontend", "shop/db", "5432"));
}

#[test]
fn what_is_undetermined_says_why() {
    let text =
        SHOP.replace("podSelector: {matchLabels: {app: frontend}}", "ipBlock: {cidr: 0.0.0.0/0}");
    insta::assert_snapshot!(told(&Lab::new(&text), "shop/frontend", "shop/db", "5432"));
}

#[test]
fn a_cluster_policy_is_told_with_its_rule() {
    let text = format!("{SHOP}
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: lockdown}}
spec:
  tier: Admin
  priority: 1
  subject: {{namespaces: {{}}}}
  egress:
  - {{name: pass-dns, action: Pass, to: [{{namespaces: {{}}}}], protocols: [{{udp: {{destinationPort: {{number: 53}}}}}}]}}
  - {{name: rest, action: Deny, to: [{{networks: [0.0.0.0/0, '::/0']}}]}}
");
    insta::assert_snapshot!(told(&Lab::new(&text), "shop/frontend", "shop/db", "5432"));
}
