//! The suite as text, with comments, because people are to go on writing it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    claims::{Found, To},
    people::{Person, protocol_word, slug},
};
use crate::{
    cli::yaml::plain,
    model::{IpProtocol, Labels},
};

/// A peer of the suite.
struct Known {
    name: String,
    person: Person,
    /// What it listens on, by name.
    ports: BTreeMap<String, (u16, &'static str)>,
}

/// The peers so far.
#[derive(Default)]
struct Peers {
    all: Vec<Known>,
    names: BTreeSet<String>,
    dns: bool,
}

impl Peers {
    /// The peer that stands for somebody.
    fn of(&mut self, person: &Person) -> &mut Known {
        let found = self.all.iter().position(|known| known.person.is_one_with(person));
        let place = found.unwrap_or_else(|| {
            let base = slug(&person.name);
            let mut name = base.clone();
            let mut number = 1;
            while !self.names.insert(name.clone()) {
                number += 1;
                name = format!("{base}-{number}");
            }
            self.all.push(Known { name, person: person.clone(), ports: BTreeMap::new() });
            self.all.len() - 1
        });
        let known = &mut self.all[place];
        for port in &person.ports {
            known.listen(port.number, port.protocol, port.name.as_deref());
        }
        known
    }
}

impl Known {
    fn listen(&mut self, number: u16, protocol: IpProtocol, name: Option<&str>) {
        let Some(word) = protocol_word(protocol) else { return };
        if !self.ports.values().any(|port| *port == (number, word)) {
            let made_up = format!("p{number}-{word}");
            self.ports.insert(name.map_or(made_up, str::to_owned), (number, word));
        }
    }
}

/// The whole suite.
pub(super) fn suite(name: &str, found: &Found, policies: usize) -> String {
    let mut peers = Peers { names: BTreeSet::from(["dns".to_owned()]), ..Peers::default() };
    let mut cases = String::new();
    let mut names = BTreeSet::new();
    let mut count = 0;
    for section in &found.sections {
        let _ = writeln!(cases, "\n  # {}", section.title);
        for note in &section.notes {
            let _ = writeln!(cases, "  # not claimed: {}", note.replace('\n', " "));
        }
        for claim in &section.claims {
            let word = protocol_word(claim.port.protocol).unwrap_or("tcp");
            let from = peers.of(&claim.from).name.clone();
            let to = match &claim.to {
                To::Person(person) => {
                    let known = peers.of(person);
                    known.listen(claim.port.number, claim.port.protocol, None);
                    known.name.clone()
                }
                To::Dns(_) => {
                    peers.dns = true;
                    "dns".to_owned()
                }
            };
            let expect = if claim.allowed { "allow" } else { "deny" };
            let mut called = format!("{from}-{to}");
            if !names.insert(called.clone()) {
                called = format!("{from}-{to}-{}-{word}", claim.port.number);
                names.insert(called.clone());
            }
            let _ = writeln!(
                cases,
                "  - {{name: {called}, from: {from}, to: {to}, port: {}/{word}, expect: {expect}}}",
                claim.port.number
            );
            let _ = writeln!(cases, "    # {}", claim.because.replace('\n', " "));
            count += 1;
        }
    }
    let mut text = format!(
        "# A beginning, by `netproof init`, from {policies} NetworkPolic{}: of each rule a connection\n\
         # that it lets through, and the nearest one that it doesn't. Keep what you mean; what you\n\
         # mean and no policy says is missing here.\n\
         apiVersion: netproof.dev/v1alpha1\n\
         kind: Suite\n\
         metadata: {{name: {}}}\n",
        if policies == 1 { "y" } else { "ies" },
        plain(name)
    );
    let used: BTreeSet<&str> =
        peers.all.iter().map(|known| known.person.namespace.as_str()).collect();
    let made = found.people.made(&used);
    if !made.is_empty() {
        text.push_str("setup:\n  namespaces: # made for the run\n");
    }
    for (alias, name, labels) in made {
        let mut fields = Vec::new();
        fields.extend(name.map(|name| format!("name: {}", plain(name))));
        fields.extend((!labels.is_empty()).then(|| format!("labels: {}", flow(labels))));
        let _ = writeln!(text, "    {}: {{{}}}", plain(alias), fields.join(", "));
    }
    if count == 0 {
        text.push_str("peers: {}\ncases: []\n");
        let _ = write!(text, "{}", cases.replace("\n  #", "\n#"));
        return text;
    }
    text.push_str(
        "peers: # probe pods with the labels of workloads, or with labels that a rule goes by\n",
    );
    for known in &peers.all {
        let ports: Vec<_> = known
            .ports
            .iter()
            .map(|(name, (number, word))| format!("{}: {number}/{word}", plain(name)))
            .collect();
        let _ = writeln!(
            text,
            "  {}: {{pod: {{namespace: {}, labels: {}, ports: {{{}}}}}}}",
            known.name,
            plain(&known.person.namespace),
            flow(&known.person.labels),
            ports.join(", ")
        );
    }
    if peers.dns {
        text.push_str("  dns: {service: {namespace: kube-system, name: kube-dns}}\n");
    }
    let _ = write!(text, "cases:{cases}");
    text
}

fn flow(labels: &Labels) -> String {
    let pairs: Vec<_> =
        labels.iter().map(|(key, value)| format!("{}: {}", plain(key), plain(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}
