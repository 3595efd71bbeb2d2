//! What is to be evaluated: manifests, a git revision or a cluster.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{
    Exit,
    exit::{complain, warn},
};
use crate::{
    cluster::{Cluster, Kubeconfig},
    model::{Topology, chain},
    policy::{Compiled, Foreign, Origin, PolicySet, Unread},
    topology::{self, reader},
};

/// Where namespaces, workloads and policies are read from.
#[derive(Debug, clap::Args)]
pub(super) struct StateArgs {
    /// Manifests, instead of a cluster: a file, a folder, or - for standard input; may be
    /// given several times. What `helm template` and `kubectl kustomize` print.
    #[arg(long, value_name = "DIR|FILE|-")]
    pub(super) manifests: Vec<PathBuf>,
    /// The namespace of objects that name none.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    pub(super) namespace: String,
    /// The kubeconfig; else $KUBECONFIG, ~/.kube/config, or the pod's own account.
    #[arg(long, value_name = "FILE", conflicts_with = "manifests")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context; else its current one.
    #[arg(long, value_name = "NAME", conflicts_with = "manifests")]
    pub(super) context: Option<String>,
}

/// Objects, and how strictly they are read.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) items: Vec<Value>,
    pub(super) origin: Origin,
    /// Kinds of policy that may not be read, and may decide.
    pub(super) foreign: Vec<Foreign>,
    /// What else may not be read.
    pub(super) unread: BTreeSet<Unread>,
    /// What may not be read, in sentences.
    pub(super) notes: Vec<String>,
}

impl Objects {
    /// Of manifests.
    pub(super) fn of_manifests(items: Vec<Value>) -> Self {
        Self {
            items,
            origin: Origin::Manifest,
            foreign: Vec::new(),
            unread: BTreeSet::new(),
            notes: Vec::new(),
        }
    }
}

impl StateArgs {
    /// Reads everything that was named.
    pub(super) async fn read(&self) -> Result<Objects, Exit> {
        if self.manifests.is_empty() {
            return read_cluster(self.kubeconfig.clone(), self.context.as_deref()).await;
        }
        let mut items = Vec::new();
        for path in &self.manifests {
            items.extend(read_path(path)?);
        }
        Ok(Objects::of_manifests(items))
    }
}

/// Reads manifests; tells a person at a terminal that the program waits for theirs.
fn read_path(path: &Path) -> Result<Vec<Value>, Exit> {
    if path.as_os_str() == "-" && std::io::stdin().is_terminal() {
        let _ = writeln!(anstream::stderr(), "reading manifests from the terminal; Ctrl-D ends it");
    }
    reader::read(path).map_err(|error| {
        complain(&chain(&error), None);
        Exit::BadInput
    })
}

async fn read_cluster(kubeconfig: Option<PathBuf>, context: Option<&str>) -> Result<Objects, Exit> {
    let from = kubeconfig.map_or(Kubeconfig::Default, Kubeconfig::File);
    let cluster = Cluster::connect(&from, context).await.map_err(|error| {
        complain(&chain(&error), Some("name manifests by --manifests, or a cluster by --context"));
        Exit::BadInput
    })?;
    let state = cluster.policy_state(None).await.map_err(|error| {
        complain(&chain(&error), None);
        Exit::Undecided
    })?;
    let consequence = |decides: bool| match decides {
        true => "it may decide, so nothing is told where it may",
        false => "what an address stands for is less sure",
    };
    let notes = state.missing.iter().map(|missing| {
        format!("may not read {missing} ({}): {}", missing.why, consequence(missing.decides))
    });
    Ok(Objects {
        notes: notes.collect(),
        foreign: state.foreign().collect(),
        unread: state.unread(),
        items: state.objects,
        origin: Origin::Stored,
    })
}

/// One side of a comparison: a path, `REVISION:PATH` of git, or `cluster`.
pub(super) async fn read_side(text: &str) -> Result<Objects, Exit> {
    let path = Path::new(text);
    if text == "-" || path.exists() {
        let items = read_path(path)?;
        return Ok(Objects::of_manifests(items));
    }
    match text.split_once(':') {
        None if text == "cluster" => read_cluster(None, None).await,
        Some(("cluster", context)) => read_cluster(None, Some(context)).await,
        Some((revision, path)) => {
            let items = read_revision(revision, path).map_err(|why| {
                complain(&format!("git revision `{text}`: {why}"), None);
                Exit::BadInput
            })?;
            Ok(Objects::of_manifests(items))
        }
        None => {
            let remedy = "a file or a folder, `REVISION:PATH` of git, or `cluster[:CONTEXT]`";
            complain(&format!("`{text}` is not there"), Some(remedy));
            Err(Exit::BadInput)
        }
    }
}

/// The manifests below a path, as they were at a revision.
fn read_revision(revision: &str, path: &str) -> Result<Vec<Value>, String> {
    if revision.starts_with('-') {
        return Err("a revision doesn't begin with a dash".to_owned());
    }
    let path = if path.is_empty() { "." } else { path };
    let names = git(&["ls-tree", "-r", "-z", "--name-only", revision, "--", path])?;
    let mut objects = Vec::new();
    let mut found = false;
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
        if !matches!(extension, Some("yaml" | "yml" | "json")) {
            continue;
        }
        found = true;
        let text = git(&["show", &format!("{revision}:./{name}")])?;
        let parsed = topology::parse(&format!("{revision}:{name}"), &text);
        objects.extend(parsed.map_err(|error| error.to_string())?);
    }
    if found { Ok(objects) } else { Err(format!("no .yaml, .yml or .json file below {path}")) }
}

fn git(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .map_err(|error| format!("start git: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    String::from_utf8(output.stdout).map_err(|_| "a file is not UTF-8".to_owned())
}

/// What was read, ready to be asked.
#[derive(Debug)]
pub(super) struct State {
    pub(super) all: Compiled,
    pub(super) notes: Vec<String>,
}

impl Objects {
    /// Checks policies and compiles; says all mistakes at once.
    pub(super) fn compile(&self, namespace: &str) -> Result<State, Exit> {
        let built = topology::build(&self.items, namespace);
        self.compile_with(built.topology, built.notes, namespace)
    }

    /// The same with a topology that was made elsewhere.
    pub(super) fn compile_with(
        &self,
        topology: Topology,
        mut notes: Vec<String>,
        namespace: &str,
    ) -> Result<State, Exit> {
        let mut policies =
            PolicySet::read(&self.items, namespace, self.origin).map_err(|mistakes| {
                for mistake in &mistakes {
                    complain(&mistake.to_string(), None);
                }
                Exit::BadInput
            })?;
        notes.extend(self.notes.iter().cloned());
        notes.extend(policies.foreign_in_words().map(|words| {
            format!("other kinds of policy may decide, and are not understood here: {words}")
        }));
        // What can't be read may decide: nothing is told then.
        policies.foreign.extend(self.foreign.iter().cloned());
        policies.unread.extend(&self.unread);
        Ok(State { all: Compiled::new(policies, topology), notes })
    }
}

impl State {
    /// Says on standard error what had to be assumed.
    pub(super) fn say_notes(&self) {
        for note in &self.notes {
            warn(note, None);
        }
    }
}
