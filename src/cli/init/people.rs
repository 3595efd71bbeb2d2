//! Who may stand at the ends of a claim: copies of workloads, and pods made up to fit a
//! selector, in namespaces that are there or that the run makes.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::{self, fitting, made_up, slug};
use crate::{
    cli::{named, workloads},
    model::{IpProtocol, Labels, NAMESPACE_NAME_LABEL, NamedPort, Pod, Topology},
    policy::Selector,
};

/// Namespaces that every cluster has, and manifests don't.
const ALWAYS: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// So many other namespaces are tried for somebody who isn't meant.
const NEAR: usize = 3;

/// A namespace of the run's own, of which no policy knows.
pub(super) const ELSEWHERE: &str = "elsewhere";

/// A pod that a claim may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Person {
    /// What it is called in the suite, until names meet.
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) labels: Labels,
    /// The ports that it declares.
    pub(super) ports: Vec<NamedPort>,
}

/// Everybody who is there, and the namespaces.
#[derive(Clone, Debug)]
pub(super) struct People {
    pub(super) workloads: Vec<Person>,
    namespaces: BTreeMap<String, Labels>,
    /// Namespaces that the run makes, by alias, with their labels; a real name where policies
    /// go by it.
    made: BTreeMap<String, (Option<String>, Labels)>,
}

impl Person {
    /// The same with other labels.
    fn relabelled(&self, name: String, labels: Labels) -> Self {
        Self { name, labels, ..self.clone() }
    }

    /// The same elsewhere.
    fn moved(&self, namespace: &str) -> Self {
        let name = format!("{}-elsewhere", self.name);
        Self { name, namespace: namespace.to_owned(), ..self.clone() }
    }

    /// Somebody of whom nothing is known.
    pub(super) fn nobody() -> Self {
        let (name, namespace) = ("nobody".to_owned(), String::new());
        Self { name, namespace, labels: Labels::new(), ports: Vec::new() }
    }

    /// Whether one pod would stand for both.
    pub(super) fn is_one_with(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.labels == other.labels
    }

    /// The pod as the evaluator sees it.
    pub(super) fn pod(&self, name: &str) -> Pod {
        Pod {
            namespace: self.namespace.clone(),
            name: name.to_owned(),
            labels: self.labels.clone(),
            ports: self.ports.clone(),
            ..Pod::default()
        }
    }
}

