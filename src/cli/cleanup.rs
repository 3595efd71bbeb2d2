//! `netproof cleanup`: removes what dead runs have left in a cluster.

use std::io::Write;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{Exit, exit::complain, signals, target::WayArgs};
use crate::{
    cluster::{AbandonedRun, CleanupOptions, CleanupReport, ErrorKind, cleanup},
    model::chain,
    run::Stop,
};

/// Remove what dead runs have left in a cluster.
///
/// A run counts as dead once its Lease was seen unrenewed for 15 s.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof cleanup --context staging --dry-run
  netproof cleanup --context staging

Exit codes:
  0 nothing of a dead run is left       3 something is left, or could not tell
  2 bad kubeconfig                      130 interrupted")]
pub(super) struct CleanupCommand {
    #[command(flatten)]
    way: WayArgs,
    /// Look into this namespace only; may be given several times. For whoever may not
    /// list in all of them.
    #[arg(long = "namespace", short, value_name = "NAMESPACE")]
    namespaces: Vec<String>,
    /// Only say what would be removed.
    #[arg(long)]
    dry_run: bool,
}

impl CleanupCommand {
    /// Cleans up, and says on standard output what was found and removed.
    pub async fn run(self) -> Exit {
        let cluster = match self.way.connect().await {
            Ok(cluster) => cluster,
            Err(exit) => return exit,
        };
        let stop = Stop::new();
        if let Err(error) = signals::watch(stop.clone()) {
            complain(&format!("listen for signals: {error}"), None);
            return Exit::Undecided;
        }
        // Who closes the pipe, or fills the disk, still gets the cleanup and its exit code.
        let mut out = anstream::stdout();
        let _ = writeln!(
            out,
            "looking for dead runs in {} ({}); where there are runs, their Leases are watched for {} s",
            cluster.context(),
            cluster.server(),
            CleanupOptions::default().unrenewed.as_secs()
        );
        let cancel = CancellationToken::new();
        let options = CleanupOptions {
            dry_run: self.dry_run,
            namespaces: self.namespaces.into_iter().collect(),
            ..CleanupOptions::default()
        };
        let everywhere = options.namespaces.is_empty();
        let cleaning = async {
            cluster.version().await?;
            cleanup(&cluster, &options, &cancel).await
        };
        tokio::select! {
            report = cleaning => match report {
                Ok(report) => {
                    let _ = writeln!(out, "{}", text(&report, self.dry_run));
                    exit(&report)
                }
                Err(error) if error.kind() == ErrorKind::Forbidden && everywhere => {
                    let remedy = "--namespace NAME looks into that namespace only";
                    complain(&chain(&error), Some(remedy));
                    Exit::Undecided
                }
                Err(error) => {
                    complain(&chain(&error), error.remedy().as_deref());
                    match error.kind() {
                        ErrorKind::Unauthorized => Exit::BadInput,
                        _ => Exit::Undecided,
                    }
                }
            },
            () = stop.stopped() => {
                complain("interrupted", Some("what is left can be cleaned up later"));
                Exit::Interrupted
            }
        }
    }
}

fn exit(report: &CleanupReport) -> Exit {
    let left = report.abandoned.iter().any(|run| !run.left.is_empty());
    if left { Exit::Undecided } else { Exit::Passed }
}

/// The report for people.
fn text(report: &CleanupReport, dry_run: bool) -> String {
    let mut lines = Vec::new();
    for AbandonedRun { run, found, removed, left, restored, kept } in &report.abandoned {
        if dry_run {
            lines.push(format!("run {run} is dead; this would be removed:"));
            lines.extend(found.iter().map(|object| format!("  {object}")));
            continue;
        }
        let objects = if *removed == 1 { "object" } else { "objects" };
        lines.push(format!("run {run} is dead; removed {removed} {objects}"));
        if *restored > 0 {
            let objects = if *restored == 1 { "object" } else { "objects" };
            lines.push(format!("  put back {restored} {objects} that it had changed"));
        }
        lines.extend(kept.iter().map(|what| format!("  warning: {what}")));
        lines.extend(left.iter().map(|object| format!("  left: {object}")));
    }
    for run in &report.alive {
        lines.push(format!("run {run} is alive and was left alone"));
    }
    if lines.is_empty() {
        lines.push("Nothing was left by any run.".to_owned());
    }
    lines.extend(report.unseen.iter().map(|what| format!("warning: not looked at: {what}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(left: &[&str]) -> CleanupReport {
        CleanupReport {
            alive: vec!["bbbbbb".parse().unwrap()],
            abandoned: vec![AbandonedRun {
                run: "aaaaaa".parse().unwrap(),
                found: vec!["Namespace np-aaaaaa-shop".into()],
                removed: 1 - left.len(),
                left: left.iter().map(|&text| text.to_owned()).collect(),
                restored: 0,
                kept: Vec::new(),
            }],
            unseen: vec!["no permission to list secrets".into()],
        }
    }

    #[test]
    fn the_report_says_what_became_of_each_run() {
        insta::assert_snapshot!(text(&report(&[]), false), @r"
        run aaaaaa is dead; removed 1 object
        run bbbbbb is alive and was left alone
        warning: not looked at: no permission to list secrets
        ");
        insta::assert_snapshot!(text(&report(&["Namespace np-aaaaaa-shop: has finalizers"]), false), @r"
        run aaaaaa is dead; removed 0 objects
          left: Namespace np-aaaaaa-shop: has finalizers
        run bbbbbb is alive and was left alone
        warning: not looked at: no permission to list secrets
        ");
        insta::assert_snapshot!(text(&report(&[]), true), @r"
        run aaaaaa is dead; this would be removed:
          Namespace np-aaaaaa-shop
        run bbbbbb is alive and was left alone
        warning: not looked at: no permission to list secrets
        ");
        insta::assert_snapshot!(text(&CleanupReport::default(), false), @"Nothing was left by any run.");
    }

    #[test]
    fn only_what_is_left_is_a_failure() {
        for (what, found, expected) in [
            ("nothing there", CleanupReport::default(), Exit::Passed),
            ("all removed", report(&[]), Exit::Passed),
            ("something left", report(&["x"]), Exit::Undecided),
        ] {
            assert_eq!(exit(&found), expected, "{what}");
        }
    }
}
