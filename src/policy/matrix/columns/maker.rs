//! Makes what each rule means for all pods as the other end.

use std::{collections::HashMap, rc::Rc};

use super::{
    super::super::{
        bits::Bits,
        block,
        cluster_policy::Action,
        compile::{Addresses, Compiled, Form, PeerForm, RuleForm, Scope},
        decision::Direction,
        intern::{Selection, Test, Word},
    },
    Columns, Ports, Question, RuleColumns,
};
use crate::model::Family;

/// Makes bit sets of other ends, equal ones once.
pub(super) struct Maker<'a> {
    all: &'a Compiled,
    question: Question,
    by_label: HashMap<(Word, Word), Vec<usize>>,
    selected: HashMap<(Scope, Selection), Rc<Bits>>,
    named: HashMap<String, Rc<Bits>>,
    /// Known addresses of each family, in order.
    addresses: [Vec<(u128, usize)>; 2],
    /// Pods whose address of the family that matters isn't known.
    unknown: Bits,
}

impl<'a> Maker<'a> {
    pub(super) fn new(all: &'a Compiled, question: &Question) -> Self {
        let mut by_label: HashMap<(Word, Word), Vec<usize>> = HashMap::new();
        let mut addresses = [Vec::new(), Vec::new()];
        let mut unknown = Vec::new();
        for (index, pod) in all.pods.iter().enumerate() {
            for label in &pod.labels {
                by_label.entry(*label).or_default().push(index);
            }
            let described = &all.topology.pods()[index];
            let known: Vec<_> = match question.family {
                Some(family) => described.address(family).into_iter().collect(),
                None => described.addresses.clone(),
            };
            if known.is_empty() {
                unknown.push(index);
            }
            for address in known {
                addresses[place(Family::of(address))].push((block::number(address), index));
            }
        }
        addresses.iter_mut().for_each(|list| list.sort_unstable());
        Self {
            all,
            question: *question,
            by_label,
            selected: HashMap::new(),
            named: HashMap::new(),
            addresses,
            unknown: Bits::of(unknown),
        }
    }

    pub(super) fn rule(
        &mut self,
        columns: &Columns<'_>,
        form: &Form,
        rule: &RuleForm,
        direction: Direction,
    ) -> RuleColumns {
        let of_cluster = form.rank.is_some();
        let mut made = RuleColumns {
            action: rule.action,
            ports: Ports::of(rule, &self.question),
            named: None,
            any: rule.peers.is_none(),
            pods: Bits::default(),
            known: Bits::default(),
            perhaps: Bits::default(),
        };
        if rule.fails_closed {
            made.ports = Ports { numeric: true, names: Vec::new() };
            made.any = rule.action != Action::Accept;
            made.action = Action::Deny;
            return made;
        }
        if direction == Direction::Egress && !made.ports.names.is_empty() {
            let mut named = Bits::default();
            for name in &made.ports.names {
                named.add(&self.named(name));
            }
            made.named = Some(named);
        }
        for peer in rule.peers.iter().flatten() {
            match peer {
                PeerForm::Pods { scope, pods } => {
                    let bits = self.selected(*scope, pods);
                    let bits =
                        if of_cluster { bits.without(&columns.hosts) } else { (*bits).clone() };
                    made.pods.add(&bits);
                }
                PeerForm::Block(addresses) => self.block(&mut made, addresses),
                PeerForm::Networks(networks) => {
                    let whole = |family| {
                        networks.iter().any(|block| block.family == family && block.is_whole())
                    };
                    if whole(Family::Ipv4) && whole(Family::Ipv6) {
                        made.any = true;
                    }
                    networks.iter().for_each(|network| self.block(&mut made, network));
                }
                PeerForm::Nodes(nodes) => self.nodes(&mut made, columns, nodes),
                PeerForm::Names(names) => {
                    let inside =
                        |name: &String| name.trim_end_matches('.').ends_with("cluster.local");
                    if rule.action != Action::Accept || names.iter().any(inside) {
                        made.perhaps.add(&columns.everybody);
                    }
                }
                PeerForm::Unknown => {}
            }
        }
        made
    }

