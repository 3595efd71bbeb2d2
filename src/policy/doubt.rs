//! Why an outcome can't be told.

use std::fmt;

use super::{decision::RuleRef, set::Unread};

/// A corner that Kubernetes leaves to the implementation, or something that isn't known.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doubt {
    /// A pod shares its node's network: it may count as a pod or as its node's address.
    HostNetwork,
    /// An `ipBlock` holds a pod's address, or may hold it: CNIs differ on whether it counts.
    BlockOnPod(RuleRef),
    /// An `ipBlock` holds a Service's address, or that of an endpoint behind it.
    BlockOnService(RuleRef),
    /// A named port beside an `ipBlock`: which pod would give the name its number?
    NamedPortWithBlock(RuleRef),
    /// ICMP: a NetworkPolicy isolates the pod, and says nothing about ICMP.
    Icmp,
    /// A pod to its own node, which its egress policies don't allow; or the other way
    /// round, where the pod's node isn't known.
    OwnNode,
    /// A pod to itself through a Service.
    Hairpin,
    /// Policies of one tier and priority match and disagree.
    Tie(Vec<RuleRef>),
    /// A pod's address isn't known, and the rule goes by addresses.
    UnknownAddress(RuleRef),
    /// A pod's node isn't known, and the rule goes by nodes.
    UnknownNode(RuleRef),
    /// Nobody knows which addresses the names of a rule stand for.
    DomainName(RuleRef),
    /// `domainNames` in a rule that doesn't accept, which isn't defined.
    DomainNameAction(RuleRef),
    /// The host's addresses aren't known, and the rule goes by addresses.
    UnknownHost(RuleRef),
    /// An address may belong to something that may not be read.
    Unread(Unread),
    /// Other kinds of policy may decide, too: their names.
    Foreign(Vec<String>),
}

impl Doubt {
    /// The rule that it is about, where it is about one.
    pub fn rule(&self) -> Option<&RuleRef> {
        match self {
            Self::BlockOnPod(rule)
            | Self::BlockOnService(rule)
            | Self::NamedPortWithBlock(rule)
            | Self::UnknownAddress(rule)
            | Self::UnknownNode(rule)
            | Self::DomainName(rule)
            | Self::DomainNameAction(rule)
            | Self::UnknownHost(rule) => Some(rule),
            Self::HostNetwork
            | Self::Icmp
            | Self::OwnNode
            | Self::Hairpin
            | Self::Tie(_)
            | Self::Unread(_)
            | Self::Foreign(_) => None,
        }
    }

    /// A word for machines.
    pub fn word(&self) -> &'static str {
        match self {
            Self::HostNetwork => "hostNetwork",
            Self::BlockOnPod(_) => "ipBlockOnPod",
            Self::BlockOnService(_) => "ipBlockOnService",
            Self::NamedPortWithBlock(_) => "namedPortWithIpBlock",
            Self::Icmp => "icmp",
            Self::OwnNode => "ownNode",
            Self::Hairpin => "hairpin",
            Self::Tie(_) => "equalPriority",
            Self::UnknownAddress(_) => "unknownAddress",
            Self::UnknownNode(_) => "unknownNode",
            Self::DomainName(_) => "domainName",
            Self::DomainNameAction(_) => "domainNameAction",
            Self::UnknownHost(_) => "unknownHost",
            Self::Unread(_) => "unread",
            Self::Foreign(_) => "otherPolicies",
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HostNetwork => {
                "one end shares its node's network; whether policies treat it as a pod or as its \
                 node's address is up to the CNI"
            }
            Self::BlockOnPod(_) => "whether an ipBlock counts for a pod's address is up to the CNI",
            Self::BlockOnService(_) => {
                "whether an ipBlock sees a Service's address or the endpoint's is not defined"
            }
            Self::NamedPortWithBlock(_) => {
                "what a named port means beside an ipBlock is not defined"
            }
            Self::Icmp => "whether NetworkPolicies apply to ICMP is up to the CNI",
            Self::OwnNode => {
                "traffic between a pod and its own node is let through by some CNIs, whatever the \
                 policies say"
            }
            Self::Hairpin => {
                "whether policies apply to a pod that reaches itself through a Service is up to \
                 the CNI"
            }
            Self::Tie(_) => {
                "policies of the same tier and priority disagree, and their order is not defined"
            }
            Self::UnknownAddress(_) => {
                "the pod's address isn't known, and the rule goes by addresses"
            }
            Self::UnknownNode(_) => "the pod's node isn't known, and the rule goes by nodes",
            Self::DomainName(_) => "which addresses a domain name stands for isn't known",
            Self::DomainNameAction(_) => "domainNames are only defined for Accept rules",
            Self::UnknownHost(_) => {
                "the host's addresses aren't known, and the rule goes by addresses"
            }
            Self::Unread(what) => {
                return write!(f, "the address may be one of the {what}, which may not be read");
            }
            Self::Foreign(names) => {
                return write!(f, "other kinds of policy may decide, too: {}", names.join(", "));
            }
        })
    }
}
