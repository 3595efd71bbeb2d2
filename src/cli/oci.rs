//! An image archive with one layer and one file, written without a container tool.
//!
//! The tar is an OCI image layout, which containerd, buildah and skopeo read, and has the
//! `manifest.json` that `docker load` wants. The same input gives the same bytes.

use std::{
    fmt,
    io::{self, Write},
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The only file of the image, and its entry point.
const ENTRY: &str = "netproof-probe";

/// Nobody: a user that no node has, as the `restricted` Pod Security level wants it.
const USER: &str = "65532:65532";

/// When everything in the image was made, so that equal images are equal bytes.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// The address of something in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image would have no name that a pod can use.
    #[error("`{0}` is no image reference of the form NAME:TAG")]
    Reference(String),
    /// The archive could not be written.
    #[error("write the image archive")]
    Write(#[source] io::Error),
}

/// Writes an image that consists of `binary`, for nodes of `architecture` (`amd64`,
/// `arm64`), and returns its manifest's digest. `reference` is what pods call it.
///
/// # Errors
/// [`Error`] if the reference is none, or the archive can't be written.
pub fn write_archive(
    out: impl Write,
    binary: &[u8],
    architecture: &str,
    reference: &str,
) -> Result<Digest, Error> {
    let name = Reference::parse(reference)?;
    let layer = layer(binary).map_err(Error::Write)?;
    let layer_digest = Digest::of(&layer);
    let config = bytes(&json!({
        "architecture": architecture,
        "os": "linux",
        "created": CREATED,
        "config": {
            "User": USER,
            "Entrypoint": [format!("/{ENTRY}")],
            "WorkingDir": "/",
            "Labels": {
                "org.opencontainers.image.title": ENTRY,
                "org.opencontainers.image.licenses": env!("CARGO_PKG_LICENSE"),
                "org.opencontainers.image.source": env!("CARGO_PKG_REPOSITORY"),
                "org.opencontainers.image.version": env!("CARGO_PKG_VERSION"),
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [layer_digest.to_string()]},
        "history": [{"created": CREATED, "created_by": "netproof image save"}],
    }));
    let config_digest = Digest::of(&config);
    let manifest = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest.to_string(),
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_digest.to_string(),
            "size": layer.len(),
        }],
    }));
    let manifest_digest = Digest::of(&manifest);
    let index = bytes(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest_digest.to_string(),
            "size": manifest.len(),
            "platform": {"architecture": architecture, "os": "linux"},
            "annotations": {
                "io.containerd.image.name": name.full,
                "org.opencontainers.image.ref.name": name.tag,
            },
        }],
    }));
    let docker = bytes(&json!([{
        "Config": config_digest.path(),
        "RepoTags": [reference],
        "Layers": [layer_digest.path()],
    }]));
    let files = [
        ("oci-layout".to_owned(), bytes(&json!({"imageLayoutVersion": "1.0.0"}))),
        ("index.json".to_owned(), index),
        ("manifest.json".to_owned(), docker),
        (manifest_digest.path(), manifest),
        (config_digest.path(), config),
        (layer_digest.path(), layer),
    ];
    let write = || {
        let mut archive = tar::Builder::new(out);
        for (path, content) in &files {
            append(&mut archive, path, 0o644, content)?;
        }
        archive.into_inner()?.flush()
    };
    write().map_err(Error::Write)?;
    Ok(manifest_digest)
}

