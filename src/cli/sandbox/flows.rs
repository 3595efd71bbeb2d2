//! `netproof sandbox flows`.

use std::{io::Write as _, time::Duration};

use clap::{Args, ValueEnum};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use jiff::Timestamp;
use serde_json::Value;

use super::{Trouble, cni, state};
use crate::{cli::Exit, model::chain};

/// Print the new connections of pods, each with what policies said of it, as JSON lines.
///
/// The fields are Hubble's. A connection shows once where it leaves a pod (EGRESS) and once
/// where it enters one (INGRESS).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox flows --follow
  netproof sandbox flows | jq -r 'select(.verdict == \"DROPPED\")'")]
pub(super) struct FlowsCommand {
    /// The sandbox; the only one or `default` without a name.
    #[arg(value_name = "NAME", value_parser = state::name)]
    name: Option<String>,
    /// Go on with what comes, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Only these.
    #[arg(long, value_enum, ignore_case = true)]
    verdict: Option<Verdict>,
    /// Only those with an end in this namespace.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Only those with this pod at an end: a name, or NAMESPACE/NAME.
    #[arg(long, value_name = "POD")]
    pod: Option<String>,
    /// Only those of the time since: `30s`, `5m`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verdict {
    /// What went on.
    Forwarded,
    /// What a policy's isolation ended.
    Dropped,
}

impl FlowsCommand {
    pub(super) async fn run(self) -> Result<Exit, Trouble> {
        let since = self.since.map(|since| {
            let since = jiff::SignedDuration::try_from(since).unwrap_or(jiff::SignedDuration::MAX);
            Timestamp::now().checked_sub(since).unwrap_or(Timestamp::MIN)
        });
        let client = cni::client(self.name.as_deref()).await?;
        let path = if self.follow { "flows?follow=true" } else { "flows" };
        let stream = client.request_stream(cni::get(path)?).await.map_err(cni::refused)?;
        let mut lines = stream.lines();
        let mut out = anstream::stdout();
        loop {
            let line = lines.try_next().await;
            let line = line.map_err(|error| {
                Trouble::machine(format!("read the flow log: {}", chain(&error)))
            })?;
            let Some(line) = line else { break };
            let Ok(flow) = serde_json::from_str::<Value>(&line) else { continue };
            if !self.wants(&flow, since) {
                continue;
            }
            // Who closes the pipe has read enough.
            if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
                break;
            }
        }
        Ok(Exit::Passed)
    }

    /// Whether a line is asked for. That some were lost always is.
    fn wants(&self, flow: &Value, since: Option<Timestamp>) -> bool {
        let time = || flow["time"].as_str()?.parse::<Timestamp>().ok();
        if since.is_some_and(|since| time().is_some_and(|time| time < since)) {
            return false;
        }
        if !flow["lost_events"].is_null() {
            return true;
        }
        let verdict = match self.verdict {
            None => true,
            Some(Verdict::Forwarded) => flow["verdict"] == "FORWARDED",
            Some(Verdict::Dropped) => flow["verdict"] == "DROPPED",
        };
        let ends = [&flow["source"], &flow["destination"]];
        let is_in = |namespace: &str| ends.iter().any(|end| end["namespace"] == namespace);
        let is_pod = |pod: &str| match pod.split_once('/') {
            Some((namespace, name)) => {
                ends.iter().any(|end| end["namespace"] == namespace && end["pod_name"] == name)
            }
            None => ends.iter().any(|end| end["pod_name"] == pod),
        };
        verdict
            && self.namespace.as_deref().is_none_or(is_in)
            && self.pod.as_deref().is_none_or(is_pod)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        command: FlowsCommand,
    }

    #[test]
    fn each_filter_takes_what_it_says() {
        let flow = json!({
            "time": "2026-01-01T00:00:10Z",
            "verdict": "DROPPED",
            "source": {"namespace": "shop", "pod_name": "web"},
            "destination": {"labels": ["reserved:world"]},
        });
        let lost = json!({"time": "2026-01-01T00:00:10Z", "lost_events": {"num_events_lost": 3}});
        let since = |second: i64| Timestamp::from_second(1_767_225_600 + second).ok();
        for (arguments, since, expected) in [
            ("", None, (true, true)),
            ("--verdict dropped", None, (true, true)),
            ("--verdict FORWARDED", None, (false, true)),
            ("--namespace shop", None, (true, true)),
            ("--namespace other", None, (false, true)),
            ("--pod web", None, (true, true)),
            ("--pod shop/web", None, (true, true)),
            ("--pod other/web", None, (false, true)),
            ("", since(10), (true, true)),
            ("", since(11), (false, false)),
        ] {
            let words = std::iter::once("flows").chain(arguments.split_whitespace());
            let command = Line::try_parse_from(words).expect(arguments).command;
            let found = (command.wants(&flow, since), command.wants(&lost, since));
            assert_eq!(found, expected, "{arguments} {since:?}");
        }
    }
}
