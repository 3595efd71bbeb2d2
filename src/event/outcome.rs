//! What came of a case.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    model::milliseconds,
    verdict::{Cause, Change, Controls, Judgement, Observation},
};

/// A case's verdict with everything that a report may want to show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseOutcome {
    /// The verdict and its reason.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// What the policies say of it, where the claim doesn't hold, or holds against them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// What was last seen.
    pub seen: Option<Observation>,
    /// The controls of the last round.
    pub controls: Controls,
    /// Changes in what was seen.
    pub history: Vec<Change>,
    /// From the last change to the first attempt that was as expected.
    #[serde(rename = "latencyMs", with = "milliseconds::option")]
    pub latency: Option<Duration>,
    /// The error of `latency`, from the sessions' round trips and the rounds' spacing.
    #[serde(rename = "latencyErrorMs", with = "milliseconds::option")]
    pub latency_error: Option<Duration>,
    /// Source and destination as they stood: `shop/np-…-0 (10.0.0.5, node-1)`.
    pub endpoints: Endpoints,
    /// True for a pass on a CNI that doesn't enforce.
    pub proves_nothing: bool,
    /// From the step's first round to the sighting that decided the case.
    #[serde(rename = "tookMs", with = "milliseconds")]
    pub took: Duration,
}

impl CaseOutcome {
    /// For a case that no round has asked.
    pub fn without_rounds(judgement: Judgement) -> Self {
        Self {
            judgement,
            cause: None,
            seen: None,
            controls: Controls::default(),
            history: Vec::new(),
            latency: None,
            latency_error: None,
            endpoints: Endpoints::default(),
            proves_nothing: false,
            took: Duration::ZERO,
        }
    }
}

/// Who spoke with whom, as they stood in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The source pod, its address and node.
    pub source: String,
    /// The destination, its address and, if it is a pod, its node.
    pub destination: String,
    /// Labels of both, for policies to be compared with.
    pub labels: BTreeMap<String, String>,
    /// The address by which the source is met at the other end, where source NAT puts it in
    /// place of its own: as the listener saw it, or where nothing came through, as one saw a
    /// control pod on the source's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_as: Option<IpAddr>,
}
