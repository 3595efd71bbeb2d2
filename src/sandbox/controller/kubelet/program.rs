//! Which program stands behind a container.
//!
//! The sandbox has one executable, netproof itself, which is an agent, a DNS server or a
//! stand-in by its name. Images name none of the host's programs.

use std::{collections::BTreeMap, path::PathBuf};

use netproof_probe::wire;
use serde_json::Value;

use super::{
    environment::{self, MissingSource},
    hosts_file, resolver,
    stand_in::StandIn,
};
use crate::sandbox::{
    api::{admission::SIDECAR_IMAGE, object::Object, resource::SERVICES, store::Store},
    dns,
    node::{Process, Stream},
    stand_in::{self, command},
};

/// The image that is the sandbox's own DNS server.
pub const DNS_IMAGE: &str = "netproof-dns";

/// What a container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// The probe agent.
    Agent,
    /// The cluster's DNS server.
    Dns,
    /// A process that listens, in place of an image's own.
    StandIn,
    /// A command that tries a connection, in place of an image's own of that name.
    Command,
    /// The proxy of a service mesh.
    Sidecar,
}

/// A container can't be started as it is described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProgramError {
    /// The agent's image has no such program.
    #[error(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: \
         exec: \"{0}\": executable file not found in $PATH"
    )]
    NotFound(String),
    /// A variable's source isn't there.
    #[error(transparent)]
    Variable(#[from] MissingSource),
}

/// The last part of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether a word of a command line means the agent.
pub(super) fn is_agent(word: &str) -> bool {
    base(word) == wire::BINARY
}

