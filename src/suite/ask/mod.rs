//! What a case says once the network has let it through, and what is to be answered.

use std::collections::{BTreeMap, BTreeSet};

mod check;
mod http;
mod read;

pub(super) use check::check;
pub(super) use read::{AskNodes, Asked};

/// What is said and asked for, where it isn't the usual: of most cases nothing, which takes
/// little memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The HTTP request and its answer; only on HTTP ports.
    pub http: Option<Box<HttpAsk>>,
    /// TLS below everything else; only on TCP and HTTP ports.
    pub tls: Option<Box<TlsAsk>>,
    /// A DNS question; only on TCP and UDP ports.
    pub dns: Option<Box<DnsAsk>>,
    /// A datagram; only on UDP ports.
    pub udp: Option<Box<UdpAsk>>,
}

impl Ask {
    /// True where netproof's own agents have no answer to it.
    pub fn is_foreign(&self) -> bool {
        // Their certificate is one that nobody has signed.
        let believes = self.tls.as_ref().is_some_and(|tls| tls.verify);
        believes || self.dns.is_some() || self.udp.is_some()
    }

    /// What a denial is asked with: no answer makes one pass.
    #[must_use]
    pub fn without_answer(mut self) -> Self {
        if let Some(http) = &mut self.http {
            http.status.clear();
        }
        if let Some(dns) = &mut self.dns {
            dns.expect = None;
        }
        if let Some(udp) = &mut self.udp {
            udp.expect.clear();
        }
        self
    }
}

/// An HTTP request as a case describes it, and the answer that an allow asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpAsk {
    /// The method: `GET` where the suite doesn't say.
    pub method: String,
    /// Path and query: `/` where the suite doesn't say.
    pub path: String,
    /// The `Host` header, where it isn't what is dialled.
    pub host: Option<String>,
    /// Headers besides.
    pub headers: BTreeMap<String, String>,
    /// The statuses that an allow asks for; none for any.
    pub status: BTreeSet<u16>,
}

/// How TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsAsk {
    /// What the server is called, where it isn't what is dialled.
    pub server_name: Option<String>,
    /// Whether its certificate has to be good: it is, where the suite doesn't say.
    pub verify: bool,
    /// Whom its certificate is to be signed by.
    pub ca: Authority,
}

/// Whose certificates are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// The authorities that browsers believe.
    #[default]
    Public,
    /// The one that signs the API server's certificate, as the kubeconfig names it.
    Cluster,
    /// These, as PEM.
    Pem(String),
}

/// A DNS question, and the answer that an allow asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DnsAsk {
    /// The name as it stands: no search list is tried.
    pub name: String,
    /// The type of its records: `A` where the suite doesn't say.
    pub kind: String,
    /// The answer; any will do where absent.
    pub expect: Option<DnsExpect>,
}

/// A certain DNS answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsExpect {
    /// A response code: `NXDOMAIN`.
    Code(String),
    /// These records among others, by their data.
    Records(BTreeSet<String>),
}

/// A datagram, and the answer that an allow asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UdpAsk {
    /// What is sent.
    pub payload: Vec<u8>,
    /// What the answer has to hold; nothing for any answer.
    pub expect: Vec<u8>,
}
