//! What a NetworkPolicy calls for.

use super::{
    asking::{About, Asking, Question},
    claims::{Section, To},
    people::{People, Person},
    ports::{ends, first_port},
};
use crate::policy::{Direction, NetworkPolicy, Outcome, Peer, Rule};

impl Asking<'_> {
    /// A section for each rule of a direction.
    pub(super) fn of_network(
        &mut self,
        policy: &NetworkPolicy,
        direction: Direction,
    ) -> Vec<Section> {
        let Some(rules) = policy.rules(direction) else { return Vec::new() };
        let title = format!("NetworkPolicy {}/{}", policy.namespace, policy.name);
        if rules.is_empty() {
            let title = format!("{title}, isolated for {direction} without any rule");
            return vec![self.isolated(policy, direction, title)];
        }
        let rules = rules.iter().enumerate();
        rules
            .map(|(index, rule)| {
                let title = format!("{title}, spec.{direction}[{index}]");
                self.rule(policy, direction, rule, title)
            })
            .collect()
    }

    /// A policy without rules in a direction: whoever dials is kept out.
    fn isolated(&mut self, policy: &NetworkPolicy, direction: Direction, title: String) -> Section {
        let mut section = Section::new(title);
        let Some(subject) = self.people.selected(&policy.namespace, &policy.pod_selector) else {
            section.notes.push("no labels fit its podSelector".to_owned());
            return section;
        };
        let workloads = self.people.workloads.iter();
        let mut others: Vec<Person> = workloads
            .filter(|other| other.namespace == policy.namespace && !other.is_one_with(&subject))
            .cloned()
            .collect();
        others.push(self.people.stranger());
        let candidates = others.into_iter().map(|other| ends(direction, &subject, &other));
        let asked: Vec<Question> =
            candidates.map(|(from, to)| (from, To::Person(to.clone()), first_port(&to))).collect();
        if !self.first(&mut section, &asked, Outcome::Denied) {
            section.notes.push("another policy opens what this one closes".to_owned());
        }
        section
    }

    /// A rule: its allow, and its nearest deny.
    fn rule(
        &mut self,
        policy: &NetworkPolicy,
        direction: Direction,
        rule: &Rule,
        title: String,
    ) -> Section {
        let mut section = Section::new(title);
        let Some(subject) = self.people.selected(&policy.namespace, &policy.pod_selector) else {
            section.notes.push("no labels fit its podSelector".to_owned());
            return section;
        };
        let about = About {
            direction,
            subject: &subject,
            ports: rule.ports.as_deref(),
            outcome: Outcome::Allowed,
        };
        let Some(peers) = &rule.peers else {
            let stranger = self.people.stranger();
            self.peer(&mut section, &about, &[stranger], |_, _| Vec::new());
            return section;
        };
        for peer in peers {
            let (namespaces, pods) = match peer {
                Peer::Pods { namespaces, pods } => (namespaces.as_ref(), pods.as_ref()),
                Peer::Block(block) => {
                    self.block(&mut section, &about, block);
                    continue;
                }
            };
            let found = self.people.peers(&policy.namespace, namespaces, pods);
            if found.is_empty() {
                section.notes.push("no labels fit one of its peers".to_owned());
            }
            let near = |people: &mut People, person: &Person| people.near(person, namespaces, pods);
            self.peer(&mut section, &about, &found, near);
        }
        section
    }
}
