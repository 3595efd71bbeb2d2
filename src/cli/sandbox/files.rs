//! Files that only their owner may read.

use std::{
    fs::Permissions,
    io::{self, Write},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::Trouble;

/// Writes a file at once, readable by its owner alone.
pub(super) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        .map_err(|error| io::Error::from(error.kind()))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// As [`write_private`], with what to do about a failure.
pub(super) fn write_kubeconfig(path: &Path, text: &str) -> Result<(), Trouble> {
    write_private(path, text).map_err(|error| {
        let remedy = "name a file in a folder that exists and that you may write to";
        Trouble::input(format!("write {}: {error}", path.display()), remedy)
    })
}
