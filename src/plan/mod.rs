//! From suites to a plan: who is launched where, what is asked, and which controls
//! back each answer. Thinking made a value: nothing here touches a cluster.

mod build;
mod case;
mod change;
mod controls;
mod families;
mod filter;
mod identity;
mod kept;
mod names;
mod objects;
mod services;
mod suite;
mod suite_pods;
mod types;
mod words;

pub use build::{Inputs, Node, PlanError, build};
pub use case::{CaseId, Destination, Moment, PlannedCase};
pub use controls::CONTROL_PORT;
pub use filter::{Filter, Pattern, PatternError};
pub use types::{
    ControlNamespace, ControlPods, Plan, PlannedChange, PlannedNamespace, PlannedObject,
    PlannedPod, PodIndex, Role, StepPlan, SuitePlan,
};
