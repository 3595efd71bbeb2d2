//! The format as a JSON Schema, for editors and for whoever writes suites by a program.
//!
//! These types say what may be written; the reader says what of it makes sense. They have no
//! other use: suites are read with their places kept, which serde can't.

#![allow(dead_code, reason = "only the shape of these types is used")]

use std::collections::BTreeMap;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

/// The JSON Schema (2020-12) of a suite.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    generator.into_root_schema_for::<Suite>().to_value()
}

/// A suite: claims about who may talk to whom in a Kubernetes cluster.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Suite {
    /// The version of the format.
    api_version: ApiVersion,
    /// What this file is.
    kind: Kind,
    /// The suite's name.
    metadata: Metadata,
    /// What holds where a case or a peer says nothing itself.
    defaults: Option<Defaults>,
    /// What is created before the cases are asked, and removed after them.
    setup: Option<Setup>,
    /// The ends of the claims, by name.
    #[schemars(length(min = 1))]
    peers: BTreeMap<String, Peer>,
    /// Claims, asked before any step.
    cases: Option<Vec<Case>>,
    /// Claims in the form of grids.
    tables: Option<Vec<Table>>,
    /// Changes, and what is claimed once they are made.
    steps: Option<Vec<Step>>,
}

/// The version of the format.
#[derive(JsonSchema)]
enum ApiVersion {
    #[schemars(rename = "netproof.dev/v1alpha1")]
    V1Alpha1,
}

/// What this file is.
#[derive(JsonSchema)]
enum Kind {
    Suite,
}

/// The suite's name and what it is for.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    /// A DNS label; it stands in the id of every case.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    name: String,
    /// What the suite is about, for people.
    description: Option<String>,
}

/// What holds where a case or a peer says nothing itself.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Defaults {
    /// How long a change may take to bite; 30s if left out.
    within: Option<Duration>,
    /// The ports of pods that declare none of their own, by name.
    ports: Option<BTreeMap<String, Port>>,
}

/// A time with its unit: `30s`, `500ms`, `1m 30s`.
#[derive(JsonSchema)]
struct Duration(#[schemars(regex(pattern = r"^\s*([0-9]+\s*[a-zA-Z]+\s*)+$"))] String);

/// A port and how it is spoken to: `8080/tcp`, `53/udp`, `80/http`; a number alone is TCP.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Port {
    /// A number, for TCP.
    Number(#[schemars(range(min = 1, max = 65535))] u16),
    /// A number with a protocol.
    Text(#[schemars(regex(pattern = r"^[0-9]{1,5}(/(tcp|udp|http|sctp))?$"))] String),
}

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

/// What is created before the cases are asked.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Setup {
    /// Namespaces to create, by the alias that the suite uses for them.
    namespaces: Option<BTreeMap<String, Option<Namespace>>>,
    /// Kubernetes objects to create, in this order.
    manifests: Option<Vec<Manifest>>,
}

/// A namespace that the run creates; one that exists is never taken over.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Namespace {
    /// Its name; a generated one if left out.
    name: Option<String>,
    /// Its labels.
    labels: Option<BTreeMap<String, String>>,
    /// Its annotations.
    annotations: Option<BTreeMap<String, String>>,
}

/// Kubernetes objects: from a file beside the suite, or written here.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
enum Manifest {
    /// A file beside the suite, which may hold many documents.
    Path(String),
    /// An object, or a list of them.
    Inline(OneOrMany<Object>),
}

/// A Kubernetes object. Aliases of namespaces in it become their names; elsewhere write
/// `${namespace:alias}`.
type Object = Map<String, Value>;

/// One, or a list.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum OneOrMany<T> {
    /// One.
    One(T),
    /// Several.
    Many(Vec<T>),
}

/// One end of a claim: exactly one of these. Only pods dial.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
enum Peer {
    /// A probe pod that the run launches.
    Pod(PodPeer),
    /// A Service, of the suite's manifests or one that exists.
    Service(ServicePeer),
    /// One address.
    Ip(String),
    /// A name, resolved in the source pod.
    Host(String),
}

/// A probe pod to launch. Policies see its namespace, labels and service account.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct PodPeer {
    /// An alias of `setup.namespaces`, or a namespace that exists.
    namespace: String,
    /// Its labels.
    labels: Option<BTreeMap<String, String>>,
    /// What it listens on, by name; `defaults.ports` if left out.
    ports: Option<BTreeMap<String, Port>>,
    /// Its service account; `default` if left out.
    service_account: Option<String>,
    /// Labels of the nodes that it may run on.
    node: Option<BTreeMap<String, String>>,
    /// Its annotations.
    annotations: Option<BTreeMap<String, String>>,
}

/// A Service.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct ServicePeer {
    /// An alias of `setup.namespaces`, or a namespace that exists.
    namespace: String,
    /// The Service's name.
    name: String,
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

