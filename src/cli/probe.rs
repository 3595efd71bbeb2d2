//! `netproof probe`: one question, without a file.

pub(super) mod ends;
mod spoken;

use std::{io::Write, time::Duration};

use clap::{Args, ValueEnum};
use serde_json::json;

use self::{
    ends::{Asked, NoEnd},
    spoken::Spoken,
};
use super::{
    Exit, check, execute,
    exit::{complain, warn},
    output::{self, Output, OutputArgs},
    signals,
    target::{Target, TargetArgs, duration},
    yaml::flow,
};
use crate::{
    model::{Connectivity, Topology, chain},
    report::{AnswerWriter, Enforcement, Report, ReportFile, Writer},
    run::{Options, Stop},
    suite::{self, Suite},
    topology,
};

/// Ask one question: can this reach that?
///
/// Probe pods with the labels, the service account and the ports of both ends are launched
/// beside them, asked with all controls as in a run, and taken away again. An end is a pod or
/// a workload (`shop/frontend`, `shop/Deployment/frontend`), a pod with some labels
/// (`shop/app=web`); as --to also a Service, an address or a host name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof probe --from shop/app=web --to shop/app=db --port 5432
  netproof probe --from shop/frontend --to kube-system/kube-dns --port 53/udp
  netproof probe --from shop/frontend --to 169.254.169.254 --port 80 --expect deny
  netproof probe --sandbox --manifests deploy/ --from shop/web --to shop/db --port sql
  netproof probe --from shop/web --to shop/db --protocol icmp
  netproof probe --from shop/web --to www.example.org --port 443 --tls --http / --status 200
  netproof probe --from shop/web --to shop/db --port 5432 --suite > suite.yaml    keep it

Exit codes:
  0 open, or as expected          2 bad input           4 the CNI does not enforce
  1 blocked, or not as expected   3 could not tell      130 interrupted")]
pub(super) struct ProbeCommand {
    /// Who dials.
    #[arg(long, value_name = "END")]
    from: String,
    /// Who is dialled.
    #[arg(long, value_name = "END")]
    to: String,
    /// The port: 5432, 53/udp, 80/http, or the destination's name for it.
    #[arg(long, value_name = "PORT", required_unless_present = "protocol")]
    port: Option<String>,
    #[command(flatten)]
    spoken: Spoken,
    /// What is to come of it; without this the answer is told, and no claim is made.
    #[arg(long, value_enum, value_name = "CLAIM")]
    expect: Option<Expect>,
    /// How long the cluster may take to comply [default: 2s].
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "expect")]
    within: Option<Duration>,
    /// The namespace of ends that name none.
    #[arg(long, short, value_name = "NAMESPACE", default_value = "default")]
    namespace: String,
    /// Print the question as a suite, and ask nothing.
    #[arg(long)]
    suite: bool,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Expect {
    /// It connects.
    Allow,
    /// It is blocked.
    Deny,
}

/// Nothing was changed, so there is little to wait for.
const WITHIN: Duration = Duration::from_secs(2);

impl ProbeCommand {
    pub(super) async fn run(self: Box<Self>) -> Exit {
        self.tried().await.unwrap_or_else(|exit| exit)
    }

    async fn tried(&self) -> Result<Exit, Exit> {
        let application = self.target.application(&[])?;
        let files = self.output.files().ok_or(Exit::BadInput)?;
        let stop = signals::stop()?;
        let target = self.target.open(&[], &application, &stop).await?;
        let exit = self.on_target(&target, &files, &stop).await;
        target.close().await;
        exit
    }

    async fn on_target(
        &self,
        target: &Target,
        files: &[ReportFile],
        stop: &Stop,
    ) -> Result<Exit, Exit> {
        let state = target.cluster.policy_state(None).await.map_err(|error| {
            complain(&chain(&error), error.remedy().as_deref());
            Exit::Undecided
        })?;
        let built = topology::build(&state.objects, &self.namespace);
        let text = self.question(&built.topology).map_err(|NoEnd { message, remedy }| {
            complain(&message, Some(&remedy));
            Exit::BadInput
        })?;
        let (suites, mistakes) =
            suite::parse("the question", &text, &|_| Err(std::io::ErrorKind::NotFound.into()));
        if !mistakes.is_empty() {
            check::print(&mistakes.into());
            return Err(Exit::BadInput);
        }
        if self.suite {
            let _ = write!(anstream::stdout(), "{text}");
            return Ok(Exit::Passed);
        }
        self.ask(&suites, target, files, stop).await
    }

