//! What the words of a log rule mean.

use std::net::IpAddr;

use super::{
    engine::Engine,
    pieces::{ALLOWED, DENIED, OPEN},
    policy::{Direction, PolicyKey},
};

/// What policies said of a connection where it left a pod, or where it entered one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::sandbox) struct Judged {
    /// Seen from the pod that was asked about.
    pub direction: Direction,
    /// Whether it went on.
    pub allowed: bool,
    /// The policy whose rule decided; or all NetworkPolicies that isolate the pod, none of
    /// which allowed it.
    pub policies: Vec<PolicyKey>,
    /// The number of the rule that decided.
    pub rule: Option<usize>,
}

impl Engine {
    /// Reads the words of a log rule about a packet; none if they are nobody's.
    pub(in crate::sandbox) fn judged(
        &self,
        text: &str,
        (source, destination): (IpAddr, IpAddr),
    ) -> Option<Judged> {
        let mut words = text.splitn(4, ' ');
        let said = words.next()?;
        let field = words.next()?;
        let direction = Direction::BOTH.into_iter().find(|direction| direction.field() == field)?;
        let address = match direction {
            Direction::Egress => source,
            Direction::Ingress => destination,
        };
        let judged = |allowed, policies, rule| Judged { direction, allowed, policies, rule };
        match said {
            OPEN => Some(judged(true, Vec::new(), None)),
            ALLOWED | DENIED => {
                let allowed = said == ALLOWED;
                let Some(rule) = words.next() else {
                    let isolating = self.isolating(address, direction);
                    return (!allowed).then(|| judged(false, isolating, None));
                };
                let name = words.next()?;
                let read = name.split_once('/').unwrap_or(("", name));
                // Long names were cut; the pod's own policies tell the rest.
                let full = if text.len() < CUT {
                    None
                } else {
                    let policies = match read.0 {
                        "" => self.judging(address, direction),
                        _ => self.isolating(address, direction),
                    };
                    let is_it = |(namespace, policy): &PolicyKey| {
                        namespace == read.0 && policy.starts_with(read.1)
                    };
                    let exact = (read.0.to_owned(), read.1.to_owned());
                    let is_exact = policies.contains(&exact);
                    policies.into_iter().find(is_it).filter(|_| !is_exact)
                };
                let policy = full.unwrap_or_else(|| (read.0.to_owned(), read.1.to_owned()));
                Some(judged(allowed, vec![policy], Some(rule.parse().ok()?)))
            }
            _ => None,
        }
    }
}

/// The kernel keeps so many bytes of a log rule's words.
const CUT: usize = 127;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::firewall::{PodEntry, Snapshot};

    #[test]
    fn the_words_of_each_rule_lead_back_to_its_policy() {
        let long = "n".repeat(253);
        let policies = ["a", &long].map(|name| {
            let text = format!(
                "{{metadata: {{name: {name}, namespace: shop}}, spec: {{ingress: [{{}}]}}}}"
            );
            serde_yaml::from_str(&text).expect("a policy")
        });
        let pod: IpAddr = [10, 0, 0, 1].into();
        let snapshot = Snapshot {
            pods: vec![PodEntry {
                namespace: "shop".into(),
                name: "web".into(),
                labels: [].into(),
                addresses: vec![pod],
                node: "one".into(),
                ports: Vec::new(),
                host_network: false,
            }],
            policies: policies.into(),
            cluster_policies: vec![
                serde_yaml::from_str(
                    "{metadata: {name: guard}, spec: {tier: Admin, priority: 1, subject: {namespaces: \
                     {}}, egress: [{action: Deny, to: [{namespaces: {}}]}]}}",
                )
                .expect("a policy"),
            ],
            ..Snapshot::default()
        };
        let engine = Engine::of(&snapshot, ["one"], &[], true);
        let key = |name: &str| ("shop".to_owned(), name.to_owned());
        let cluster = |name: &str| (String::new(), name.to_owned());
        let cut = format!("allowed ingress 12 shop/{long}");
        let world: IpAddr = [192, 0, 2, 1].into();
        for (text, expected) in [
            ("open egress", Some((Direction::Egress, true, vec![], None))),
            ("denied ingress", Some((Direction::Ingress, false, vec![key("a"), key(&long)], None))),
            ("denied egress", Some((Direction::Egress, false, vec![], None))),
            (
                "denied egress 3 guard",
                Some((Direction::Egress, false, vec![cluster("guard")], Some(3))),
            ),
            ("denied egress x guard", None),
            ("allowed egress", None),
            ("allowed ingress 0 shop/a", Some((Direction::Ingress, true, vec![key("a")], Some(0)))),
            (&cut[..127], Some((Direction::Ingress, true, vec![key(&long)], Some(12)))),
            (
                "allowed ingress 1 shop/gone",
                Some((Direction::Ingress, true, vec![key("gone")], Some(1))),
            ),
            ("somebody else's", None),
            ("", None),
        ] {
            let found = engine.judged(text, (world, pod));
            let found = found.map(|it| (it.direction, it.allowed, it.policies, it.rule));
            assert_eq!(found, expected, "{text}");
        }
    }
}
