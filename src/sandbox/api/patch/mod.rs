//! The four kinds of patch, each a function from a stored object to the wanted one.

mod apply;
mod plain;
mod schema;
mod strategic;
#[cfg(test)]
mod tests;

pub use apply::{ApplyConflict, apply};
pub use plain::{PatchKind, patched};