    /// The suite that asks it.
    fn question(&self, topology: &Topology) -> Result<String, NoEnd> {
        let Asked::Pod(from) = ends::find(topology, &self.from, &self.namespace)? else {
            return Err(NoEnd {
                message: format!("`{}` can't dial: only pods do", self.from),
                remedy: "--from takes a pod, a workload or NAMESPACE/key=value".to_owned(),
            });
        };
        let to = ends::find(topology, &self.to, &self.namespace)?;
        for (end, text) in [(Some(&from), &self.from), (pod_of(&to), &self.to)] {
            if end.is_some_and(|end| end.like.is_none()) {
                warn(
                    &format!("no pod is like `{text}` yet; a probe pod with its labels stands in"),
                    None,
                );
            }
        }
        let port = self.port_of(&to)?;
        let peers = ends::peers((&from, &self.from), (&to, &self.to), &port);
        let expect = match self.expect {
            Some(Expect::Deny) => "deny",
            Some(Expect::Allow) | None => "allow",
        };
        let within = humantime::format_duration(self.within.unwrap_or(WITHIN)).to_string();
        let mut case = json!({
            "name": "probe", "from": peers[0].0, "to": peers[1].0, "expect": expect,
            "within": within,
        });
        if let Some(fields) = case.as_object_mut() {
            if !port.is_empty() {
                fields.insert("port".to_owned(), json!(port));
            }
            fields.extend(self.spoken.fields());
        }
        let [(source, first), (destination, second)] = &peers;
        Ok(format!(
            "apiVersion: netproof.dev/v1alpha1\n\
             kind: Suite\n\
             metadata: {{name: probe}}\n\
             peers:\n  {source}: {}\n  {destination}: {}\n\
             cases:\n  - {}\n",
            flow(first),
            flow(second),
            flow(&case)
        ))
    }

    /// The port as the case writes it; empty for ICMP.
    fn port_of(&self, to: &Asked) -> Result<String, NoEnd> {
        match &self.port {
            Some(_) if self.spoken.has_no_port() => Err(NoEnd {
                message: "ICMP has no ports".to_owned(),
                remedy: "leave --port out".to_owned(),
            }),
            Some(port) => self.spoken.on(&ends::port(to, port)?),
            None if self.spoken.has_no_port() => Ok(String::new()),
            None => Err(NoEnd {
                message: "the port is missing".to_owned(),
                remedy: "--port 5432, or --protocol icmp, which has none".to_owned(),
            }),
        }
    }

    async fn ask(
        &self,
        suites: &[Suite],
        target: &Target,
        files: &[ReportFile],
        stop: &Stop,
    ) -> Result<Exit, Exit> {
        let inputs = self.target.inputs(target, suites, &[]).await?;
        let plan = execute::plan(suites, &inputs)?;
        let options = Options { notes: target.notes.clone(), ..self.target.options() };
        let run = execute::Run {
            args: &self.target,
            target,
            plan: &plan,
            options: &options,
            allow_system_changes: false,
        };
        let mut writers = self.output.writers(files);
        let answers = self.expect.is_none();
        if answers && self.output.output == Output::Text {
            // In the place of the table of cases; the line of progress stays before it.
            let answer = AnswerWriter::new(anstream::stdout(), output::width());
            writers.pop();
            writers.push(Box::new(answer) as Box<dyn Writer + Send>);
        }
        let report = run.told_to(writers, stop).await?;
        Ok(if answers { answered(&report) } else { Exit::of(&report) })
    }
}

fn pod_of(end: &Asked) -> Option<&ends::PodEnd> {
    match end {
        Asked::Pod(pod) => Some(pod),
        _ => None,
    }
}

/// The exit code where nothing was claimed: what was found out.
fn answered(report: &Report) -> Exit {
    let exit = Exit::of(report);
    if matches!(exit, Exit::Interrupted | Exit::BadInput) {
        return exit;
    }
    if matches!(report.enforcement(), Enforcement::Not { .. }) {
        return Exit::NotEnforced;
    }
    let each = report.cases.iter().map(|case| match case.answer() {
        Some(Connectivity::Allowed) => Exit::Passed,
        Some(Connectivity::Blocked) => Exit::Failed,
        None => Exit::Undecided,
    });
    each.fold(Exit::Passed, Exit::graver)
}
