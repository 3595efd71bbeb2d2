//! `netproof explain`: why the policies let one connection through, or don't.

use std::{io::Write, str::FromStr};

use clap::Args;
use serde_json::json;

use super::{
    Exit,
    exit::complain,
    named,
    state::{State, StateArgs},
    workloads::{AskedPort, Families, endpoints, rows},
};
use crate::{
    model::{End, IpProtocol, Pod, Topology, Traffic},
    policy::Outcome,
    topology,
};

/// Say why the policies let one connection through, or don't, and what would flip it.
///
/// An end is a pod or a workload (`shop/frontend`), a workload with its kind
/// (`shop/Deployment/frontend`), a pod with some labels (`shop/app=web,tier=back`), a
/// Service (as --to), an address, or a host name.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof explain --manifests deploy/ --from shop/frontend --to shop/db --port 5432
  helm template shop | netproof explain --manifests - --from shop/app=web --to 10.1.2.3 --port 443
  netproof explain --context staging --from shop/frontend --to shop/dns --port 53/udp
  netproof explain --manifests deploy/ --from shop/frontend --to shop/db --port sql

Exit codes:
  0 allowed    1 denied    2 bad input    3 undetermined")]
pub(super) struct ExplainCommand {
    #[command(flatten)]
    state: StateArgs,
    /// Who opens the connection.
    #[arg(long, value_name = "END")]
    from: String,
    /// Who is to answer.
    #[arg(long, value_name = "END")]
    to: String,
    /// The port that is dialled: 5432, 53/udp, icmp, or the destination's name for it, be it a
    /// container's or a Service's.
    #[arg(long, value_name = "PORT")]
    port: PortText,
    #[command(flatten)]
    families: Families,
    /// What is printed.
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Sentences.
    Text,
    /// One JSON object.
    Json,
}

/// A port as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PortText {
    Number(AskedPort),
    /// What the destination calls it.
    Name(String),
}

impl FromStr for PortText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = !text.contains('/')
            && !text.eq_ignore_ascii_case("icmp")
            && text.contains(|each: char| each.is_ascii_alphabetic());
        if is_name { Ok(Self::Name(text.to_owned())) } else { text.parse().map(Self::Number) }
    }
}

impl PortText {
    /// The port that the destination means by it.
    fn among<'a>(
        &self,
        whose: &str,
        known: impl Iterator<Item = (Option<&'a str>, IpProtocol, u16)>,
    ) -> Result<AskedPort, Exit> {
        let name = match self {
            Self::Number(port) => return Ok(*port),
            Self::Name(name) => name,
        };
        let known: Vec<_> =
            known.filter_map(|(name, protocol, number)| Some((name?, protocol, number))).collect();
        let found = known.iter().find(|(known, ..)| known == name);
        if let Some((_, protocol, number)) = found {
            return Ok(AskedPort { protocol: *protocol, number: *number });
        }
        let names: Vec<_> = known.iter().map(|(name, ..)| *name).collect();
        let remedy = if names.is_empty() {
            "it names none; write a number, as 5432 or 53/udp".to_owned()
        } else {
            format!("it has: {}", names.join(", "))
        };
        complain(&format!("{whose} has no port named `{name}`"), Some(&remedy));
        Err(Exit::BadInput)
    }
}

impl ExplainCommand {
    /// Prints the chain of reasons.
    pub(super) async fn run(self) -> Exit {
        self.explain().await.unwrap_or_else(|exit| exit)
    }

    async fn explain(&self) -> Result<Exit, Exit> {
        let objects = self.state.read().await?;
        let namespace = &self.state.namespace;
        let mut built = topology::build(&objects.items, namespace);
        for text in [&self.from, &self.to] {
            built.topology = with_labelled(built.topology, text, namespace);
        }
        let state = objects.compile_with(built.topology, built.notes, namespace)?;
        state.say_notes();
        let asked = self.traffic(&state)?;
        let mut worst = Exit::Passed;
        let mut out = anstream::stdout();
        let mut json_lines = Vec::new();
        let families = self.families.each();
        let asked = asked.into_iter().flat_map(|traffic| {
            families.iter().map(move |family| (traffic.clone(), *family)).collect::<Vec<_>>()
        });
        for (index, (traffic, family)) in asked.enumerate() {
            if let (Some(asked), Some(fixed)) = (family, traffic.family)
                && asked != fixed
            {
                complain(&format!("--family {asked}: the address is of {fixed}"), None);
                return Err(Exit::BadInput);
            }
            let traffic = &Traffic { family: family.or(traffic.family), ..traffic };
            let decision = state.all.decide(traffic);
            let told = state.all.explain(traffic, &decision);
            worst = match (worst, decision.outcome) {
                (Exit::Failed, _) | (_, Outcome::Denied) => Exit::Failed,
                (_, Outcome::Undetermined) => Exit::Undecided,
                (worst, Outcome::Allowed) => worst,
            };
            if self.output == Output::Json {
                json_lines.push(json!({
                    "from": state.all.name_end(&traffic.from),
                    "to": state.all.name_end(&traffic.to),
                    "port": traffic.port,
                    "protocol": traffic.protocol,
                    "family": family,
                    "outcome": decision.outcome.to_string(),
                    "reasons": told.reasons,
                    "flip": told.flip,
                }));
                continue;
            }
            let blank = if index == 0 { "" } else { "\n" };
            let over = family.map(|family| format!(" (over {family})")).unwrap_or_default();
            let _ = writeln!(out, "{blank}{}{over}\n", told.headline);
            for line in &told.reasons {
                let is_head = line.starts_with("Leaving ") || line.starts_with("Entering ");
                let _ = writeln!(out, "{}{line}", if is_head { "" } else { "  " });
            }
            if !told.flip.is_empty() {
                let _ = writeln!(out);
            }
            for line in &told.flip {
                let _ = writeln!(out, "{line}");
            }
        }
        if self.output == Output::Json {
            let _ = writeln!(out, "{}", json!({ "connections": json_lines }));
        }
        Ok(worst)
    }

