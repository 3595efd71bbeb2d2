//! `deploy/`: what is applied to a cluster works there, with the rights that it asks for and
//! no others.

#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value;
use support::{Finished, finish, netproof, unshared};
use tempfile::TempDir;

/// If set, a missing kubectl is a failure.
const REQUIRED: &str = "NETPROOF_REQUIRE_KUBECTL";
/// If set, the role is written anew from what a run has used.
const UPDATE: &str = "UPDATE_ROLE";
const ROLE: &str = "deploy/base/role.yaml";
const USER: &str = "system:serviceaccount:netproof:netproof";
/// How long a sandbox, or an object in it, may take.
const WITHIN: Duration = Duration::from_secs(60);
/// A verb that not every run uses is used by one of so many.
const RUNS: usize = 3;

const HEADER: &str = "\
# What a run of smoke.yaml does, and nothing else: recorded from a run, and compared with one by
# tests/deploy. A suite of your own may need more: what its manifests hold, and pods and configmaps
# in namespaces that exist (docs/cluster.md). What exactly, a sandbox says:
#   netproof sandbox up && kubectl apply -k deploy/post-deploy     (with the sandbox's kubeconfig)
#   netproof run --kubeconfig … your-suite.yaml                    (with a token of the account)
#   netproof sandbox audit --role --user system:serviceaccount:netproof:netproof
";

/// A sandbox in which `deploy/` was applied.
struct Lab {
    folder: TempDir,
    sandbox: Child,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.sandbox.kill();
        let _ = self.sandbox.wait();
    }
}

fn is_kubectl_missing() -> bool {
    let found = Command::new("kubectl").args(["version", "--client"]).output();
    let missing = !found.is_ok_and(|output| output.status.success());
    assert!(!missing || std::env::var_os(REQUIRED).is_none(), "there is no kubectl");
    if missing {
        eprintln!("skipped: there is no kubectl");
    }
    missing
}

