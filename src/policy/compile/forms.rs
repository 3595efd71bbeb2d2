//! Policies to what is fast to ask.

use super::{
    super::{
        bits::Bits,
        block,
        cluster_policy::{Action, ClusterPeer, ClusterPolicy, Subject},
        decision::Direction,
        intern::Selection,
        network_policy::{NetworkPolicy, Peer, Rule},
        selector::Selector,
        set::Policy,
    },
    Addresses, Compiled, Form, PeerForm, RuleForm, Scope, Space,
};
use crate::model::Family;

impl Compiled {
    pub(in super::super) fn form(&mut self, policy: &Policy) -> Form {
        match policy {
            Policy::Network(policy) => self.network_form(policy),
            Policy::Cluster(policy) => self.cluster_form(policy),
        }
    }

    fn network_form(&mut self, policy: &NetworkPolicy) -> Form {
        let space = self.space_index.get(&policy.namespace).copied();
        let scope = space.map_or(Scope::Nowhere, Scope::Own);
        let mut rules = |rules: &Option<Vec<Rule>>| {
            let rules = rules.as_ref()?;
            Some(rules.iter().map(|rule| self.rule_form(rule, scope)).collect())
        };
        let (ingress, egress) = (rules(&policy.ingress), rules(&policy.egress));
        let pods = self.words.selector(&policy.pod_selector);
        Form { scope, pods, rank: None, ingress, egress }
    }

    fn rule_form(&mut self, rule: &Rule, own: Scope) -> RuleForm {
        let mut peer = |peer: &Peer| match peer {
            Peer::Pods { namespaces, pods } => PeerForm::Pods {
                scope: namespaces.as_ref().map_or(own, |selector| self.space_set(selector)),
                pods: pods
                    .as_ref()
                    .map_or_else(Selection::default, |pods| self.words.selector(pods)),
            },
            Peer::Block(block) => PeerForm::Block(Addresses {
                family: Family::of(block.cidr.addr()),
                ranges: block::ranges(block).into(),
            }),
        };
        let peers = rule.peers.as_ref().map(|peers| peers.iter().map(&mut peer).collect());
        RuleForm { action: Action::Accept, fails_closed: false, peers, ports: rule.ports.clone() }
    }

    fn cluster_form(&mut self, policy: &ClusterPolicy) -> Form {
        let (scope, pods) = self.subject_form(&policy.subject);
        let mut rules = |direction| {
            let mut forms = Vec::new();
            for rule in policy.rules(direction) {
                let peers = rule.peers.iter().map(|peer| self.cluster_peer(peer)).collect();
                forms.push(RuleForm {
                    action: rule.action,
                    fails_closed: rule.fails_closed(),
                    peers: Some(peers),
                    ports: rule.ports.clone(),
                });
            }
            Some(forms)
        };
        let (ingress, egress) = (rules(Direction::Ingress), rules(Direction::Egress));
        Form { scope, pods, rank: Some((policy.tier, policy.priority)), ingress, egress }
    }

    fn cluster_peer(&mut self, peer: &ClusterPeer) -> PeerForm {
        match peer {
            ClusterPeer::Pods(subject) => {
                let (scope, pods) = self.subject_form(subject);
                PeerForm::Pods { scope, pods }
            }
            ClusterPeer::Nodes(selector) => PeerForm::Nodes(self.words.selector(selector)),
            ClusterPeer::Networks(networks) => {
                let addresses = |network: &ipnet::IpNet| Addresses {
                    family: Family::of(network.addr()),
                    ranges: Box::new([block::range(network)]),
                };
                PeerForm::Networks(networks.iter().map(addresses).collect())
            }
            ClusterPeer::DomainNames(names) => PeerForm::Names(names.clone()),
            ClusterPeer::Unknown(_) => PeerForm::Unknown,
        }
    }

    fn subject_form(&mut self, subject: &Subject) -> (Scope, Selection) {
        (self.space_set(&subject.namespaces), self.words.selector(&subject.pods))
    }

    /// The set of namespaces that a selector makes; equal selectors share one.
    fn space_set(&mut self, selector: &Selector) -> Scope {
        let selection = self.words.selector(selector);
        if let Some(index) = self.space_set_index.get(&selection) {
            return Scope::Set(*index);
        }
        let selected = |(_, space): &(usize, &Space)| selection.matches(&space.labels);
        let bits =
            Bits::of(self.namespaces.iter().enumerate().filter(selected).map(|(index, _)| index));
        let index = self.space_sets.len() as u32;
        self.space_set_index.insert(selection.clone(), index);
        self.space_sets.push((selection, bits));
        Scope::Set(index)
    }

    pub(in super::super) fn in_scope(&self, scope: Scope, space: u32) -> bool {
        match scope {
            Scope::Nowhere => false,
            Scope::Own(own) => own == space,
            Scope::Set(set) => self.space_sets[set as usize].1.contains(space as usize),
        }
    }
}
