//! Levels and versions, as labels of a namespace state them.

use std::fmt;

use crate::model::Labels;

/// The newest version whose rules are known.
const NEWEST: u32 = 36;

/// How much pods may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Everything.
    Privileged,
    /// Nothing that is known to lead out of a container.
    Baseline,
    /// Only what hardened pods need.
    Restricted,
}

/// A level, and the Kubernetes version whose rules count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) level: Level,
    /// The minor version; `None` is the latest.
    version: Option<u32>,
}

impl Policy {
    /// What the labels of a mode (`enforce`, `warn`) say. A level that is none counts as
    /// the strictest, as Kubernetes has it.
    pub(super) fn of(labels: &Labels, mode: &str) -> Self {
        let label = |suffix: &str| {
            labels.get(&format!("pod-security.kubernetes.io/{mode}{suffix}")).map(String::as_str)
        };
        let level = match label("") {
            None | Some("privileged") => Level::Privileged,
            Some("baseline") => Level::Baseline,
            Some(_) => Level::Restricted,
        };
        let version = label("-version").and_then(|text| text.strip_prefix("v1."));
        Self { level, version: version.and_then(|minor| minor.parse().ok()) }
    }

    /// The minor version whose rules count.
    pub(super) fn minor(&self) -> u32 {
        self.version.map_or(NEWEST, |minor| minor.min(NEWEST))
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        })?;
        match self.version {
            Some(minor) => write!(f, ":v1.{minor}"),
            None => f.write_str(":latest"),
        }
    }
}
