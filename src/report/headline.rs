//! What stands before everything else: whether the CNI enforces.

use super::{
    Enforcement,
    enforcement::places,
    layout::{paint, wrap},
    summary::duration,
    text::{notice, verdict_style},
};
use crate::{
    event::{Canary, CanaryState},
    verdict::Verdict,
};

/// What the canaries say, in plain words; it stands before everything else.
pub(super) fn verdict_on_cni(enforcement: &Enforcement, width: usize) -> String {
    let loud = |headline: &str, text: &str| {
        let headline = paint(headline, verdict_style(Verdict::Fail));
        format!("{headline}\n{}\n", wrap(text, width).join("\n"))
    };
    match enforcement {
        Enforcement::Not { nodes, open } => loud(
            "THE CNI DOES NOT ENFORCE NETWORKPOLICY.",
            &format!(
                "On {} pods that a policy isolates were still reached{}: {}. The API server \
                 accepts policies, and they change nothing. Nothing that passed below proves \
                 anything.\nInstall a CNI that implements NetworkPolicy, or turn its policy \
                 engine on, and run this again.",
                nodes.join(", "),
                tried(open),
                places(open)
            ),
        ),
        Enforcement::Partly { open } => loud(
            "THE CNI ENFORCES NETWORKPOLICY ONLY PARTLY.",
            &format!(
                "Pods that a policy isolates were still reached{}: {}. Policies that rely on it \
                 change nothing there; everything else was seen to be enforced.",
                tried(open),
                places(open)
            ),
        ),
        Enforcement::NotProven { unreached } => {
            let mut what = Vec::new();
            for canary in unreached {
                let word = match &canary.state {
                    CanaryState::NeverReached { seen } => seen.to_string(),
                    CanaryState::Lost { seen } => format!("lost: {seen}"),
                    CanaryState::Proven { .. } | CanaryState::StillOpen { .. } => continue,
                };
                if !what.contains(&word) {
                    what.push(word);
                }
            }
            let lost = |canary: &Canary| matches!(canary.state, CanaryState::Lost { .. });
            let (why, remedy) = if unreached.iter().all(lost) {
                (
                    "its control pods were reached, and then were lost for another reason than a \
                     policy",
                    "Look at the control pods and their nodes, then run again.",
                )
            } else {
                (
                    "its control pods were not reached before they were isolated",
                    "A cluster-wide policy may cover the control pods: exempt their namespace, or \
                     name another one with --control-namespace.",
                )
            };
            notice(
                "not proven:",
                Verdict::Inconclusive,
                &format!(
                    "whether the CNI enforces {}: {why} ({}).",
                    places(unreached),
                    what.join(", ")
                ),
                Some(remedy),
                width,
            )
        }
        Enforcement::Proven { slowest } => {
            format!(
                "The CNI enforces: every canary was reached, then isolated within {}.\n",
                duration(*slowest)
            )
        }
        Enforcement::Untested => String::new(),
    }
}

fn tried(open: &[Canary]) -> String {
    let longest = open.iter().filter_map(|canary| match canary.state {
        CanaryState::StillOpen { tried } => Some(tried),
        _ => None,
    });
    longest.max().map(|tried| format!(" after {}", duration(tried))).unwrap_or_default()
}
