//! Runs the program and reads its times and its memory.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use netproof::event::{Event, Record, Stage};

/// The program, built with the benchmark's own profile.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_netproof");

/// What a run took.
pub struct Run {
    /// From the first object of the suite to the last pod's readiness.
    pub launched: Duration,
    /// From the last session's opening to the last verdict.
    pub judged: Duration,
    /// From the program's start to its end.
    pub whole: Duration,
    /// The most memory that the runner held, in bytes; the sandbox's processes don't count.
    pub peak: u64,
}

/// Runs a suite in a sandbox; every case must pass.
pub fn run(suite: &str) -> Run {
    let mut file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    file.write_all(suite.as_bytes()).expect("write the suite");
    let started = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args(["run", "--sandbox", "--output", "json"])
        .arg(file.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the program");
    let (mut created, mut ready, mut sessions, mut judged) = (None, 0, 0, 0);
    let mut peak = 0;
    let stdout = child.stdout.take().expect("its output is piped");
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("its output is text");
        let Record { at, event } = serde_json::from_str(&line).expect("a record a line");
        let is_verdict = matches!(event, Event::CaseJudged { .. });
        match event {
            Event::Progress { stage: Stage::Create, suite: Some(_), .. } => {
                created.get_or_insert(at);
            }
            Event::Progress { stage: Stage::Ready, .. } => ready = at,
            Event::Progress { stage: Stage::Sessions, .. } => sessions = at,
            Event::CaseJudged { .. } => judged = at,
            _ => {}
        }
        // Reading it costs more than most records do; the peak only ever grows.
        if !is_verdict || at.is_multiple_of(16) {
            peak = peak.max(high_water_mark(&child));
        }
    }
    let status = child.wait().expect("wait for the program");
    assert!(status.success(), "every case of a benchmark passes: {status}");
    let between = |from, to: u64| Duration::from_millis(to.saturating_sub(from));
    Run {
        launched: between(created.unwrap_or(ready), ready),
        judged: between(sessions, judged),
        whole: started.elapsed(),
        peak,
    }
}

/// From nothing to a sandbox whose API answers.
pub fn sandbox_up() -> Duration {
    let folder = tempfile::tempdir().expect("a folder");
    let started = Instant::now();
    let mut child = Command::new(PROGRAM)
        .args(["sandbox", "up", "--foreground"])
        .env("XDG_RUNTIME_DIR", folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("start the program");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output is piped"))
        .read_line(&mut line)
        .expect("its output is text");
    let elapsed = started.elapsed();
    assert!(!line.is_empty(), "the sandbox did not come up");
    // The sandbox ends with its parent, however that ends.
    child.kill().expect("end the sandbox");
    child.wait().expect("wait for the sandbox");
    elapsed
}

/// `VmHWM`: the most physical memory that the process itself has held.
fn high_water_mark(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or_default();
    kibibytes * 1024
}