fn layer(binary: &[u8]) -> io::Result<Vec<u8>> {
    let mut layer = tar::Builder::new(Vec::with_capacity(binary.len() + 4_096));
    append(&mut layer, ENTRY, 0o755, binary)?;
    layer.into_inner()
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    archive.append_data(&mut header, path, content)
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// What an image is called.
struct Reference {
    /// With the registry that a name without one stands for.
    full: String,
    tag: String,
}

impl Reference {
    /// Takes a name with a tag: without one, nodes would look for `latest` in a registry
    /// before every start.
    fn parse(text: &str) -> Result<Self, Error> {
        let error = || Error::Reference(text.to_owned());
        let (name, tag) = text.rsplit_once(':').ok_or_else(error)?;
        let word = |text: &str, others: &str| {
            text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
        };
        let lower = name.rsplit('/').next().is_some_and(|name| name == name.to_lowercase());
        let parts = name.split('/').all(|part| word(part, "._-:"));
        if !(parts && lower && word(tag, "._-") && tag.len() <= 128) {
            return Err(error());
        }
        let full = match name.split_once('/') {
            None => format!("docker.io/library/{text}"),
            Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => text.into(),
            Some(_) => format!("docker.io/{text}"),
        };
        Ok(Self { full, tag: tag.into() })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use super::*;

    fn archive(reference: &str) -> (Vec<u8>, Digest) {
        let mut out = Vec::new();
        let digest = write_archive(&mut out, b"binary", "amd64", reference).unwrap();
        (out, digest)
    }

    fn unpack(bytes: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes).entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 0);
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let mode = entry.header().mode().unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, (mode, content));
        }
        files
    }

    /// Follows a descriptor, and checks it.
    fn blob(files: &BTreeMap<String, (u32, Vec<u8>)>, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap();
        let path = format!("blobs/{}", digest.replace(':', "/"));
        let (_, content) = &files[&path];
        assert_eq!(Digest::of(content).to_string(), digest, "{path}");
        assert_eq!(descriptor["size"], content.len(), "{path}");
        content.clone()
    }

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_archive_is_an_oci_layout_and_a_docker_archive() {
        let (bytes, digest) = archive("netproof-probe:0.1.0");
        let files = unpack(&bytes);
        assert_eq!(read(&files["oci-layout"].1)["imageLayoutVersion"], "1.0.0");

        let index = read(&files["index.json"].1);
        let descriptor = &index["manifests"][0];
        assert_eq!(descriptor["digest"], digest.to_string());
        let annotations = &descriptor["annotations"];
        let full = "docker.io/library/netproof-probe:0.1.0";
        assert_eq!(annotations["io.containerd.image.name"], full);
        assert_eq!(annotations["org.opencontainers.image.ref.name"], "0.1.0");

        let manifest = read(&blob(&files, descriptor));
        let config = read(&blob(&files, &manifest["config"]));
        assert_eq!(config["architecture"], "amd64");
        assert_eq!(config["config"]["Entrypoint"], json!(["/netproof-probe"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Env"], Value::Null);

        let layer = blob(&files, &manifest["layers"][0]);
        assert_eq!(config["rootfs"]["diff_ids"], json!([manifest["layers"][0]["digest"]]));
        let expected = BTreeMap::from([("netproof-probe".into(), (0o755, b"binary".to_vec()))]);
        assert_eq!(unpack(&layer), expected);

        let docker = &read(&files["manifest.json"].1)[0];
        assert_eq!(docker["RepoTags"], json!(["netproof-probe:0.1.0"]));
        assert_eq!(files[docker["Config"].as_str().unwrap()].1, blob(&files, &manifest["config"]));
        assert_eq!(files[docker["Layers"][0].as_str().unwrap()].1, layer);
    }

    #[test]
    fn equal_images_are_equal_bytes() {
        assert_eq!(archive("a:1"), archive("a:1"));
        assert_ne!(archive("a:1").0, archive("a:2").0);
    }

    #[test]
    fn a_name_without_a_registry_is_one_of_docker() {
        for (reference, full) in [
            ("probe:1", Some("docker.io/library/probe:1")),
            ("team/probe:1", Some("docker.io/team/probe:1")),
            ("registry.example/probe:1", Some("registry.example/probe:1")),
            ("localhost:5000/team/probe:1", Some("localhost:5000/team/probe:1")),
            ("probe", None),
            ("localhost:5000/probe", None),
            ("Probe:1", None),
            ("probe:", None),
            (":1", None),
            ("a//b:1", None),
            ("probe:1 2", None),
        ] {
            let found = Reference::parse(reference).ok().map(|reference| reference.full);
            assert_eq!(found.as_deref(), full, "{reference}");
        }
    }
}
