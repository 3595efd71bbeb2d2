//! What sets are about whose elements come and go: peers and their named ports. Rules that
//! ask for the same share one set, whichever policies they are of.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use super::{Direction, PeerSelector, Peers, Policy, PolicyRule, Port};
use crate::{
    model::{Labels, Transport},
    sandbox::firewall::{selector::selects, snapshot::PodEntry},
};

/// Kinds of what comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox::firewall) enum Among {
    Pods,
    Nodes,
    Hosts,
    /// Addresses of pods, each with the port that has a name there.
    Ports,
    /// Pods of one node that policies are about.
    Subjects,
}

/// What a set is about, in words: the same for all rules that ask for the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sandbox::firewall) struct Followed {
    pub among: Among,
    pub words: String,
}

/// A question to the cluster; the answers are a set's elements.
#[derive(Clone, Debug)]
pub(in crate::sandbox::firewall) struct Ask {
    pub among: Among,
    /// The namespace of the policy.
    own: String,
    /// None for whoever it is.
    pub peers: Option<Peers>,
    /// The port, where ports are asked for.
    pub port: Option<(Transport, String)>,
}

impl Policy {
    /// What the rules of a direction look addresses up in, each once.
    pub(in crate::sandbox::firewall) fn asks(
        &self,
        direction: Direction,
    ) -> BTreeMap<Followed, Ask> {
        let mut asks = BTreeMap::new();
        let own = &self.key.0;
        for rule in self.rules(direction).unwrap_or_default() {
            // The sockets that egress goes to by a port's name are the peers' own.
            let alone =
                |port: &Port| direction == Direction::Ingress || !matches!(port, Port::Named(..));
            if rule.ports.as_ref().is_none_or(|ports| ports.iter().any(alone)) {
                asks.extend(rule.peers_of(own).map(|ask| (ask.followed(), ask)));
            }
            for port in rule.ports.iter().flatten() {
                if let (Port::Named(transport, name), Direction::Egress) = (port, direction) {
                    let ask = rule.sockets_of(own, *transport, name);
                    asks.insert(ask.followed(), ask);
                }
            }
        }
        asks
    }
}

impl Policy {
    /// Whom it is about, in a direction: the same for all policies about the same pods, unless
    /// each is to be `alone`.
    pub(in crate::sandbox::firewall) fn subjects(
        &self,
        direction: Direction,
        alone: bool,
    ) -> Followed {
        let words = match &self.key {
            (namespace, name) if alone && !namespace.is_empty() => {
                format!("{} of {}/{}", direction.field(), word(namespace), word(name))
            }
            (namespace, _) => self.subject.words(namespace),
        };
        Followed { among: Among::Subjects, words }
    }
}

impl PolicyRule {
    /// The kinds of its peers that come and go; the rule stands in a policy of this namespace.
    pub(in crate::sandbox::firewall) fn peers_of(&self, own: &str) -> impl Iterator<Item = Ask> {
        let ask = |among, peers| Ask { among, own: own.to_owned(), peers: Some(peers), port: None };
        let given = self.peers.iter().flat_map(move |peers| {
            let Peers { selectors, nodes, names, .. } = peers.clone();
            let none = Peers::default;
            [
                (!selectors.is_empty()).then(|| ask(Among::Pods, Peers { selectors, ..none() })),
                (!nodes.is_empty()).then(|| ask(Among::Nodes, Peers { nodes, ..none() })),
                (!names.is_empty()).then(|| ask(Among::Hosts, Peers { names, ..none() })),
            ]
        });
        given.flatten()
    }

    /// Its peers by a port that each of them gives a name.
    pub(in crate::sandbox::firewall) fn sockets_of(
        &self,
        own: &str,
        transport: Transport,
        name: &str,
    ) -> Ask {
        // Nodes and hosts have no named ports.
        let peers = self.peers.as_ref().map(|peers| Peers {
            selectors: peers.selectors.clone(),
            blocks: peers.blocks.clone(),
            ..Peers::default()
        });
        let port = Some((transport, name.to_owned()));
        Ask { among: Among::Ports, own: own.to_owned(), peers, port }
    }
}

impl Ask {
    /// Whether selectors choose a pod.
    pub(in crate::sandbox::firewall) fn chooses(
        &self,
        pod: &PodEntry,
        namespaces: &BTreeMap<String, Labels>,
    ) -> bool {
        let mut peers = self.peers.iter().flat_map(|peers| &peers.selectors);
        peers.any(|peer| peer.chooses(&self.own, pod, namespaces))
    }

    /// Whether pods of a namespace may be peers by its one labels and not by its other.
    pub(in crate::sandbox::firewall) fn tells_apart(&self, one: &Labels, other: &Labels) -> bool {
        let mut selectors = self.peers.iter().flat_map(|peers| &peers.selectors);
        selectors.any(|peer| {
            peer.namespaces
                .as_ref()
                .is_some_and(|selector| selects(selector, one) != selects(selector, other))
        })
    }

