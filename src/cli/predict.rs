//! `netproof predict`: what the policies mean, with no packet sent.

mod claims;
mod layout;
mod stage;

use std::{io::Write, path::PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    Exit, check,
    exit::complain,
    state::{Objects, StateArgs},
    workloads::{Asked, Row, cells, rows},
};
use crate::policy::Compiled;

/// Say what policies mean: for the claims of suites, or, without a suite, for every
/// workload and every other.
///
/// No packet is sent. A corner that Kubernetes leaves to the CNI is undetermined, and
/// the reason is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof predict suites/shop.yaml --offline             the suite's own manifests alone
  netproof predict suites/shop.yaml --manifests deploy/   with these in place
  helm template shop | netproof predict --manifests -     every workload to every other
  netproof predict --context staging --output dot | dot -Tsvg > reach.svg

A cell of the matrix: . all ports allowed, X all denied, ~ some of each, ? can't be told.

Exit codes:
  0 as claimed, or no claims    1 a claim does not hold    2 bad input    3 undetermined")]
pub(super) struct PredictCommand {
    /// Suite files; `-` is standard input. Without any, the matrix of all workloads.
    #[arg(value_name = "SUITE")]
    suites: Vec<PathBuf>,
    #[command(flatten)]
    state: StateArgs,
    /// Read no cluster: only what suites and --manifests say.
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    asked: Asked,
    /// What is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A table.
    Text,
    /// One JSON object.
    Json,
    /// A line per pair and port.
    Csv,
    /// A graph for Graphviz: what is allowed, and dashed what can't be told.
    Dot,
}

impl PredictCommand {
    /// Prints what the policies say.
    pub(super) async fn run(self) -> Exit {
        self.predict().await.unwrap_or_else(|exit| exit)
    }

    async fn predict(&self) -> Result<Exit, Exit> {
        let suites = if self.suites.is_empty() {
            Vec::new()
        } else {
            check::load(&self.suites).map_err(|mistakes| {
                check::print(&mistakes);
                Exit::BadInput
            })?
        };
        let objects = if self.offline && self.state.manifests.is_empty() {
            Objects::of_manifests(Vec::new())
        } else {
            self.state.read().await?
        };
        if suites.is_empty() {
            return self.matrix(&objects);
        }
        if !self.asked.ports.is_empty() {
            complain("--port is of the matrix; a suite names its own ports", None);
            return Err(Exit::BadInput);
        }
        let mut judged = Vec::new();
        for suite in &suites {
            judged.extend(claims::judge(
                suite,
                &objects,
                &self.state.namespace,
                &self.asked.families,
            )?);
        }
        Ok(self.print_claims(&judged))
    }

    fn matrix(&self, objects: &Objects) -> Result<Exit, Exit> {
        let state = objects.compile(&self.state.namespace)?;
        let rows = rows(state.all.topology());
        if rows.is_empty() {
            complain("there is no workload among the objects", None);
            return Err(Exit::BadInput);
        }
        state.say_notes();
        let text = match self.output {
            Output::Text => layout::table(&state.all, &rows, &self.asked),
            Output::Json => json_matrix(&state.all, &rows, &self.asked),
            Output::Csv => csv(&state.all, &rows, &self.asked),
            Output::Dot => layout::dot(&state.all, &rows, &self.asked),
        };
        let _ = write!(anstream::stdout(), "{text}");
        Ok(Exit::Passed)
    }

    fn print_claims(&self, judged: &[claims::Judged]) -> Exit {
        let text = match self.output {
            Output::Text | Output::Dot => layout::claims(judged),
            Output::Json => {
                let list: Vec<_> = judged
                    .iter()
                    .map(|one| {
                        json!({
                            "id": one.id,
                            "from": one.from,
                            "to": one.to,
                            "port": one.port.to_string(),
                            "expect": one.expect.to_string(),
                            "outcome": one.outcome.to_string(),
                            "holds": one.holds(),
                            "cause": one.cause,
                        })
                    })
                    .collect();
                format!("{}\n", json!({ "claims": list }))
            }
            Output::Csv => {
                let mut text = "id,expect,outcome,cause\n".to_owned();
                for one in judged {
                    text.push_str(&csv_line(&[
                        &one.id,
                        &one.expect.to_string(),
                        &one.outcome.to_string(),
                        &one.cause,
                    ]));
                }
                text
            }
        };
        let _ = write!(anstream::stdout(), "{text}");
        if judged.iter().any(|one| one.holds() == Some(false)) {
            Exit::Failed
        } else if judged.iter().any(|one| one.holds().is_none()) {
            Exit::Undecided
        } else {
            Exit::Passed
        }
    }
}

fn json_matrix(all: &Compiled, rows: &[Row], asked: &Asked) -> String {
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let mut list = Vec::new();
    for from in rows {
        for to in rows {
            for cell in cells(all, from, to, asked) {
                list.push(json!({
                    "from": from.name,
                    "to": to.name,
                    "port": cell.traffic.port,
                    "protocol": cell.traffic.protocol,
                    "family": cell.family,
                    "outcome": cell.decision.outcome.to_string(),
                    "cause": all.cause(&cell.decision),
                }));
            }
        }
    }
    format!("{}\n", json!({ "workloads": names, "connections": list }))
}

fn csv(all: &Compiled, rows: &[Row], asked: &Asked) -> String {
    let mut text = "from,to,port,protocol,family,outcome,cause\n".to_owned();
    for from in rows {
        for to in rows {
            for cell in cells(all, from, to, asked) {
                text.push_str(&csv_line(&[
                    &from.name,
                    &to.name,
                    &cell.port.number.to_string(),
                    cell.port.protocol.name(),
                    &cell.family.map(|family| family.to_string()).unwrap_or_default(),
                    &cell.decision.outcome.to_string(),
                    &all.cause(&cell.decision),
                ]));
            }
        }
    }
    text
}

/// A line as RFC 4180 has it.
fn csv_line(fields: &[&str]) -> String {
    let field = |field: &&str| {
        if field.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", field.replace('"', "\"\""))
        } else {
            (*field).to_owned()
        }
    };
    let fields: Vec<_> = fields.iter().map(field).collect();
    format!("{}\n", fields.join(","))
}
