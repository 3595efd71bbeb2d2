//! A suite: what somebody claims about a cluster, read from YAML and checked.
//!
//! ```text
//! file ─ tree ─▶ Node ─ reader ─▶ document: peers, manifests, claims ─ expand ─▶ Suite
//!         └──────────────┴───────────── all mistakes ──────────────┴──────▶ Mistakes
//! ```
//! Everything but `loader` is pure. No reading stops at the first mistake: each is noted
//! at its place, and [`Suite`] only comes of a file that has none.

mod addresses;
mod ask;
mod change;
mod claims;
mod document;
mod expand;
mod levelling;
mod lives;
mod loader;
mod manifest;
mod mistake;
mod moments;
mod namespaces;
pub(crate) mod nearest;
mod network_policy;
mod node;
mod objects;
mod options;
mod parse;
mod patch;
mod peers;
mod port_words;
mod ports;
mod reader;
mod resolve;
mod schema;
mod scope;
mod services;
mod source;
mod steps;
mod table;
mod tree;
mod types;
mod wait;
mod words;

#[cfg(test)]
mod tests;

pub use addresses::{addressed_peers, fill_addresses, rename_addressed, waits_for_addresses};
pub use ask::{Ask, Authority, DnsAsk, DnsExpect, HttpAsk, TlsAsk, UdpAsk};
pub use change::{Change, Labelled, ObjectName, PatchBody, Wait, relabelled, same_fate};
pub use loader::load;
pub use mistake::{Mistake, Mistakes};
pub use moments::{CaseEnd, Startup, Survival};
pub use namespaces::{replace_namespace_references, rewrite_namespaces};
pub use parse::parse;
pub use schema::schema;
pub use steps::BASE;
pub use types::{
    Case, CasePort, Denial, EvidenceRule, Location, Manifest, Peer, PodPeer, ServicePeer, Setup,
    SetupNamespace, Step, Suite,
};
