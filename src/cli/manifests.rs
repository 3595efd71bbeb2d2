//! `--manifests`: other people's manifests for a sandbox.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Exit, exit::complain};
use crate::{
    cluster::{Application, BringError, Cluster},
    model::chain,
    run::Stop,
};

/// What a file of manifests ends with, in a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// So many pods are named in a note.
const NAMED: usize = 5;

/// Reads files, folders with all below them, and standard input (`-`).
pub(super) fn read(paths: &[PathBuf]) -> Result<Application, String> {
    let mut application = Application::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| format!("read standard input: {error}"))?;
            application.add("standard input", &text)?;
            continue;
        }
        for file in files(path)? {
            let name = file.display().to_string();
            let text =
                fs::read_to_string(&file).map_err(|error| format!("read {name}: {error}"))?;
            application.add(&name, &text)?;
        }
    }
    if application.is_empty() && !paths.is_empty() {
        return Err("there is no object in the manifests".to_owned());
    }
    Ok(application)
}

/// A file itself, or the manifests below a folder, in the order of their names.
fn files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let failed = |error: std::io::Error| format!("read {}: {error}", path.display());
    let entries = fs::read_dir(path).map_err(failed)?;
    let mut entries: Vec<_> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    entries.sort();
    let mut found = Vec::new();
    for entry in entries {
        let ending = entry.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if entry.is_dir() && !entry.is_symlink() {
            found.extend(files(&entry)?);
        } else if ENDINGS.contains(&ending) {
            found.push(entry);
        }
    }
    Ok(found)
}

/// Brings an application into a sandbox and waits until it is available. Gives what a
/// report should say of it.
pub(super) async fn bring(
    cluster: &Cluster,
    application: &Application,
    within: Duration,
    stop: &Stop,
) -> Result<Vec<String>, Exit> {
    let brought = tokio::select! {
        brought = cluster.bring(application, within) => brought,
        () = stop.stopped() => return Err(Exit::Interrupted),
    };
    match brought {
        Ok(brought) => {
            let mut notes = brought.notes;
            notes.extend(stand_ins(&brought.stand_ins));
            Ok(notes)
        }
        Err(error @ BringError::Unavailable { .. }) => {
            complain(
                &format!("the manifests' workloads are {error}"),
                Some("--launch-within DURATION gives them longer"),
            );
            Err(Exit::Undecided)
        }
        Err(error) => {
            complain(&chain(&error), None);
            Err(Exit::BadInput)
        }
    }
}

/// Says plainly what is not real.
fn stand_ins(pods: &[String]) -> Option<String> {
    if pods.is_empty() {
        return None;
    }
    let (count, mut named) = (pods.len(), pods[..pods.len().min(NAMED)].join(", "));
    if count > NAMED {
        named.push_str(", …");
    }
    let plural = if count == 1 { "pod is a stand-in" } else { "pods are stand-ins" };
    Some(format!(
        "{count} {plural} ({named}): the sandbox runs no images, and a process of netproof's \
         listens on their ports; what the applications themselves would do is not tested"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_with_all_below_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let below = folder.path().join("chart/templates");
        fs::create_dir_all(&below).expect("folders");
        let object =
            |kind: &str| format!("{{apiVersion: v1, kind: {kind}, metadata: {{name: a}}}}");
        fs::write(below.join("a.yaml"), object("Secret")).expect("written");
        fs::write(folder.path().join("b.json"), object("Pod")).expect("written");
        fs::write(below.join("NOTES.txt"), "no manifest").expect("written");
        assert_eq!(files(folder.path()).expect("files").len(), 2);
        assert!(!read(&[folder.path().to_owned()]).expect("manifests").is_empty());
        let empty = tempfile::tempdir().expect("a folder");
        let error = read(&[empty.path().to_owned()]).expect_err("nothing");
        assert_eq!(error, "there is no object in the manifests");
        assert!(read(&[folder.path().join("none.yaml")]).expect_err("none").contains("none.yaml"));
    }

    #[test]
    fn stand_ins_are_counted_and_some_are_named() {
        assert_eq!(stand_ins(&[]), None);
        let pods: Vec<_> = (0..6).map(|number| format!("shop/p{number}")).collect();
        let text = stand_ins(&pods).expect("a note");
        let start = "6 pods are stand-ins (shop/p0, shop/p1, shop/p2, shop/p3, shop/p4, …): ";
        assert!(text.starts_with(start), "{text}");
        assert!(
            stand_ins(&pods[..1]).expect("a note").starts_with("1 pod is a stand-in (shop/p0)")
        );
    }
}
