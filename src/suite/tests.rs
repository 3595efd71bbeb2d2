//! Whole files in, whole answers out.

use std::{collections::BTreeMap, io, time::Duration};

use super::{
    Case, EvidenceRule, Mistakes, Peer, Suite, parse,
    parse::{Parsed, parse_file, unique_names},
};
use crate::model::{Connectivity, Family};

/// A snapshot whose file doesn't repeat the test's input.
macro_rules! snapshot {
    ($value:expr) => {{
        let found = $value;
        insta::assert_snapshot!(found);
    }};
}

/// The head of a suite that the tests don't care about.
const HEAD: &str = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t}
";

/// A head with peers that most tests can use.
const PEERS: &str = "\
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: t}
defaults: {ports: {main: 8080/tcp}}
setup: {namespaces: {lab: {}}}
peers:
  web: {pod: {namespace: lab, labels: {app: web}}}
  api: {pod: {namespace: lab, labels: {app: api}, ports: {main: 8080/http, dns: 53/udp}}}
  db: {pod: {namespace: lab, labels: {app: db}}}
  out: {ip: 192.0.2.1}
  example: {host: example.org}
";

fn nothing_beside(path: &str) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::NotFound, format!("no file {path} in this test")))
}

fn good(text: &str) -> Vec<Suite> {
    let (suites, mistakes) = parse("t.yaml", text, &nothing_beside);
    let mistakes = Mistakes::new(mistakes);
    assert!(mistakes.is_empty(), "no mistakes in:\n{text}\nbut:\n{}", mistakes.render(false));
    suites
}

fn good_cases(rest: &str) -> Vec<Case> {
    good(&format!("{PEERS}{rest}")).remove(0).cases
}

/// Everything that is wrong with these files, which may read each other as manifests.
fn wrong(files: &[(&str, &str)]) -> String {
    let texts: BTreeMap<&str, &str> = files.iter().copied().collect();
    let read = |path: &str| {
        let text = texts.get(path).map(|text| (*text).to_owned());
        text.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    };
    let mut parsed = Parsed::default();
    for (name, text) in files.iter().filter(|(name, _)| !name.contains("manifest")) {
        parsed.append(parse_file(name, text, &read));
    }
    unique_names(&mut parsed);
    let mistakes = Mistakes::new(parsed.mistakes);
    assert!(!mistakes.is_empty(), "mistakes in {files:?}");
    format!("{}\n{mistakes}", mistakes.render(false))
}

/// What is wrong with cases, tables and the like that follow [`PEERS`].
fn wrong_rest(rest: &str) -> String {
    wrong(&[("t.yaml", &format!("{PEERS}{rest}"))])
}

mod claims;
mod files;
mod laws;
mod manifests;
mod moments;
mod schema;
mod shapes;
mod shipped;
mod steps;
