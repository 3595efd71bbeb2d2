//! Why the cases of a step came out as they did.

use std::net::IpAddr;

use super::{
    spec::{self, Met, Reader, Reading},
    step::Step,
};
use crate::{
    plan::{Moment, PlannedCase},
    verdict::{AnsweredBy, Cause, CauseKind, Judgement, Observation, cause},
};

/// A case with its verdict.
pub(super) struct Judged<'a> {
    pub case: &'a PlannedCase,
    /// The address that was dialled, where it came to one.
    pub dialled: Option<IpAddr>,
    pub judgement: &'a Judgement,
    /// What was last seen.
    pub seen: Option<&'a Observation>,
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

    /// The cause of each outcome, where there is one to tell. Nobody is accused by policies
    /// that have changed since: then they are read again.
    pub(super) async fn causes(
        &self,
        all: &[Judged<'_>],
        reading: Reading,
    ) -> Vec<Option<Box<Cause>>> {
        let causes = |again: &Reading| -> Vec<Option<Box<Cause>>> {
            all.iter().map(|judged| self.cause(judged, (&reading, again)).map(Box::new)).collect()
        };
        let found = causes(&reading);
        if reading.is_ok() && found.iter().any(Option::is_some) {
            return causes(&self.read().await);
        }
        found
    }

    fn cause(&self, judged: &Judged<'_>, readings: (&Reading, &Reading)) -> Option<Cause> {
        let Judged { case, dialled, judgement, seen } = *judged;
        // Policies say nothing of connections that stand: their end is each CNI's own.
        if case.moment != Moment::Fresh {
            return None;
        }
        let by = match seen {
            Some(Observation::Connected { by: AnsweredBy::Agent { identity, .. } }) => {
                Some(identity.as_str())
            }
            _ => None,
        };
        let met = Met { address: dialled, by };
        let spec = spec::spec(self.live, case, &met, readings);
        let mut cause = cause(case.expect, judgement, seen, spec)?;
        if matches!(cause.kind, CauseKind::PolicyAllows | CauseKind::PolicyDenies) {
            cause.spec.nearest = spec::nearest(self.live, case, &met, readings.1);
        }
        Some(cause)
    }
}
