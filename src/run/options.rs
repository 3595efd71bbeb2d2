//! How a run behaves, checked once on the command line.

use std::time::Duration;

use netproof_probe::wire::Timing;

use crate::{event::Repetition, verdict::SettlingRules};

/// How a run behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long pods may take to become ready.
    pub launch_within: Duration,
    /// How long the canaries may take to be isolated.
    pub canary_within: Duration,
    /// When a step has settled.
    pub settling: SettlingRules,
    /// Time from one round's start to the next one's, at least.
    pub round_interval: Duration,
    /// How long and how often each probe tries.
    pub timing: Timing,
    /// New connections a second on each node; `None` is no limit.
    pub rate: Option<u32>,
    /// End after the first failed case.
    pub fail_fast: bool,
    /// Leave everything in place.
    pub keep: bool,
    /// What a reader should know beforehand; each becomes a warning.
    pub notes: Vec<String>,
    /// Which repetition the run is, where there are several.
    pub repetition: Option<Repetition>,
    /// How long removing everything may take.
    pub sweep_within: Duration,
}

impl Options {
    /// For a real cluster.
    pub fn for_cluster() -> Self {
        Self {
            launch_within: Duration::from_secs(120),
            canary_within: Duration::from_secs(30),
            settling: SettlingRules {
                settle_at_least: Duration::from_secs(1),
                holding_rounds: 3,
                silence_at_least: KUBELET_LAG,
            },
            round_interval: Duration::from_millis(250),
            timing: Timing::default(),
            rate: Some(2_000),
            fail_fast: false,
            keep: false,
            notes: Vec::new(),
            repetition: None,
            sweep_within: Duration::from_secs(60),
        }
    }

    /// For the sandbox, where changes bite within milliseconds and nobody is disturbed.
    pub fn for_sandbox() -> Self {
        let cluster = Self::for_cluster();
        Self {
            settling: SettlingRules {
                settle_at_least: Duration::from_millis(100),
                ..cluster.settling
            },
            round_interval: Duration::from_millis(50),
            rate: None,
            ..cluster
        }
    }
}

/// A readiness probe comes every second and gives up after one more, and its news takes a
/// moment: what ContainersReady says now was true no longer than this ago.
const KUBELET_LAG: Duration = Duration::from_millis(2_500);
