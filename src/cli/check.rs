//! `netproof check FILE…`: reads suites and says all that is wrong with them.
//!
//! No cluster is touched.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
};

use anstream::AutoStream;

use super::Exit;
use crate::suite::{self, Mistakes, Suite};

/// Check suite files, without touching a cluster.
#[derive(Debug, clap::Args)]
pub struct CheckCommand {
    /// Suite files; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl CheckCommand {
    /// Prints a line per suite, or every mistake of every file: exit code 0 or 2.
    pub fn run(self) -> Exit {
        // A closed pipe is the reader's choice and changes nothing about the files.
        match load(&self.files) {
            Ok(suites) => {
                let mut out = anstream::stdout();
                for suite in &suites {
                    let _ = writeln!(out, "{}", summary(suite));
                }
                Exit::Passed
            }
            Err(mistakes) => {
                print(&mistakes);
                Exit::BadInput
            }
        }
    }
}

/// Loads suites; tells a person at a terminal that the program waits for theirs.
pub(super) fn load(files: &[PathBuf]) -> Result<Vec<Suite>, Mistakes> {
    if files.iter().any(|file| file.as_os_str() == "-") && std::io::stdin().is_terminal() {
        let _ = writeln!(anstream::stderr(), "reading a suite from the terminal; Ctrl-D ends it");
    }
    suite::load(files)
}

/// Says on standard error all that is wrong.
pub(super) fn print(mistakes: &Mistakes) {
    let colour = AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    let _ = write!(anstream::stderr(), "{}\n{mistakes}\n", mistakes.render(colour));
}

fn summary(suite: &Suite) -> String {
    let count = |number: usize, what: &str| {
        format!("{number} {what}{}", if number == 1 { "" } else { "s" })
    };
    let (cases, peers) = (suite.cases.len(), suite.peers.len());
    format!("{}: {}, {}", suite.name, count(cases, "case"), count(peers, "peer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_summed_up_in_a_line() {
        let text = "
apiVersion: netproof.dev/v1alpha1
kind: Suite
metadata: {name: smoke}
peers:
  tester: {pod: {namespace: staging}}
  metadata: {ip: 169.254.169.254}
cases: [{name: closed, from: tester, to: metadata, port: 80, expect: deny}]
";
        let (suites, mistakes) = suite::parse("smoke.yaml", text, &|_| unreachable!());
        assert!(mistakes.is_empty(), "the suite is good: {mistakes:?}");
        assert_eq!(summary(&suites[0]), "smoke: 1 case, 2 peers");
    }
}
