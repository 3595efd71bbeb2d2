//! Who may import whom, read from the sources.
//!
//! `tree` follows every `mod` from the crate's root, `paths` finds every path that a file
//! names, in `use` or inline or inside a macro, and `rules` holds them against the table.

mod paths;
mod rules;
mod tree;

use std::{collections::BTreeSet, path::Path};

#[test]
fn every_module_keeps_to_the_table() {
    let found: BTreeSet<String> = sources()
        .iter()
        .flat_map(|source| {
            paths::named(source).into_iter().filter_map(|named| {
                let why = rules::violation(&source.module, &named)?;
                Some(format!("{}: {} ({why})", source.file.display(), named.path.join("::")))
            })
        })
        .collect();
    assert!(found.is_empty(), "{}", found.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_file_is_part_of_the_crate() {
    let known: BTreeSet<_> = sources().into_iter().map(|source| source.file).collect();
    let orphans: Vec<_> =
        tree::files(Path::new("src")).into_iter().filter(|file| !known.contains(file)).collect();
    assert!(orphans.is_empty(), "no `mod` leads to {orphans:?}");
}

#[test]
fn unsafe_code_is_allowed_in_the_sandboxs_node_alone() {
    let files = ["src", "probe-image/src"].map(|root| tree::files(Path::new(root))).concat();
    let wrong: Vec<_> = files
        .into_iter()
        .filter(|file| !file.starts_with("src/sandbox/node"))
        .filter(|file| {
            let text = std::fs::read_to_string(file).expect("a source file");
            text.contains("allow(unsafe_code)") || text.contains("expect(unsafe_code)")
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The library from `lib.rs` down, and `main.rs`.
fn sources() -> Vec<tree::Source> {
    let mut sources = tree::walk(Path::new("src/lib.rs"));
    sources.extend(tree::walk(Path::new("src/main.rs")));
    for source in &mut sources {
        if source.file == Path::new("src/main.rs") {
            source.module = vec!["main".to_owned()];
        }
    }
    sources
}

#[test]
fn planted_violations_are_caught() {
    for (module, text, caught) in [
        ("plan::build", "use crate::cluster::Error;", true),
        ("plan::build", "use crate::{model::Port, cluster::{Error, Cluster}};", true),
        ("plan::build", "fn f() { crate::cluster::connect(); }", true),
        ("plan::build", "fn f() { super::super::cluster::connect(); }", true),
        ("plan::build", "use netproof::cluster;", true),
        ("plan::build", "fn f() { assert!(crate::cluster::up()); }", true),
        ("plan::build", "fn f() { vec![\"crate::cluster::up\"]; }", false),
        ("plan::build", "#[cfg(test)] mod tests { use crate::cluster::Error; }", true),
        ("plan::build", "use crate::suite::Suite; use super::names;", false),
        ("cluster::connect", "use crate::plan::Plan;", false),
        ("policy::decide", "use crate::suite::Suite;", true),
        ("event", "use crate::{verdict::Judgement, plan::CaseId, model::Port};", false),
        ("verdict::judge", "use crate::event::Event;", true),
        ("run", "use crate::sandbox::Sandbox;", true),
        ("cli::run", "use crate::sandbox::Sandbox;", false),
        ("sandbox::api", "use crate::model::Port; use crate::sandbox::node;", false),
        ("sandbox::api", "use crate::policy::decide;", true),
        ("cluster", "use crate::nowhere::x;", true),
        ("main", "use netproof::cli;", false),
        ("main", "use netproof::run;", true),
        ("main", "fn main() { netproof::sandbox::program(name); }", false),
        ("main", "use netproof::sandbox::process::Sandbox;", true),
        ("plan", "use tokio::time::sleep;", true),
        ("plan", "fn f() { tokio::spawn(async {}); }", true),
        ("plan", "use std::time; fn f() { time::Instant::now(); }", true),
        ("plan", "use std::time::Duration;", false),
        ("plan", "use std::time::*;", true),
        ("plan", "use std::{env as e}; fn f() { e::var(\"X\"); }", true),
        ("plan", "fn f() { println!(\"x\"); }", true),
        ("plan", "fn f() { assert!({ eprintln!(); true }); }", true),
        ("plan", "#[cfg(test)] mod tests { use std::fs; }", false),
        ("plan", "fn f() { jiff::Timestamp::now(); }", true),
        ("suite::loader", "use std::fs;", false),
        ("suite::tree", "use std::fs;", true),
        ("report::fold", "use std::io::stdout;", true),
        ("report::text", "use std::io::stdout;", false),
        ("verdict::observation", "use netproof_probe::wire::Outcome;", false),
        ("verdict::observation", "use netproof_probe::dial::Dialer;", true),
        ("run", "use netproof_probe::dial::Dialer;", false),
    ] {
        let source = tree::Source {
            file: "planted.rs".into(),
            module: module.split("::").map(str::to_owned).collect(),
            test: false,
            syntax: syn::parse_file(text).expect(text),
        };
        let named = paths::named(&source);
        let found = named.iter().any(|path| rules::violation(&source.module, path).is_some());
        assert_eq!(found, caught, "{text} in {module}");
    }
}
