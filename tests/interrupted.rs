//! Runs that somebody ends: by a signal they sweep, and what is killed is gone.

#[path = "interrupted/kernel.rs"]
mod kernel;
mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config, ResourceExt,
    config::{KubeConfigOptions, Kubeconfig},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{below, finish, netproof, parent, run};
use tempfile::TempDir;

const SHOP: &str = "suites/shop.yaml";

/// What a run says at each of its stages.
const STAGES: [&str; 5] = [
    r#""stage":"create""#,
    r#""stage":"ready""#,
    r#""stage":"sessions""#,
    r#""stage":"canary""#,
    r#""type":"round""#,
];

/// How long anything may outlive its run that was killed.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A run that says what it does.
struct Run {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Run {
    fn start(arguments: &[&str], folder: &Path) -> Self {
        let arguments = [&["run", "--output", "json"], arguments, &[SHOP]].concat();
        let mut child = netproof(&arguments).env("TMPDIR", folder).spawn().expect("start netproof");
        let said = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, said }
    }

    /// Waits until the run says this.
    fn says(&mut self, word: &str) {
        let line = self.said.find(|line| line.as_ref().is_ok_and(|line| line.contains(word)));
        assert!(line.is_some(), "the run ended before it said {word}");
    }

    fn signal(&self, signal: Signal) {
        kill(pid(&self.child), signal).expect("signal the run");
    }

    /// Waits for its end: the exit code, and the last of what it said.
    fn end(self) -> (Option<i32>, Vec<String>) {
        let rest = self.said.map_while(Result::ok).collect();
        (finish(self.child).code(), rest)
    }
}

/// `netproof sandbox up`, in a folder of its own.
struct Up {
    child: Child,
    folder: TempDir,
}

impl Up {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let mut child = netproof(&[
            "sandbox",
            "up",
            "--foreground",
            "--kubeconfig",
            kubeconfig.to_str().expect("a path in UTF-8"),
        ])
        .env("XDG_RUNTIME_DIR", folder.path())
        .spawn()
        .expect("start netproof");
        let mut line = String::new();
        // Its path is said once the file stands.
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
        assert_eq!(Path::new(line.trim()), kubeconfig);
        Self { child, folder }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    fn run(&self) -> Run {
        Run::start(
            &["--kubeconfig", self.kubeconfig().to_str().expect("a path in UTF-8")],
            self.folder.path(),
        )
    }

    /// The namespaces that runs have made.
    fn namespaces(&self) -> Vec<String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listed = async {
            let written = Kubeconfig::read_from(self.kubeconfig()).expect("a kubeconfig");
            let config =
                Config::from_custom_kubeconfig(written, &KubeConfigOptions::default()).await;
            let client = Client::try_from(config.expect("complete")).expect("a client");
            Api::<Namespace>::all(client).list(&Default::default()).await.expect("a list")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let names =
            runtime.expect("a runtime").block_on(listed).into_iter().map(|found| found.name_any());
        names.filter(|name| name.starts_with("np-")).collect()
    }

