//! What the agent is told on its command line.

use std::{collections::HashSet, fmt, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{
    question,
    wire::{CONTROL_PORT, Startup},
};

/// The agent inside netproof's probe pods.
///
/// It listens (`serve`, the container's own process) and dials (`dial`, one for each
/// session of a runner, started by exec). It answers nobody who doesn't know the run's
/// key, and connects nowhere but where its session tells it to.
#[derive(Debug, Parser)]
#[command(name = "netproof-probe", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the agent can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Listens, and answers keyed questions with its identity.
    ///
    /// Takes the kubelet's readiness probe on the control port, and ends itself when no
    /// session has been heard of for the idle limit.
    #[command(after_help = "\
Example:
  netproof-probe serve --identity shop/web --key $KEY --listen main=8080/tcp --listen 53/udp

Exit status: 0 ended by a signal or by the idle limit, 1 a port could not be taken,
2 bad arguments.")]
    Serve(Serve),
    /// Dials: reads requests from standard input, writes what it saw to standard output.
    ///
    /// Both are JSON, one object a line. The first request must be an `open`; the session
    /// ends at the end of standard input, or when no line has come for the silence limit.
    #[command(after_help = r#"Example:
  {"type":"open","version":3,"key":"…64 hex digits…"}
  {"type":"batch","batch":1,"probes":[{"id":1,"target":{"address":"10.0.0.7"},"port":80,
   "protocol":"tcp","question":{"type":"bare"}}]}      (one line)

Exit status: 0 end of input, 1 silence or a broken pipe, 2 no proper open."#)]
    Dial(Dial),
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Who answers: printable ASCII, at most 253 characters.
    #[arg(long, value_name = "NAME", value_parser = identity)]
    pub identity: String,
    /// The run's key, 64 hex digits. Questions without it stay unanswered.
    #[arg(long, value_name = "HEX")]
    pub key: question::Key,
    /// A port to listen on, as [NAME=]PORT/PROTOCOL with tcp, udp, http or sctp;
    /// repeatable.
    /// Port 0 lets the kernel choose.
    #[arg(long, value_name = "[NAME=]PORT/PROTOCOL")]
    pub listen: Vec<Listen>,
    /// The port for the kubelet's readiness probe, and for heartbeats from loopback.
    #[arg(long, value_name = "PORT", default_value_t = CONTROL_PORT)]
    pub control_port: u16,
    /// How long to live without a heartbeat of any session; 0 is for ever.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    pub idle_limit: Duration,
    /// What to dial from the first instant on, as JSON; what was seen goes to the log.
    #[arg(long, value_name = "JSON", value_parser = startup)]
    pub startup: Option<Startup>,
}

/// The arguments of `dial`.
#[derive(Debug, Args)]
pub struct Dial {
    /// The control port of this pod's `serve`, to which heartbeats are passed on.
    #[arg(long, value_name = "PORT", default_value_t = CONTROL_PORT)]
    pub control_port: u16,
    /// How long to wait for the next line.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub silence_limit: Duration,
}

/// How a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Speech {
    /// A line over a TCP stream.
    Tcp,
    /// A datagram.
    Udp,
    /// HTTP/1.1.
    Http,
    /// A line over an SCTP association, where the kernel has SCTP.
    Sctp,
}

impl Speech {
    /// What has the ports that it listens on.
    fn transport(self) -> &'static str {
        match self {
            Self::Tcp | Self::Http => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Sctp => "sctp",
        })
    }
}

/// A port to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// What the suite calls it.
    pub name: Option<String>,
    /// Its number; 0 lets the kernel choose.
    pub port: u16,
    /// How to answer.
    pub speech: Speech,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.name {
            write!(f, "{name}=")?;
        }
        write!(f, "{}/{}", self.port, self.speech)
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = match text.split_once('=') {
            Some(("", _)) => return Err("the name before `=` is empty".into()),
            Some((name, rest)) => (Some(name.to_owned()), rest),
            None => (None, text),
        };
        let (port, speech) = rest.split_once('/').ok_or("write it as 8080/tcp")?;
        let port = port.parse().map_err(|_| format!("`{port}` is no port number"))?;
        let speech = match speech {
            "tcp" => Speech::Tcp,
            "udp" => Speech::Udp,
            "http" => Speech::Http,
            "sctp" => Speech::Sctp,
            other => return Err(format!("`{other}` is none of tcp, udp, http, sctp")),
        };
        Ok(Self { name, port, speech })
    }
}

impl Serve {
    /// The first listener whose port another one, or the control port, has already.
    pub fn twice(&self) -> Option<&Listen> {
        let mut taken = HashSet::from([("tcp", self.control_port)]);
        let mut free = |listen: &Listen| {
            listen.port == 0 || taken.insert((listen.speech.transport(), listen.port))
        };
        self.listen.iter().find(|listen| !free(listen))
    }
}

fn identity(text: &str) -> Result<String, question::Error> {
    question::check_identity(text)?;
    Ok(text.into())
}

fn startup(text: &str) -> Result<Startup, serde_json::Error> {
    serde_json::from_str(text)
}

fn duration(text: &str) -> Result<Duration, humantime::DurationError> {
    if text == "0" { Ok(Duration::ZERO) } else { humantime::parse_duration(text) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_listener_is_written_as_people_say_it() {
        for (text, name, port, speech) in [
            ("8080/tcp", None, 8080, Speech::Tcp),
            ("main=53/udp", Some("main"), 53, Speech::Udp),
            ("80/http", None, 80, Speech::Http),
        ] {
            let listen: Listen = text.parse().unwrap();
            let expected = Listen { name: name.map(str::to_owned), port, speech };
            assert_eq!(listen, expected, "{text}");
            assert_eq!(listen.to_string(), text);
        }
        for (text, error) in [
            ("8080", "write it as 8080/tcp"),
            ("http/tcp", "`http` is no port number"),
            ("70000/tcp", "`70000` is no port number"),
            ("80/quic", "`quic` is none of tcp, udp, http, sctp"),
            ("=80/tcp", "the name before `=` is empty"),
        ] {
            assert_eq!(text.parse::<Listen>(), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn one_port_has_one_listener() {
        for (listen, twice) in [
            (vec!["80/tcp", "80/udp"], None),
            (vec!["80/tcp", "80/http"], Some("80/http")),
            (vec!["61000/tcp"], Some("61000/tcp")),
            (vec!["61000/udp", "61000/sctp"], None),
            (vec!["0/tcp", "0/tcp"], None),
        ] {
            let serve = Serve {
                identity: "a".into(),
                key: question::Key::from_bytes([0; 32]),
                listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
                control_port: CONTROL_PORT,
                idle_limit: Duration::ZERO,
                startup: None,
            };
            assert_eq!(serve.twice().map(ToString::to_string).as_deref(), twice, "{listen:?}");
        }
    }
}
