//! `netproof sandbox`: sandboxes in the background, several at once, and their end.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use support::{Finished, below, finish, netproof, parent};
use tempfile::TempDir;

/// How long anything may outlive its sandbox.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A user with sandboxes of their own.
struct User(TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        let arguments = [&["sandbox"], arguments].concat();
        let mut command = netproof(&arguments);
        command.env("XDG_RUNTIME_DIR", self.folder()).env("HOME", self.folder());
        command.env("SHELL", "/bin/sh");
        finish(command.spawn().expect("start netproof"))
    }

    fn up(&self, arguments: &[&str]) -> PathBuf {
        let finished = self.run(&[&["up"], arguments].concat());
        assert_eq!(finished.code(), Some(0), "{finished:#?}");
        PathBuf::from(finished.stdout.trim_end())
    }

    fn status(&self) -> Vec<Value> {
        let finished = self.run(&["status", "--output", "json"]);
        assert_eq!(finished.code(), Some(0), "{finished:#?}");
        serde_json::from_str(&finished.stdout).expect("JSON")
    }

    fn names(&self) -> Vec<String> {
        let name = |status: &Value| status["name"].as_str().expect("a name").to_owned();
        self.status().iter().map(name).collect()
    }

    /// The process that holds the only sandbox, and all that descend from it.
    fn processes(&self) -> Vec<u32> {
        let status = self.status().remove(0);
        let holder = u32::try_from(status["pid"].as_u64().expect("an id")).expect("an id");
        let mut all = vec![holder];
        all.extend(below(holder));
        assert!(all.len() > 3, "holder, keeper, pid 1 and server: {all:?}");
        all
    }

    fn state(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder().join("netproof")).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.run(&["down", "--all"]);
    }
}

fn gone(mut processes: Vec<u32>, case: &str) {
    let begun = Instant::now();
    while !processes.is_empty() {
        assert!(begun.elapsed() < GONE_WITHIN, "{case}: still there: {processes:?}");
        std::thread::sleep(Duration::from_millis(20));
        processes.retain(|&process| parent(process).is_some());
    }
}

#[test]
fn a_sandbox_stays_in_the_background_until_it_is_taken_down() {
    let user = User::new();
    let other = user.folder().join("other.kubeconfig");
    let kubeconfig = user.up(&["--nodes", "3", "--fault", "reject"]);
    assert_eq!(
        user.up(&["--name", "b", "--kubeconfig", other.to_str().expect("UTF-8")]),
        other,
        "the path that was asked for is the one that is printed"
    );
    let status = user.status();
    let [b, default] = &status[..] else { panic!("two sandboxes: {status:?}") };
    assert_eq!((&b["name"], &b["nodes"]), (&"b".into(), &2.into()));
    assert_eq!(
        (&default["name"], &default["nodes"], &default["state"], &default["faults"][0]),
        (&"default".into(), &3.into(), &"up".into(), &"reject".into())
    );
    let again = user.run(&["up"]);
    assert_eq!(again.code(), Some(2), "{again:#?}");
    assert!(again.stderr.contains("`netproof sandbox down default` ends it"), "{again:#?}");

    let printed = user.run(&["kubeconfig"]);
    assert_eq!(printed.stdout, fs::read_to_string(&kubeconfig).expect("a file"));
    assert!(printed.stdout.contains(default["server"].as_str().expect("an address")));
    let merged = user.run(&["kubeconfig", "b", "--merge"]);
    assert_eq!(merged.code(), Some(0), "{merged:#?}");
    let own = fs::read_to_string(user.folder().join(".kube/config")).expect("a kubeconfig");
    assert!(own.contains("current-context: netproof-b"), "{own}");

    let processes = user.processes();
    assert_eq!(user.run(&["down", "b"]).code(), Some(0));
    gone(processes, "down");
    assert!(!other.exists(), "a kubeconfig goes with its sandbox");
    let own = fs::read_to_string(user.folder().join(".kube/config")).expect("a kubeconfig");
    assert!(!own.contains("netproof-b"), "and so does its context: {own}");
    assert_eq!(user.names(), ["default"]);
    assert_eq!(user.run(&["down", "b"]).code(), Some(2), "it is down already");
    assert_eq!(user.run(&["down"]).code(), Some(0), "the default one is meant");
    assert_eq!(user.run(&["down", "--all"]).code(), Some(0), "none is no mistake");
    assert_eq!(user.state(), Vec::<PathBuf>::new());
}

#[test]
fn a_shell_leads_to_its_sandbox_and_passes_its_exit_code_on() {
    let user = User::new();
    let none = user.run(&["shell"]);
    assert_eq!(none.code(), Some(2), "{none:#?}");
    assert!(none.stderr.contains("netproof sandbox up"), "{none:#?}");
    let kubeconfig = user.up(&["--name", "a"]);
    let mut command = netproof(&["sandbox", "shell"]);
    let script = user.folder().join("script");
    fs::write(&script, "#!/bin/sh\necho \"$KUBECONFIG $NETPROOF_SANDBOX\"; exit 7\n")
        .expect("written");
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).expect("its mode");
    command.env("XDG_RUNTIME_DIR", user.folder()).env("SHELL", &script);
    let finished = finish(command.spawn().expect("start netproof"));
    assert_eq!(finished.code(), Some(7), "{finished:#?}");
    assert_eq!(finished.stdout, format!("{} a\n", kubeconfig.display()));
    assert!(finished.stderr.contains("`a`"), "{finished:#?}");
}

