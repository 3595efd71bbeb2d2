//! What the README says is so.

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
