//! Nothing outlives the parent, whoever is killed.

use std::{
    fs, io,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use netproof::sandbox::{
    node::{Process, Stream},
    process::{Options, Sandbox, StartError},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, geteuid},
};

use crate::{
    lab::{self, Lab},
    scenario::{Outcome, chain, text},
};

const PARENT: &str = "netproof-test-parent";
/// How long anything may outlive the parent.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// `nobody`, wherever that user exists by name or not.
const ORDINARY_USER: u32 = 65534;

/// Who is killed.
#[derive(Clone, Copy)]
enum Victim {
    Parent,
    Keeper,
    /// Pid 1, seen from the host.
    Init,
    Server,
}

pub fn trials() -> Vec<Trial> {
    let kill = |name, victim| Trial::test(name, move || Ok(nothing_survives(victim)?));
    vec![
        kill("processes::nothing_survives_the_parent", Victim::Parent),
        kill("processes::nothing_survives_the_keeper", Victim::Keeper),
        kill("processes::nothing_survives_pid_1", Victim::Init),
        kill("processes::nothing_survives_the_server", Victim::Server),
        Trial::test("processes::a_child_that_fails_says_why", || Ok(failing_child()?)),
        Trial::test("processes::a_binary_that_is_no_sandbox_is_told", || Ok(no_sandbox()?)),
        Trial::test("processes::an_ordinary_user_can_do_all_of_this", || Ok(ordinary_user()?))
            .with_ignored_flag(!geteuid().is_root()),
    ]
}

/// Starts a parent with a sandbox and a program in a pod, kills somebody, and looks for
/// what is left.
fn nothing_survives(victim: Victim) -> Outcome {
    // Stands in the arguments of every process of this trial, and of no other.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mark = (1_000_000_000 + std::process::id() as usize * 100 + number).to_string();
    let mut parent = Command::new("/proc/self/exe")
        .arg0(PARENT)
        .arg(&mark)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(text)?;
    let outcome = kill_one(&mut parent, &mark, victim);
    let _ = parent.kill();
    let _ = parent.wait();
    // What a failure leaves is this trial's to clear away.
    for (left, _) in marked(&mark) {
        let _ = kill(Pid::from_raw(left), Signal::SIGKILL);
    }
    outcome
}

fn kill_one(parent: &mut Child, mark: &str, victim: Victim) -> Outcome {
    let output = parent.stdout.take().ok_or("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).map_err(text)?;
    let keeper: i32 = line.trim().parse().map_err(|_| format!("the parent said {line:?}"))?;
    let parent = parent.id() as i32;
    let everyone = marked(mark);
    // Parent, keeper, pid 1, server, and the program in the pod.
    if everyone.len() != 5 {
        return Err(format!("expected five processes: {everyone:?}"));
    }
    let child_of = |of: i32| {
        let child = everyone.iter().find(|(_, parent)| *parent == of);
        child.map(|(pid, _)| *pid).ok_or(format!("{of} has no child: {everyone:?}"))
    };
    let victim = match victim {
        Victim::Parent => parent,
        Victim::Keeper => keeper,
        Victim::Init => child_of(keeper)?,
        Victim::Server => child_of(child_of(keeper)?)?,
    };
    kill(Pid::from_raw(victim), Signal::SIGKILL).map_err(text)?;
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let left: Vec<_> = marked(mark).into_iter().filter(|(pid, _)| *pid != parent).collect();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("still there: {left:?}"));
        }
        // Nothing tells a stranger of a process that it has ended.
        thread::sleep(Duration::from_millis(10));
    }
}

/// Every process that has the mark in its arguments, with its parent.
fn marked(mark: &str) -> Vec<(i32, i32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has just ended has neither; one that awaits its burial has no arguments.
        let arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        if String::from_utf8_lossy(&arguments).contains(mark)
            && let Some(parent) = parent.and_then(|parent| parent.trim().parse().ok())
        {
            found.push((pid, parent));
        }
    }
    found
}

/// Whether this process is to be a parent that will be killed.
pub fn is_parent() -> bool {
    std::env::args().next().as_deref() == Some(PARENT)
}

/// The parent's side: a sandbox with a pod, until somebody dies.
pub fn parent() -> ExitCode {
    let work = || -> Outcome {
        let mark = std::env::args().nth(1).ok_or("no mark")?;
        let options = Options { nodes: mark.parse().map_err(text)?, ..Options::default() };
        tokio::runtime::Runtime::new().map_err(text)?.block_on(async {
            let mut sandbox =
                Sandbox::start(Path::new("/proc/self/exe"), &options).await.map_err(chain)?;
            let mut stream = TcpStream::connect(sandbox.kubeconfig()).map_err(text)?;
            writeln!(stream, "processes::wait {mark}").map_err(text)?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).map_err(text)?;
            if line != "waiting\n" {
                return Err(line);
            }
            println!("{}", sandbox.id().unwrap_or_default());
            // Holds the pipe on after the others have gone: it must not be what ended them.
            let _ = sandbox.ended().await;
            std::future::pending().await
        })
    };
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// The child's side: a program in a pod, and then nothing more.
pub async fn wait(mark: &str, stream: &mut TcpStream) -> Outcome {
    let lab = Lab::new().await?;
    let process = Process {
        executable: "/proc/self/exe".into(),
        argv0: lab::agent_name(),
        arguments: vec!["sleep".to_owned(), mark.to_owned()],
        environment: Default::default(),
        resolv_conf: String::new(),
        hosts: String::new(),
        stdin: Stream::Null,
        stdout: Stream::Null,
        stderr: Stream::Inherited,
    };
    let mut child = lab.pod("web").spawn(&process).map_err(text)?;
    writeln!(stream, "waiting").map_err(text)?;
    Err(format!("the program ended: {:?}", child.wait().await))
}

fn failing_child() -> Outcome {
    // The number of nodes that makes this test's server fail.
    let options = Options { nodes: 0, ..Options::default() };
    let started = block_on(Sandbox::start(Path::new("/proc/self/exe"), &options))?;
    match started {
        Err(StartError::Child(error)) if error == "no nodes: as asked" => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn no_sandbox() -> Outcome {
    let options = Options::default();
    let start = |file: &'static str| Sandbox::start(Path::new(file), &options);
    match block_on(start("/bin/false"))? {
        Err(StartError::Ended(status)) if status.code() == Some(1) => {}
        other => return Err(format!("false: {other:?}")),
    }
    match block_on(start("/bin/echo"))? {
        Err(StartError::Garbled(line)) if line.contains("nodes") => {}
        other => return Err(format!("echo: {other:?}")),
    }
    match block_on(start("/nowhere"))? {
        Err(StartError::Spawn(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => Err(format!("nowhere: {other:?}")),
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> Result<T, String> {
    Ok(tokio::runtime::Runtime::new().map_err(text)?.block_on(future))
}

/// Runs every other trial once more as a user without any privilege.
fn ordinary_user() -> Outcome {
    // The build may lie where that user can't look.
    let folder = tempfile::tempdir().map_err(text)?;
    let binary = folder.path().join("sandbox_node");
    fs::copy("/proc/self/exe", &binary).map_err(text)?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).map_err(text)?;
    let output = Command::new(&binary)
        .args(["--skip", "an_ordinary_user", "--test-threads", "4"])
        .current_dir("/")
        .env("TMPDIR", "/tmp")
        .uid(ORDINARY_USER)
        .gid(ORDINARY_USER)
        .output()
        .map_err(text)?;
    if output.status.success() {
        return Ok(());
    }
    let shown = [output.stdout, output.stderr].concat();
    Err(String::from_utf8_lossy(&shown).into_owned())
}