    fn signal_all_below(&self, signal: Signal) {
        for process in below(self.child.id()) {
            // One that has ended meanwhile needs no signal.
            let _ = kill(Pid::from_raw(process.cast_signed()), signal);
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        self.signal_all_below(Signal::SIGCONT);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().cast_signed())
}

#[test]
fn a_signal_at_any_stage_sweeps_and_ends_with_130() {
    let up = Up::start();
    let ended: Vec<_> = std::thread::scope(|scope| {
        let runs = STAGES.map(|stage| {
            let mut run = up.run();
            scope.spawn(move || {
                run.says(stage);
                run.signal(Signal::SIGTERM);
                (stage, run.end())
            })
        });
        runs.into_iter().map(|run| run.join().expect("a run")).collect()
    });
    for (stage, (code, rest)) in ended {
        assert_eq!(code, Some(130), "at {stage}: {rest:#?}");
        let swept =
            |line: &String| line.contains(r#""type":"swept""#) && line.contains(r#""left":[]"#);
        assert!(rest.iter().any(swept), "at {stage}: {rest:#?}");
    }
    assert_eq!(up.namespaces(), Vec::<String>::new());
}

#[test]
fn a_second_signal_ends_a_run_whose_sweep_hangs() {
    let up = Up::start();
    let mut run = up.run();
    run.says(STAGES[4]);
    up.signal_all_below(Signal::SIGSTOP);
    run.signal(Signal::SIGTERM);
    run.says(r#""type":"interrupted""#);
    assert!(run.child.try_wait().unwrap().is_none(), "nothing can be swept yet");
    run.signal(Signal::SIGTERM);
    assert_eq!(run.end().0, Some(130));
    up.signal_all_below(Signal::SIGCONT);
    assert!(!up.namespaces().is_empty(), "a cleanup has something to do");
}

#[test]
fn a_sandbox_outlives_no_run_that_is_killed() {
    std::thread::scope(|scope| {
        for stage in STAGES {
            scope.spawn(move || {
                let folder = tempfile::tempdir().expect("a folder");
                let mut run = Run::start(&["--sandbox"], folder.path());
                run.says(stage);
                let processes = below(run.child.id());
                assert!(processes.len() > 2, "keeper, server and pods: {processes:?}");
                run.signal(Signal::SIGKILL);
                let killed = Instant::now();
                run.end();
                let mut left = processes;
                while !left.is_empty() {
                    assert!(killed.elapsed() < GONE_WITHIN, "at {stage} still there: {left:?}");
                    std::thread::sleep(Duration::from_millis(20));
                    left.retain(|&process| parent(process).is_some());
                }
                let files: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
                assert!(files.is_empty(), "at {stage}: {files:?}");
            });
        }
    });
}

/// Fails if, 5 s after a kill, one of these processes runs or one of these namespaces is kept.
fn gone(what: &str, killed: Instant, processes: Vec<u32>, namespaces: &BTreeSet<String>) {
    let (mut left, mut kept) = (processes, namespaces.clone());
    while !left.is_empty() || !kept.is_empty() {
        let late = killed.elapsed() > GONE_WITHIN;
        assert!(!late, "{what}: processes {left:?}, namespaces {kept:?}");
        std::thread::sleep(Duration::from_millis(20));
        left.retain(|&process| parent(process).is_some());
        kept = kernel::held(&kept);
    }
}

#[test]
fn whatever_is_killed_at_whatever_moment_the_kernel_keeps_nothing() {
    let before = kernel::own_traces();
    // The command itself, the keeper and the cluster's first process, each when it may be.
    for victim in [0, 1, 2, 0] {
        let up = Up::start();
        std::thread::sleep(Duration::from_millis(rand::random_range(0..300)));
        let processes = below(up.child.id());
        let namespaces = kernel::namespaces(&processes);
        assert!(namespaces.iter().filter(|one| one.starts_with("net:")).count() > 2);
        let all = [&[up.child.id()], &*processes].concat();
        kill(Pid::from_raw(all[victim].cast_signed()), Signal::SIGKILL).expect("it runs");
        let killed = Instant::now();
        gone(&format!("up, process {victim} killed"), killed, processes, &namespaces);
    }
    for _ in 0..4 {
        let folder = tempfile::tempdir().expect("a folder");
        let run = Run::start(&["--sandbox"], folder.path());
        let moment = Duration::from_millis(rand::random_range(0..2500));
        std::thread::sleep(moment);
        let processes = below(run.child.id());
        let namespaces = kernel::namespaces(&processes);
        run.signal(Signal::SIGKILL);
        let killed = Instant::now();
        run.end();
        gone(&format!("a run, killed after {moment:?}"), killed, processes, &namespaces);
        let files: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
        assert!(files.is_empty(), "after {moment:?}: {files:?}");
    }
    let after = kernel::own_traces();
    // Others may work beside: only what looks like a sandbox's counts.
    let ours = |trace: &&String| {
        ["netproof", "nsfs", "link veth", "link node", "link pod"]
            .iter()
            .any(|sign| trace.contains(sign))
    };
    let left: Vec<_> = after.difference(&before).filter(ours).collect();
    assert_eq!(left, Vec::<&String>::new());
}

#[test]
fn a_sandbox_that_is_interrupted_takes_its_kubeconfig_away() {
    let mut up = Up::start();
    kill(pid(&up.child), Signal::SIGINT).unwrap();
    assert!(up.child.wait().unwrap().success());
    assert!(!up.kubeconfig().exists());
    let finished = run(&["run", "--kubeconfig", up.kubeconfig().to_str().unwrap(), SHOP]);
    assert_eq!(finished.code(), Some(2), "{finished:#?}");
}
