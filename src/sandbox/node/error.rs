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
    /// Settings under `/proc/sys/net`.
    Sysctl,
    /// nf_tables with the expressions that the rules use.
    NfTables,
}

const NO_VETH: &str = "the kernel has no veth devices; load the module (`modprobe veth`) or use a \
                       kernel built with CONFIG_VETH";
const NO_NF_TABLES: &str = "the kernel has no nf_tables; load the modules (`modprobe -a nf_tables \
                            nft_ct nft_nat nft_reject_ipv4 nft_numgen nft_masq`) or use a kernel \
                            built with CONFIG_NF_TABLES, which gVisor and old kernels lack";
const TOO_LONG: &str = "the change is longer than this system lets an ordinary user send at once; \
                        raise the limit (`sysctl -w net.core.wmem_max=4194304`), or run as root";
const NO_SYSCTLS: &str = "the container hides the network's settings under /proc/sys; start it \
                          with `--security-opt systempaths=unconfined` (in a pod: \
                          `procMount: Unmasked`)";
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
            (Need::NfTables, Some(Errno::EMSGSIZE)) => TOO_LONG,
            (Need::Sysctl, Some(Errno::EROFS | Errno::EACCES)) => NO_SYSCTLS,
            (_, Some(Errno::EPERM)) => NOT_PERMITTED,
            _ => return Self::Stage { stage, source },
        };
        Self::Missing { stage, remedy, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lacks_has_a_remedy() {
        for (need, errno, word) in [
            (Need::Veth, Errno::EOPNOTSUPP, "modprobe veth"),
            (Need::NfTables, Errno::EPROTONOSUPPORT, "modprobe -a nf_tables"),
            (Need::NfTables, Errno::ENOENT, "modprobe -a nf_tables"),
            (Need::NfTables, Errno::EMSGSIZE, "net.core.wmem_max"),
            (Need::Sysctl, Errno::EROFS, "systempaths=unconfined"),
            (Need::Nothing, Errno::EPERM, "apparmor_restrict_unprivileged_userns=0"),
        ] {
            let error = Error::at("wire pod 10.0.0.1", need, errno.into()).to_string();
            assert!(error.starts_with("wire pod 10.0.0.1: "), "{need:?} {errno}: {error}");
            assert!(error.contains(word), "{need:?} {errno}: {error}");
        }
        let error = Error::at("wire pod 10.0.0.1", Need::Veth, Errno::EEXIST.into());
        assert_eq!(error.to_string(), "wire pod 10.0.0.1", "no remedy is known");
    }
}
