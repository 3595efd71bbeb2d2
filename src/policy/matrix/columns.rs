//! What each rule means for all pods as the other end, made once for a matrix.

use std::collections::HashMap;

use super::{
    super::{
        bits::Bits,
        cluster_policy::Action,
        compile::{Compiled, PolicyId, RuleForm},
        decision::Direction,
        ports::PortMatch,
    },
    Question,
};
use crate::model::IpProtocol;

mod maker;

use maker::Maker;

/// The other ends of all rules.
pub(super) struct Columns<'a> {
    pub(super) all: &'a Compiled,
    pub(super) question: Question,
    pub(super) everybody: Bits,
    /// Pods on their node's network.
    pub(super) hosts: Bits,
    pub(super) nobody: Bits,
    /// Those of them on each node, and on a node that isn't known.
    pub(super) on_node: HashMap<&'a str, Bits>,
    pub(super) on_unknown: Bits,
    rules: HashMap<(PolicyId, Direction), Vec<RuleColumns>>,
}

/// The other ends of one rule, ports aside.
pub(super) struct RuleColumns {
    pub(super) action: Action,
    pub(super) ports: Ports,
    /// Where a name has to be resolved on the other end: the pods on which it fits.
    pub(super) named: Option<Bits>,
    /// Any other end at all.
    pub(super) any: bool,
    /// Those that the rule's selectors select, as pods.
    pub(super) pods: Bits,
    /// Those whose known address is in a block.
    pub(super) known: Bits,
    /// Those whose address is or may be in a block.
    pub(super) perhaps: Bits,
}

/// What a rule's ports say of the question.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    /// It matches by number, or any port does.
    pub(super) numeric: bool,
    /// Names that might match, for the protocol that was asked for.
    pub(super) names: Vec<String>,
}

impl Ports {
    fn of(rule: &RuleForm, question: &Question) -> Self {
        let Some(ports) = &rule.ports else { return Self { numeric: true, names: Vec::new() } };
        let (mut numeric, mut names) = (false, Vec::new());
        for port in ports {
            match port {
                PortMatch::Range(protocol, first, last) => {
                    numeric |=
                        *protocol == question.protocol && (*first..=*last).contains(&question.port);
                }
                PortMatch::Named(protocol, name) => {
                    let fits = protocol.is_none_or(|protocol| protocol == question.protocol);
                    if fits && question.protocol != IpProtocol::Icmp {
                        names.push(name.clone());
                    }
                }
            }
        }
        Self { numeric, names }
    }
}

impl<'a> Columns<'a> {
    pub(super) fn new(all: &'a Compiled, question: &Question) -> Self {
        let pods = all.pods.iter().enumerate();
        let hosts: Vec<usize> = pods.filter(|(_, pod)| pod.host).map(|(index, _)| index).collect();
        let mut on_node: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut on_unknown = Vec::new();
        for pod in &hosts {
            match &all.topology.pods()[*pod].node {
                Some(node) => on_node.entry(node).or_default().push(*pod),
                None => on_unknown.push(*pod),
            }
        }
        let mut columns = Self {
            all,
            question: *question,
            everybody: Bits::full(all.pods.len()),
            hosts: Bits::of(hosts),
            nobody: Bits::of([]),
            on_node: on_node.into_iter().map(|(node, pods)| (node, Bits::of(pods))).collect(),
            on_unknown: Bits::of(on_unknown),
            rules: HashMap::new(),
        };
        let mut maker = Maker::new(all, question);
        for id in all.ids() {
            let Some(form) = all.form_of(id) else { continue };
            for direction in [Direction::Ingress, Direction::Egress] {
                let Some(rules) = form.rules(direction) else { continue };
                let rules =
                    rules.iter().map(|rule| maker.rule(&columns, form, rule, direction)).collect();
                columns.rules.insert((id, direction), rules);
            }
        }
        columns
    }

    /// The rules of a policy in a direction; nothing where it doesn't look that way.
    pub(super) fn rules(&self, id: PolicyId, direction: Direction) -> Option<&[RuleColumns]> {
        self.rules.get(&(id, direction)).map(Vec::as_slice)
    }
}
