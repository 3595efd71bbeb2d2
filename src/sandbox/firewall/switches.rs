//! The faults of the CNI as switches, each asked about where it changes something.

use std::time::Duration;

use super::policy::Direction;
use crate::{
    model::Transport,
    sandbox::fault::{NetworkFault as Fault, Percent},
};

/// Which faults are on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Switches {
    pub ignore_ingress: bool,
    pub ignore_egress: bool,
    pub reject: bool,
    pub loss: Option<Percent>,
    pub ignore_except: bool,
    pub ignore_end_port: bool,
    pub ignore_named_ports: bool,
    pub ignore_namespace_selector: bool,
    pub ignore_ipblock_pods: bool,
    pub ignore_udp: bool,
    pub ignore_ipv6: bool,
    pub allow_own_namespace: bool,
    pub first_policy_only: bool,
    pub or_selectors: bool,
    pub drop_replies_udp: bool,
    pub cut_established: bool,
    pub service_port: bool,
    pub masquerade: bool,
    pub drop_ports: Vec<(Transport, u16)>,
}

impl Switches {
    /// The switches that are the compiler's; the others are the controller's or the fabric's.
    pub(super) fn of(faults: &[Fault]) -> Self {
        let mut on = Self::default();
        for fault in faults {
            match fault {
                Fault::EnforceNothing => {
                    on.ignore_ingress = true;
                    on.ignore_egress = true;
                }
                Fault::IgnoreIngress => on.ignore_ingress = true,
                Fault::IgnoreEgress => on.ignore_egress = true,
                Fault::Reject => on.reject = true,
                Fault::Loss(share) => on.loss = Some(*share).filter(|share| share.get() > 0),
                Fault::IgnoreExcept => on.ignore_except = true,
                Fault::IgnoreEndPort => on.ignore_end_port = true,
                Fault::IgnoreNamedPorts => on.ignore_named_ports = true,
                Fault::IgnoreNamespaceSelector => on.ignore_namespace_selector = true,
                Fault::IgnoreIpBlockPods => on.ignore_ipblock_pods = true,
                Fault::IgnoreUdp => on.ignore_udp = true,
                Fault::IgnoreIpv6 => on.ignore_ipv6 = true,
                Fault::AllowOwnNamespace => on.allow_own_namespace = true,
                Fault::FirstPolicyOnly => on.first_policy_only = true,
                Fault::OrSelectors => on.or_selectors = true,
                Fault::DropRepliesUdp => on.drop_replies_udp = true,
                Fault::CutEstablished => on.cut_established = true,
                Fault::ServicePort => on.service_port = true,
                Fault::Masquerade => on.masquerade = true,
                Fault::DropPort(transport, number) => on.drop_ports.push((*transport, *number)),
                _ => {}
            }
        }
        on
    }

    /// Whether a direction is enforced at all.
    pub(super) fn enforces(&self, direction: Direction) -> bool {
        !match direction {
            Direction::Ingress => self.ignore_ingress,
            Direction::Egress => self.ignore_egress,
        }
    }
}

/// How long a change of policy is held back, if it is.
pub(in crate::sandbox) fn delay(faults: &[Fault]) -> Duration {
    let delays = faults.iter().filter_map(|fault| match fault {
        Fault::Delay(delay) => Some(*delay),
        _ => None,
    });
    delays.max().unwrap_or_default()
}

/// How long a new pod stays open, if it does.
pub(in crate::sandbox) fn late_isolation(faults: &[Fault]) -> Duration {
    let delays = faults.iter().filter_map(|fault| match fault {
        Fault::LateIsolation(delay) => Some(*delay),
        _ => None,
    });
    delays.max().unwrap_or_default()
}

/// How much later a policy's rules come than its isolation, if they do.
pub(in crate::sandbox) fn late_allows(faults: &[Fault]) -> Duration {
    let delays = faults.iter().filter_map(|fault| match fault {
        Fault::LateAllows(delay) => Some(*delay),
        _ => None,
    });
    delays.max().unwrap_or_default()
}
