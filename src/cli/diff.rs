//! `netproof diff`: which connections a change of policies or labels opens and closes.

use std::{collections::BTreeMap, io::Write};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    state::{State, read_side},
    workloads::{Asked, AskedPort, Cell, Row, cells, in_family, ports_of, rows},
};
use crate::{model::Family, policy::Outcome};

/// Say which connections between workloads a change opens and closes, and by which rule.
///
/// A side is a file or a folder of manifests, `-` for standard input, `REVISION:PATH` of
/// git, or `cluster[:CONTEXT]`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof diff --before old/ --after new/
  netproof diff --before main:deploy/ --after deploy/ --deny-new-access
  helm template shop | netproof diff --before cluster:staging --after -

Exit codes:
  0 compared    1 something opens, with --deny-new-access    2 bad input    3 can't read a side")]
pub(super) struct DiffCommand {
    /// What stands there before.
    #[arg(long, value_name = "SIDE")]
    before: String,
    /// What stands there after.
    #[arg(long, value_name = "SIDE")]
    after: String,
    #[command(flatten)]
    asked: Asked,
    /// The namespace of objects that name none.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// Exit with 1 where a connection opens, or may open, that was not open before.
    #[arg(long)]
    deny_new_access: bool,
    /// What is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// A line per connection.
    Text,
    /// One JSON object.
    Json,
}

/// A connection that comes out otherwise.
struct Change {
    from: String,
    to: String,
    port: AskedPort,
    family: Option<Family>,
    before: Option<Outcome>,
    after: Option<Outcome>,
    cause: String,
}

impl Change {
    fn word(&self) -> &'static str {
        match (self.before, self.after) {
            (_, Some(Outcome::Allowed)) => "opens",
            (_, Some(Outcome::Undetermined)) => "unclear",
            _ => "closes",
        }
    }

    /// True where something gets through that surely didn't before.
    fn is_new_access(&self) -> bool {
        self.word() == "opens" || self.word() == "unclear" && self.before != Some(Outcome::Allowed)
    }
}

impl DiffCommand {
    /// Prints what changes.
    pub(super) async fn run(self) -> Exit {
        self.compare().await.unwrap_or_else(|exit| exit)
    }

    async fn compare(&self) -> Result<Exit, Exit> {
        let before = read_side(&self.before).await?.compile(&self.namespace)?;
        let after = read_side(&self.after).await?.compile(&self.namespace)?;
        before.say_notes();
        after.say_notes();
        let changes = self.changes(&before, &after);
        match self.output {
            Output::Text => print(&changes),
            Output::Json => print_json(&changes),
        }
        let opens = changes.iter().any(Change::is_new_access);
        Ok(if self.deny_new_access && opens { Exit::Failed } else { Exit::Passed })
    }

    fn changes(&self, before: &State, after: &State) -> Vec<Change> {
        let by_name = |state: &State| -> BTreeMap<String, Row> {
            rows(state.all.topology()).into_iter().map(|row| (row.name.clone(), row)).collect()
        };
        let (old, new) = (by_name(before), by_name(after));
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        let mut changes = Vec::new();
        for from in &names {
            for to in &names {
                let mut ports: Vec<AskedPort> = [&old, &new]
                    .into_iter()
                    .filter_map(|rows| rows.get(*to))
                    .flat_map(|row| ports_of(row, &self.asked.ports))
                    .collect();
                ports.sort_unstable();
                ports.dedup();
                let asked = Asked { ports, families: self.asked.families.clone() };
                let ask = |state: &State, rows: &BTreeMap<String, Row>| {
                    let (from, to) = (rows.get(*from)?, rows.get(*to)?);
                    // A pod alone with itself is no pair.
                    let alone = from.pod == to.pod && from.twin.is_none();
                    (!alone).then(|| cells(&state.all, from, to, &asked))
                };
                let (was, is) = (ask(before, &old), ask(after, &new));
                // Both were asked the same, in the same order.
                let any = is.as_ref().or(was.as_ref()).map_or(&[][..], Vec::as_slice);
                for (index, Cell { port, family, .. }) in any.iter().enumerate() {
                    let outcome = |cells: &Option<Vec<Cell>>| {
                        Some(cells.as_ref()?.get(index)?.decision.outcome)
                    };
                    let (was_so, is_so) = (outcome(&was), outcome(&is));
                    // What isn't there is not open.
                    let open = |outcome: Option<Outcome>| outcome.unwrap_or(Outcome::Denied);
                    if open(was_so) == open(is_so) {
                        continue;
                    }
                    let cause = match (&is, &was) {
                        (Some(cells), _) => after.all.cause(&cells[index].decision),
                        (None, _) => "one of them is gone".to_owned(),
                    };
                    changes.push(Change {
                        from: (*from).clone(),
                        to: (*to).clone(),
                        port: *port,
                        family: *family,
                        before: was_so,
                        after: is_so,
                        cause,
                    });
                }
            }
        }
        changes
    }
}

fn print(changes: &[Change]) {
    let mut out = anstream::stdout();
    let width = |text: fn(&Change) -> String| {
        changes.iter().map(|change| text(change).chars().count()).max().unwrap_or(0)
    };
    let (from, to) = (width(|change| change.from.clone()), width(|change| change.to.clone()));
    let port = width(|change| in_family(&change.port, change.family));
    for change in changes {
        let new = if change.before.is_none() { " (new)" } else { "" };
        let _ = writeln!(
            out,
            "{:<8}{:<from$}  to  {:<to$}  {:<port$}  {}{new}",
            change.word(),
            change.from,
            change.to,
            in_family(&change.port, change.family),
            change.cause,
        );
    }
    let count = |word| changes.iter().filter(|change| change.word() == word).count();
    let (opens, closes, unclear) = (count("opens"), count("closes"), count("unclear"));
    let _ = writeln!(out, "{opens} open, {closes} close, {unclear} can't be told");
}

fn print_json(changes: &[Change]) {
    let word = |outcome: Option<Outcome>| outcome.map(|outcome| outcome.to_string());
    let list: Vec<Value> = changes
        .iter()
        .map(|change| {
            json!({
                "change": change.word(),
                "from": change.from,
                "to": change.to,
                "port": change.port.number,
                "protocol": change.port.protocol,
                "family": change.family,
                "before": word(change.before),
                "after": word(change.after),
                "cause": change.cause,
            })
        })
        .collect();
    let _ = writeln!(anstream::stdout(), "{}", json!({ "changes": list }));
}
