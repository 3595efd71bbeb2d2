//! Cases and tables.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{
    Duration, OneOrMany,
    spoken::{Dns, Http, SpokenProtocol, Tls, Udp},
};

/// A port as a case names it: a name that the destination or `defaults.ports` declares, a
/// number, or a number with its protocol.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum CasePort {
    /// A number; the protocol is the listener's, else TCP.
    Number(#[schemars(range(min = 1, max = 65535))] u16),
    /// A declared name, or a number with its protocol.
    Text(#[schemars(length(min = 1))] String),
}

/// What is claimed: that the connection succeeds, or that it is prevented.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
enum Expect {
    /// It succeeds, and the intended peer answers.
    Allow,
    /// It is prevented, and every control says that nothing but a policy does it.
    Deny,
}

/// An IP family.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// What must stand behind a denial.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
enum Evidence {
    /// Every control has to be up.
    Controls,
    /// Being blocked is enough; such a pass is marked and counted apart.
    Any,
}

/// How traffic is kept out.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
enum Denial {
    /// Nothing comes back.
    Drop,
    /// A reset or an ICMP error comes back.
    Reject,
}

/// What becomes of a connection from before a change.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
enum Survival {
    /// It can still be used.
    Survives,
    /// It can't be used any more.
    Cut,
    /// Either; the report says which.
    Report,
}

/// The first instants of a pod that is made anew for this: of `from` or of `to`.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Startup {
    /// The case's source, if its pod is to be made anew.
    from: Option<String>,
    /// The case's destination, if its pod is to be made anew.
    to: Option<String>,
    /// `deny`: never let through, from its first instant; `allow`: let through sooner or
    /// later. The case's own if left out.
    expect: Option<Expect>,
}

/// A claim has a port, or is about ICMP, which has none.
fn a_port_or_icmp() -> Value {
    json!([
        {"required": ["port"]},
        {
            "required": ["protocol"],
            "properties": {"protocol": {"description": "No port.", "enum": ["icmp", "ICMP"]}},
        },
    ])
}

/// A claim: who, to whom, on which port, and whether it is to succeed.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = a_port_or_icmp()))]
pub(super) struct Case {
    /// The name; it stands in the case's id.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// The pod peers that dial: a name, a list of names, or `all`.
    from: OneOrMany<String>,
    /// The peers that are dialled: a name, a list of names, or `all` (every other pod peer).
    to: OneOrMany<String>,
    /// The claim.
    expect: Expect,
    /// What a table's cells may say as well.
    #[schemars(flatten)]
    asked: Asked,
}

/// Claims as a grid: rows dial columns; `.` is allow, `X` is deny, `-` is not claimed.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = a_port_or_icmp()))]
pub(super) struct Table {
    /// The name; cases are called by it and by their ends.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// The grid, as a block of lines.
    rows: String,
    /// What a case may say as well.
    #[schemars(flatten)]
    asked: Asked,
}

/// What is asked, and how: of a case, or of all cells of a table.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
struct Asked {
    /// The ports that are dialled; none for ICMP.
    port: Option<OneOrMany<CasePort>>,
    /// How the ports are spoken to, where they don't say so; `icmp` stands without a port.
    protocol: Option<SpokenProtocol>,
    /// How long the last change may take to bite.
    within: Option<Duration>,
    /// For how long one dial may stay silent, from 100ms to 60s; 800ms if left out.
    timeout: Option<Duration>,
    /// The only IP family that this is about; every one that both ends have if left out.
    family: Option<Family>,
    /// Why this is claimed; it stands in the report.
    because: Option<String>,
    /// What must stand behind a denial.
    evidence: Option<Evidence>,
    /// The only kind of denial that passes.
    denial: Option<Denial>,
    /// The pod peer whose same dial proves that a foreign address is alive.
    reached_by: Option<String>,
    /// The HTTP request and its answer, on HTTP ports.
    http: Option<Http>,
    /// TLS below it, on TCP and HTTP ports of applications.
    tls: Option<Tls>,
    /// A DNS question, on UDP and TCP ports of name servers.
    dns: Option<Dns>,
    /// A datagram, on UDP ports of applications.
    udp: Option<Udp>,
    /// What is to become of a connection that was opened before the step's changes, judged
    /// apart; only in steps.
    established: Option<Survival>,
    /// What is claimed of one end's first instants, judged apart.
    startup: Option<Startup>,
}
