//! A suite: what somebody claims about a cluster, read from YAML and checked.

mod types;

pub use types::{
    Case, CasePort, Denial, EvidenceRule, Location, Manifest, Peer, PodPeer, ServicePeer, Setup,
    SetupNamespace, Suite,
};