impl Lab {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("admin");
        let path = kubeconfig.to_str().expect("UTF-8").to_owned();
        let sandbox = netproof(&["sandbox", "up", "--foreground", "--kubeconfig", &path])
            .env("XDG_RUNTIME_DIR", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start netproof");
        let lab = Self { folder, sandbox };
        let begun = Instant::now();
        while !fs::read_to_string(&kubeconfig).is_ok_and(|text| text.contains("server:")) {
            assert!(begun.elapsed() < WITHIN, "the sandbox did not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        lab
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("UTF-8").to_owned()
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new("timeout")
            .args(["90", "kubectl", "--kubeconfig", &self.path("admin")])
            .args(arguments)
            .env("HOME", self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start kubectl");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(input.as_bytes()).expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("wait for kubectl");
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {complained}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Applies a folder of `deploy/` as its comment says.
    fn apply(&self, folder: &str) {
        let objects = Command::new("kubectl").args(["kustomize", folder]).output();
        let objects = objects.expect("start kubectl");
        assert!(objects.status.success(), "{}", String::from_utf8_lossy(&objects.stderr));
        let text = String::from_utf8(objects.stdout).expect("text");
        self.kubectl(&["apply", "--validate=strict", "-f", "-"], &text);
    }

    /// How to reach the API with nothing but the account's own token.
    fn as_account(&self) -> Account {
        let token = self.kubectl(&["-n", "netproof", "create", "token", "netproof"], "");
        let text = fs::read_to_string(self.path("admin")).expect("a kubeconfig");
        let mut config: Value = serde_yaml::from_str(&text).expect("YAML");
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        let kubeconfig = self.path("account");
        fs::write(&kubeconfig, config.to_string()).expect("written");
        let folder = self.folder.path().join("serviceaccount");
        fs::create_dir(&folder).expect("a folder");
        let cluster = &config["clusters"][0]["cluster"];
        let authority = cluster["certificate-authority-data"].as_str().expect("an authority");
        let authority = BASE64_STANDARD.decode(authority).expect("base64");
        for (name, bytes) in
            [("token", token.trim().as_bytes()), ("namespace", b"netproof"), ("ca.crt", &authority)]
        {
            fs::write(folder.join(name), bytes).expect("written");
        }
        let server = cluster["server"].as_str().expect("a server").to_owned();
        let server = server.trim_start_matches("https://").to_owned();
        Account { kubeconfig, folder: self.path("serviceaccount"), server }
    }

    /// Runs what a Job's container runs, as its account: with the token where the kubelet puts
    /// it, or, where no mount can be made, by a kubeconfig.
    fn run_as(&self, account: &Account, job: &Value) -> Finished {
        let container = job.pointer("/template/spec/containers/0").expect("a container");
        let arguments = container["args"].as_array().expect("arguments").iter();
        let arguments: Vec<String> = arguments
            .map(|word| word.as_str().expect("a word").replace("/suites/", "deploy/base/"))
            .collect();
        let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        assert!(words.contains(&"--in-cluster"), "{words:?}");
        match account.in_cluster(&words) {
            Some(mut command) => finish(command.spawn().expect("start netproof")),
            None => {
                words.retain(|word| *word != "--in-cluster");
                words.extend(["--kubeconfig", &account.kubeconfig]);
                finish(netproof(&words).spawn().expect("start netproof"))
            }
        }
    }

    /// What the account has asked for, by group, resource and verb.
    fn asked(&self) -> BTreeSet<Right> {
        let audit = netproof(&["sandbox", "audit", "--role", "--user", USER])
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .spawn();
        let finished = finish(audit.expect("start netproof"));
        assert_eq!(finished.code(), Some(0), "{finished:#?}");
        let mut rights = rights(&finished.stdout);
        // Every account may ask what it may do (`system:basic-user`).
        rights.retain(|right| right.0 != "authorization.k8s.io");
        rights
    }
}

/// A service account, as a pod has it.
struct Account {
    kubeconfig: String,
    /// Token, namespace and authority, as the kubelet writes them.
    folder: String,
    /// Host and port of the API server.
    server: String,
}

impl Account {
    /// netproof as a pod's process sees the world: the account's files in their place, and the
    /// API server in the environment. `None` where nobody may make a mount namespace.
    fn in_cluster(&self, words: &[&str]) -> Option<Command> {
        let namespaces = if nix::unistd::geteuid().is_root() { "-m" } else { "-Urm" };
        let mut command = unshared(namespaces, PLACED, &[&self.folder], words)?;
        let (host, port) = self.server.rsplit_once(':').expect("a port");
        command
            .env("HOME", "/nonexistent")
            .env("KUBERNETES_SERVICE_HOST", host)
            .env("KUBERNETES_SERVICE_PORT", port);
        Some(command)
    }
}

/// Puts a service account's files where pods have them, and goes on as the rest of the words.
const PLACED: &str = "\
mount -t tmpfs tmpfs \"$(readlink -f /var/run)\"
mkdir -p /var/run/secrets/kubernetes.io
cp -r \"$1\" /var/run/secrets/kubernetes.io/serviceaccount
shift
exec \"$@\"";

/// Group, resource, verb.
type Right = (String, String, String);

/// What a role gives, one by one.
fn rights(role: &str) -> BTreeSet<Right> {
    let role: Value = serde_yaml::from_str(role).expect("YAML");
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().expect("a list").iter();
        items.map(|item| item.as_str().expect("a text").to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().expect("rules") {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    rights.insert((group.clone(), resource.clone(), verb));
                }
            }
        }
    }
    rights
}

/// The role that gives exactly this.
fn role(rights: &BTreeSet<Right>) -> String {
    let mut text = format!(
        "{HEADER}apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n\
         metadata: {{name: netproof}}\nrules:\n"
    );
    let places: BTreeSet<_> = rights.iter().map(|(group, resource, _)| (group, resource)).collect();
    for (group, resource) in places {
        let verbs = rights.iter().filter(|right| (&right.0, &right.1) == (group, resource));
        let verbs: Vec<_> = verbs.map(|right| right.2.as_str()).collect();
        let group = if group.is_empty() { "\"\"" } else { group };
        text.push_str(&format!(
            "  - {{apiGroups: [{group}], resources: [{resource}], verbs: [{}]}}\n",
            verbs.join(", ")
        ));
    }
    text
}

#[test]
fn what_is_deployed_passes_by_exactly_the_rights_of_its_role() {
    if is_kubectl_missing() {
        return;
    }
    let lab = Lab::start();
    lab.apply("deploy/post-deploy");
    lab.apply("deploy/schedule");
    // The namespace enforces the restricted level: a pod that it lets in has shown its spec.
    lab.kubectl(&["-n", "netproof", "wait", "--for=create", "pod", "-l", "job-name=netproof"], "");
    let account = lab.as_account();
    let json = |kind: &str| -> Value {
        let text = lab.kubectl(&["-n", "netproof", "get", kind, "netproof", "-o", "json"], "");
        serde_json::from_str(&text).expect("JSON")
    };
    let jobs =
        [json("job")["spec"].clone(), json("cronjob")["spec"]["jobTemplate"]["spec"].clone()];
    let given = rights(&fs::read_to_string(ROLE).expect("the role"));
    let mut asked = BTreeSet::new();
    for run in 0..RUNS {
        let finished = lab.run_as(&account, &jobs[run % jobs.len()]);
        assert_eq!(finished.code(), Some(0), "{finished:#?}");
        asked = lab.asked();
        if asked == given {
            return;
        }
    }
    if std::env::var_os(UPDATE).is_some() {
        fs::write(ROLE, role(&asked)).expect("written");
        return;
    }
    let missing: Vec<_> = asked.difference(&given).collect();
    let unused: Vec<_> = given.difference(&asked).collect();
    panic!("missing in the role: {missing:?}\nnever used: {unused:?}\n({UPDATE}=1 writes it anew)");
}

#[test]
fn outside_a_pod_in_cluster_is_refused_with_what_is_missing() {
    let refused = finish(
        netproof(&["run", "--in-cluster", "deploy/base/smoke.yaml"])
            .env_remove("KUBERNETES_SERVICE_HOST")
            .spawn()
            .expect("start netproof"),
    );
    assert_eq!(refused.code(), Some(2), "{refused:#?}");
    assert!(refused.stderr.contains("mount a service account's token"), "{}", refused.stderr);
}

#[test]
fn the_role_in_the_documentation_holds_all_that_the_deployed_one_does() {
    let documented = fs::read_to_string("docs/cluster.md").expect("the page");
    let start = documented.find("apiVersion: rbac").expect("a role");
    let end = documented[start..].find("```").expect("its end") + start;
    let documented = rights(&documented[start..end]);
    let given = rights(&fs::read_to_string(ROLE).expect("the role"));
    let missing: Vec<_> = given.difference(&documented).collect();
    assert!(missing.is_empty(), "docs/cluster.md lacks {missing:?}");
}
