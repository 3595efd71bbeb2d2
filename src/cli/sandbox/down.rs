//! `netproof sandbox down`.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use clap::Args;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;

use super::{
    Trouble,
    state::{self, Home, Kept},
};
use crate::cli::Exit;

/// How long a sandbox may take to end by itself before it is killed.
const ASKED: Duration = Duration::from_secs(3);
/// How long what was killed may take to be gone.
const KILLED: Duration = Duration::from_secs(2);
/// How often to look.
const LOOK: Duration = Duration::from_millis(10);

/// End a sandbox, and wait until nothing of it is left.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox down
  netproof sandbox down lossy")]
pub(super) struct DownCommand {
    /// Which one; else `default`, or the only one that is up.
    #[arg(value_name = "NAME", value_parser = state::name)]
    name: Option<String>,
    /// End all of them.
    #[arg(long, conflicts_with = "name")]
    all: bool,
}

impl DownCommand {
    pub(super) async fn run(self) -> Result<Exit, Trouble> {
        let home = Home::open()?;
        let kept = if self.all { home.list()? } else { vec![home.choose(self.name.as_deref())?] };
        let mut left = Vec::new();
        for kept in kept {
            if end(&kept).await {
                let _ = writeln!(anstream::stderr(), "The sandbox `{}` is down.", kept.name);
            } else {
                left.push(kept.name.clone());
            }
            // What a killed one left.
            home.find(&kept.name);
        }
        match left[..] {
            [] => Ok(Exit::Passed),
            _ => Err(Trouble::machine(format!("still not ended: {}", left.join(", ")))),
        }
    }
}

/// Ends one sandbox. Says whether nothing of it is left.
async fn end(kept: &Kept) -> bool {
    let Some(record) = &kept.record else {
        // It is starting, under a process that has not yet written who it is.
        return gone(ASKED, || !kept.is_held()).await;
    };
    let is_gone = || !kept.is_held() && !record.keeper.is_running();
    for (signal, within) in [(Signal::SIGTERM, ASKED), (Signal::SIGKILL, KILLED)] {
        // Who holds the lock is alive, so that the id is still its own.
        if kept.is_held() {
            send(record.pid, signal);
        }
        if signal == Signal::SIGKILL && record.keeper.is_running() {
            send(record.keeper.pid, signal);
        }
        if gone(within, is_gone).await {
            return true;
        }
    }
    false
}

fn send(pid: u32, signal: Signal) {
    // One that has ended meanwhile needs no signal.
    let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
}

async fn gone(within: Duration, is_gone: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !is_gone() {
        if begun.elapsed() > within {
            return false;
        }
        sleep(LOOK).await;
    }
    true
}
