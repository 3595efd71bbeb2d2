//! What the fields of the API's types are: one tree of types for everything that has to
//! know them.
//!
//! ```text
//! k8s-openapi's schemas + merge.txt ─▶ builtin ┐
//! a CustomResourceDefinition ────────▶ custom  ┴─▶ Node ─▶ decode, patches, OpenAPI
//! ```

mod builtin;
mod decode;
mod node;
mod quantity;

pub use builtin::{Builtin, builtin};
pub use decode::{TypeError, decode, missing};
pub use node::{Field, Key, Leaf, ListKind, Merge, Node, Struct};
pub use quantity::canonical as canonical_quantity;