    /// Pods of some namespaces that a selector selects, hosts included.
    fn selected(&mut self, scope: Scope, selection: &Selection) -> Rc<Bits> {
        let key = (scope, selection.clone());
        if let Some(bits) = self.selected.get(&key) {
            return bits.clone();
        }
        let bits = Rc::new(self.select(scope, selection));
        self.selected.insert(key, bits.clone());
        bits
    }

    fn select(&self, scope: Scope, selection: &Selection) -> Bits {
        let all = self.all;
        let fits = |pod: &usize| {
            let pod = &all.pods[*pod];
            all.in_scope(scope, pod.space) && selection.matches(&pod.labels)
        };
        let spaces: Vec<usize> = match scope {
            Scope::Nowhere => return Bits::default(),
            Scope::Own(space) => vec![space as usize],
            Scope::Set(set) => all.space_sets[set as usize].1.iter().collect(),
        };
        if selection.is_everything() {
            let mut bits = Bits::default();
            for space in spaces {
                bits.add(&Bits::range(all.namespaces[space].pods.clone()));
            }
            return bits;
        }
        let plain = selection.terms.iter().find_map(|term| match &term.test {
            Test::In(values) => Some((term.key, values)),
            Test::NotIn(_) | Test::Exists | Test::Missing => None,
        });
        match plain {
            Some((key, values)) if spaces.len() > 1 => {
                let posting =
                    |value: &Word| self.by_label.get(&(key, *value)).into_iter().flatten();
                let mut pods: Vec<usize> =
                    values.iter().flat_map(posting).copied().filter(fits).collect();
                pods.sort_unstable();
                Bits::of(pods)
            }
            _ => {
                let pods = spaces.into_iter().flat_map(|space| all.namespaces[space].pods.clone());
                Bits::of(pods.filter(fits))
            }
        }
    }

    /// Pods on which a name means the port that was asked for.
    fn named(&mut self, name: &str) -> Rc<Bits> {
        if let Some(bits) = self.named.get(name) {
            return bits.clone();
        }
        let (protocol, port) = (self.question.protocol, self.question.port);
        let pods = self.all.topology.pods().iter().enumerate();
        let fits = pods.filter(|(_, pod)| pod.named_port(name, protocol) == Some(port));
        let bits = Rc::new(Bits::of(fits.map(|(index, _)| index)));
        self.named.insert(name.to_owned(), bits.clone());
        bits
    }

    fn block(&self, made: &mut RuleColumns, block: &Addresses) {
        if block.is_empty() {
            return;
        }
        let known = &self.addresses[place(block.family)];
        let mut inside: Vec<usize> = Vec::new();
        for (first, last) in block.ranges() {
            let start = known.partition_point(|(number, _)| number < first);
            let within = known[start..].iter().take_while(|(number, _)| number <= last);
            inside.extend(within.map(|(_, pod)| *pod));
        }
        inside.sort_unstable();
        let inside = Bits::of(inside);
        made.perhaps.add(&inside);
        match self.question.family {
            Some(family) if family != block.family => {}
            Some(_) => {
                made.known.add(&inside);
                made.perhaps.add(&self.unknown);
                if block.is_whole() {
                    made.known.add(&self.unknown);
                }
            }
            None => {
                // Of a pod with two addresses, the other family's may be meant.
                let one = |pod: &usize| self.all.topology.pods()[*pod].addresses.len() == 1;
                made.known.add(&Bits::of(inside.iter().filter(one)));
                made.perhaps.add(&self.unknown);
            }
        }
    }

    fn nodes(&self, made: &mut RuleColumns, columns: &Columns<'_>, nodes: &Selection) {
        for pod in columns.hosts.iter() {
            let node = self.all.pods[pod].node.flatten();
            match node.and_then(|node| self.all.nodes.get(node as usize)) {
                Some(node) if nodes.matches(&node.labels) => made.pods.set(pod, true),
                Some(_) => {}
                None if nodes.is_everything() => made.pods.set(pod, true),
                None => made.perhaps.set(pod, true),
            }
        }
    }
}

fn place(family: Family) -> usize {
    match family {
        Family::Ipv4 => 0,
        Family::Ipv6 => 1,
    }
}