    /// What it asks for. The order in which a policy lists it makes no difference.
    pub(in crate::sandbox::firewall) fn followed(&self) -> Followed {
        let mut words: BTreeSet<String> = BTreeSet::new();
        if let Some(peers) = &self.peers {
            words.extend(peers.selectors.iter().map(|peer| peer.words(&self.own)));
            words.extend(peers.nodes.iter().map(labels));
            words.extend(peers.names.iter().map(|name| word(name)));
            words.extend(peers.blocks.ranges().map(|(first, last)| format!("{first}-{last}")));
        }
        let mut words = words.into_iter().collect::<Vec<_>>().join("; ");
        if let Some((transport, name)) = &self.port {
            let whose = if self.peers.is_some() { &words } else { "anybody" };
            words = format!("{} {transport} of {whose}", word(name));
        }
        Followed { among: self.among, words }
    }
}

impl PeerSelector {
    fn words(&self, own: &str) -> String {
        let pods = self.pods.as_ref().map_or_else(|| "all".to_owned(), labels);
        match self.namespaces.as_ref().map(labels) {
            None => format!("{pods} in {}", word(own)),
            Some(namespaces) => format!("{pods} in namespaces {namespaces}"),
        }
    }
}

/// A selector's requirements; all must be met, so their order is left out.
fn labels(selector: &LabelSelector) -> String {
    let equal = selector.match_labels.iter().flatten();
    let equal = equal.map(|(key, value)| format!("{}={}", word(key), word(value)));
    let rest = selector.match_expressions.iter().flatten().map(requirement);
    let all: BTreeSet<String> = equal.chain(rest).collect();
    if all.is_empty() { "all".to_owned() } else { Vec::from_iter(all).join(",") }
}

fn requirement(one: &LabelSelectorRequirement) -> String {
    let key = word(&one.key);
    let values: BTreeSet<String> = one.values.iter().flatten().map(|value| word(value)).collect();
    let values = Vec::from_iter(values);
    match (one.operator.as_str(), &values[..]) {
        ("In", [value]) => format!("{key}={value}"),
        ("Exists", _) => format!("{key} is there"),
        ("DoesNotExist", _) => format!("{key} isn't there"),
        (operator, values) => format!("{key} {} ({})", word(operator), values.join(" ")),
    }
}

/// A word that can't be taken for two: what the API lets through as it is, all else escaped.
fn word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./*".contains(letter);
    let mut word = String::with_capacity(text.len());
    for letter in text.chars() {
        if plain(letter) {
            word.push(letter);
        } else {
            // Writing to a String can't fail.
            let _ = write!(word, "%{:x}%", u32::from(letter));
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::firewall::{policy::network, switches::Switches};

    /// What the rules of a policy's ingress ask for.
    fn asked(namespace: &str, from: &str) -> Vec<String> {
        let text = format!(
            "{{metadata: {{name: x, namespace: {namespace}}}, spec: {{podSelector: {{}}, ingress: \
             [{{from: [{from}]}}]}}}}"
        );
        let policy = serde_yaml::from_str(&text).expect("a policy");
        let policy = network::read(&policy, &Switches::default());
        let asks = policy.asks(Direction::Ingress);
        asks.into_keys().map(|followed| followed.words).collect()
    }

    #[test]
    fn the_same_question_has_the_same_words_and_another_has_others() {
        const WEB: &str = "{podSelector: {matchLabels: {app: web}}}";
        const ONE: &str =
            "{podSelector: {matchExpressions: [{key: app, operator: In, values: [web]}]}}";
        const TEAM: &str = "{namespaceSelector: {matchLabels: {team: a}}}";
        for (one, other, same, why) in [
            (("a", WEB), ("a", ONE), true, "one value is that value"),
            (("a", WEB), ("b", WEB), false, "each its own namespace"),
            (("a", TEAM), ("b", TEAM), true, "namespaces by labels are everybody's"),
            (
                ("a", "{podSelector: {}}, {namespaceSelector: {matchLabels: {team: a}}}"),
                ("a", "{namespaceSelector: {matchLabels: {team: a}}}, {podSelector: {}}"),
                true,
                "in whichever order",
            ),
            (("a", "{podSelector: {}}"), ("a", "{namespaceSelector: {}}"), false, "other pods"),
            (
                ("a", "{podSelector: {matchLabels: {app: ''}}}"),
                ("a", "{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}"),
                false,
                "an empty value is one",
            ),
            (
                ("a", "{podSelector: {matchLabels: {app: 'web,x=y'}}}"),
                ("a", "{podSelector: {matchLabels: {app: web, x: y}}}"),
                false,
                "a value is no list",
            ),
            (
                (
                    "a",
                    "{podSelector: {matchExpressions: [{key: a, operator: In, values: [b, c]}]}}",
                ),
                (
                    "a",
                    "{podSelector: {matchExpressions: [{key: a, operator: NotIn, values: [b, c]}]}}",
                ),
                false,
                "in and not in",
            ),
        ] {
            let (one, other) = (asked(one.0, one.1), asked(other.0, other.1));
            assert_eq!(one == other, same, "{why}: {one:?} and {other:?}");
        }
    }
}
