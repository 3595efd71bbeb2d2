//! What a step changes in the cluster, each change written down before it is made.
//!
//! The run's own objects go with the run. Of everybody else's a record is kept, by which
//! it is put back: see `record` and `undo`.

mod record;
mod restore;
mod target;
mod undo;
mod wait;
mod write;

pub(super) use record::{Written, is_record};
pub use undo::UndoReport;
pub(super) use undo::{editor, undo_run};
