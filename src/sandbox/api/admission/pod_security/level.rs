//! Levels and versions, as labels of a namespace state them.

use std::fmt;

use super::super::super::failure::Cause;
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

impl Level {
    /// The level of this name.
    fn named(name: &str) -> Option<Self> {
        match name {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }
}

/// A level, and the Kubernetes version whose rules count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) level: Level,
    /// The minor version; `None` is the latest.
    pub(super) version: Option<u32>,
}

impl Policy {
    const FREE: Self = Self { level: Level::Privileged, version: None };

    /// The minor version whose rules count.
    pub(super) fn minor(&self) -> u32 {
        self.version.map_or(NEWEST, |minor| minor.min(NEWEST))
    }
}

/// What the labels of a namespace ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policies {
    /// What pods are refused for.
    pub(super) enforce: Policy,
    /// What is warned of.
    pub(super) warn: Policy,
    /// The labels that say nothing that is known.
    pub(super) mistakes: Vec<Cause>,
}

impl Policies {
    /// An unknown level to enforce counts as the strictest, an unknown one to warn of as the
    /// laxest. Who says nothing of warnings is warned of what is enforced.
    pub(super) fn of(labels: &Labels) -> Self {
        let mut mistakes = Vec::new();
        let mut read = |mode: &str, otherwise: Level| {
            let key = format!("pod-security.kubernetes.io/{mode}");
            let (mut policy, mut is_known) = (Policy::FREE, false);
            if let Some(name) = labels.get(&key) {
                let level = Level::named(name);
                is_known = level.is_some();
                policy.level = level.unwrap_or(otherwise);
                if !is_known {
                    let detail = "must be one of privileged, baseline, restricted";
                    mistakes.push(mistake(&key, name, detail));
                }
            }
            let key = format!("{key}-version");
            if let Some(text) = labels.get(&key) {
                match version(text) {
                    Some(version) => policy.version = version,
                    None => mistakes.push(mistake(&key, text, "must be \"latest\" or \"v1.x\"")),
                }
            }
            (policy, is_known)
        };
        let (enforce, is_known) = read("enforce", Level::Restricted);
        read("audit", Level::Privileged);
        let (mut warn, _) = read("warn", Level::Privileged);
        let says =
            |suffix: &str| labels.contains_key(&format!("pod-security.kubernetes.io/warn{suffix}"));
        if is_known && !says("") && enforce.level > warn.level {
            warn.level = enforce.level;
            if !says("-version") {
                warn.version = enforce.version;
            }
        }
        Self { enforce, warn, mistakes }
    }
}

/// The version that a label names; its minor is `None` for the latest.
#[expect(clippy::option_option, reason = "unreadable, the latest, a minor version")]
fn version(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let minor = text.strip_prefix("v1.")?;
    let is_plain = minor.bytes().all(|byte| byte.is_ascii_digit())
        && (minor == "0" || !minor.starts_with('0'));
    if is_plain { minor.parse().ok().map(Some) } else { None }
}

fn mistake(key: &str, value: &str, detail: &str) -> Cause {
    Cause::invalid(format!("metadata.labels[{key}]"), &value.into(), detail)
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
