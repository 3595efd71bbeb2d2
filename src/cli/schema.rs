//! `netproof schema`: the suite format as a JSON Schema.

use std::io::Write;

use super::Exit;
use crate::suite;

/// Print the JSON Schema of suites, for editors.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  netproof schema > suite.schema.json

An editor with the YAML language server then helps with a suite that begins with
  # yaml-language-server: $schema=suite.schema.json")]
pub(super) struct SchemaCommand {}

impl SchemaCommand {
    /// Prints it.
    pub fn run(self) -> Exit {
        let schema = format!("{:#}", suite::schema());
        // A closed pipe is the reader's choice.
        let _ = writeln!(std::io::stdout(), "{schema}");
        Exit::Passed
    }
}