    /// The connections that were asked about: one, or one for each endpoint of a Service.
    fn traffic(&self, state: &State) -> Result<Vec<Traffic>, Exit> {
        let topology = state.all.topology();
        let namespace = &self.state.namespace;
        let from = find(topology, &self.from, namespace)?;
        let make =
            |to: End, port: AskedPort| Traffic::new(from.clone(), to, port.protocol, port.number);
        let (space, name) = named::split(&self.to, namespace);
        let is_pod = find_pod(topology, &self.to, namespace).is_some();
        let service = match self.to.split_once('/') {
            Some(_) => topology.service(space, name),
            None => crate::topology::named_service(topology, &self.to, namespace),
        };
        if let (Some(service), false) = (service, is_pod) {
            let called = format!("Service {}/{}", service.namespace, service.name);
            let known = service.ports.iter();
            let known = known.map(|port| (port.name.as_deref(), port.protocol, port.number));
            let asked = self.port.among(&called, known)?;
            if let Some(host) = &service.external_name {
                return Ok(vec![make(End::Host(host.clone()), asked)]);
            }
            let found = endpoints(topology, service, asked);
            if found.is_empty() {
                let known: Vec<_> =
                    service.ports.iter().map(|port| port.number.to_string()).collect();
                let is_known = service.ports.iter().any(|port| port.number == asked.number);
                let remedy = if is_known {
                    "no pod is behind it, or none has the port; name a pod or an address".to_owned()
                } else {
                    format!("its ports: {}", known.join(", "))
                };
                let what = format!("{called} leads nowhere on {asked}");
                complain(&what, Some(&remedy));
                return Err(Exit::BadInput);
            }
            let through = |(end, port)| make(end, port).through(service.addresses.clone());
            return Ok(found.into_iter().map(through).collect());
        }
        let to = find(topology, &self.to, namespace)?;
        let same = from == to && self.from == self.to;
        let twin = rows(topology).into_iter().find(|row| End::Pod(row.pod) == to);
        let to = match twin.and_then(|row| row.twin).filter(|_| same) {
            Some(twin) => End::Pod(twin),
            None => to,
        };
        let declared = match &to {
            End::Pod(pod) => &topology.pods()[*pod].ports[..],
            _ => &[],
        };
        let declared =
            declared.iter().map(|port| (port.name.as_deref(), port.protocol, port.number));
        let asked = self.port.among(&format!("`{}`", self.to), declared)?;
        Ok(vec![make(to, asked)])
    }
}

/// The end that a text means.
fn find(topology: &Topology, text: &str, namespace: &str) -> Result<End, Exit> {
    if let Ok(address) = text.parse() {
        return Ok(End::Address(address));
    }
    if let Some(pod) = find_pod(topology, text, namespace) {
        return Ok(End::Pod(pod));
    }
    if text.contains('.') && !text.contains('/') {
        return Ok(End::Host(text.to_owned()));
    }
    let known: Vec<String> = rows(topology).into_iter().map(|row| row.name).collect();
    let near = crate::suite::nearest::nearest(text, known.iter().map(String::as_str));
    let remedy = near.map_or_else(
        || "a pod, a workload, NAMESPACE/key=value, an address or a host name".to_owned(),
        |near| format!("`{near}`"),
    );
    complain(&format!("`{text}` is no pod and no workload"), Some(&remedy));
    Err(Exit::BadInput)
}

fn find_pod(topology: &Topology, text: &str, namespace: &str) -> Option<usize> {
    let (space, name) = named::split(text, namespace);
    match named::labels(name) {
        Some(labels) => named::labelled(topology, space, &labels),
        None => named::called(topology, space, name),
    }
}

/// Adds a pod with the labels that a text names, where no pod has them.
fn with_labelled(topology: Topology, text: &str, namespace: &str) -> Topology {
    let (space, name) = named::split(text, namespace);
    let Some(labels) =
        named::labels(name).filter(|_| find_pod(&topology, text, namespace).is_none())
    else {
        return topology;
    };
    let pod = Pod {
        namespace: space.to_owned(),
        name: format!("(a pod with {name})"),
        labels,
        ..Pod::default()
    };
    let pods = topology.pods().iter().cloned().chain([pod]).collect();
    let (nodes, services) = (topology.nodes().to_vec(), topology.services().to_vec());
    Topology::new(topology.namespaces().clone(), pods, nodes, services)
}
