//! What is said on a connection.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::OneOrMany;

/// How ports are spoken to, in upper or lower case.
#[derive(JsonSchema)]
pub(super) enum SpokenProtocol {
    #[schemars(rename = "tcp")]
    Tcp,
    #[schemars(rename = "TCP")]
    UpperTcp,
    #[schemars(rename = "udp")]
    Udp,
    #[schemars(rename = "UDP")]
    UpperUdp,
    #[schemars(rename = "http")]
    Http,
    #[schemars(rename = "HTTP")]
    UpperHttp,
    #[schemars(rename = "sctp")]
    Sctp,
    #[schemars(rename = "SCTP")]
    UpperSctp,
    #[schemars(rename = "icmp")]
    Icmp,
    #[schemars(rename = "ICMP")]
    UpperIcmp,
}

/// An HTTP request, and the answer that an allow asks for.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Http {
    /// The method; `GET` if left out.
    method: Option<String>,
    /// Path and query; `/` if left out.
    path: Option<String>,
    /// The `Host` header; what is dialled if left out.
    host: Option<String>,
    /// Headers besides.
    headers: Option<BTreeMap<String, String>>,
    /// The statuses that an allow asks for, one or a list; any answer will do if left out.
    status: Option<OneOrMany<Status>>,
}

/// An HTTP status.
#[derive(JsonSchema)]
#[schemars(transparent)]
struct Status(#[schemars(range(min = 100, max = 599))] u16);

/// TLS below everything else that is said.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Tls {
    /// What the server is called; what is dialled if left out.
    server_name: Option<String>,
    /// Whether the server's certificate has to be good; `true` if left out.
    verify: Option<bool>,
    /// Who signs it: `cluster` for the authority of the kubeconfig, or certificates as PEM;
    /// those that browsers believe if left out.
    ca: Option<String>,
}

/// A DNS question, and the answer that an allow asks for.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Dns {
    /// The name as it stands: no search list is tried.
    name: String,
    /// The type of the records; `A` if left out.
    #[schemars(rename = "type")]
    kind: Option<RecordType>,
    /// A response code, or a list of records that the answer has to hold; any answer will do
    /// if left out.
    expect: Option<DnsExpect>,
}

/// A type of DNS records.
#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum RecordType {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Soa,
    Srv,
    Txt,
}

/// A DNS answer.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum DnsExpect {
    Code(DnsCode),
    Records(Vec<String>),
}

/// A DNS response code.
#[derive(JsonSchema)]
#[schemars(rename_all = "UPPERCASE")]
enum DnsCode {
    NoError,
    FormErr,
    ServFail,
    NxDomain,
    NotImp,
    Refused,
}

/// A datagram, and the answer that an allow asks for.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Udp {
    /// What is sent.
    payload: Bytes,
    /// What the answer has to hold; any answer will do if left out.
    expect: Option<Bytes>,
}

/// A text, or bytes in hex or base64.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Bytes {
    Text(String),
    Coded(CodedBytes),
}

/// Bytes in hex or base64.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
enum CodedBytes {
    /// Pairs of hex digits.
    Hex(String),
    /// Base64 with its padding.
    Base64(String),
}
