//! The four kinds of patch, each a function from a stored object to the wanted one, and the
//! record of who manages which field.

mod apply;
mod compare;
mod fields;
mod managers;
mod operations;
mod plain;
mod strategic;
#[cfg(test)]
mod tests;
mod typed;

pub use apply::{ApplyConflict, apply, track};
pub use managers::Author;
pub use plain::{PatchKind, patched};
pub use typed::misfits;