fn words(container: &Value, pointer: &str) -> Vec<String> {
    let items = container.items(pointer).iter();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether all that a container does is to try a connection: somebody's `kubectl run` or
/// `kubectl debug`, or a chart's test. What a controller makes counts as having succeeded.
fn is_attempt(pod: &Value, container: &Value) -> bool {
    let among =
        |list: &str| pod.items(list).iter().any(|one| one.text("/name") == container.text("/name"));
    let is_own = pod.owners().is_empty() && among("/spec/containers");
    let all = [words(container, "/command"), words(container, "/args")].concat();
    (is_own || among("/spec/ephemeralContainers"))
        && container.items("/ports").is_empty()
        && command::is_attempt(&all)
}

impl Program {
    /// What stands behind a container of a pod.
    pub(super) fn of(pod: &Value, container: &Value) -> Self {
        let image = container.text("/image");
        // Without its registry, tag and digest.
        let name = base(image).split([':', '@']).next().unwrap_or_default();
        let first = words(container, "/command").into_iter().next();
        let first = first.or_else(|| words(container, "/args").into_iter().next());
        if image == SIDECAR_IMAGE {
            Self::Sidecar
        } else if name == wire::BINARY || first.is_some_and(|first| is_agent(&first)) {
            Self::Agent
        } else if name == DNS_IMAGE && pod.namespace() == "kube-system" {
            Self::Dns
        } else if is_attempt(pod, container) {
            Self::Command
        } else {
            Self::StandIn
        }
    }

    /// The process to start for a container.
    ///
    /// # Errors
    /// See [`ProgramError`].
    pub(super) fn process(
        self,
        store: &Store,
        pod: &Value,
        container: &Value,
    ) -> Result<Process, ProgramError> {
        let environment = environment::variables(store, pod, container)?;
        let expand = |words: Vec<String>| -> Vec<String> {
            words.iter().map(|word| environment::expand(word, &environment)).collect()
        };
        let command = expand(words(container, "/command"));
        let arguments = expand(words(container, "/args"));
        let (name, arguments) = match self {
            Self::Agent => {
                let mut all: Vec<_> = command.iter().cloned().chain(arguments).collect();
                match command.first() {
                    Some(first) if !is_agent(first) => {
                        return Err(ProgramError::NotFound(first.clone()));
                    }
                    _ if all.first().is_some_and(|first| is_agent(first)) => {
                        all.remove(0);
                    }
                    _ => {}
                }
                (wire::BINARY, all)
            }
            Self::Dns => (dns::BINARY, Vec::new()),
            Self::Sidecar => (stand_in::sidecar::BINARY, Vec::new()),
            Self::Command => (command::BINARY, [command, arguments].concat()),
            Self::StandIn => {
                let plan = Self::plan(store, pod, container);
                let identity = format!("{}/{}", pod.namespace(), pod.name());
                (stand_in::BINARY, plan.arguments(identity))
            }
        };
        let stdin = if self == Self::Agent { Stream::Null } else { Stream::Piped };
        Ok(Process {
            stdin,
            hosts: hosts_file::hosts(pod),
            ..piped(name, arguments, environment, resolver::resolv_conf(store, pod))
        })
    }

    /// What stands in for a container, as its namespace's Services are now.
    pub(super) fn plan(store: &Store, pod: &Value, container: &Value) -> StandIn {
        StandIn::of(pod, container, &store.list(&SERVICES, Some(pod.namespace())).0)
    }

    /// The process of a command that is executed in a container; `None` if its image has
    /// no such program. A stand-in has the agent, too, and commands of its own.
    pub(super) fn exec(self, base: &Process, words: &[String]) -> Option<Process> {
        let (first, arguments) = words.split_first()?;
        let (name, arguments) = match self {
            Self::Dns | Self::Sidecar => return None,
            _ if is_agent(first) => (wire::BINARY, arguments),
            Self::StandIn | Self::Command if command::is_known(words) => (command::BINARY, words),
            _ => return None,
        };
        Some(Process {
            stdin: Stream::Piped,
            hosts: base.hosts.clone(),
            ..piped(name, arguments.to_vec(), base.environment.clone(), base.resolv_conf.clone())
        })
    }
}

/// This executable under another name.
pub(in crate::sandbox::controller) fn piped(
    name: &str,
    arguments: Vec<String>,
    environment: BTreeMap<String, String>,
    resolv_conf: String,
) -> Process {
    Process {
        // The kernel's own link: it holds also where the file has been replaced.
        executable: PathBuf::from("/proc/self/exe"),
        argv0: name.to_owned(),
        arguments,
        environment,
        resolv_conf,
        hosts: "127.0.0.1\tlocalhost\n::1\tlocalhost\n".to_owned(),
        stdin: Stream::Null,
        stdout: Stream::Piped,
        stderr: Stream::Piped,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({"metadata": {"name": "web", "namespace": "shop"},
            "spec": {"containers": [{"name": "a"}], "initContainers": [{"name": "init"}]}})
    }

    #[test]
    fn a_container_is_the_agent_by_its_image_or_its_command() {
        for (container, expected) in [
            (json!({"image": "netproof-probe"}), Program::Agent),
            (json!({"image": "ghcr.io/netproof/netproof-probe:0.1.0"}), Program::Agent),
            (json!({"image": "a/netproof-probe@sha256:00"}), Program::Agent),
            (json!({"image": "x", "command": ["/netproof-probe", "serve"]}), Program::Agent),
            (json!({"image": "x", "args": ["netproof-probe", "serve"]}), Program::Agent),
            (json!({"image": "netproof-probe-not"}), Program::StandIn),
            (json!({"image": "netproof-dns"}), Program::StandIn),
            (json!({"image": "nginx", "command": ["sleep", "1"]}), Program::StandIn),
            (json!({"name": "a", "command": ["wget"], "args": ["web:80"]}), Program::Command),
            (json!({"name": "a", "args": ["nc", "-z", "web", "80"]}), Program::Command),
            (json!({"name": "a", "args": ["curl", "--dance", "web"]}), Program::StandIn),
            (json!({"name": "init", "command": ["wget", "web:80"]}), Program::StandIn),
            (
                json!({"name": "a", "command": ["wget", "web"], "ports": [{"containerPort": 1}]}),
                Program::StandIn,
            ),
        ] {
            assert_eq!(Program::of(&pod(), &container), expected, "{container}");
        }
        let mut of_a_job = pod();
        of_a_job["metadata"]["ownerReferences"] = json!([{"kind": "Job", "name": "j"}]);
        let attempt = json!({"name": "a", "command": ["wget", "web"]});
        assert_eq!(Program::of(&of_a_job, &attempt), Program::StandIn, "a Job's succeeds");
        of_a_job["spec"]["ephemeralContainers"] = json!([{"name": "debugger"}]);
        let attempt = json!({"name": "debugger", "args": ["nc", "-z", "web", "80"]});
        assert_eq!(Program::of(&of_a_job, &attempt), Program::Command, "somebody's own");
        let dns = json!({"metadata": {"namespace": "kube-system"}});
        assert_eq!(Program::of(&dns, &json!({"image": "netproof-dns"})), Program::Dns);
    }

    #[test]
    fn the_agents_arguments_are_those_of_the_container() {
        let store = Store::new();
        let start = |container: Value| {
            Program::Agent.process(&store, &pod(), &container).map(|process| process.arguments)
        };
        for container in [
            json!({"args": ["serve", "--name", "$(HOSTNAME)"]}),
            json!({"command": ["/netproof-probe"], "args": ["serve", "--name", "$(HOSTNAME)"]}),
            json!({"command": ["netproof-probe", "serve", "--name", "web"]}),
        ] {
            let arguments = start(container.clone());
            assert_eq!(arguments, Ok(["serve", "--name", "web"].map(str::to_owned).into()));
        }
        let wrong = start(json!({"command": ["sh", "-c", "true"]}));
        assert_eq!(wrong, Err(ProgramError::NotFound("sh".into())));
    }

    #[test]
    fn exec_runs_the_agent_and_what_a_stand_in_knows() {
        let base = piped(wire::BINARY, Vec::new(), BTreeMap::new(), String::new());
        let command =
            |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        for (program, words, fits) in [
            (Program::Agent, &["netproof-probe", "dial"][..], true),
            (Program::Agent, &["/netproof-probe", "dial"], true),
            (Program::Agent, &["sh"], false),
            (Program::Agent, &["env"], false),
            (Program::StandIn, &["curl", "-s", "http://db"], true),
            (Program::StandIn, &["sh", "-c", "nc -z db 80"], true),
            (Program::Command, &["env"], true),
            (Program::Agent, &[], false),
            (Program::StandIn, &["netproof-probe"], true),
            (Program::StandIn, &["sh"], false),
            (Program::Dns, &["netproof-probe"], false),
        ] {
            let found = program.exec(&base, &command(words));
            assert_eq!(found.is_some(), fits, "{program:?} {words:?}");
        }
    }
}
