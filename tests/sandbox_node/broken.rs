//! Each fault of the CNI, and that it breaks nothing else.

use crate::{
    lab::Lab,
    policies::{Family, check_in, outcome},
    scenario::{Outcome, text},
};

struct Row {
    fault: &'static str,
    /// The spec of a policy in `shop`, or several whole policies.
    policies: &'static str,
    /// What is answered all the same, and what isn't.
    allowed: &'static str,
    denied: &'static str,
    /// What the fault opens, and what it closes.
    opened: &'static str,
    closed: &'static str,
}

const EMPTY: Row = Row { fault: "", policies: "", allowed: "", denied: "", opened: "", closed: "" };

const ROWS: &[Row] = &[
    Row {
        fault: "ignore-except",
        policies: "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: FOUR/16, except: [FOURWEB/32]}}, {ipBlock: {cidr: SIX/48, except: [SIXWEB/128]}}]}]}",
        allowed: "api>db:8080 job>db:9090/udp",
        denied: "world>db:8080",
        opened: "web>db:8080",
        ..EMPTY
    },
    Row {
        fault: "ignore-end-port",
        policies: "{podSelector: {matchLabels: {app: db}}, ingress: [{ports: [{port: 8080, endPort: 9090}]}]}",
        allowed: "web>db:8080",
        denied: "web>db:8080/udp",
        closed: "web>db:9090",
        ..EMPTY
    },
    Row {
        fault: "ignore-named-ports",
        policies: "{podSelector: {}, ingress: [{ports: [{port: main}, {port: 8080, protocol: UDP}]}]}",
        allowed: "web>db:8080/udp",
        denied: "web>db:8080",
        closed: "web>db:9090 web>api:8080",
        ..EMPTY
    },
    Row {
        fault: "ignore-namespace-selector",
        policies: "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: a}}, podSelector: {matchLabels: {app: web}}}]}]}",
        allowed: "web>db:8080",
        denied: "api>db:8080 world>db:8080",
        opened: "guest>db:8080",
        ..EMPTY
    },
    Row {
        fault: "ignore-ipblock-pods",
        policies: "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}]}, {from: [{podSelector: {matchLabels: {app: api}}}]}]}",
        allowed: "world>db:8080 api>db:8080 one>db:8080",
        closed: "web>db:8080 guest>db:8080/udp",
        ..EMPTY
    },
    Row {
        fault: "ignore-udp",
        policies: "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]}",
        allowed: "web>api:8080",
        denied: "web>db:8080 db>web:8080",
        opened: "web>db:8080/udp db>web:9090/udp",
        ..EMPTY
    },
    Row {
        fault: "allow-own-namespace",
        policies: "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress, Egress]}",
        denied: "guest>db:8080 world>db:8080 db>world:8080",
        opened: "web>db:8080 db>job:8080/udp",
        ..EMPTY
    },
    Row {
        fault: "first-policy-only",
        policies: "
metadata: {name: a}
spec: {podSelector: {matchLabels: {app: db}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}
---
metadata: {name: b}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: api}}}]}]}
",
        allowed: "web>db:8080 api>job:8080",
        denied: "job>db:8080 guest>db:8080",
        closed: "api>db:8080",
        ..EMPTY
    },
    Row {
        fault: "or-selectors",
        policies: "{podSelector: {matchLabels: {app: db}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: b}}, podSelector: {matchLabels: {app: api}}}]}]}",
        denied: "web>db:8080 world>db:8080",
        opened: "guest>db:8080 api>db:8080",
        ..EMPTY
    },
    Row {
        fault: "drop-replies-udp",
        policies: "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}",
        allowed: "web>db:8080 api>db:8080/udp",
        denied: "db>web:8080/udp",
        closed: "web>db:8080/udp web>world:8080/udp",
        ..EMPTY
    },
];

fn policies(row: &Row) -> String {
    let text = row
        .policies
        .replace("FOURWEB", "10.77.1.10")
        .replace("FOUR", "10.77.0.0")
        .replace("SIXWEB/128", "'fd77:10:77:1::a/128'")
        .replace("SIX/48", "'fd77:10:77::/48'");
    if text.starts_with('{') { format!("metadata: {{name: it}}\nspec: {text}") } else { text }
}

pub async fn every_fault_breaks_what_it_says_and_no_more() -> Outcome {
    let mut lab = Lab::new().await?;
    let mut wrong = Vec::new();
    let join = |one: &str, other: &str| format!("{one} {other}");
    for row in ROWS {
        for (faults, allowed, denied) in [
            (vec![], join(row.allowed, row.closed), join(row.denied, row.opened)),
            (
                vec![row.fault.parse().map_err(text)?],
                join(row.allowed, row.opened),
                join(row.denied, row.closed),
            ),
        ] {
            let on = !faults.is_empty();
            lab.faults = faults;
            lab.apply(&policies(row)).await?;
            for family in [Family::V4, Family::V6] {
                let found = check_in(&lab, family, &allowed, &denied).await;
                let fault = row.fault;
                wrong.extend(found.into_iter().map(|line| format!("{fault}, on {on}: {line}")));
            }
        }
    }
    // One family alone is broken.
    lab.faults = vec!["ignore-ipv6".parse().map_err(text)?];
    lab.apply("{metadata: {name: it}, spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}")
        .await?;
    wrong.extend(check_in(&lab, Family::V4, "", "web>db:8080 web>api:8080/udp").await);
    wrong.extend(check_in(&lab, Family::V6, "web>db:8080 web>api:8080/udp", "").await);
    outcome(wrong)
}
