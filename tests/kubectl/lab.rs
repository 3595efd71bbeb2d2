//! A sandbox, and kubectl to talk to it.

use std::{
    fs,
    io::Write,
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// If set, a missing kubectl is a failure.
pub const REQUIRED: &str = "NETPROOF_REQUIRE_KUBECTL";
/// The oldest kubectl whose `exec` speaks websockets.
const OLDEST: u64 = 30;
/// How long a sandbox may take to come up.
const UP_WITHIN: Duration = Duration::from_secs(60);
/// How long a command may take.
const COMMAND_WITHIN: &str = "90";

/// Why the trials can't run, if they can't.
pub fn missing() -> Option<String> {
    let version = Command::new("kubectl").args(["version", "--client", "-o", "json"]).output();
    let Ok(version) = version else { return Some("there is no kubectl on the PATH".to_owned()) };
    let version: Value = serde_json::from_slice(&version.stdout).unwrap_or_default();
    let minor = version["clientVersion"]["minor"].as_str().unwrap_or_default();
    let minor: String = minor.chars().take_while(char::is_ascii_digit).collect();
    match minor.parse::<u64>() {
        Ok(minor) if minor >= OLDEST => None,
        _ => Some(format!("kubectl is older than 1.{OLDEST}")),
    }
}

pub struct Lab {
    folder: TempDir,
    sandbox: Mutex<Child>,
}

impl Lab {
    /// Starts a sandbox and waits until it is up.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let sandbox = Command::new(env!("CARGO_BIN_EXE_netproof"))
            .args(["sandbox", "up", "--foreground", "--kubeconfig"])
            .arg(&kubeconfig)
            .env("XDG_RUNTIME_DIR", folder.path())
            .env("HOME", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start netproof");
        let lab = Self { folder, sandbox: Mutex::new(sandbox) };
        let start = Instant::now();
        while !fs::read_to_string(&kubeconfig).is_ok_and(|text| text.contains("server:")) {
            assert!(start.elapsed() < UP_WITHIN, "the sandbox did not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
        lab
    }

    /// Ends the sandbox.
    pub fn stop(&self) {
        let mut sandbox = self.sandbox.lock().expect("no trial panics with the sandbox in hand");
        sandbox.kill().expect("end the sandbox");
        sandbox.wait().expect("wait for the sandbox");
    }

    /// A command, not yet started.
    pub fn command(&self, namespace: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command
            .args([COMMAND_WITHIN, "kubectl", "--namespace", namespace])
            .args(arguments)
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path());
        command
    }

    /// Runs kubectl with a text as its input.
    pub fn run(&self, namespace: &str, arguments: &[&str], input: &str) -> Output {
        let mut child = self
            .command(namespace, arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start kubectl");
        let mut stdin = child.stdin.take().expect("a pipe");
        // Who reads no input closes it.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().expect("wait for kubectl")
    }

    /// What a command says that must succeed.
    pub fn ok(&self, namespace: &str, arguments: &[&str]) -> String {
        self.ok_with(namespace, arguments, "")
    }

    /// The same with an input.
    pub fn ok_with(&self, namespace: &str, arguments: &[&str], input: &str) -> String {
        let output = self.run(namespace, arguments, input);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}:\n{said}{complained}");
        said
    }

    /// What a command complains about that must fail.
    pub fn fails(&self, namespace: &str, arguments: &[&str], input: &str) -> String {
        let output = self.run(namespace, arguments, input);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "kubectl {arguments:?} should fail: {said}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// An object as JSON.
    pub fn json(&self, namespace: &str, arguments: &[&str]) -> Value {
        let text = self.ok(namespace, &[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).expect("JSON")
    }

    /// Starts a command that goes on.
    pub fn start_command(&self, namespace: &str, arguments: &[&str]) -> Child {
        self.command(namespace, arguments).stdout(Stdio::piped()).spawn().expect("start kubectl")
    }
}

/// The words of the first line that begins with one.
pub fn line<'t>(table: &'t str, first: &str) -> Vec<&'t str> {
    let found = table.lines().find(|line| line.split_whitespace().next() == Some(first));
    found.unwrap_or_else(|| panic!("no {first} in\n{table}")).split_whitespace().collect()
}
