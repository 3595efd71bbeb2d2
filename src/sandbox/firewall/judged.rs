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
    /// The policy that allowed it; or all that isolate the pod, none of which did.
    pub policies: Vec<PolicyKey>,
    /// The number of the rule that allowed it.
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
            DENIED => Some(judged(false, self.isolating(address, direction), None)),
            ALLOWED => {
                let rule = words.next()?.parse().ok()?;
                let name = words.next()?;
                // Long names were cut; the pod's own policies tell the rest.
                let full =
                    self.isolating(address, direction).into_iter().find(|(namespace, policy)| {
                        let full = format!("{namespace}/{policy}");
                        full == name || (text.len() >= CUT && full.starts_with(name))
                    });
                let read = || {
                    let (namespace, policy) = name.split_once('/')?;
                    Some((namespace.to_owned(), policy.to_owned()))
                };
                Some(judged(true, full.or_else(read).into_iter().collect(), Some(rule)))
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
            ..Snapshot::default()
        };
        let engine = Engine::of(&snapshot, ["one"], &[], true);
        let key = |name: &str| ("shop".to_owned(), name.to_owned());
        let cut = format!("allowed ingress 12 shop/{long}");
        let world: IpAddr = [192, 0, 2, 1].into();
        for (text, expected) in [
            ("open egress", Some((Direction::Egress, true, vec![], None))),
            ("denied ingress", Some((Direction::Ingress, false, vec![key("a"), key(&long)], None))),
            ("denied egress", Some((Direction::Egress, false, vec![], None))),
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
