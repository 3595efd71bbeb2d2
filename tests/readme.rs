//! What the README says is so.

mod support;

use std::{fs, path::PathBuf};

use netproof::suite;

fn read(file: &str) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn its_suite_has_no_mistake() {
    let readme = read("README.md");
    let text = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    file("policies.yaml", &read("suites/shop/policies.yaml"));
    let suites = suite::load(&[file("shop.yaml", text.expect("an example in YAML"))])
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
    assert_eq!(suites.len(), 1);
}

#[test]
fn its_demo_is_what_its_command_prints() {
    let readme = read("README.md");
    assert!(readme.contains("    cargo run --release -- run --sandbox suites/shop.yaml\n"));
    let demo = readme.split("<!-- demo -->\n```text\n").nth(1).expect("a demo");
    let demo = demo.split("```").next().expect("its end");
    let printed = support::run(&["run", "--sandbox", "suites/shop.yaml"]);
    assert_eq!(timeless(demo), timeless(&printed.stdout), "{}", printed.stderr);
}

/// The text without what differs from run to run: its id, the server's port, times.
fn timeless(text: &str) -> String {
    let word = |word: &str| {
        let is_time = word.trim_end_matches('.').ends_with('s')
            && word.starts_with(|first: char| first.is_ascii_digit() || first == '<');
        if is_time { "TIME".to_owned() } else { word.to_owned() }
    };
    let line = |line: &str| {
        let parts: Vec<_> = line
            .split(" · ")
            .filter(|part| !part.starts_with("https://") && !part.starts_with("run "))
            .collect();
        parts.join(" · ").split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn its_test_command_is_what_ci_runs() {
    let command = "cargo test --workspace";
    assert!(read("README.md").contains(command), "the README has it");
    assert!(read(".ci/run").lines().any(|line| line.starts_with(command)), "CI runs it");
}

#[test]
fn its_default_image_is_this_version() {
    let image = format!("`netproof-probe:{}`", env!("CARGO_PKG_VERSION"));
    assert!(read("README.md").contains(&image), "{image}");
}
