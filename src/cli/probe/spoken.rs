//! What is spoken on a port: the flags of `netproof probe` as fields of a case.

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde_json::{Map, Value, json};

use super::ends::NoEnd;
use crate::model::Protocol;

/// What is spoken.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Spoken {
    /// What is spoken on the port, where it doesn't say so itself; ICMP has no port.
    #[arg(long, value_parser = protocols(), ignore_case = true, value_name = "PROTOCOL")]
    protocol: Option<Protocol>,
    /// Ask for this path over HTTP, once the connection stands.
    #[arg(long, value_name = "PATH")]
    http: Option<String>,
    /// The status that an allow asks for; may be given several times.
    #[arg(long, value_name = "STATUS", requires = "http")]
    status: Vec<u16>,
    /// Speak TLS first.
    #[arg(long)]
    tls: bool,
    /// The name that the certificate is to be for [default: what is dialled].
    #[arg(long, value_name = "NAME", requires = "tls")]
    server_name: Option<String>,
    /// Take any certificate.
    #[arg(long, requires = "tls")]
    insecure: bool,
}

/// The protocols that a case may speak, by their names in a suite.
fn protocols() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::name)).try_map(|name| {
        let named = |protocol: &Protocol| protocol.name().eq_ignore_ascii_case(&name);
        Protocol::ALL.into_iter().find(named).ok_or("no protocol")
    })
}

impl Spoken {
    /// True where there is no port to ask for.
    pub(super) fn has_no_port(&self) -> bool {
        self.protocol == Some(Protocol::Icmp)
    }

    /// The port with what is spoken on it, as a case writes it.
    pub(super) fn on(&self, port: &str) -> Result<String, NoEnd> {
        let (number, own) = match port.split_once('/') {
            Some((number, word)) => (number, Some(word)),
            None => (port, None),
        };
        let asked = self.protocol.map(Protocol::name).or(self.http.is_some().then_some("http"));
        let Some(asked) = asked else { return Ok(port.to_owned()) };
        // HTTP is spoken over TCP, and so goes with a port that only says that.
        let is_narrower = |own: &str| own.eq_ignore_ascii_case("tcp") && asked == "http";
        match own {
            Some(own) if !own.eq_ignore_ascii_case(asked) && !is_narrower(own) => Err(NoEnd {
                message: format!("the port says {own}, and {asked} is to be spoken on it"),
                remedy: format!("write --port {number}/{asked}"),
            }),
            _ if self.http.is_some() && asked != "http" => Err(NoEnd {
                message: format!("--http is not spoken over {asked}"),
                remedy: "leave --protocol out".to_owned(),
            }),
            _ => Ok(format!("{number}/{asked}")),
        }
    }

    /// The fields that say what is spoken.
    pub(super) fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        if self.has_no_port() {
            fields.insert("protocol".to_owned(), json!("icmp"));
        }
        if let Some(path) = &self.http {
            let mut http = json!({"path": path});
            match &self.status[..] {
                [] => {}
                [one] => http["status"] = json!(one),
                several => http["status"] = json!(several),
            }
            fields.insert("http".to_owned(), http);
        }
        if self.tls {
            let mut tls = json!({"verify": !self.insecure});
            if let Some(name) = &self.server_name {
                tls["serverName"] = json!(name);
            }
            fields.insert("tls".to_owned(), tls);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_what_is_spoken_on_it() {
        let plain = Spoken::default();
        let http = Spoken { http: Some("/".to_owned()), ..Spoken::default() };
        let sctp = Spoken { protocol: Some(Protocol::Sctp), ..Spoken::default() };
        let both = Spoken { protocol: Some(Protocol::Udp), ..http.clone() };
        for (spoken, port, expected) in [
            (&plain, "5432", Some("5432")),
            (&plain, "53/udp", Some("53/udp")),
            (&http, "80", Some("80/http")),
            (&http, "8443/tcp", Some("8443/http")),
            (&http, "53/udp", None),
            (&sctp, "3868", Some("3868/sctp")),
            (&sctp, "3868/SCTP", Some("3868/sctp")),
            (&sctp, "3868/tcp", None),
            (&both, "80", None),
        ] {
            assert_eq!(spoken.on(port).ok().as_deref(), expected, "{spoken:?} on {port}");
        }
    }
}
