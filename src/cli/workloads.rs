//! Workloads as rows and columns: a pod or two stand for each.

use std::collections::BTreeMap;

use crate::{
    model::{End, IpProtocol, Service, Topology, Traffic},
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
    pub(super) traffic: Traffic,
    pub(super) decision: Decision,
}

/// What the policies say from one workload to another, on the ports that were asked for or
/// else on all that the destination declares. A workload's own cell is about two of its pods.
pub(super) fn cells(all: &Compiled, from: &Row, to: &Row, asked: &[AskedPort]) -> Vec<Cell> {
    let source = if from.pod == to.pod { from.twin.unwrap_or(from.pod) } else { from.pod };
    let ports = ports_of(to, asked);
    let cell = |port: AskedPort| {
        let traffic = Traffic::new(End::Pod(source), End::Pod(to.pod), port.protocol, port.number);
        let decision = all.decide(&traffic);
        Cell { port, traffic, decision }
    };
    ports.into_iter().map(cell).collect()
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
