//! The fold of all records: what a run came to, and its exit code.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::enforcement::Enforcement;
use crate::{
    event::{Canary, CaseInfo, CaseOutcome, ClusterInfo, Event, Interruption, Record, Repetition},
    model::RunId,
    plan::CaseId,
    verdict::{AnsweredBy, Observation, Reason, Verdict},
};

/// What a run came to so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// What it set out to do; absent where the run ended before it knew.
    pub head: Option<Head>,
    /// Every case of the plan, in order, with its outcome where it has one.
    pub cases: Vec<ReportedCase>,
    /// Warnings in order, each once.
    pub warnings: Vec<Warning>,
    /// The canaries that were decided; of one tried twice the last word.
    pub canaries: Vec<Canary>,
    /// True if something of somebody else's could not be put back as it was.
    pub not_undone: bool,
    /// What told the run to stop; a signal outweighs the others.
    pub interrupted: Option<Interruption>,
    /// Why the run could not go on.
    pub aborted: Option<Aborted>,
    /// What was removed afterwards.
    pub swept: Option<Swept>,
    /// What [`Event::RunFinished`] said; absent where the run was cut.
    pub complete: Option<bool>,
    /// From the run's start to the last record.
    pub elapsed: Duration,
    index: HashMap<CaseId, usize>,
}

/// What a run set out to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The run's id.
    pub run: RunId,
    /// netproof's version.
    pub netproof: String,
    /// When it began.
    pub started: Timestamp,
    /// Where it runs.
    pub cluster: ClusterInfo,
    /// Cases that the filter left out.
    pub filtered_out: usize,
    /// Which repetition it is, where there are several.
    pub repetition: Option<Repetition>,
}

/// A case and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedCase {
    /// The case.
    pub info: CaseInfo,
    /// Absent as long as it isn't judged.
    pub outcome: Option<Box<CaseOutcome>>,
}

/// Something that a reader should know and that decides no verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What, naming the object.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// Why a run could not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// Stage, object and cause.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// False where nothing had been created yet.
    pub touched: bool,
}

/// What became of the objects that the run created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swept {
    /// How many were removed.
    pub removed: usize,
    /// Which are left.
    pub left: Vec<String>,
    /// True if they were kept on request.
    pub kept: bool,
}

/// How many cases ended how. The first four add up to `cases`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All cases of the plan.
    pub cases: usize,
    /// Claims that hold.
    pub passed: usize,
    /// Claims that don't.
    pub failed: usize,
    /// Claims of which it could not be told.
    pub inconclusive: usize,
    /// Claims that were not asked, and those without a verdict when the run ended.
    pub not_run: usize,
    /// Of `passed`: blocked, cause unproven (`evidence: any`).
    pub unproven: usize,
    /// Of `passed`: a foreign peer shook hands and said nothing.
    pub handshake_only: usize,
    /// Of `passed`: on a CNI that doesn't enforce.
    pub proving_nothing: usize,
    /// Of `not_run`: without a verdict when the run ended.
    pub unjudged: usize,
}

impl Report {
    /// Takes the next record.
    pub fn apply(&mut self, record: &Record) {
        self.elapsed = self.elapsed.max(Duration::from_millis(record.at));
        match &record.event {
            Event::RunStarted {
                version: _,
                run,
                netproof,
                started,
                cluster,
                cases,
                filtered_out,
                repetition,
            } => {
                self.head = Some(Head {
                    run: run.clone(),
                    netproof: netproof.clone(),
                    started: *started,
                    cluster: cluster.clone(),
                    filtered_out: *filtered_out,
                    repetition: *repetition,
                });
                let reported = |info: &CaseInfo| ReportedCase { info: info.clone(), outcome: None };
                self.cases = cases.iter().map(reported).collect();
                let ids = cases.iter().enumerate();
                self.index = ids.map(|(index, info)| (info.id.clone(), index)).collect();
            }
            Event::CaseJudged { id, outcome } => {
                if let Some(case) = self.index.get(id).and_then(|&index| self.cases.get_mut(index))
                {
                    case.outcome = Some(outcome.clone());
                }
            }
            Event::Canary { canary } => {
                let place = |canary: &Canary| {
                    (canary.node.clone(), canary.direction, canary.transport, canary.family)
                };
                self.canaries.retain(|before| place(before) != place(canary));
                self.canaries.push(canary.clone());
            }
            Event::Warning { message, remedy } => {
                let warning = Warning { message: message.clone(), remedy: remedy.clone() };
                if !self.warnings.contains(&warning) {
                    self.warnings.push(warning);
                }
            }
            Event::Interrupted { by } => {
                if self.interrupted.is_none() || *by == Interruption::Signal {
                    self.interrupted = Some(*by);
                }
            }
            Event::Aborted { message, remedy, touched } => {
                self.aborted = Some(Aborted {
                    message: message.clone(),
                    remedy: remedy.clone(),
                    touched: *touched,
                });
            }
            Event::Swept { removed, left, kept } => {
                self.swept = Some(Swept { removed: *removed, left: left.clone(), kept: *kept });
            }
            Event::RunFinished { complete } => self.complete = Some(*complete),
            Event::Undone { restored: _, kept, failed } => {
                let kept = kept.iter().map(|what| (what, "compare it with what it should be"));
                let failed = failed.iter().map(|what| (what, "`netproof cleanup` tries again"));
                self.warnings.extend(kept.chain(failed.clone()).map(|(message, remedy)| Warning {
                    message: message.clone(),
                    remedy: Some(remedy.to_owned()),
                }));
                self.not_undone |= failed.len() > 0;
            }
            Event::Progress { .. } | Event::Round { .. } | Event::Changed { .. } => {}
        }
    }

