//! curl.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{
    Unknown,
    dial::{Families, NotDialled},
    fetch::{Ask, NotFetched, Place, fetch, head, show},
    words::Options,
};

const OPTIONS: Options = Options {
    program: "curl",
    usage: 2,
    valued: &[
        ("m", "max-time"),
        ("", "connect-timeout"),
        ("o", "output"),
        ("w", "write-out"),
        ("X", "request"),
        ("H", "header"),
        ("d", "data"),
        ("A", "user-agent"),
        ("", "retry"),
    ],
    flags: &[
        ("s", "silent"),
        ("S", "show-error"),
        ("f", "fail"),
        ("i", "include"),
        ("I", "head"),
        ("k", "insecure"),
        ("v", "verbose"),
        ("L", "location"),
        ("N", "no-buffer"),
        ("g", "globoff"),
        ("4", "ipv4"),
        ("6", "ipv6"),
    ],
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Curl {
    place: Place,
    ask: Ask,
    families: Families,
    max_time: Option<Duration>,
    connect_timeout: Option<Duration>,
    silent: bool,
    verbose: bool,
    fail: bool,
    include: bool,
    hidden: bool,
    write_out: String,
}

pub(super) fn parse(words: &[String]) -> Result<Curl, Unknown> {
    let words = OPTIONS.read(words)?;
    let [url] = &*words.others else {
        return Err(OPTIONS.cannot("the curl of a stand-in takes one URL"));
    };
    let wrong = || Unknown::Usage(format!("curl: (3) URL rejected: {url}"), 3);
    let output = words.value("output");
    if output.is_some_and(|file| !["-", "/dev/null", "/dev/stdout"].contains(&file)) {
        return Err(OPTIONS.cannot("a stand-in has no files: -o takes - and /dev/null"));
    }
    let is_head = words.has("head");
    let mut headers: Vec<_> = words.values("header").map(str::to_owned).collect();
    headers.extend(words.value("user-agent").map(|agent| format!("User-Agent: {agent}")));
    let data: Vec<_> = words.values("data").collect();
    let method = words.value("request").unwrap_or(if is_head { "HEAD" } else { "" });
    Ok(Curl {
        place: Place::read(url).ok_or_else(wrong)?,
        ask: Ask {
            method: method.to_owned(),
            agent: "curl/8.14.1",
            headers,
            body: (!data.is_empty()).then(|| data.join("&")),
        },
        families: Families { only_v4: words.has("ipv4"), only_v6: words.has("ipv6") },
        max_time: OPTIONS.seconds(words.value("max-time"))?,
        connect_timeout: OPTIONS.seconds(words.value("connect-timeout"))?,
        silent: words.has("silent") && !words.has("show-error"),
        verbose: words.has("verbose"),
        fail: words.has("fail"),
        include: words.has("include") || is_head,
        hidden: output == Some("/dev/null"),
        write_out: words.value("write-out").unwrap_or_default().to_owned(),
    })
}

/// What is told by `-w`.
#[derive(Default)]
struct Facts {
    code: u16,
    peer: Option<SocketAddr>,
}

impl Curl {
    pub(super) async fn run(self) -> u8 {
        let began = Instant::now();
        let mut facts = Facts::default();
        let fetched = match self.max_time {
            Some(within) => match timeout(within, self.fetch(began, &mut facts)).await {
                Ok(fetched) => fetched,
                Err(_) if facts.code > 0 => {
                    Err((28, format!("Operation timed out after {} ms", millis(began))))
                }
                Err(_) => Err(self.late(began)),
            },
            None => self.fetch(began, &mut facts).await,
        };
        if !self.write_out.is_empty() {
            print!("{}", self.told(&facts, began));
        }
        match fetched {
            Ok(()) => 0,
            Err((code, text)) => {
                if !self.silent {
                    eprintln!("curl: ({code}) {text}");
                }
                code
            }
        }
    }

    async fn fetch(&self, began: Instant, facts: &mut Facts) -> Result<(), (u8, String)> {
        let fetched = fetch(&self.place, &self.ask, self.families, self.connect_timeout).await;
        let (response, peer) = fetched.map_err(|error| self.failed(&error, began))?;
        facts.code = response.status().as_u16();
        facts.peer = peer;
        if self.verbose {
            let peer = peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
            let (host, port) = (&self.place.host, self.place.port);
            eprintln!("* Connected to {host} ({peer}) port {port}");
            for line in head(&response).lines() {
                eprintln!("< {line}");
            }
        }
        if self.fail && facts.code >= 400 {
            let text = format!("The requested URL returned error: {}", facts.code);
            return Err((22, text));
        }
        if self.include {
            print!("{}", head(&response));
        }
        let is_head = self.ask.method == "HEAD";
        if show(response, !self.hidden && !is_head).await {
            Ok(())
        } else {
            Err((56, "Recv failure: the body ended too early".to_owned()))
        }
    }

    fn late(&self, began: Instant) -> (u8, String) {
        (28, format!("Connection timed out after {} milliseconds", millis(began)))
    }

    fn failed(&self, error: &NotFetched, began: Instant) -> (u8, String) {
        let (host, port) = (&self.place.host, self.place.port);
        match error {
            NotFetched::Dial(NotDialled::NoAddress(_)) => {
                (6, format!("Could not resolve host: {host}"))
            }
            NotFetched::Dial(NotDialled::Late(_)) => self.late(began),
            NotFetched::Dial(NotDialled::Refused(..)) => {
                let after = millis(began);
                let text = format!("Failed to connect to {host} port {port} after {after} ms");
                (7, format!("{text}: Could not connect to server"))
            }
            NotFetched::Tls => (
                35,
                format!("connected to {host} port {port}, but the curl of a stand-in has no TLS"),
            ),
            NotFetched::Talk(error) if error.is_incomplete_message() => {
                (52, "Empty reply from server".to_owned())
            }
            NotFetched::Talk(error) => (56, format!("Recv failure: {error}")),
            NotFetched::Ask(text) => (3, text.clone()),
        }
    }

    fn told(&self, facts: &Facts, began: Instant) -> String {
        let seconds = format!("{:.6}", began.elapsed().as_secs_f64());
        let address = facts.peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
        let port = facts.peer.map_or(0, |peer| peer.port()).to_string();
        let mut text = self.write_out.replace("\\n", "\n").replace("\\t", "\t");
        for (name, value) in [
            ("http_code", format!("{:03}", facts.code)),
            ("response_code", format!("{:03}", facts.code)),
            ("remote_ip", address),
            ("remote_port", port),
            ("time_total", seconds),
        ] {
            text = text.replace(&format!("%{{{name}}}"), &value);
        }
        text
    }
}

fn millis(began: Instant) -> u128 {
    began.elapsed().as_millis()
}
