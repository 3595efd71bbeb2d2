//! Who holds a sandbox, and what is swept.

use super::*;

fn home() -> (tempfile::TempDir, Home) {
    let folder = tempfile::tempdir().expect("a folder");
    let user = nix::unistd::geteuid().as_raw();
    let home = Home::at(folder.path().join("netproof"), user).expect("a home");
    (folder, home)
}

fn record() -> Record {
    let keeper = Process { pid: 2, started: 3 };
    let since = Timestamp::UNIX_EPOCH;
    Record { pid: 1, keeper, nodes: 2, since, faults: Vec::new(), written_to: None }
}

#[test]
fn a_name_is_held_once_and_free_again_after() {
    let (_folder, home) = home();
    let held = home.take("a").expect("free");
    let taken = home.take("a").expect_err("held");
    assert_eq!(taken.message, "a sandbox `a` is up already");
    assert_eq!(home.find("a").expect("held").record, None, "it has no record yet");
    held.write(&record()).expect("written");
    assert_eq!(home.find("a").expect("held").record, Some(record()));
    held.remove();
    assert!(home.find("a").is_none());
    home.take("a").expect("free again");
}

#[test]
fn what_a_killed_sandbox_left_is_swept() {
    let (folder, home) = home();
    let other = folder.path().join("other");
    fs::write(&other, "").expect("written");
    let held = home.take("a").expect("free");
    let record = Record { written_to: Some(other.clone()), ..record() };
    held.write(&record).expect("written");
    fs::write(held.kubeconfig(), "").expect("written");
    // As with a process that is killed, the lock goes and nothing else.
    drop(held);
    assert_eq!(home.list().expect("a list").len(), 0);
    assert!(!other.exists(), "its kubeconfig goes wherever it was written");
    assert_eq!(fs::read_dir(&home.0).expect("a folder").count(), 0);
}

#[test]
fn the_default_or_the_only_sandbox_is_meant() {
    let (_folder, home) = home();
    let message = |name: Option<&str>| home.choose(name).expect_err("none").message;
    assert_eq!(message(None), "no sandbox is up");
    let _a = home.take("a").expect("free");
    assert_eq!(home.choose(None).expect("the only one").name, "a");
    assert_eq!(message(Some("b")), "no sandbox `b` is up; up are a");
    let _b = home.take("b").expect("free");
    assert_eq!(message(None), "several sandboxes are up: a, b");
    let _default = home.take(DEFAULT_NAME).expect("free");
    assert_eq!(home.choose(None).expect("the default one").name, DEFAULT_NAME);
    assert_eq!(home.choose(Some("b")).expect("the named one").name, "b");
}

#[test]
fn a_folder_that_others_can_use_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, _) = home();
    let user = nix::unistd::geteuid().as_raw();
    let open = folder.path().join("open");
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("its mode");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &link).expect("a link");
    for (case, path, user) in [
        ("open to others", open, user),
        ("a link", link, user),
        ("somebody else's", folder.path().join("netproof"), user + 1),
    ] {
        let refused = Home::at(path, user).expect_err(case);
        assert_eq!(refused.exit, crate::cli::Exit::BadInput, "{case}");
    }
}

#[test]
fn names_are_plain() {
    for (text, fits) in [
        ("default", true),
        ("ci-1", true),
        ("", false),
        ("-a", false),
        ("a-", false),
        ("..", false),
        ("a/b", false),
        ("A", false),
        (&"a".repeat(41), false),
    ] {
        assert_eq!(name(text).is_ok(), fits, "{text}");
    }
}

#[test]
fn a_process_is_known_by_its_start() {
    let own = Process::running(std::process::id()).expect("this process runs");
    assert!(own.is_running());
    assert!(!Process { started: own.started + 1, ..own }.is_running());
}