    /// What the canaries say of the CNI.
    pub fn enforcement(&self) -> Enforcement {
        Enforcement::of(&self.canaries)
    }

    /// Which repetition it is, where there are several.
    pub fn repetition(&self) -> Option<Repetition> {
        self.head.as_ref().and_then(|head| head.repetition)
    }

    /// How many cases ended how.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts { cases: self.cases.len(), ..Counts::default() };
        let hollow = self.proves_nothing();
        for case in &self.cases {
            let Some(outcome) = &case.outcome else {
                counts.not_run += 1;
                counts.unjudged += 1;
                continue;
            };
            match outcome.judgement.verdict {
                Verdict::Pass => {
                    counts.passed += 1;
                    counts.unproven += usize::from(matches!(
                        outcome.judgement.reason,
                        Reason::CauseUnproven { .. }
                    ));
                    counts.handshake_only += usize::from(outcome.is_handshake_only());
                    counts.proving_nothing += usize::from(hollow || outcome.proves_nothing);
                }
                Verdict::Fail => counts.failed += 1,
                Verdict::Inconclusive => counts.inconclusive += 1,
                Verdict::NotRun => counts.not_run += 1,
            }
        }
        counts
    }

    /// True where the CNI enforces nothing, so that no pass proves anything.
    pub fn proves_nothing(&self) -> bool {
        matches!(self.enforcement(), Enforcement::Not { .. })
    }

    /// True if every case of the plan has its verdict and the run ended by itself.
    pub fn is_complete(&self) -> bool {
        self.complete == Some(true)
            && self.aborted.is_none()
            && !self.not_undone
            && self.cases.iter().all(|case| case.outcome.is_some())
    }

    /// True if the run knew what to ask and asked nothing: no case was left by the filter,
    /// what all of them are about isn't there, or it was refused with nothing touched.
    fn nothing_ran(&self) -> bool {
        let not_run = |case: &ReportedCase| {
            let outcome = case.outcome.as_ref();
            outcome.is_some_and(|outcome| outcome.judgement.verdict == Verdict::NotRun)
        };
        self.head.is_some()
            && match &self.aborted {
                Some(aborted) => !aborted.touched,
                None => self.interrupted.is_none() && self.cases.iter().all(not_run),
            }
    }

    /// What the process ends with, by the gravest thing that happened:
    ///
    /// | code | means |
    /// | --- | --- |
    /// | 130 | interrupted by SIGINT or SIGTERM |
    /// | 2 | nothing ran, or refused with nothing touched (bad input, which never gets here, too) |
    /// | 4 | on some node in use the CNI enforces nothing |
    /// | 1 | a claim failed |
    /// | 4 | every claim passed, yet some direction isn't enforced somewhere |
    /// | 3 | it could not be told: inconclusive, incomplete, aborted |
    /// | 0 | all passed |
    ///
    /// A CNI that enforces one direction only fails a claim by its own fault, and the
    /// claim says more: so 1 goes before 4 there.
    pub fn exit_code(&self) -> u8 {
        let counts = self.counts();
        match self.enforcement() {
            _ if self.interrupted == Some(Interruption::Signal) => 130,
            _ if self.nothing_ran() => 2,
            Enforcement::Not { .. } => 4,
            _ if counts.failed > 0 => 1,
            Enforcement::Partly { .. } => 4,
            _ if counts.inconclusive > 0 || !self.is_complete() => 3,
            Enforcement::Proven { .. } | Enforcement::NotProven { .. } | Enforcement::Untested => 0,
        }
    }
}

impl FromIterator<Record> for Report {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut report = Self::default();
        for record in records {
            report.apply(&record);
        }
        report
    }
}

impl ReportedCase {
    /// The verdict; a case that was never judged was not run.
    pub fn verdict(&self) -> Verdict {
        self.outcome.as_ref().map_or(Verdict::NotRun, |outcome| outcome.judgement.verdict)
    }
}

impl CaseOutcome {
    pub(super) fn is_handshake_only(&self) -> bool {
        matches!(self.judgement.reason, Reason::HandshakeOnly)
            || self.judgement.verdict == Verdict::Pass
                && matches!(self.seen, Some(Observation::Connected { by: AnsweredBy::Nobody }))
    }
}

#[cfg(test)]
mod tests;
