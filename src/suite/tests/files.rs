//! Files as such: syntax, encodings, limits, several at once.

use super::*;

#[test]
fn broken_documents_do_not_hide_the_others() {
    snapshot!(wrong(&[(
        "a.yaml",
        &format!(
            "\
{HEAD}peers: [
---
{HEAD}peers:
\tweb: x
---
{HEAD}peers: {{a: b}}
metadata: {{name: twice}}
kind: Suite
---
a: 'open
---
{HEAD}peers: *nobody
cases: !!python/object x
"
        )
    )]));
}

#[test]
fn names_are_unique_over_all_files() {
    let suite =
        format!("{PEERS}cases: [{{name: a, from: web, to: db, port: main, expect: deny}}]\n");
    let twice = format!("{suite}---\n{suite}");
    snapshot!(wrong(&[("a.yaml", &suite), ("b.yaml", &twice)]));
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    let suites = good(
        "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t}
peers:
  a: {pod: &pod {namespace: lab, labels: &labels {app: a}}}
  b: {pod: {<<: *pod, labels: {<<: *labels, tier: b}, ports: &ports {main: 80/tcp}}}
  c: {pod: {namespace: lab, ports: *ports}}
cases: [{name: x, from: a, to: [b, c], port: main, expect: deny}]
",
    );
    let Peer::Pod(b) = &suites[0].peers["b"] else { panic!("b is a pod") };
    assert_eq!(b.namespace, "lab", "merged in");
    let labels: Vec<(&str, &str)> =
        b.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("app", "a"), ("tier", "b")], "merged in, and its own");
}

#[test]
fn carriage_returns_marks_and_wide_characters_keep_their_places() {
    let text = format!("\u{feff}{HEAD}peers: {{}}\ncäses: größe # 日本\n").replace('\n', "\r\n");
    snapshot!(wrong(&[("a.yaml", &text)]));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    for (what, text, words) in [
        ("aliases", bomb.as_str(), "aliases repeat more than"),
        ("flow depth", &"[".repeat(100), "nested deeper than 64 levels"),
        ("deep flow", &"[".repeat(100_000), "recursion limit exceeded"),
        ("block depth", &"- ".repeat(100_000), "nested deeper than 64 levels"),
        ("values", &format!("[{}]", "a,".repeat(1_000_001)), "more than 1000000 values"),
        ("NUL", "a: b\0c: d", "a NUL character"),
        ("a long line", &format!("{{a: {}, b", "x".repeat(5000)), "t.yaml:1"),
    ] {
        let found = wrong(&[("t.yaml", text)]);
        assert!(found.contains(words), "{what} says {words:?}: {}", &found[..found.len().min(500)]);
    }
}

#[test]
fn a_crowd_is_refused() {
    let mut text = String::from(PEERS);
    for number in 0..400 {
        text.push_str(&format!(
            "  p{number}: {{pod: {{namespace: lab, labels: {{n: p{number}}}}}}}\n"
        ));
    }
    text.push_str("cases: [{name: a, from: all, to: all, port: 8080, expect: deny}]\n");
    let found = wrong(&[("t.yaml", &text)]);
    assert!(found.contains("these are more than 100000 cases"), "{found}");
}

#[test]
fn files_that_cannot_be_read_are_mistakes_beside_the_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("bytes.yaml"), b"a: b\nc: \xff\n").expect("written");
    std::fs::write(path("large.yaml"), vec![b'#'; 4 * 1024 * 1024 + 1]).expect("written");
    std::fs::write(path("empty.yaml"), b"").expect("written");
    let paths = ["bytes.yaml", "empty.yaml", "large.yaml", "none.yaml"].map(path);
    let mistakes = crate::suite::load(&paths).expect_err("none can be read");
    let text = mistakes.render(false).replace(&folder.path().display().to_string(), "FOLDER");
    snapshot!(format!("{text}\n{mistakes}"));
}
