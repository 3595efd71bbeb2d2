//! From suites to a plan: who is launched where, what is asked, and which controls
//! back each answer. Thinking made a value: nothing here touches a cluster.

mod types;

pub use types::{
    CaseId, ControlNamespace, ControlPods, Destination, Plan, PlannedCase, PlannedNamespace,
    PlannedObject, PlannedPod, PodIndex, Role, SuitePlan,
};
