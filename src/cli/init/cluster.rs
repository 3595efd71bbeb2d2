//! What a policy of the whole cluster calls for.

use super::{
    asking::{About, Asking},
    claims::Section,
    people::{People, Person},
};
use crate::policy::{
    Action, ClusterPeer, ClusterPolicy, ClusterRule, Direction, IpBlock, Outcome, Subject,
};

impl Asking<'_> {
    /// A section for each rule of a direction.
    pub(super) fn of_cluster(
        &mut self,
        policy: &ClusterPolicy,
        direction: Direction,
    ) -> Vec<Section> {
        let rules = policy.rules(direction).iter().enumerate();
        rules
            .map(|(index, rule)| {
                let mut title =
                    format!("{} {}, spec.{direction}[{index}]", policy.kind, policy.name);
                if let Some(name) = &rule.name {
                    title.push_str(&format!(" ({name})"));
                }
                title.push_str(&format!(": {}", rule.action));
                self.cluster_rule(policy, direction, rule, title)
            })
            .collect()
    }

    fn cluster_rule(
        &mut self,
        policy: &ClusterPolicy,
        direction: Direction,
        rule: &ClusterRule,
        title: String,
    ) -> Section {
        let mut section = Section::new(title);
        let Some(subject) = self.who(&policy.subject).into_iter().next() else {
            section.notes.push("no labels fit its subject".to_owned());
            return section;
        };
        let outcome = match rule.action {
            Action::Accept => Outcome::Allowed,
            // What a Pass leads to, later tiers say: either is claimed as it comes.
            Action::Deny | Action::Pass => Outcome::Denied,
        };
        let ports = rule.ports.as_deref();
        let about = About { direction, subject: &subject, ports, outcome };
        for peer in &rule.peers {
            match peer {
                ClusterPeer::Pods(peer) => {
                    let found = self.who(peer);
                    if found.is_empty() {
                        section.notes.push("no labels fit one of its peers".to_owned());
                    }
                    let near = |people: &mut People, person: &Person| {
                        people.near(person, Some(&peer.namespaces), Some(&peer.pods))
                    };
                    self.peer(&mut section, &about, &found, near);
                }
                ClusterPeer::Networks(blocks) => {
                    for cidr in blocks {
                        let block = IpBlock { cidr: *cidr, except: Vec::new() };
                        self.block(&mut section, &about, &block);
                    }
                }
                ClusterPeer::Nodes(_) => section.notes.push(
                    "it speaks of nodes: write a case with the address of one, as an `ip` peer"
                        .to_owned(),
                ),
                ClusterPeer::DomainNames(names) => section.notes.push(format!(
                    "it speaks of {}: write a case with a `host` peer",
                    names.join(", ")
                )),
                ClusterPeer::Unknown(kind) => {
                    section.notes.push(format!("it speaks of {kind}, which isn't known here"));
                }
            }
        }
        section
    }

    /// Who is meant, the cluster's own pods last.
    fn who(&mut self, subject: &Subject) -> Vec<Person> {
        let mut found = self.people.peers("", Some(&subject.namespaces), Some(&subject.pods));
        found.sort_by_key(|person| person.namespace.starts_with("kube-"));
        found
    }
}
