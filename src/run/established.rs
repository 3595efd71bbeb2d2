//! Connections that stand before a step's changes, so that they can be used after them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use netproof_probe::wire::{Hold, Script};

use super::{asked::Asked, dial::Dial, live::Live, round, runner::Runner};
use crate::{
    plan::{CaseId, Moment, PlannedCase, StepPlan},
    verdict::Observation,
};

/// How often a connection is tried: a handshake gets few packets, and each may be lost.
const TRIES: usize = 4;

impl Runner<'_> {
    /// Opens what the step's cases want to find standing.
    pub(super) async fn hold(&self, step: &StepPlan, live: &mut Live<'_>) {
        let about = |case: &&PlannedCase| matches!(case.moment, Moment::Established { .. });
        let cases: Vec<&PlannedCase> = step.cases.iter().filter(about).collect();
        if cases.is_empty() {
            return;
        }
        let services = round::services(self.context, live, cases.iter().copied()).await;
        let mut opening: BTreeMap<CaseId, (Dial, Dial)> = BTreeMap::new();
        for case in cases {
            let asked = Asked::at_rest(live, case, &services);
            match asked.dial {
                Ok(dial) => {
                    let connection = live.number();
                    let with = |hold| Dial {
                        script: Arc::new(Script { hold: Some(hold), ..Script::default() }),
                        ..dial.clone()
                    };
                    let open = with(Hold::Open { connection });
                    opening.insert(case.id.clone(), (open, with(Hold::Use { connection })));
                }
                Err(seen) => live.hold(case.id.clone(), Err(none(&seen))),
            }
        }
        for turn in 1..=TRIES {
            let dials: BTreeSet<Dial> = opening.values().map(|(open, _)| open.clone()).collect();
            if dials.is_empty() || self.stop.is_stopped() {
                break;
            }
            let dialled = live.dial(&dials, self.options.timing).await;
            for (id, (open, reuse)) in std::mem::take(&mut opening) {
                match dialled.of(&open).first().map(|seen| &seen.observation) {
                    Some(Observation::Connected { .. }) => live.hold(id, Ok(reuse)),
                    Some(seen) if turn == TRIES => live.hold(id, Err(none(seen))),
                    _ => {
                        opening.insert(id, (open, reuse));
                    }
                }
            }
        }
    }
}

fn none(seen: &Observation) -> String {
    format!("no connection could be opened before the change ({seen})")
}
