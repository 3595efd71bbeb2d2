//! `netproof sandbox status`.

use std::io::Write;

use clap::{Args, ValueEnum};
use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::{
    Trouble, live,
    state::{self, Home, Kept},
};
use crate::cli::Exit;

/// Say which sandboxes are up, and how they are.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox status
  netproof sandbox status lossy --output json | jq -r .[].kubeconfig")]
pub(super) struct StatusCommand {
    /// Only this one; it is an error if it isn't up.
    #[arg(value_name = "NAME", value_parser = state::name)]
    name: Option<String>,
    /// What to print.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// A table.
    Text,
    /// A list of objects.
    Json,
}

/// A sandbox, as a program reads it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    name: String,
    state: &'static str,
    /// The process that holds it; ending that ends it.
    pid: Option<u32>,
    nodes: Option<usize>,
    since: Option<Timestamp>,
    age_seconds: Option<i64>,
    server: Option<String>,
    kubeconfig: String,
    faults: Vec<String>,
}

impl StatusCommand {
    pub(super) async fn run(self) -> Result<Exit, Trouble> {
        let home = Home::open()?;
        let kept = match &self.name {
            Some(name) => vec![home.choose(Some(name))?],
            None => home.list()?,
        };
        let found = join_all(kept.iter().map(Status::of)).await;
        let mut out = anstream::stdout();
        // Who closes the pipe has read enough.
        let _ = match self.output {
            Output::Json => {
                let text = serde_json::to_string_pretty(&found);
                writeln!(out, "{}", text.map_err(|error| Trouble::machine(error.to_string()))?)
            }
            Output::Text if found.is_empty() => {
                writeln!(anstream::stderr(), "No sandbox is up; `netproof sandbox up` starts one.")
            }
            Output::Text => write!(out, "{}", table(&found)),
        };
        Ok(Exit::Passed)
    }
}

impl Status {
    async fn of(kept: &Kept) -> Self {
        let live = match &kept.record {
            Some(_) => live::ask(&kept.kubeconfig()).await,
            None => None,
        };
        let state = match (&kept.record, &live) {
            (None, _) => "starting",
            (Some(_), Some(live)) if live.faults.is_some() => "up",
            _ => "not answering",
        };
        let record = kept.record.as_ref();
        let (server, faults) = live.map_or((None, None), |live| (Some(live.server), live.faults));
        let started = || record.map(|record| record.faults.clone()).unwrap_or_default();
        let age = |since| Timestamp::now().duration_since(since).as_secs().max(0);
        Self {
            name: kept.name.clone(),
            state,
            pid: record.map(|record| record.pid),
            nodes: record.map(|record| record.nodes),
            since: record.map(|record| record.since),
            age_seconds: record.map(|record| age(record.since)),
            server,
            kubeconfig: kept.kubeconfig().display().to_string(),
            faults: faults.unwrap_or_else(started),
        }
    }
}

fn table(found: &[Status]) -> String {
    let head = ["NAME", "STATE", "PID", "NODES", "AGE", "API", "FAULTS"].map(str::to_owned);
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(found.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            line.push_str(&format!("{cell:<width$}   ", width = width(column)));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn row(status: &Status) -> [String; 7] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let faults = if status.faults.is_empty() { None } else { Some(status.faults.join(",")) };
    [
        status.name.clone(),
        status.state.to_owned(),
        or_dash(status.pid.map(|pid| pid.to_string())),
        or_dash(status.nodes.map(|nodes| nodes.to_string())),
        or_dash(status.age_seconds.map(age)),
        or_dash(status.server.clone()),
        or_dash(faults),
    ]
}

/// As kubectl writes ages: the two greatest units, without blanks.
fn age(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 && seconds % 60 > 0 => format!("{minutes}m{}s", seconds % 60),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 48 => format!("{hours}h"),
        () => format!("{days}d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        for (seconds, expected) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (185, "3m5s"),
            (3_600, "60m"),
            (10_800, "3h"),
            (172_800, "2d"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }

    #[test]
    fn a_sandbox_is_a_row() {
        let status = Status {
            name: "default".into(),
            state: "up",
            pid: Some(7),
            nodes: Some(2),
            since: None,
            age_seconds: Some(5),
            server: Some("https://127.0.0.1:1".into()),
            kubeconfig: String::new(),
            faults: vec!["reject".into(), "loss=1%".into()],
        };
        assert_eq!(
            table(&[status]),
            "NAME      STATE   PID   NODES   AGE   API                   FAULTS\n\
             default   up      7     2       5s    https://127.0.0.1:1   reject,loss=1%\n"
        );
    }
}
