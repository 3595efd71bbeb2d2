//! Workloads as rows and columns: a pod or two stand for each.

use std::collections::BTreeMap;

use crate::{
    model::{End, Family, IpProtocol, Service, Topology, Traffic},
    policy::{Compiled, Decision, Outcome},
    topology,
};

/// A workload, and pods that stand for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// `shop/web`; with its kind where two have that name.
    pub(super) name: String,
    /// One of its pods.
    pub(super) pod: usize,
    /// Another of its pods; nothing where it has but one.
    pub(super) twin: Option<usize>,
    /// The ports that its containers declare.
    pub(super) ports: Vec<AskedPort>,
}

/// A port of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct AskedPort {
    pub(super) protocol: IpProtocol,
    pub(super) number: u16,
}

impl std::fmt::Display for AskedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.protocol {
            IpProtocol::Icmp => f.write_str("ICMP"),
            protocol => write!(f, "{}/{protocol}", self.number),
        }
    }
}

impl std::str::FromStr for AskedPort {
    type Err = String;

    /// `5432`, `53/udp`, `icmp`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("icmp") {
            return Ok(Self { protocol: IpProtocol::Icmp, number: 0 });
        }
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let parsed = number.parse::<u16>().ok().filter(|number| *number > 0);
        let number =
            parsed.ok_or_else(|| format!("`{number}` is no port number from 1 to 65535"))?;
        let protocol = protocol.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { protocol, number })
    }
}

/// What is asked of each pair.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Asked {
    /// Ask this port of every workload, instead of the ports that each declares: 5432,
    /// 53/udp or icmp; may be given several times.
    #[arg(long = "port", value_name = "PORT")]
    pub(super) ports: Vec<AskedPort>,
    #[command(flatten)]
    pub(super) families: Families,
}

/// Which IP families are asked about.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Families {
    /// Ask about this IP family apart, ipv4 or ipv6; may be given twice.
    #[arg(long = "family", value_name = "FAMILY", value_parser = family)]
    pub(super) families: Vec<Family>,
}

impl Families {
    /// Each of them, or once whichever there is.
    pub(super) fn each(&self) -> Vec<Option<Family>> {
        match &self.families[..] {
            [] => vec![None],
            families => families.iter().copied().map(Some).collect(),
        }
    }
}

fn family(text: &str) -> Result<Family, String> {
    [Family::Ipv4, Family::Ipv6]
        .into_iter()
        .find(|family| family.to_string() == text)
        .ok_or_else(|| "ipv4 and ipv6 are the families".to_owned())
}

/// The workloads of a topology, in the order of their names.
pub(super) fn rows(topology: &Topology) -> Vec<Row> {
    let mut groups: BTreeMap<(&str, &str, &str), Vec<usize>> = BTreeMap::new();
    for (index, pod) in topology.pods().iter().enumerate() {
        let (name, kind) = match &pod.workload {
            Some(workload) => (workload.name.as_str(), workload.kind.as_str()),
            None => (pod.name.as_str(), "Pod"),
        };
        groups.entry((&pod.namespace, name, kind)).or_default().push(index);
    }
    let names: Vec<(&str, &str)> = groups.keys().map(|(space, name, _)| (*space, *name)).collect();
    groups
        .into_iter()
        .map(|((space, name, kind), pods)| {
            let shared = names.iter().filter(|other| **other == (space, name)).count() > 1;
            let called =
                if shared { format!("{space}/{kind}/{name}") } else { format!("{space}/{name}") };
            let declared = &topology.pods()[pods[0]].ports;
            let mut ports: Vec<AskedPort> = declared
                .iter()
                .map(|port| AskedPort { protocol: port.protocol, number: port.number })
                .collect();
            ports.sort_unstable();
            ports.dedup();
            Row { name: called, pod: pods[0], twin: pods.get(1).copied(), ports }
        })
        .collect()
}

/// One cell: a pair of workloads and a port.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    pub(super) port: AskedPort,
    /// The family that was asked about; none where it was any.
    pub(super) family: Option<Family>,
    pub(super) traffic: Traffic,
    pub(super) decision: Decision,
}

impl Cell {
    /// `5432/TCP`, or `5432/TCP ipv6`.
    pub(super) fn name(&self) -> String {
        in_family(&self.port, self.family)
    }
}

/// A port, with its family where one was asked about.
pub(super) fn in_family(port: &AskedPort, family: Option<Family>) -> String {
    match family {
        Some(family) => format!("{port} {family}"),
        None => port.to_string(),
    }
}

/// What the policies say from one workload to another, on the ports that were asked for or
/// else on all that the destination declares. A workload's own cell is about two of its pods.
pub(super) fn cells(all: &Compiled, from: &Row, to: &Row, asked: &Asked) -> Vec<Cell> {
    let source = if from.pod == to.pod { from.twin.unwrap_or(from.pod) } else { from.pod };
    let families = asked.families.each();
    let cell = |port: AskedPort, family: Option<Family>| {
        let mut traffic =
            Traffic::new(End::Pod(source), End::Pod(to.pod), port.protocol, port.number);
        traffic.family = family;
        let decision = all.decide(&traffic);
        Cell { port, family, traffic, decision }
    };
    let ports = ports_of(to, &asked.ports).into_iter();
    ports
        .flat_map(|port| families.iter().map(move |family| (port, *family)))
        .map(|(port, family)| cell(port, family))
        .collect()
}

/// The ports of a question: those asked for, or those declared, or 80/TCP.
pub(super) fn ports_of(to: &Row, asked: &[AskedPort]) -> Vec<AskedPort> {
    match (asked, &to.ports[..]) {
        ([], []) => vec![AskedPort { protocol: IpProtocol::Tcp, number: 80 }],
        ([], declared) => declared.to_vec(),
        (asked, _) => asked.to_vec(),
    }
}

/// A letter for a number of cells: `.` all allowed, `X` all denied, `~` some of each, `?`
/// where one can't be told.
pub(super) fn letter(cells: &[Cell]) -> char {
    let any = |outcome| cells.iter().any(|cell| cell.decision.outcome == outcome);
    match (any(Outcome::Allowed), any(Outcome::Denied), any(Outcome::Undetermined)) {
        (_, _, true) => '?',
        (true, true, false) => '~',
        (false, true, false) => 'X',
        (_, false, false) => '.',
    }
}

/// Who stands behind a Service's port: each endpoint with its own port.
pub(super) fn endpoints(
    topology: &Topology,
    service: &Service,
    port: AskedPort,
) -> Vec<(End, AskedPort)> {
    let found = topology::behind(topology, service, port.protocol, port.number).into_iter();
    found.map(|(end, number)| (end, AskedPort { number, ..port })).collect()
}
