//! Why the cases of a step came out as they did.

use std::net::IpAddr;

use super::{
    spec::{self, Met, Reader, Reading},
    step::Step,
};
use crate::{
    event::CaseOutcome,
    plan::{Moment, PlannedCase},
    verdict::{AnsweredBy, Cause, CauseKind, Observation, cause},
};

/// A case with its verdict, before its cause is told.
pub(super) struct Judged<'a> {
    pub case: &'a PlannedCase,
    /// The address that was dialled, where it came to one.
    pub dialled: Option<IpAddr>,
    pub outcome: CaseOutcome,
}

impl Step<'_> {
    /// What the policies say by now; nothing is waited for once the run is to stop.
    pub(super) async fn read(&self) -> Reading {
        let reader = Reader {
            context: self.context,
            live: self.live,
            cases: self.cases,
            events: self.events,
            said: self.said,
        };
        tokio::select! {
            reading = reader.read() => reading,
            () = self.stop.stopped() => Err("the run was stopped".to_owned()),
        }
    }

    /// Gives the outcomes their causes. Nobody is accused by policies that have changed
    /// since: where there is a cause to tell, they are read again.
    pub(super) async fn explain(&self, outcomes: &mut [Judged<'_>], reading: Reading) {
        let causes = |outcomes: &[Judged<'_>], again: &Reading| -> Vec<Option<Cause>> {
            outcomes.iter().map(|judged| self.cause(judged, (&reading, again))).collect()
        };
        let mut found = causes(outcomes, &reading);
        if reading.is_ok() && found.iter().any(Option::is_some) {
            let again = self.read().await;
            found = causes(outcomes, &again);
        }
        for (judged, cause) in outcomes.iter_mut().zip(found) {
            judged.outcome.cause = cause;
        }
    }

    fn cause(&self, judged: &Judged<'_>, readings: (&Reading, &Reading)) -> Option<Cause> {
        let Judged { case, dialled, outcome } = judged;
        // Policies say nothing of connections that stand: their end is each CNI's own.
        if case.moment != Moment::Fresh {
            return None;
        }
        let seen = outcome.seen.as_ref();
        let by = match seen {
            Some(Observation::Connected { by: AnsweredBy::Agent { identity, .. } }) => {
                Some(identity.as_str())
            }
            _ => None,
        };
        let met = Met { address: *dialled, by };
        let spec = spec::spec(self.live, case, &met, readings);
        let mut cause = cause(case.expect, &outcome.judgement, seen, spec)?;
        if matches!(cause.kind, CauseKind::PolicyAllows | CauseKind::PolicyDenies) {
            cause.spec.nearest = spec::nearest(self.live, case, &met, readings.1);
        }
        Some(cause)
    }
}