/// A claim: who, to whom, on which port, and whether it is to succeed.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    {"required": ["port"]},
    {
        "required": ["protocol"],
        "properties": {"protocol": {"description": "No port.", "enum": ["icmp", "ICMP"]}},
    },
]))]
struct Case {
    /// The name; it stands in the case's id.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// The pod peers that dial: a name, a list of names, or `all`.
    from: OneOrMany<String>,
    /// The peers that are dialled: a name, a list of names, or `all` (every other pod peer).
    to: OneOrMany<String>,
    /// The ports that are dialled; none for ICMP.
    port: Option<OneOrMany<CasePort>>,
    /// How the ports are spoken to, where they don't say so; `icmp` stands without a port.
    protocol: Option<SpokenProtocol>,
    /// The claim.
    expect: Expect,
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

/// An HTTP request, and the answer that an allow asks for.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Http {
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

/// How ports are spoken to, in upper or lower case.
#[derive(JsonSchema)]
enum SpokenProtocol {
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

/// TLS below everything else that is said.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Tls {
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
struct Dns {
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
struct Udp {
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

/// Claims as a grid: rows dial columns; `.` is allow, `X` is deny, `-` is not claimed.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("anyOf" = [
    {"required": ["port"]},
    {
        "required": ["protocol"],
        "properties": {"protocol": {"description": "No port.", "enum": ["icmp", "ICMP"]}},
    },
]))]
struct Table {
    /// The name; cases are called by it and by their ends.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// The ports that are dialled; none for ICMP.
    port: Option<OneOrMany<CasePort>>,
    /// How the ports are spoken to, where they don't say so; `icmp` stands without a port.
    protocol: Option<SpokenProtocol>,
    /// The grid, as a block of lines.
    rows: String,
    /// How long the last change may take to bite.
    within: Option<Duration>,
    /// For how long one dial may stay silent, from 100ms to 60s; 800ms if left out.
    timeout: Option<Duration>,
    /// The only IP family that this is about.
    family: Option<Family>,
    /// Why this is claimed.
    because: Option<String>,
    /// What must stand behind the denials.
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

/// Changes, made in the order of these fields, and what is claimed then. They accumulate, and
/// are taken back after the suite.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    /// The name, which is not `base`; it stands in the ids of the step's cases.
    #[schemars(length(min = 1, max = 120))]
    name: String,
    /// Objects to create; what this run has created is replaced.
    apply: Option<Vec<Manifest>>,
    /// Patches of objects.
    patch: Option<Vec<Patch>>,
    /// Objects to delete.
    delete: Option<Vec<Deletion>>,
    /// Labels to set and to remove.
    label: Option<Vec<Label>>,
    /// Pod peers that come and go.
    peers: Option<Lives>,
    /// What is waited for before the cases are asked.
    wait: Option<Wait>,
    /// How long the step's changes may take to bite.
    within: Option<Duration>,
    /// Claims.
    cases: Option<Vec<Case>>,
    /// Claims in the form of grids.
    tables: Option<Vec<Table>>,
}

/// A patch of one object, in one of the API server's three languages.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Patch {
    /// The API version; may be left out for Kubernetes' own kinds.
    api_version: Option<String>,
    /// The kind: `NetworkPolicy`.
    kind: String,
    /// An alias or a namespace that exists; the suite's only one if left out.
    namespace: Option<String>,
    /// The name.
    name: String,
    /// A merge patch (RFC 7386).
    merge: Option<Map<String, Value>>,
    /// A strategic merge patch, which merges lists by their keys.
    strategic: Option<Map<String, Value>>,
    /// A JSON patch (RFC 6902).
    json: Option<Vec<Map<String, Value>>>,
}

/// Objects to delete.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Deletion {
    /// One object, by its name.
    Name(ObjectName),
    /// All objects of a file.
    File(File),
}

/// An object by its name.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct ObjectName {
    /// The API version; may be left out for Kubernetes' own kinds.
    api_version: Option<String>,
    /// The kind: `NetworkPolicy`.
    kind: String,
    /// An alias or a namespace that exists; the suite's only one if left out.
    namespace: Option<String>,
    /// The name.
    name: String,
}

/// A file beside the suite.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    /// Its path from the suite.
    path: String,
}

/// Labels to set and to remove: of a pod peer, or of a namespace.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Label {
    /// The pod peer.
    peer: Option<String>,
    /// The namespace: an alias, or one that exists.
    namespace: Option<String>,
    /// Labels that it gets.
    set: Option<BTreeMap<String, String>>,
    /// Keys of labels that it loses.
    remove: Option<OneOrMany<String>>,
}

/// Pod peers that come and go.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Lives {
    /// Peers whose pods are deleted.
    delete: Option<OneOrMany<String>>,
    /// Peers whose pods are launched only now.
    create: Option<OneOrMany<String>>,
}

/// What is waited for.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Wait {
    /// A time.
    Time(Duration),
    /// A condition of an object.
    Condition(Condition),
}

/// A condition of an object.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
struct Condition {
    /// The API version; may be left out for Kubernetes' own kinds.
    api_version: Option<String>,
    /// The kind: `Deployment`.
    kind: String,
    /// An alias or a namespace that exists; the suite's only one if left out.
    namespace: Option<String>,
    /// The name.
    name: String,
    /// The condition's type: `Available`.
    condition: String,
    /// For so long at most; 60s if left out.
    timeout: Option<Duration>,
}
