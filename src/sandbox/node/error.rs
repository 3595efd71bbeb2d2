//! Why a namespace, a link or a rule could not be made, and what to do about it.

use std::io;

use nix::errno::Errno;

/// A step of building the sandbox's network failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No node has this name.
    #[error("the sandbox has no node `{0}`")]
    UnknownNode(String),
    /// A pod's sysctl is none of those that a network namespace has of its own.
    #[error("sysctl `{0}` is not one that a pod's network has of its own")]
    Sysctl(String),
    /// The kernel refused a step.
    #[error("{stage}")]
    Stage {
        /// What was being done, with the name of its object.
        stage: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel lacks what a step needs.
    #[error("{stage}: {remedy}")]
    Missing {
        /// What was being done, with the name of its object.
        stage: String,
        /// What is missing, and how to turn it on.
        remedy: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// What a step needs of the kernel beyond what every Linux has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sandbox) enum Need {
    /// Nothing in particular.
    Nothing,
    /// Virtual Ethernet pairs.
    Veth,
    /// nf_tables with the expressions that the rules use.
    NfTables,
}

const NO_VETH: &str = "the kernel has no veth devices; load the module (`modprobe veth`) or use a \
                       kernel built with CONFIG_VETH";
const NO_NF_TABLES: &str = "the kernel has no nf_tables; load the modules (`modprobe -a nf_tables \
                            nft_ct nft_nat nft_reject_ipv4 nft_numgen nft_masq`) or use a kernel \
                            built with CONFIG_NF_TABLES, which gVisor and old kernels lack";
const NOT_PERMITTED: &str = "the kernel lets this user make a namespace but not use it; on Ubuntu \
                             `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0` allows it, \
                             or run as root";

impl Error {
    /// Names the stage of an error, and the remedy where the errno tells one.
    pub(in crate::sandbox) fn at(stage: impl Into<String>, need: Need, source: io::Error) -> Self {
        let stage = stage.into();
        let errno = source.raw_os_error().map(Errno::from_raw);
        let remedy = match (need, errno) {
            (Need::Veth, Some(Errno::EOPNOTSUPP)) => NO_VETH,
            (
                Need::NfTables,
                Some(
                    Errno::EOPNOTSUPP
                    | Errno::EPROTONOSUPPORT
                    | Errno::ENOPROTOOPT
                    | Errno::EAFNOSUPPORT
                    | Errno::ENOENT,
                ),
            ) => NO_NF_TABLES,
            (Need::Veth | Need::NfTables, Some(Errno::EPERM)) => NOT_PERMITTED,
            _ => return Self::Stage { stage, source },
        };
        Self::Missing { stage, remedy, source }
    }
}
