//! `netproof image save FILE`: the probe image as an archive, for kind, containerd or a
//! registry, with nothing but a statically linked binary.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    Exit, elf,
    exit::complain,
    oci::{self, Digest},
};
use crate::model::chain;

/// What to do if there is no static binary.
const BUILD: &str = if cfg!(target_arch = "aarch64") {
    "RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --profile agent -p netproof-probe --target aarch64-unknown-linux-gnu"
} else {
    "RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --profile agent -p netproof-probe --target x86_64-unknown-linux-gnu"
};

/// Where a build for a target puts its programs, below `target/`.
const TARGETS: [&str; 2] = if cfg!(target_arch = "aarch64") {
    ["aarch64-unknown-linux-gnu", "aarch64-unknown-linux-musl"]
} else {
    ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"]
};

/// Make the image that probe pods run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  netproof image save netproof-probe.tar && kind load image-archive netproof-probe.tar")]
pub(super) struct ImageCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Save(Save),
}

/// Write the probe image to an archive: OCI layout and docker archive in one.
///
/// Load it with `kind load image-archive FILE`, `ctr -n k8s.io images import FILE` or
/// `docker load -i FILE`, or copy it to a registry with skopeo (`oci-archive:FILE`).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netproof image save netproof-probe.tar
  netproof image save - --reference registry.example/netproof-probe:1 | docker load")]
