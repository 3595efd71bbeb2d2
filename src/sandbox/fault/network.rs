//! Faults of the CNI, and of the network below it.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Family, Fault, FaultError, Percent, read,
    value::{bare, duration, pair, write_duration},
};

/// One way in which policies are not what the wire does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkFault {
    /// Policies are accepted by the API and change nothing on the wire.
    EnforceNothing,
    /// Ingress rules and isolation are not enforced.
    IgnoreIngress,
    /// Egress rules and isolation are not enforced.
    IgnoreEgress,
    /// Every change of policy reaches the wire this much later.
    Delay(Duration),
    /// This share of the packets between pods is lost, each way.
    Loss(Percent),
    /// Nothing passes between the first and the second node.
    DeadPath,
    /// Nothing passes through a pod's own interface.
    DeadInterface {
        /// The pod's namespace.
        namespace: String,
        /// The pod.
        pod: String,
    },
    /// Denied connections are answered in place of being dropped: TCP with a reset,
    /// everything else with ICMP "administratively prohibited".
    Reject,
}

impl NetworkFault {
    /// Those of this family among `Fault` objects.
    pub fn among(objects: &[Arc<Value>]) -> Vec<Self> {
        let faults = objects.iter().filter_map(|object| Fault::of(object));
        faults
            .filter_map(|fault| match fault {
                Fault::Network(fault) => Some(fault),
                _ => None,
            })
            .collect()
    }
}

impl Family for NetworkFault {
    const NAMES: &'static [&'static str] = &[
        "enforce-nothing",
        "ignore-ingress",
        "ignore-egress",
        "delay=DURATION",
        "loss=PERCENT",
        "dead-path",
        "dead-interface=NAMESPACE/POD",
        "reject",
    ];

    fn read(name: &str, value: Option<&str>) -> Option<Result<Self, FaultError>> {
        Some(match name {
            "enforce-nothing" => bare(Self::EnforceNothing, name, value),
            "ignore-ingress" => bare(Self::IgnoreIngress, name, value),
            "ignore-egress" => bare(Self::IgnoreEgress, name, value),
            "delay" => duration(value, "delay=8s").map(Self::Delay),
            "loss" => value.unwrap_or_default().parse().map(Self::Loss),
            "dead-path" => bare(Self::DeadPath, name, value),
            "dead-interface" => {
                let place = pair(value, '/', "namespace and pod", "dead-interface=shop/web");
                place.map(|(namespace, pod)| Self::DeadInterface { namespace, pod })
            }
            "reject" => bare(Self::Reject, name, value),
            _ => return None,
        })
    }
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnforceNothing => f.write_str("enforce-nothing"),
            Self::IgnoreIngress => f.write_str("ignore-ingress"),
            Self::IgnoreEgress => f.write_str("ignore-egress"),
            Self::Delay(delay) => write!(f, "delay={}", write_duration(*delay)),
            Self::Loss(share) => write!(f, "loss={share}"),
            Self::DeadPath => f.write_str("dead-path"),
            Self::DeadInterface { namespace, pod } => write!(f, "dead-interface={namespace}/{pod}"),
            Self::Reject => f.write_str("reject"),
        }
    }
}

impl FromStr for NetworkFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        read(text).unwrap_or_else(|| Err(FaultError::Name(text.to_owned())))
    }
}
