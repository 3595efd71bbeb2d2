//! wget, as BusyBox has it.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Unknown,
    dial::{Families, NotDialled, said},
    fetch::{Ask, NotFetched, Place, fetch, head, show},
    words::Options,
};

const OPTIONS: Options = Options {
    program: "wget",
    usage: 1,
    valued: &[
        ("O", "output-document"),
        ("T", "timeout"),
        ("t", "tries"),
        ("U", "user-agent"),
        ("", "header"),
        ("", "post-data"),
    ],
    flags: &[
        ("q", "quiet"),
        ("S", "server-response"),
        ("", "spider"),
        ("", "no-check-certificate"),
        ("", "no-verbose"),
    ],
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wget {
    place: Place,
    ask: Ask,
    within: Option<Duration>,
    quiet: bool,
    heads: bool,
    shown: bool,
}

pub(super) fn parse(words: &[String]) -> Result<Wget, Unknown> {
    let words = OPTIONS.read(words)?;
    let [url] = &*words.others else {
        return Err(OPTIONS.cannot("the wget of a stand-in takes one URL"));
    };
    let place = Place::read(url);
    let mut headers: Vec<_> = words.values("header").map(str::to_owned).collect();
    headers.extend(words.value("user-agent").map(|agent| format!("User-Agent: {agent}")));
    Ok(Wget {
        place: place.ok_or_else(|| OPTIONS.cannot(&format!("not an http or ftp url: {url}")))?,
        ask: Ask {
            method: String::new(),
            agent: "Wget",
            headers,
            body: words.value("post-data").map(str::to_owned),
        },
        within: OPTIONS.seconds(words.value("timeout"))?,
        quiet: words.has("quiet"),
        heads: words.has("server-response"),
        shown: words.value("output-document") == Some("-") && !words.has("spider"),
    })
}

impl Wget {
    pub(super) async fn run(self) -> u8 {
        let fetched = match self.within {
            Some(within) => timeout(within, self.fetch()).await,
            None => Ok(self.fetch().await),
        };
        match fetched.unwrap_or_else(|_| Err("download timed out".to_owned())) {
            Ok(()) => 0,
            Err(text) => {
                eprintln!("wget: {text}");
                1
            }
        }
    }

    async fn fetch(&self) -> Result<(), String> {
        let fetched = fetch(&self.place, &self.ask, Families::default(), None).await;
        let (response, peer) = fetched.map_err(|error| self.failed(&error))?;
        if !self.quiet {
            let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
            eprintln!("Connecting to {} ({peer})", self.place.host);
        }
        if self.heads {
            eprint!("{}", head(&response));
        }
        let status = response.status();
        if status.as_u16() >= 400 {
            let reason = status.canonical_reason().unwrap_or_default();
            return Err(format!("server returned error: HTTP/1.1 {} {reason}", status.as_u16()));
        }
        let whole = show(response, self.shown).await;
        if whole { Ok(()) } else { Err("connection closed prematurely".to_owned()) }
    }

    fn failed(&self, error: &NotFetched) -> String {
        match error {
            NotFetched::Dial(NotDialled::NoAddress(_)) => {
                format!("bad address '{}'", self.place.host)
            }
            NotFetched::Dial(NotDialled::Late(_)) => "download timed out".to_owned(),
            NotFetched::Dial(NotDialled::Refused(address, error)) => {
                format!("can't connect to remote host ({address}): {}", said(error))
            }
            NotFetched::Tls => {
                let (host, port) = (&self.place.host, self.place.port);
                format!("connected to {host} port {port}, but the wget of a stand-in has no TLS")
            }
            NotFetched::Talk(error) => format!("error getting response: {error}"),
            NotFetched::Ask(text) => text.clone(),
        }
    }
}
