//! What an allow wants to hear, beyond being let through.

use std::{collections::BTreeSet, fmt};

use super::observation::AnsweredBy;
use crate::suite::DnsExpect;

/// An answer that an allow asks for. Another one is a Fail with a reason of its own: the
/// network let the question through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedAnswer {
    /// HTTP with one of these statuses.
    Status(BTreeSet<u16>),
    /// DNS; any answer to the question, or a certain one.
    Dns(Option<DnsExpect>),
    /// A datagram with these bytes in it; empty for any.
    Holds(Vec<u8>),
}

/// What our own agents answer to any request.
const OK: u16 = 200;

impl WantedAnswer {
    /// What came, in the words of what was asked for.
    pub fn found(&self, by: &AnsweredBy) -> String {
        match (self, by) {
            (Self::Status(_), AnsweredBy::Agent { .. }) => format!("HTTP {OK}"),
            _ => by.told(),
        }
    }

    /// Whether this is the answer.
    pub fn is(&self, by: &AnsweredBy) -> bool {
        match (self, by) {
            (Self::Status(wanted), AnsweredBy::Application { status: Some(status), .. }) => {
                wanted.contains(status)
            }
            (Self::Status(wanted), AnsweredBy::Agent { .. }) => wanted.contains(&OK),
            (Self::Dns(None), AnsweredBy::Dns { .. }) => true,
            (Self::Dns(Some(DnsExpect::Code(wanted))), AnsweredBy::Dns { code, .. }) => {
                wanted == code
            }
            (Self::Dns(Some(DnsExpect::Records(wanted))), AnsweredBy::Dns { records, .. }) => {
                let records: BTreeSet<String> =
                    records.iter().map(|record| canonical(record)).collect();
                wanted.iter().all(|record| records.contains(&canonical(record)))
            }
            (Self::Holds(wanted), AnsweredBy::Datagram { payload }) => {
                let payload = netproof_probe::wire::hex::decode(payload).unwrap_or_default();
                wanted.is_empty() || payload.windows(wanted.len()).any(|part| part == wanted)
            }
            _ => false,
        }
    }
}

/// A record's data as it compares: addresses in their shortest form, names without the dot at
/// their end, all in lower case.
fn canonical(record: &str) -> String {
    match record.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => record.trim_matches('"').trim_end_matches('.').to_lowercase(),
    }
}

impl fmt::Display for WantedAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(wanted) => {
                let wanted: Vec<_> = wanted.iter().map(|status| format!("HTTP {status}")).collect();
                f.write_str(&wanted.join(" or "))
            }
            Self::Dns(None) => f.write_str("DNS"),
            Self::Dns(Some(DnsExpect::Code(code))) => write!(f, "DNS {code}"),
            Self::Dns(Some(DnsExpect::Records(records))) => {
                let records: Vec<_> = records.iter().map(String::as_str).collect();
                write!(f, "DNS with {}", records.join(", "))
            }
            Self::Holds(bytes) if bytes.is_empty() => f.write_str("a datagram"),
            Self::Holds(bytes) => write!(f, "a datagram with {}", bytes.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_held_against_what_was_asked_for() {
        let dns = |code: &str, records: &[&str]| AnsweredBy::Dns {
            code: code.to_owned(),
            records: records.iter().map(|&record| record.to_owned()).collect(),
            truncated: None,
        };
        let records = |records: &[&str]| {
            let records = records.iter().map(|&record| record.to_owned()).collect();
            WantedAnswer::Dns(Some(DnsExpect::Records(records)))
        };
        let code = |code: &str| WantedAnswer::Dns(Some(DnsExpect::Code(code.to_owned())));
        let status = |status| AnsweredBy::Application { status, summary: "a reply".to_owned() };
        let datagram = |bytes: &[u8]| AnsweredBy::Datagram {
            payload: netproof_probe::wire::hex::encode(bytes),
        };
        let agent = || AnsweredBy::Agent {
            identity: "api".to_owned(),
            saw: "10.0.0.1:20000".parse().expect("an address"),
        };
        let holds = |bytes: &[u8]| WantedAnswer::Holds(bytes.to_vec());
        for (wanted, by, expected) in [
            (WantedAnswer::Status([401, 403].into()), status(Some(403)), true),
            (WantedAnswer::Status([401, 403].into()), status(Some(200)), false),
            (WantedAnswer::Status([200].into()), status(None), false),
            (WantedAnswer::Status([200].into()), agent(), true),
            (WantedAnswer::Status([404].into()), agent(), false),
            (WantedAnswer::Dns(None), dns("SERVFAIL", &[]), true),
            (WantedAnswer::Dns(None), status(None), false),
            (code("NXDOMAIN"), dns("NXDOMAIN", &[]), true),
            (code("NXDOMAIN"), dns("NOERROR", &["10.0.0.1"]), false),
            (records(&["10.0.0.1"]), dns("NOERROR", &["10.0.0.2", "10.0.0.1"]), true),
            (records(&["FD00:0::1"]), dns("NOERROR", &["fd00::1"]), true),
            (records(&["API.shop."]), dns("NOERROR", &["api.shop"]), true),
            (records(&["10.0.0.1", "10.0.0.3"]), dns("NOERROR", &["10.0.0.1"]), false),
            (holds(b"pong"), datagram(b"a pong!"), true),
            (holds(b"pong"), datagram(b"ping"), false),
            (holds(b"pong"), datagram(b""), false),
            (holds(b""), datagram(b""), true),
            (holds(b""), AnsweredBy::Nobody, false),
        ] {
            assert_eq!(wanted.is(&by), expected, "{wanted}: {by}");
        }
    }
}
