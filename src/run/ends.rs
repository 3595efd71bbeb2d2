//! Who was at the two ends of a case, and under which address the source arrived.

use std::{collections::BTreeMap, net::IpAddr};

use super::{round::CaseRound, step::Step};
use crate::{
    event::{Endpoints, Event},
    plan::{Destination, PlannedCase},
    verdict::{AnsweredBy, Observation},
};

/// That a pod's packets arrived with an address that isn't its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Translated {
    /// The pod that listened.
    pub by: String,
    /// The address that it saw.
    pub seen_as: IpAddr,
}

impl Translated {
    /// What somebody who answered saw, if it isn't the source's own address.
    pub fn of(own: IpAddr, seen: &Observation) -> Option<Self> {
        match seen {
            Observation::Connected { by: AnsweredBy::Agent { identity, saw } }
                if saw.ip().to_canonical() != own =>
            {
                Some(Self { by: identity.clone(), seen_as: saw.ip().to_canonical() })
            }
            _ => None,
        }
    }
}

impl Step<'_> {
    /// Both ends, for the report.
    pub(super) fn endpoints(&self, case: &PlannedCase, round: &CaseRound) -> Endpoints {
        let mut endpoints = Endpoints {
            source: self.live.place(case.source, case.family),
            destination: round.described.as_ref().to_owned(),
            labels: BTreeMap::new(),
            seen_as: None,
        };
        if let Some(Translated { by, seen_as }) = self.translated(case, round) {
            let text = if is_answer(&round.seen.observation) {
                format!(
                    "; {by} saw {seen_as}: source NAT on the way, so that no selector of labels fits"
                )
            } else {
                format!(
                    "; a control pod on its node is seen as {seen_as} by {by}: source NAT on the \
                     way, so that no selector of labels fits"
                )
            };
            endpoints.source.push_str(&text);
            endpoints.seen_as = Some(seen_as);
        }
        endpoints.labels.insert("source".to_owned(), words(self.live.labels(case.source)));
        if let Destination::Pod(pod) = case.destination {
            let labels = words(self.live.labels(pod));
            endpoints.labels.insert("destination".to_owned(), labels);
        }
        endpoints
    }

    /// What the listener saw; where nothing came through, what one saw of a control pod on
    /// the same way.
    fn translated(&self, case: &PlannedCase, round: &CaseRound) -> Option<Translated> {
        if is_answer(&round.seen.observation) {
            let own = self.live.address(case.source, case.family)?;
            return Translated::of(own, &round.seen.observation);
        }
        round.control_translated.clone()
    }

    /// Warns of source NAT between pods, once for each way. What goes by a Service may be
    /// translated by design.
    pub(super) async fn tell_translated(&self, rounds: &[CaseRound]) {
        for (case, round) in self.cases.iter().zip(rounds) {
            let Destination::Pod(destination) = case.destination else { continue };
            let Some(Translated { seen_as, .. }) = self.translated(case, round) else { continue };
            let from = &self.live.plan.pod(case.source).node;
            let to = &self.live.plan.pod(destination).node;
            let message = format!(
                "source NAT between pods: what pods on {from} send to {to} arrives there from \
                 {seen_as}, not from the pods' own addresses"
            );
            if self.said.is_new(&message) {
                let remedy = "no podSelector or namespaceSelector fits such a peer: keep pods' \
                              addresses out of what is masqueraded (nonMasqueradeCIDRs of \
                              ip-masq-agent, masqueradeAll of kube-proxy, the CNI's own setting)";
                let remedy = Some(remedy.to_owned());
                self.events.send(Event::Warning { message, remedy }).await;
            }
        }
    }
}

/// An agent answered, and says what it saw.
fn is_answer(seen: &Observation) -> bool {
    matches!(seen, Observation::Connected { by: AnsweredBy::Agent { .. } })
}

fn words(labels: &crate::model::Labels) -> String {
    let each: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    each.join(",")
}
