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

/// Find every mistake of suites, without touching a cluster.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netproof check suites/*.yaml
  netproof init --manifests deploy/ | netproof check -

Each mistake is told with its line, a caret and the nearest valid word; all of all files at once.

Exit codes:
  0 no mistake    2 at least one")]
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

/// Loads suites, or says all that is wrong with them.
pub(super) fn load_or_say(files: &[PathBuf]) -> Result<Vec<Suite>, Exit> {
    load(files).map_err(|mistakes| {
        print(&mistakes);
        Exit::BadInput
    })
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
    let (cases, peers) = (suite.all_cases().count(), suite.peers.len());
    let steps = match suite.steps.len() {
        0 => String::new(),
        steps => format!(" in {}", count(steps, "step")),
    };
    format!("{}: {}{steps}, {}", suite.name, count(cases, "case"), count(peers, "peer"))
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
        let stepped = "
steps:
  - name: later
    wait: 1s
    cases: [{name: still, from: tester, to: metadata, port: [80, 443], expect: deny}]
";
        for (text, expected) in [
            (text.to_owned(), "smoke: 1 case, 2 peers"),
            (format!("{text}{}", stepped.trim_start()), "smoke: 3 cases in 1 step, 2 peers"),
        ] {
            let (suites, mistakes) = suite::parse("smoke.yaml", &text, &|_| unreachable!());
            assert!(mistakes.is_empty(), "the suite is good: {mistakes:?}");
            assert_eq!(summary(&suites[0]), expected);
        }
    }
}
