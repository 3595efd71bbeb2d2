//! `netproof cleanup`: removes what dead runs have left in a cluster.

use std::{error::Error as StdError, io::Write, path::PathBuf, process::ExitCode, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::cluster::{AbandonedRun, CleanupOptions, CleanupReport, Cluster, Kubeconfig, cleanup};

/// Bad input, before anything was touched.
const BAD_INPUT: u8 = 2;
/// The cluster is out of reach, or something could not be removed.
const COULD_NOT_TELL: u8 = 3;
/// SIGINT.
const INTERRUPTED: u8 = 130;

/// How long one run's objects may take to go; namespaces are slow.
const WITHIN: Duration = Duration::from_secs(120);

/// Remove what dead runs have left in a cluster.
///
/// A run counts as dead once its Lease was seen unrenewed for 15 s.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status: 0 nothing of a dead run is left, 2 bad kubeconfig, 3 the cluster is out of
reach or something could not be removed, 130 interrupted.")]
pub struct CleanupCommand {
    /// The kubeconfig; `$KUBECONFIG` or `~/.kube/config` where absent.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; its current one where absent.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,
}

impl CleanupCommand {
    /// Cleans up, and says on standard output what was found and removed.
    pub async fn run(self) -> ExitCode {
        let from = self.kubeconfig.map_or(Kubeconfig::Default, Kubeconfig::File);
        let cluster = match Cluster::connect(&from, self.context.as_deref()).await {
            Ok(cluster) => cluster,
            Err(error) => return fail(&error, error.remedy(), BAD_INPUT),
        };
        say(&format!(
            "Looking for dead runs in context {} ({}); this takes 15 s.",
            cluster.context(),
            cluster.server()
        ));
        let cancel = CancellationToken::new();
        let options = CleanupOptions { dry_run: self.dry_run, within: WITHIN };
        let cleaning = async {
            cluster.version().await?;
            cleanup(&cluster, &options, &cancel).await
        };
        let interrupted = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            report = cleaning => match report {
                Ok(report) => {
                    say(&text(&report, self.dry_run));
                    code(&report)
                }
                Err(error) => fail(&error, error.remedy().as_deref(), COULD_NOT_TELL),
            },
            () = interrupted => {
                say("Interrupted; what is left can be cleaned up later.");
                ExitCode::from(INTERRUPTED)
            }
        }
    }
}

fn code(report: &CleanupReport) -> ExitCode {
    if report.abandoned.iter().all(|run| run.left.is_empty()) {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(COULD_NOT_TELL)
    }
}

/// The report for people.
fn text(report: &CleanupReport, dry_run: bool) -> String {
    let mut lines = Vec::new();
    for AbandonedRun { run, found, removed, left } in &report.abandoned {
        if dry_run {
            lines.push(format!("run {run} is dead; this would be removed:"));
            lines.extend(found.iter().map(|object| format!("  {object}")));
            continue;
        }
        let objects = if *removed == 1 { "object" } else { "objects" };
        lines.push(format!("run {run} is dead; removed {removed} {objects}"));
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

/// Prints an error with its causes, each once.
fn fail(error: &dyn StdError, remedy: Option<&str>, code: u8) -> ExitCode {
    let mut text = format!("error: {error}");
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(&format!(": {cause}"));
        below = cause.source();
    }
    if let Some(remedy) = remedy {
        text.push_str(&format!("\n  {remedy}"));
    }
    // Whether anybody reads it changes nothing.
    let _ = writeln!(anstream::stderr(), "{text}");
    ExitCode::from(code)
}

fn say(text: &str) {
    let _ = writeln!(anstream::stdout(), "{text}");
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
            ("nothing there", CleanupReport::default(), ExitCode::SUCCESS),
            ("all removed", report(&[]), ExitCode::SUCCESS),
            ("something left", report(&["x"]), ExitCode::from(COULD_NOT_TELL)),
        ] {
            assert_eq!(format!("{:?}", code(&found)), format!("{expected:?}"), "{what}");
        }
    }
}
