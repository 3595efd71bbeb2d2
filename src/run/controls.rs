//! What backs a sighting: the controls of one case in one round.

use std::{collections::BTreeSet, net::IpAddr, time::Instant};

use super::{
    asked::{Asked, NodePath, Way},
    dial::{Dial, Dialled, Seen, Whom},
    ends::Translated,
    live::Live,
    marker::{Key, Marker, answered_by},
};
use crate::{
    event::{CanaryState, Direction},
    plan::PodIndex,
    verdict::{AnsweredBy, ControlKind, ControlState, Controls, Intended, Observation},
};

/// A round's questions and answers, from which controls are read.
pub(super) struct Evidence<'a> {
    pub live: &'a Live<'a>,
    pub marker: &'a Marker,
    /// Listeners before the window.
    pub before: &'a Dialled,
    /// The window.
    pub window: &'a Dialled,
    /// Dials of a name's addresses that only became known in the window.
    pub again: &'a Dialled,
    /// Listeners after it.
    pub after: &'a Dialled,
    /// Ways between nodes on which some case's intended peer answered in this window.
    pub answered: &'a BTreeSet<NodePath>,
}

impl Evidence<'_> {
    /// The controls of a case for one address that it dialled.
    pub fn controls(&self, asked: &Asked<'_>, address: Option<IpAddr>) -> Controls {
        let mut controls = Controls::default();
        controls.insert(ControlKind::SourcePodPath, self.pod_path(asked.case.source));
        if let Some(destination) = asked.destination {
            controls.insert(ControlKind::DestinationPodPath, self.pod_path(destination));
        }
        if let Some(listener) = &asked.listener {
            controls.insert(ControlKind::Listener, self.listener(listener));
        }
        if let Some(way) = &asked.way {
            controls.insert(ControlKind::NodePath, self.node_path(way));
        }
        match &asked.claim.intended {
            Intended::Agents(meant) if asked.destination.is_none() => {
                let state = self.witnessed(asked, address, |by| {
                    matches!(by, AnsweredBy::Agent { identity, .. } if meant.contains(identity))
                });
                controls.insert(ControlKind::ServicePath, state);
            }
            Intended::Foreign => {
                let state = self.witnessed(asked, address, |_| true);
                controls.insert(ControlKind::ReachedBy, state);
            }
            Intended::Agents(_) => {}
        }
        controls.insert(ControlKind::Canary, self.canary(asked));
        controls
    }

    fn pod_path(&self, pod: PodIndex) -> ControlState {
        let name = &self.live.plan.pod(pod).name;
        let Some(state) = self.live.state(pod) else {
            return ControlState::Down { detail: format!("pod {name} is gone") };
        };
        if state.deleted {
            return ControlState::Down { detail: format!("pod {name} was deleted") };
        }
        if state.was_ready(self.before.started, Instant::now()) {
            ControlState::Up
        } else {
            let detail = format!(
                "the kubelet's probe of pod {name} failed during the window: its interface or \
                 its agent is down"
            );
            ControlState::Down { detail }
        }
    }

    fn listener(&self, dial: &Dial) -> ControlState {
        let name = &self.live.plan.pod(dial.source).name;
        for (when, dialled) in [("before", self.before), ("after", self.after)] {
            let seen = dialled.of(dial).first().map(|seen| &seen.observation);
            match seen {
                Some(seen) if answered_by(self.live, seen, dial.source) => {}
                Some(Observation::AgentFailed { message }) => {
                    let detail = format!("{name} could not be asked {when} the window: {message}");
                    return ControlState::Missing { detail };
                }
                Some(seen) => {
                    let port = dial.port;
                    let detail = format!(
                        "nothing answers on {port} inside {name} itself {when} the window ({seen})"
                    );
                    return ControlState::Down { detail };
                }
                None => {
                    let detail = format!("{name} was not asked {when} the window");
                    return ControlState::Missing { detail };
                }
            }
        }
        ControlState::Up
    }

    /// A packet filter may drop one port and let another through, so that the way counts as
    /// open only for the port that was tried.
    fn node_path(&self, way: &Way) -> ControlState {
        let Way { path, dial, usual, pod } = way;
        let of = |dial: &Option<Dial>| dial.as_ref().and_then(|dial| self.window.of(dial).first());
        let is_answered = |seen: Option<&Seen>| {
            seen.is_some_and(|seen| answered_by(self.live, &seen.observation, *pod))
        };
        let seen = of(dial);
        if is_answered(seen) || self.answered.contains(path) {
            return ControlState::Up;
        }
        let beside = self.answered.iter().any(|answered| answered.is_beside(path));
        let (from, to) = (&path.from, &path.to);
        match seen.map(|seen| &seen.observation) {
            Some(seen) if !matches!(seen, Observation::AgentFailed { .. }) => {
                let transport = path.port.protocol.transport();
                let either = "control pods don't reach each other";
                let detail = if beside || is_answered(of(usual)) {
                    format!(
                        "{either} from {from} to {to} on {} either ({seen}), though they do on \
                         another port: a packet filter there or a policy over the whole cluster \
                         may be what blocks it",
                        path.port
                    )
                } else {
                    format!("{either} from {from} to {to} over {transport} either ({seen})")
                };
                ControlState::Down { detail }
            }
            _ if beside => ControlState::Up,
            _ => ControlState::Missing {
                detail: format!(
                    "no control pod could try the way from {from} to {to}; let netproof make \
                     its own namespace, or name one with --control-namespace"
                ),
            },
        }
    }

    /// How the control pod that tries the way between the nodes arrives, where it isn't by
    /// its own address.
    pub fn translated(&self, asked: &Asked<'_>) -> Option<Translated> {
        let way = asked.way.as_ref()?;
        let dial = way.dial.as_ref()?;
        let own = self.live.address(dial.source, way.path.family)?;
        let mut seen = self.window.of(dial).iter();
        seen.find_map(|seen| Translated::of(own, &seen.observation))
    }

    /// Whether some witness got the wanted answer from the same address.
    fn witnessed(
        &self,
        asked: &Asked<'_>,
        address: Option<IpAddr>,
        wanted: impl Fn(&AnsweredBy) -> bool,
    ) -> ControlState {
        let mut tried = Vec::new();
        for dial in &asked.witnesses {
            let direct =
                address.map(|address| Dial { whom: Whom::Address(address), ..dial.clone() });
            let seen = self
                .window
                .of(dial)
                .iter()
                .filter(|seen| address.is_none() || seen.address == address)
                .chain(direct.iter().flat_map(|dial| self.again.of(dial)));
            for seen in seen {
                match &seen.observation {
                    Observation::Connected { by } if wanted(by) => return ControlState::Up,
                    other => {
                        tried.push(format!("{} ({other})", self.live.plan.pod(dial.source).name))
                    }
                }
            }
        }
        let what = match (&asked.claim.intended, address) {
            (Intended::Agents(_), _) => {
                "no witness on the source's node is answered through the Service".to_owned()
            }
            (Intended::Foreign, Some(address)) => format!("no other pod reaches {address} either"),
            (Intended::Foreign, None) => "no other pod reaches it either".to_owned(),
        };
        let detail = if tried.is_empty() {
            format!(
                "{what}: there is none to try; an allow case from that node, or reachedBy, makes one"
            )
        } else {
            format!("{what}; tried {}", tried.join(", "))
        };
        ControlState::Missing { detail }
    }

    /// Whether isolation was seen to bite where this case could be denied.
    ///
    /// One end that enforces suffices: a denial at the other, which was seen to let
    /// everything through, is then no candidate. An end that was never reached proves
    /// nothing and could be the one that blocks.
    fn canary(&self, asked: &Asked<'_>) -> ControlState {
        let transport = asked.port.protocol.transport();
        let family = asked.case.family;
        let source = &self.live.plan.pod(asked.case.source).node;
        let destinations = asked.destination_nodes(self.live).into_iter();
        let ends = std::iter::once((Direction::Egress, source.as_str()))
            .chain(destinations.map(|node| (Direction::Ingress, node)));
        let mut proven = false;
        let mut open = Vec::new();
        for (direction, node) in ends {
            let key = Key { node: node.to_owned(), direction, transport, family };
            match self.marker.state(&key) {
                Some(CanaryState::Proven { .. }) => proven = true,
                Some(CanaryState::StillOpen { .. }) => open.push(format!("{direction} on {node}")),
                Some(CanaryState::NeverReached { seen }) => {
                    let detail = format!(
                        "the canary for {direction} on {node} was never reached ({seen}), so \
                         that enforcement is not proven there; a policy over netproof's control \
                         namespace may be why: exempt it, or name another with \
                         --control-namespace"
                    );
                    return ControlState::Missing { detail };
                }
                Some(CanaryState::Lost { seen }) => {
                    let detail = format!(
                        "the canary for {direction} on {node} was lost before any policy bit \
                         ({seen}), so that enforcement is not proven there"
                    );
                    return ControlState::Missing { detail };
                }
                None => {
                    let detail = format!("the canary for {direction} on {node} is undecided");
                    return ControlState::Missing { detail };
                }
            }
        }
        if proven {
            ControlState::Up
        } else {
            let detail = format!(
                "the CNI does not enforce {}, so that no policy can deny this",
                open.join(" nor ")
            );
            ControlState::Down { detail }
        }
    }
}
