//! Steps: what they change, and the claims that hold then.

use super::*;
use crate::suite::{Change, Labelled, Wait};

/// Every kind of change.
pub(super) const WHOLE: &str = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  web: {pod: {namespace: lab, labels: {app: web}}}
  api: {pod: {namespace: lab, labels: {app: api}}}
  late: {pod: {namespace: lab, labels: {app: web}}}
  front: {service: {namespace: lab, name: front}}
cases:
  - {name: open, from: web, to: api, port: main, expect: allow}
steps:
  - name: all
    apply:
      - inline:
          apiVersion: v1
          kind: Service
          metadata: {name: front}
          spec: {selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}
    patch:
      - {kind: NetworkPolicy, name: a, namespace: shop, merge: {spec: {podSelector: {}}}}
      - {kind: Deployment, name: a, strategic: {spec: {replicas: 2}}}
      - {kind: Widget, apiVersion: example.org/v1, name: a, json: [{op: remove, path: /spec/x}]}
    delete:
      - {kind: NetworkPolicy, name: b}
    label:
      - {peer: web, set: {role: x}, remove: [app]}
      - {namespace: lab, set: {team: a}}
      - {namespace: production, remove: team}
    peers: {create: [late], delete: [web]}
    wait: 5s
    within: 7s
    cases:
      - {name: served, from: late, to: front, port: 80, expect: allow}
      - {name: others, from: all, to: all, port: main, expect: deny, within: 1s}
  - name: then
    wait: {kind: Deployment, name: a, condition: Available}
    tables:
      - name: grid
        port: main
        rows: |2
               api
          late .
";

#[test]
fn a_step_s_changes_are_made_in_one_order() {
    let suite = good(WHOLE).remove(0);
    let said: Vec<String> = suite
        .changes()
        .flatten()
        .map(|change| match change {
            Change::Apply(manifest) => format!("apply {}", manifest.objects[0]["metadata"]),
            Change::Patch { object, patch } => format!("patch {object} {patch:?}"),
            Change::Delete(object) => format!("delete {object} of {}", object.api_version),
            Change::Label { of: Labelled::Peer(peer), set, remove } => {
                format!("label {peer} {set:?} {remove:?}")
            }
            Change::Label { of: Labelled::Namespace(namespace), set, remove } => {
                format!("label namespace {namespace} {set:?} {remove:?}")
            }
            Change::DeletePeer(peer) => format!("delete peer {peer}"),
            Change::CreatePeer(peer) => format!("create peer {peer}"),
            Change::Wait(Wait::Time(time)) => format!("wait {time:?}"),
            Change::Wait(Wait::Condition { object, condition, timeout }) => {
                format!("wait {timeout:?} for {object} to be {condition}")
            }
        })
        .collect();
    snapshot!(said.join("\n"));
    let cases: Vec<String> = suite
        .all_cases()
        .map(|case| format!("{} {} -> {} {:?}", case.name, case.from, case.to, case.within))
        .collect();
    snapshot!(cases.join("\n"));
}

#[test]
fn peers_of_unlike_fates_are_two_pods() {
    let text = |steps: &str| {
        format!("{PEERS}  twin: {{pod: {{namespace: lab, labels: {{app: web}}}}}}\nsteps:\n{steps}")
    };
    let claim = "cases: [{name: a, from: web, to: twin, port: main, expect: allow}]";
    for (change, alike) in [
        ("label: [{peer: web, set: {a: b}}]", false),
        ("label: [{peer: web, set: {a: b}}, {peer: twin, set: {a: b}}]", true),
        ("label: [{peer: web, set: {a: b}}, {peer: twin, set: {a: c}}]", false),
        ("peers: {create: twin}", false),
        ("peers: {create: [web, twin]}", true),
    ] {
        let text = text(&format!("  - {{name: s, {change}, {claim}}}\n"));
        let (_, mistakes) = parse("t.yaml", &text, &nothing_beside);
        let rendered = Mistakes::new(mistakes).render(false);
        assert_eq!(rendered.contains("reach itself"), alike, "{change}: {rendered}");
    }
}

#[test]
fn a_service_of_a_later_step_is_not_there_before() {
    let text = WHOLE.replace(
        "{name: open, from: web, to: api, port: main, expect: allow}",
        "{name: open, from: web, to: front, port: 81, expect: allow}",
    );
    assert_eq!(good(&text).len(), 1, "before it exists, nothing is known of its ports");
    let text = WHOLE.replace("to: front, port: 80", "to: front, port: 81");
    snapshot!(wrong(&[("t.yaml", &text)]));
}

#[test]
fn steps_that_mean_something_else_than_they_seem_are_mistakes() {
    snapshot!(wrong_rest(
        "\
steps:
  - {name: base, wait: 1s, cases: []}
  - {name: a, aply: [], cases: [{name: x, from: web, to: api, port: main, expect: deny}]}
  - {name: a, delete: [{kind: NetworkPolice, name: x}, {kind: NetworkPolicy}, {kind: Secret, name: X}]}
  - name: patches
    patch:
      - {kind: NetworkPolicy, name: x}
      - {kind: NetworkPolicy, name: x, merge: {}, json: []}
      - {kind: NetworkPolicy, name: x, merge: {metadata: {name: y}}}
      - {kind: NetworkPolicy, name: x, merge: {}}
      - {kind: NetworkPolicy, name: x, json: [{op: ad, path: spec}, {op: add, path: /spec}, {op: move, path: /a}]}
      - {kind: NetworkPolicy, name: x, strategic: {spec: '${namespace:lob}'}}
  - name: labels
    label:
      - {peer: out, set: {a: b}}
      - {peer: wbe, set: {a: b}}
      - {peer: web, namespace: lab, set: {a: b}}
      - {set: {a: b}}
      - {peer: web}
      - {peer: web, set: {a: b}, remove: [a]}
      - {peer: web, remove: [ap]}
      - {namespace: lab, set: {kubernetes.io/metadata.name: x}}
      - {peer: web, remove: netproof.dev/probe}
  - name: lives
    peers: {create: [web, example], delete: [db, db], start: []}
    cases: [{name: y, from: db, to: api, port: main, expect: deny}]
  - {name: again, peers: {create: db}, label: [{peer: db, set: {x: z}}]}
  - {name: waits, wait: 5}
  - {name: waits-more, wait: {kind: Pod, name: x, condition: Ready, timeout: soon}}
"
    ));
}
