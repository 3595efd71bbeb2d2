//! The judge: what was seen and what backs it go in, a verdict with its reason comes out.
//!
//! A sighting ([`Observation`]), a claim ([`Claim`]) and a judgement ([`Judgement`]) are
//! three types, so that a failure to connect can't be mistaken for a denial: only
//! [`judge`] turns one into the other, and it asks the controls first.

mod answer;
mod cause;
mod claim;
mod control;
mod judge;
mod judgement;
mod moments;
mod observation;
mod settle;

pub use answer::WantedAnswer;
pub use cause::{Cause, CauseKind, cause};
pub use claim::{Claim, Intended};
pub use control::{ControlKind, ControlState, Controls};
pub use judge::{judge, judge_all, judge_denial};
pub use judgement::{Judgement, Reason, Verdict};
pub use moments::{FirstInstants, judge_startup};
pub use observation::{AnsweredBy, Observation};
pub use settle::{Change, Expectation, RoundTimes, Settled, Settling, SettlingRules, Sighting};
