//! What makes stored objects come true: one controller for each chore.
//!
//! Controllers are level-triggered. A signal says that something of interest has changed;
//! the controller then looks at the store as it is and writes what is missing. A signal
//! that comes while it works leads to one more pass, so that nothing is overlooked.

mod garbage;
mod namespace;
mod reconcile;

pub use garbage::collect_garbage;
pub use namespace::{empty_namespaces, set_up};