#[test]
fn whatever_part_is_killed_nothing_is_left() {
    let user = User::new();
    for (index, part) in ["holder", "keeper", "pid 1", "server"].into_iter().enumerate() {
        let kubeconfig = user.up(&[]);
        let processes = user.processes();
        kill(Pid::from_raw(processes[index].cast_signed()), Signal::SIGKILL).expect("killed");
        gone(processes, part);
        assert_eq!(user.names(), Vec::<String>::new(), "{part}");
        assert!(!kubeconfig.exists(), "{part}: its state is swept");
    }
}

/// Any process, at any moment, also before the sandbox is up.
#[test]
fn whenever_anything_is_killed_nothing_is_left() {
    let user = User::new();
    let mut random = Random::new();
    for round in 0..6 {
        let mut command = netproof(&["sandbox", "up", "--foreground"]);
        command.env("XDG_RUNTIME_DIR", user.folder());
        let mut foreground = command.spawn().expect("started");
        std::thread::sleep(Duration::from_millis(random.below(1_500)));
        // The holder, the keeper, pid 1, the server, and then the containers.
        let mut all = vec![foreground.id()];
        all.extend(below(foreground.id()));
        let place = random.below(all.len() as u64) as usize;
        let victim = all[place];
        let case = format!("round {round} of {}: number {place} of {all:?}", random.seed);
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(victim.cast_signed()), Signal::SIGKILL);
        let begun = Instant::now();
        let ended = loop {
            if let Some(status) = foreground.try_wait().expect("waited for") {
                break Some(status);
            }
            if place > 3 && begun.elapsed() > Duration::from_secs(1) {
                break None;
            }
            assert!(begun.elapsed() < GONE_WITHIN, "{case}: it goes on");
            std::thread::sleep(Duration::from_millis(20));
        };
        if ended.is_none() {
            // A container's process is started again; the sandbox goes on without it.
            all.extend(below(foreground.id()));
            foreground.kill().expect("killed");
            foreground.wait().expect("waited for");
        }
        gone(all, &case);
        assert_eq!(user.names(), Vec::<String>::new(), "{case}");
        assert_eq!(user.state(), Vec::<PathBuf>::new(), "{case}");
    }
}

/// Numbers that differ from run to run, and can be made again from their seed.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = now.expect("after 1970").subsec_nanos().into();
        Self { seed, state: seed }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 33) % end
    }
}

#[test]
fn a_sandbox_that_is_stopped_goes_down_too() {
    let user = User::new();
    user.up(&[]);
    let processes = user.processes();
    for process in &processes {
        // One that has ended meanwhile needs no signal.
        let _ = kill(Pid::from_raw(process.cast_signed()), Signal::SIGSTOP);
    }
    let begun = Instant::now();
    assert_eq!(user.run(&["down"]).code(), Some(0));
    assert!(begun.elapsed() < GONE_WITHIN, "{:?}", begun.elapsed());
    gone(processes, "down");
}

#[test]
fn who_gives_up_waiting_leaves_no_sandbox() {
    let user = User::new();
    let mut command = netproof(&["sandbox", "up"]);
    let mut waiting = command.env("XDG_RUNTIME_DIR", user.folder()).spawn().expect("started");
    let begun = Instant::now();
    let started = loop {
        let all = below(waiting.id());
        if all.len() > 2 {
            break all;
        }
        assert!(begun.elapsed() < GONE_WITHIN, "it never started");
    };
    waiting.kill().expect("killed");
    waiting.wait().expect("waited for");
    gone(started, "given up");
    assert_eq!(user.names(), Vec::<String>::new());
}

#[test]
fn a_host_without_user_namespaces_is_told_how_to_have_some() {
    // In a user namespace of its own the limit can be lowered for nobody else, and a root
    // that is left without capabilities needs another one.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --bounding-set=-all --inh-caps=-all \"$0\" sandbox up";
    let user = User::new();
    let finished = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "sh", "-c", script, env!("CARGO_BIN_EXE_netproof")])
        .env("XDG_RUNTIME_DIR", user.folder())
        .output()
        .expect("util-linux is there");
    let said = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(3), "{said}");
    assert!(said.contains("`sysctl -w user.max_user_namespaces=10000` turns them on"), "{said}");
    assert_eq!(user.state(), Vec::<PathBuf>::new(), "nothing is left of the attempt");
}

#[test]
fn a_node_may_fail_from_the_start_if_there_is_one() {
    let user = User::new();
    for node in ["node-1", "node-2"] {
        let name = format!("without-{node}");
        user.up(&["--name", &name, "--fault", &format!("fail-node={node}")]);
    }
    let finished = user.run(&["up", "--fault", "fail-node=node-9"]);
    assert_eq!(finished.code(), Some(3), "{finished:#?}");
    assert!(finished.stderr.contains("no such node; node-1, node-2 are"), "{finished:#?}");
}