struct Save {
    /// The archive to write; `-` is standard output.
    file: PathBuf,
    /// The statically linked agent. Default: a netproof-probe beside this program, one that
    /// was built for a target, or this program itself.
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// What pods call the image.
    #[arg(long, value_name = "NAME:TAG", default_value = concat!("netproof-probe:", env!("CARGO_PKG_VERSION")))]
    reference: String,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The binary can't be read.
    #[error("read {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The binary can't be the only file of an image.
    #[error("{} can't be the probe image: {why}", path.display())]
    Unfit {
        /// The binary.
        path: PathBuf,
        /// What is wrong with it.
        why: elf::Error,
    },
    /// No static binary was found.
    #[error("no statically linked netproof-probe found (looked at {})", list(.0))]
    NoBinary(Vec<PathBuf>),
    /// The archive can't be made.
    #[error(transparent)]
    Archive(#[from] oci::Error),
    /// The archive can't be put in its place.
    #[error("write {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

impl Error {
    /// What to do about it.
    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Unfit { .. } | Self::NoBinary(_) => Some(BUILD),
            Self::Read(..) | Self::Archive(_) | Self::Write(..) => None,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// A binary that can stand alone.
struct Binary {
    bytes: Vec<u8>,
    architecture: &'static str,
}

impl ImageCommand {
    /// Writes the archive, or says what to do so that it can be written.
    pub fn run(self) -> Exit {
        match self.save() {
            Ok(()) => Exit::Passed,
            Err(error) => {
                complain(&chain(&error), error.remedy());
                Exit::BadInput
            }
        }
    }

    /// Writes the archive, and says on standard error what it is.
    fn save(self) -> Result<(), Error> {
        let Action::Save(Save { file, binary, reference }) = self.action;
        let binary = match &binary {
            Some(path) => read(path)?,
            None => find(&candidates())?,
        };
        let digest = write(&file, &binary, &reference)?;
        let Binary { bytes, architecture } = binary;
        let size = bytes.len() as f64 / 1e6;
        let line = format!("{reference} for {architecture}, {size:.1} MB, {digest}");
        let _ = writeln!(anstream::stderr(), "{line}");
        Ok(())
    }
}

fn read(path: &Path) -> Result<Binary, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read(path.into(), source))?;
    let architecture =
        elf::architecture(&bytes).map_err(|why| Error::Unfit { path: path.into(), why })?;
    Ok(Binary { bytes, architecture })
}

/// The first candidate that is there and can stand alone.
fn find(candidates: &[PathBuf]) -> Result<Binary, Error> {
    candidates
        .iter()
        .find_map(|path| read(path).ok())
        .ok_or_else(|| Error::NoBinary(candidates.to_vec()))
}

/// Where an agent may be: beside this program, in the build directory that this program or
/// the working directory belongs to, or this program itself.
fn candidates() -> Vec<PathBuf> {
    let program = env::current_exe().unwrap_or_default();
    let directory = program.parent().map(Path::to_path_buf).unwrap_or_default();
    let mut candidates = vec![directory.join(netproof_probe::wire::BINARY)];
    for target in directory.parent().into_iter().chain([Path::new("target")]) {
        for profile in ["agent", "release"] {
            let place = |triple| target.join(triple).join(profile);
            candidates
                .extend(TARGETS.map(|triple| place(triple).join(netproof_probe::wire::BINARY)));
        }
    }
    candidates.push(program);
    candidates
}

/// Writes to a file beside the right one first, so that no half an archive is ever there.
fn write(file: &Path, binary: &Binary, reference: &str) -> Result<Digest, Error> {
    let Binary { bytes, architecture } = binary;
    if file == Path::new("-") {
        let out = io::stdout().lock();
        return Ok(oci::write_archive(out, bytes, architecture, reference)?);
    }
    let error = |source| Error::Write(file.into(), source);
    let directory = match file.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut half = tempfile::Builder::new()
        .prefix(".netproof-image-")
        .permissions(readable())
        .tempfile_in(directory)
        .map_err(error)?;
    let digest = oci::write_archive(half.as_file_mut(), bytes, architecture, reference)?;
    half.persist(file).map_err(|failed| error(failed.error))?;
    Ok(digest)
}

fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o644)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        image: ImageCommand,
    }

    fn run(arguments: &[&str]) -> Result<(), Error> {
        Arguments::try_parse_from([&["image"], arguments].concat()).unwrap().image.save()
    }

    #[test]
    fn an_archive_is_there_as_a_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("agent"), elf::program(62, 1)).unwrap();
        run(&["save", &path("image.tar"), "--binary", &path("agent")]).unwrap();
        let written = fs::read(path("image.tar")).unwrap();
        run(&["save", &path("image.tar"), "--binary", &path("agent")]).unwrap();
        assert_eq!(fs::read(path("image.tar")).unwrap(), written, "the same bytes again");

        fs::write(path("dynamic"), elf::program(62, 3)).unwrap();
        let error = run(&["save", &path("image.tar"), "--binary", &path("dynamic")]).unwrap_err();
        let text = error.to_string();
        assert!(text.ends_with("can't be the probe image: it is linked dynamically"), "{text}");
        assert_eq!(error.remedy(), Some(BUILD));

        let reference = ["--binary", &path("agent"), "--reference", "probe"];
        let error = run(&[&["save", &path("image.tar")], &reference[..]].concat()).unwrap_err();
        assert_eq!(error.to_string(), "`probe` is no image reference of the form NAME:TAG");

        let error = run(&["save", &path("no/image.tar"), "--binary", &path("agent")]).unwrap_err();
        assert!(error.to_string().ends_with("no/image.tar"), "{error}");

        let mut left: Vec<_> = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["agent", "dynamic", "image.tar"], "nothing half is left");
        assert_eq!(fs::read(path("image.tar")).unwrap(), written, "failures change nothing");
    }

    #[test]
    fn a_binary_that_cannot_stand_alone_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let [dynamic, missing, good] =
            ["dynamic", "missing", "good"].map(|name| directory.path().join(name));
        fs::write(&dynamic, elf::program(183, 3)).unwrap();
        fs::write(&good, elf::program(183, 1)).unwrap();
        let found = find(&[missing.clone(), dynamic.clone(), good]).unwrap();
        assert_eq!(found.architecture, "arm64");
        let Err(Error::NoBinary(looked_at)) = find(&[missing.clone(), dynamic.clone()]) else {
            panic!("there is no binary");
        };
        assert_eq!(looked_at, [missing, dynamic]);
    }

    #[test]
    fn a_container_tool_takes_the_archive_in_both_of_its_formats() {
        let installed = std::process::Command::new("buildah").arg("--version").output();
        if !installed.is_ok_and(|output| output.status.success())
            || !nix::unistd::geteuid().is_root()
        {
            eprintln!("skipped: needs buildah, and root for its store");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("agent"), elf::program(62, 1)).unwrap();
        fs::write(path("policy"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
        run(&["save", &path("image.tar"), "--binary", &path("agent")]).unwrap();
        for format in ["oci-archive", "docker-archive"] {
            let output = std::process::Command::new("buildah")
                .args(["--storage-driver", "vfs", "--root", &path("root"), "--runroot"])
                .args([&path("run"), "pull", "--signature-policy", &path("policy")])
                .arg(format!("{format}:{}", path("image.tar")))
                .env("HOME", directory.path())
                .env("TMPDIR", directory.path())
                .output()
                .unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{format}: {errors}");
        }
    }
}
