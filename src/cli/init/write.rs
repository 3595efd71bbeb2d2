//! The suite as text, with comments, because people are to go on writing it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    net::IpAddr,
};

use super::{
    claims::{Claim, Found, Section, To},
    labels::slug,
    people::{Person, protocol_word},
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
    /// Addresses outside the cluster, and the ports on which they are dialled.
    hosts: BTreeMap<IpAddr, BTreeSet<String>>,
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
    /// Listens on a port; says what is spoken there.
    fn listen(&mut self, number: u16, protocol: IpProtocol, name: Option<&str>) -> &'static str {
        let Some(word) = protocol_word(protocol) else { return "tcp" };
        let carried = |word: &'static str| if word == "http" { "tcp" } else { word };
        let known = self.ports.values();
        let known = known.copied().find(|port| (port.0, carried(port.1)) == (number, word));
        if let Some((_, word)) = known {
            return word;
        }
        let speaks_http = |name: &str| {
            word == "tcp" && name.split('-').any(|part| part == "http" || part == "http2")
        };
        let word = if name.is_some_and(speaks_http) { "http" } else { word };
        let made_up = format!("p{number}-{word}");
        self.ports.insert(name.map_or(made_up, str::to_owned), (number, word));
        word
    }
}

/// The cases as text.
struct Cases {
    text: String,
    count: usize,
    names: BTreeSet<String>,
}

impl Cases {
    fn section(&mut self, section: &Section, peers: &mut Peers) {
        let _ = writeln!(self.text, "\n  # {}", section.title);
        for note in &section.notes {
            let _ = writeln!(self.text, "  # not claimed: {}", note.replace('\n', " "));
        }
        for (name, to, port, allowed) in &section.open {
            let known = peers.of(to);
            let word = known.listen(port.number, port.protocol, None);
            let _ = writeln!(
                self.text,
                "  # - {{name: {}, from: …, to: {}, port: {}/{word}, expect: {}}}",
                slug(name),
                known.name,
                port.number,
                claim_word(*allowed)
            );
        }
        section.claims.iter().for_each(|claim| self.claim(claim, peers));
    }

    fn claim(&mut self, claim: &Claim, peers: &mut Peers) {
        let from = peers.of(&claim.from).name.clone();
        let usual = protocol_word(claim.port.protocol).unwrap_or("tcp");
        let (to, word) = match &claim.to {
            To::Person(person) => {
                let known = peers.of(person);
                let word = known.listen(claim.port.number, claim.port.protocol, None);
                (known.name.clone(), word)
            }
            To::Dns(_) => {
                peers.dns = true;
                ("dns".to_owned(), usual)
            }
            To::Address(address) => {
                let ports = peers.hosts.entry(*address).or_default();
                ports.insert(format!("{}/{usual}", claim.port.number));
                (host_name(*address), usual)
            }
        };
        let mut called = format!("{from}-{to}");
        if !self.names.insert(called.clone()) {
            called = format!("{from}-{to}-{}-{word}", claim.port.number);
            self.names.insert(called.clone());
        }
        let _ = writeln!(
            self.text,
            "  - {{name: {called}, from: {from}, to: {to}, port: {}/{word}, expect: {}}}",
            claim.port.number,
            claim_word(claim.allowed)
        );
        let _ = writeln!(self.text, "    # {}", claim.because.replace('\n', " "));
        self.count += 1;
    }
}

fn claim_word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}

/// What an address is called in the suite.
fn host_name(address: IpAddr) -> String {
    let text = address.to_string().replace("::", "-0-");
    format!("host-{}", text.replace(['.', ':'], "-"))
}

/// The whole suite.
pub(super) fn suite(name: &str, found: &Found, policies: usize) -> String {
    let mut peers = Peers { names: BTreeSet::from(["dns".to_owned()]), ..Peers::default() };
    let mut cases = Cases { text: String::new(), count: 0, names: BTreeSet::new() };
    found.sections.iter().for_each(|section| cases.section(section, &mut peers));
    let Cases { text: mut cases, count, .. } = cases;
    if count > 0 {
        cases.push_str(ICMP);
    }
    let mut text = format!(
        "# A beginning, by `netproof init`, from {policies} polic{}: of each rule a connection\n\
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
    if !made.is_empty() || !peers.hosts.is_empty() {
        text.push_str("setup:\n");
    }
    if !made.is_empty() {
        text.push_str("  namespaces: # made for the run\n");
    }
    for (alias, name, labels) in made {
        let mut fields = Vec::new();
        fields.extend(name.map(|name| format!("name: {}", plain(name))));
        fields.extend((!labels.is_empty()).then(|| format!("labels: {}", flow(labels))));
        let _ = writeln!(text, "    {}: {{{}}}", plain(alias), fields.join(", "));
    }
    text.push_str(&hosts(&peers.hosts));
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
    for address in peers.hosts.keys() {
        let _ = writeln!(text, "  {}: {{ip: {}}}", host_name(*address), address_text(*address));
    }
    let _ = write!(text, "cases:{cases}");
    text
}

/// The world that answers in a sandbox.
fn hosts(hosts: &BTreeMap<IpAddr, BTreeSet<String>>) -> String {
    let mut text = String::new();
    if hosts.is_empty() {
        return text;
    }
    text.push_str(
        "  manifests: # hosts outside as the sandbox has them; elsewhere they are left out: put in\n\
         \x20            # addresses below that answer there\n",
    );
    for (address, ports) in hosts {
        let ports: Vec<&str> = ports.iter().map(String::as_str).collect();
        let _ = writeln!(
            text,
            "    - inline: {{apiVersion: sandbox.netproof.dev/v1alpha1, kind: ExternalHost, \
             metadata: {{name: {}}}, spec: {{addresses: [{}], ports: [{}]}}}}",
            host_name(*address),
            address_text(*address),
            ports.join(", ")
        );
    }
    text
}

fn address_text(address: IpAddr) -> String {
    if address.is_ipv6() { format!("\"{address}\"") } else { address.to_string() }
}

/// No policy's rules speak of ICMP, and CNIs differ.
const ICMP: &str = "\n  # What becomes of ICMP is left to the CNI. Where you rely on it, claim it:\n  \
                    # - {name: ping, from: …, to: …, protocol: icmp, expect: deny}\n";

fn flow(labels: &Labels) -> String {
    let pairs: Vec<_> =
        labels.iter().map(|(key, value)| format!("{}: {}", plain(key), plain(value))).collect();
    format!("{{{}}}", pairs.join(", "))
}
