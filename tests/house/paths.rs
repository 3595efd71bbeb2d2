//! Every path that a file names, resolved as far as its own `use` declarations tell.

use std::collections::HashMap;

use syn::{
    ItemMod, ItemUse, Macro, Path, UseTree,
    visit::{self, Visit},
};

use crate::tree::{Source, is_test};

/// Macros that print; they are noted as paths below `std`.
const PRINTING: [&str; 5] = ["dbg", "eprint", "eprintln", "print", "println"];

/// A path as it would be written from outside: it begins with `crate` or with a crate.
pub struct Named {
    /// Its segments; `*` stands for a glob.
    pub path: Vec<String>,
    /// True below a `#[cfg(test)]`.
    pub test: bool,
}

/// All paths of a file.
pub fn named(source: &Source) -> Vec<Named> {
    let mut collector = Collector {
        module: source.module.clone(),
        test: source.test,
        aliases: HashMap::new(),
        found: Vec::new(),
    };
    collector.note_aliases(&source.syntax.items);
    collector.visit_file(&source.syntax);
    collector.found
}

struct Collector {
    module: Vec<String>,
    test: bool,
    aliases: HashMap<String, Vec<String>>,
    found: Vec<Named>,
}

impl Collector {
    /// Imports are in force before the line on which they stand.
    fn note_aliases(&mut self, items: &[syn::Item]) {
        for item in items {
            if let syn::Item::Use(item) = item {
                self.note_use(&item.tree, Vec::new());
            }
        }
    }

    fn note_use(&mut self, tree: &UseTree, before: Vec<String>) {
        let with = |name: &syn::Ident| [&before[..], &[name.to_string()]].concat();
        let (name, path) = match tree {
            UseTree::Path(path) => return self.note_use(&path.tree, with(&path.ident)),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_use(tree, before.clone());
                }
                return;
            }
            UseTree::Glob(_) => (None, [&before[..], &["*".to_owned()]].concat()),
            UseTree::Name(name) if name.ident == "self" => (before.last().cloned(), before),
            UseTree::Name(name) => (Some(name.ident.to_string()), with(&name.ident)),
            UseTree::Rename(rename) if rename.ident == "self" => {
                (Some(rename.rename.to_string()), before)
            }
            UseTree::Rename(rename) => (Some(rename.rename.to_string()), with(&rename.ident)),
        };
        let path = self.resolve(path);
        if let Some(name) = name {
            // `use tokio::time` makes `time` mean that, `use tokio` changes nothing.
            self.aliases.insert(name, path.clone());
        }
        self.found.push(Named { path, test: self.test });
    }

    fn note(&mut self, path: Vec<String>) {
        let path = self.resolve(path);
        self.found.push(Named { path, test: self.test });
    }

    fn resolve(&self, path: Vec<String>) -> Vec<String> {
        let mut module: Vec<String> = self.module.clone();
        let mut rest = &path[..];
        match path.first().map(String::as_str) {
            Some("crate" | "netproof") => module.clear(),
            Some("self") => {}
            Some("super") => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    module.pop();
                    rest = &rest[1..];
                }
                return [&["crate".to_owned()], &module[..], rest].concat();
            }
            Some(first) => match self.aliases.get(first) {
                Some(known) => return [&known[..], &rest[1..]].concat(),
                None => return path,
            },
            None => return path,
        }
        rest = &rest[1..];
        [&["crate".to_owned()], &module[..], rest].concat()
    }

    /// Runs below a module or an item that may be for tests only.
    fn below(&mut self, attributes: &[syn::Attribute], visit: impl FnOnce(&mut Self)) {
        let outer = self.test;
        self.test |= is_test(attributes);
        visit(self);
        self.test = outer;
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.below(&item.attrs, |this| {
            let aliases = this.aliases.clone();
            this.module.push(item.ident.to_string());
            if let Some((_, items)) = &item.content {
                this.note_aliases(items);
            }
            visit::visit_item_mod(this, item);
            this.module.pop();
            this.aliases = aliases;
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.below(&item.attrs, |this| visit::visit_item_fn(this, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.below(&item.attrs, |this| visit::visit_item_impl(this, item));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        // Those of the module were noted before; these are a function's own.
        self.below(&item.attrs, |this| this.note_use(&item.tree, Vec::new()));
    }

    fn visit_path(&mut self, path: &'ast Path) {
        self.note(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        visit::visit_macro(self, item);
        if let Some(last) = item.path.segments.last() {
            self.note_macro(&last.ident.to_string());
        }
        for (path, is_macro) in scan(&item.tokens.to_string()) {
            if is_macro && let Some(last) = path.last() {
                self.note_macro(last);
            }
            self.note(path);
        }
    }
}

impl Collector {
    fn note_macro(&mut self, name: &str) {
        if PRINTING.contains(&name) {
            self.found
                .push(Named { path: vec!["std".to_owned(), name.to_owned()], test: self.test });
        }
    }
}

/// Paths inside of a macro's tokens, and whether a `!` follows. A macro's input is not
/// Rust until it is expanded, so its text is read: identifiers with `::` between them.
fn scan(tokens: &str) -> Vec<(Vec<String>, bool)> {
    let mut found = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            rest = after_string(&rest[1..]);
        } else if first.is_alphabetic() || first == '_' {
            let mut path = Vec::new();
            loop {
                let is_name = |character: char| character.is_alphanumeric() || character == '_';
                let end = rest.find(|character| !is_name(character)).unwrap_or(rest.len());
                path.push(rest[..end].to_owned());
                rest = rest[end..].trim_start();
                match rest.strip_prefix("::").map(str::trim_start) {
                    Some(more) if more.starts_with(is_name) => rest = more,
                    _ => break,
                }
            }
            let is_macro = rest.starts_with('!') && !rest.starts_with("!=");
            found.push((path, is_macro));
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// What follows a string literal whose opening quote has been read.
fn after_string(mut rest: &str) -> &str {
    while let Some(at) = rest.find(['"', '\\']) {
        if rest[at..].starts_with('"') {
            return &rest[at + 1..];
        }
        let escaped = rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        rest = &rest[at + 1 + escaped..];
    }
    ""
}
