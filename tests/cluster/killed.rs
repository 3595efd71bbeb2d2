//! A run that is killed leaves nothing that a cleanup doesn't find.

use std::{process::Stdio, time::Duration};

use futures::future::join_all;
use netproof::cluster::{CleanupOptions, cleanup};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};
use tokio_util::sync::CancellationToken;

use crate::{lab::Lab, sweep::left};

/// Runs the shop against the lab's cluster, and kills it once it has said this.
async fn killed_at(kubeconfig: &std::path::Path, word: &str) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_netproof"))
        .args(["run", "--output", "json", "--kubeconfig"])
        .arg(kubeconfig)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/suites/shop.yaml"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("netproof starts");
    let mut said = BufReader::new(run.stdout.take().expect("a pipe")).lines();
    while let Some(line) = said.next_line().await.expect("a pipe to a process of ours") {
        if line.contains(word) {
            run.kill().await.expect("a pipe to a process of ours");
            return;
        }
    }
    panic!("the run ended before it said {word}");
}

#[tokio::test]
async fn wherever_a_run_is_killed_a_cleanup_finds_what_it_left() {
    let lab = Lab::new().await;
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, lab.kubeconfig()).unwrap();
    let words = [
        r#""stage":"create""#,
        r#""stage":"ready""#,
        r#""stage":"sessions""#,
        r#""type":"round""#,
        r#""stage":"sweep""#,
    ];
    join_all(words.map(|word| killed_at(&kubeconfig, word))).await;
    assert!(!left(&lab).await.is_empty(), "something is left to be found");

    let options = CleanupOptions { unrenewed: Duration::from_secs(7), ..Default::default() };
    let cancel = CancellationToken::new();
    let report = cleanup(lab.context.cluster(), &options, &cancel).await.unwrap();
    // At the first word there may be nothing yet, at the last one nothing any more.
    assert!(report.abandoned.len() >= words.len() - 2, "{report:?}");
    assert!(report.abandoned.iter().all(|run| run.left.is_empty()), "{report:?}");
    assert_eq!(left(&lab).await, Vec::<String>::new());
}
