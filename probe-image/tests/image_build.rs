//! The Dockerfile gives an image of one file, built with no base image and no daemon.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;

/// A buildah with a store of its own, which goes with the directory.
struct Builder {
    directory: tempfile::TempDir,
}

impl Builder {
    /// `None`, with the reason printed, where images can't be built.
    fn find() -> Option<Self> {
        let installed = Command::new("buildah").arg("--version").output();
        if !installed.is_ok_and(|output| output.status.success()) {
            eprintln!("skipped: buildah is not installed");
            return None;
        }
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: a store of files with foreign owners needs root");
            return None;
        }
        Some(Self { directory: tempfile::tempdir().unwrap() })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn output(&self, arguments: &[&str]) -> Output {
        Command::new("buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(self.path().join("root"))
            .arg("--runroot")
            .arg(self.path().join("run"))
            .args(arguments)
            .env("TMPDIR", self.path())
            .env("HOME", self.path())
            .output()
            .unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "buildah {arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_prebuilt_binary_becomes_an_image_of_one_file() {
    let Some(builder) = Builder::find() else { return };
    let context = builder.path().join("context");
    fs::create_dir(&context).unwrap();
    let binary = env!("CARGO_BIN_EXE_netproof-probe");
    fs::copy(binary, context.join("netproof-probe")).unwrap();
    let dockerfile = concat!(env!("CARGO_MANIFEST_DIR"), "/Dockerfile");
    let policy = builder.path().join("policy.json");
    fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let policy = policy.to_str().unwrap();

    builder.run(&[
        "build",
        "--isolation=chroot",
        "--signature-policy",
        policy,
        "--tag=netproof-probe:test",
        "--file",
        dockerfile,
        context.to_str().unwrap(),
    ]);
    let layout = builder.path().join("layout");
    let target = format!("oci:{}", layout.display());
    builder.run(&["push", "--signature-policy", policy, "netproof-probe:test", &target]);

    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        layout.join("blobs").join(digest.replace(':', "/"))
    };
    let manifest = read(&blob(&read(&layout.join("index.json"))["manifests"][0]));
    let config = read(&blob(&manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/netproof-probe"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    assert_eq!(config["config"]["Labels"]["org.opencontainers.image.licenses"], "Apache-2.0");

    let container = builder.run(&["from", "--signature-policy", policy, "netproof-probe:test"]);
    let root = builder.run(&["mount", container.trim()]);
    let files: Vec<_> = fs::read_dir(root.trim())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(files, ["netproof-probe"]);
    let copied = fs::read(Path::new(root.trim()).join("netproof-probe")).unwrap();
    assert_eq!(copied, fs::read(binary).unwrap());
    builder.run(&["umount", container.trim()]);
    builder.run(&["rm", container.trim()]);
}
