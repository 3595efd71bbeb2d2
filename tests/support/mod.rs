//! The kit: runs the binary and reads what it says.

#![allow(dead_code, reason = "each test binary uses its part of the kit")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use netproof::event::{CaseOutcome, Event, Record};

/// How long a run may take before it counts as hung.
const HUNG: Duration = Duration::from_secs(300);

/// A finished process.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The exit code; `None` after a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The event stream of `--output json`.
    pub fn records(&self) -> Vec<Record> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The outcome of the case whose id contains this text.
    pub fn outcome(&self, case: &str) -> CaseOutcome {
        let judged = self.records().into_iter().find_map(|record| match record.event {
            Event::CaseJudged { id, outcome } if id.0.contains(case) => Some(*outcome),
            _ => None,
        });
        judged.unwrap_or_else(|| panic!("no verdict for {case}:\n{}\n{}", self.stdout, self.stderr))
    }

    /// Ids and verdicts of all cases that didn't pass.
    pub fn not_passed(&self) -> Vec<(String, String)> {
        let verdict = |record: Record| match record.event {
            Event::CaseJudged { id, outcome }
                if outcome.judgement.verdict != netproof::verdict::Verdict::Pass =>
            {
                Some((id.0, outcome.judgement.verdict.to_string()))
            }
            _ => None,
        };
        self.records().into_iter().filter_map(verdict).collect()
    }
}

/// The binary with these arguments, not yet started.
pub fn netproof(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netproof"));
    command
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env_remove("KUBECONFIG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The binary in namespaces of its own, as `unshare` makes them, after a script of `sh` that
/// prepares them: it takes its own arguments off (`shift`) and ends with `exec "$@"`. `None`,
/// and a word of it, where nobody may make such namespaces.
pub fn unshared(namespaces: &str, script: &str, own: &[&str], words: &[&str]) -> Option<Command> {
    let probed = Command::new("unshare").args([namespaces, "true"]).output();
    if !probed.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: `unshare {namespaces}` is not permitted here");
        return None;
    }
    let plain = netproof(words);
    let mut command = Command::new("unshare");
    command
        .args([namespaces, "sh", "-euc", script, "sh"])
        .args(own)
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(plain.get_current_dir().expect("a folder"))
        .env_remove("KUBECONFIG")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Some(command)
}

/// Runs the binary to its end.
pub fn run(arguments: &[&str]) -> Finished {
    let finished = finish(netproof(arguments).spawn().expect("start netproof"));
    tell(arguments, &finished);
    finished
}

/// Where NETPROOF_TELL is set (`just lies`): the command, and what it said.
pub fn tell(arguments: &[&str], finished: &Finished) {
    if std::env::var_os("NETPROOF_TELL").is_none() {
        return;
    }
    println!("  $ netproof {}", arguments.join(" "));
    let mut judged = 0;
    for line in finished.stdout.lines() {
        let Ok(Record { event: Event::CaseJudged { id, outcome }, .. }) =
            serde_json::from_str(line)
        else {
            continue;
        };
        judged += 1;
        if judged <= TOLD {
            println!("    {id}: {}, {}", outcome.judgement.verdict, outcome.judgement.reason);
        }
    }
    if judged > TOLD {
        println!("    and {} more", judged - TOLD);
    }
    for line in finished.stderr.lines().filter(|line| line.starts_with("error")).take(TOLD) {
        println!("    {line}");
    }
    println!("    exit code {:?}", finished.code());
}

/// So many verdicts of a run are told.
const TOLD: usize = 8;

/// Waits for a process and everything that it says; kills it once it counts as hung.
pub fn finish(mut child: Child) -> Finished {
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let deadline = Instant::now() + HUNG;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for netproof") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("kill netproof");
            child.wait().expect("wait for netproof");
            panic!("netproof hung: {}", stderr.join().expect("read standard error"));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Finished {
        status,
        stdout: stdout.join().expect("read standard output"),
        stderr: stderr.join().expect("read standard error"),
    }
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut pipe) = pipe {
            let _ = std::io::Read::read_to_string(&mut pipe, &mut text);
        }
        text
    })
}

/// All processes that descend from this one.
pub fn below(ancestor: u32) -> Vec<u32> {
    let processes: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("the processes")
        .filter_map(|entry| {
            let process = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((process, parent(process)?))
        })
        .collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&one) = found.get(next) {
        found.extend(processes.iter().filter(|(_, parent)| *parent == one).map(|(pid, _)| pid));
        next += 1;
    }
    found.split_off(1)
}

/// The parent of a process that runs.
pub fn parent(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may hold blanks and parentheses.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    (state != "Z").then_some(fields.next()?.parse().ok()?)
}