impl People {
    /// Those of a topology; `more` where other namespaces may be there, too. `named` are
    /// there in any case: policies live in them.
    pub(super) fn new<'a>(
        topology: &Topology,
        more: bool,
        named: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut namespaces = topology.namespaces().clone();
        for name in ALWAYS.into_iter().filter(|_| more).chain(named) {
            let labels = namespaces.entry(name.to_owned()).or_default();
            labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned());
        }
        let copied = workloads::rows(topology).into_iter().filter_map(|row| {
            let pod = &topology.pods()[row.pod];
            let labels = named::copied_labels(pod);
            let called = pod.workload.as_ref().map_or(&pod.name, |workload| &workload.name);
            (!pod.host_network).then(|| Person {
                name: called.clone(),
                namespace: pod.namespace.clone(),
                labels,
                ports: pod.ports.clone(),
            })
        });
        let mut workloads: Vec<Person> = Vec::new();
        for person in copied {
            if !workloads.iter().any(|known| known.is_one_with(&person)) {
                workloads.push(person);
            }
        }
        Self { workloads, namespaces, made: BTreeMap::new() }
    }

    /// All namespaces with their labels, as the evaluator is to know them.
    pub(super) fn all_namespaces(&self) -> BTreeMap<String, Labels> {
        let mut all = self.namespaces.clone();
        for (alias, (name, labels)) in &self.made {
            let name = name.as_ref().unwrap_or(alias);
            all.insert(name.clone(), labels.clone());
        }
        all
    }

    /// The namespaces that the run makes, of those that are in use.
    pub(super) fn made(&self, used: &BTreeSet<&str>) -> Vec<(&String, Option<&String>, &Labels)> {
        let made = self.made.iter();
        made.filter(|(alias, (name, _))| used.contains(name.as_ref().unwrap_or(alias).as_str()))
            .map(|(alias, (name, labels))| (alias, name.as_ref(), labels))
            .collect()
    }

    /// A namespace of which no policy knows.
    fn elsewhere(&mut self) -> String {
        let taken = self.namespaces.contains_key(ELSEWHERE);
        let name = if taken { format!("{ELSEWHERE}-2") } else { ELSEWHERE.to_owned() };
        self.made.entry(name.clone()).or_default();
        name
    }

    /// A pod that a selector in a namespace selects: a workload where one fits, else one that
    /// is made up. `None` where no labels can fit.
    pub(super) fn selected(&self, namespace: &str, pods: &Selector) -> Option<Person> {
        let fits = |person: &&Person| person.namespace == namespace && pods.matches(&person.labels);
        self.workloads.iter().find(fits).cloned().or_else(|| made_up(namespace, pods))
    }

    /// Pods that a rule's peer selects, the workloads first.
    pub(super) fn peers(
        &mut self,
        own: &str,
        namespaces: Option<&Selector>,
        pods: Option<&Selector>,
    ) -> Vec<Person> {
        let everything = Selector::everything();
        let pods = pods.unwrap_or(&everything);
        let known = self.all_namespaces();
        let in_reach = |name: &str| match namespaces {
            None => name == own,
            Some(selector) => known.get(name).is_some_and(|labels| selector.matches(labels)),
        };
        let mut found: Vec<Person> = self
            .workloads
            .iter()
            .filter(|person| in_reach(&person.namespace) && pods.matches(&person.labels))
            .cloned()
            .collect();
        // The policy's own namespace is nearest; the cluster's own are the last resort.
        let mut places: Vec<String> = known.keys().filter(|name| in_reach(name)).cloned().collect();
        places.sort_by_key(|name| (name != own, ALWAYS.contains(&name.as_str())));
        if places.is_empty() {
            places.extend(namespaces.and_then(|selector| self.make(selector)));
        }
        found.extend(places.first().and_then(|place| made_up(place, pods)));
        found
    }

    /// A namespace that fits a selector, for the run to make.
    fn make(&mut self, selector: &Selector) -> Option<String> {
        let mut labels = fitting(selector)?;
        // A label that the API server keeps is given by the name itself.
        let name = labels.remove(NAMESPACE_NAME_LABEL);
        let alias = name.clone().unwrap_or_else(|| {
            let word = labels.values().next().map_or("namespace", String::as_str);
            let word = slug(word);
            if self.namespaces.contains_key(&word) { format!("{word}-made") } else { word }
        });
        self.made.insert(alias.clone(), (name, labels));
        Some(alias)
    }

    /// Those who differ from somebody in one thing that a rule goes by: a label, or the
    /// namespace.
    pub(super) fn near(
        &mut self,
        person: &Person,
        namespaces: Option<&Selector>,
        pods: Option<&Selector>,
    ) -> Vec<Person> {
        let mut near = Vec::new();
        for requirement in pods.into_iter().flat_map(|selector| &selector.requirements) {
            let others = labels::failing(&person.labels, requirement).into_iter();
            near.extend(
                others.map(|(how, labels)| {
                    person.relabelled(format!("{}-{how}", person.name), labels)
                }),
            );
        }
        let narrow = namespaces.is_none_or(|selector| !selector.is_everything());
        if narrow {
            let elsewhere = self.elsewhere();
            near.push(person.moved(&elsewhere));
            let others = self.namespaces.iter().filter(|(name, labels)| {
                namespaces.is_some_and(|selector| !selector.matches(labels))
                    && **name != person.namespace
            });
            let mut others: Vec<&String> = others.map(|(name, _)| name).collect();
            others.sort_by_key(|name| ALWAYS.contains(&name.as_str()));
            near.extend(others.into_iter().take(NEAR).map(|name| Person {
                name: format!("{}-in-{name}", person.name),
                namespace: name.clone(),
                ..person.clone()
            }));
        }
        near
    }

    /// Somebody from a namespace of which no policy knows.
    pub(super) fn stranger(&mut self) -> Person {
        Person {
            name: "stranger".to_owned(),
            namespace: self.elsewhere(),
            labels: Labels::from([("app".to_owned(), "stranger".to_owned())]),
            ports: Vec::new(),
        }
    }
}

/// Whether a peer's port speaks what a probe can ask.
pub(super) fn protocol_word(protocol: IpProtocol) -> Option<&'static str> {
    match protocol {
        IpProtocol::Tcp => Some("tcp"),
        IpProtocol::Udp => Some("udp"),
        IpProtocol::Sctp => Some("sctp"),
        IpProtocol::Icmp => None,
    }
}
