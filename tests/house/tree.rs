//! The crate's files, by following its `mod` declarations.

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::Item;

/// A file and where it stands in the crate.
pub struct Source {
    /// Its path from the repository's root.
    pub file: PathBuf,
    /// Its module, `crate` left out.
    pub module: Vec<String>,
    /// True below a `#[cfg(test)]`.
    pub test: bool,
    /// What is in it.
    pub syntax: syn::File,
}

/// The file and all that its `mod` declarations lead to.
pub fn walk(root: &Path) -> Vec<Source> {
    let mut sources = Vec::new();
    visit(root, root.parent().expect("a folder"), Vec::new(), false, &mut sources);
    sources
}

fn visit(file: &Path, folder: &Path, module: Vec<String>, test: bool, sources: &mut Vec<Source>) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    for item in &syntax.items {
        let Item::Mod(child) = item else { continue };
        if child.content.is_some() {
            continue;
        }
        let name = child.ident.to_string();
        let flat = folder.join(format!("{name}.rs"));
        let nested = folder.join(&name).join("mod.rs");
        let below = folder.join(&name);
        let of_child = [&module[..], std::slice::from_ref(&name)].concat();
        let test = test || is_test(&child.attrs);
        let path = if flat.exists() { &flat } else { &nested };
        visit(path, &below, of_child, test, sources);
    }
    sources.push(Source { file: file.to_owned(), module, test, syntax });
}

/// Every Rust file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// True for `#[cfg(test)]`.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}
