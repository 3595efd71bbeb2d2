//! The settings of a network namespace, those under `/proc/sys/net`.
//!
//! The runtime of a container without more rights than usual mounts `/proc/sys` for reading
//! alone, and lets nobody mount another. What the sandbox needs has a second way then: IPv4's
//! forwarding by netlink, low ports by a capability. IPv6's forwarding is one switch for a
//! whole namespace, and has none.

use std::{collections::BTreeMap, fs, io, path::PathBuf, sync::LazyLock};

use nix::{
    errno::Errno,
    sys::statvfs::{FsFlags, statvfs},
};

use super::{Error, error::Need};

/// From which port on anybody may listen.
const LOW_PORTS: &str = "net.ipv4.ip_unprivileged_port_start";
/// IPv6's forwarding.
const FORWARD_IPV6: &str = "net.ipv6.conf.all.forwarding";

/// Why a sandbox can't have IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoIpv6 {
    /// The kernel has none.
    #[error("the kernel has no IPv6")]
    Kernel,
    /// The kernel has it, and the container doesn't let its forwarding be turned on.
    #[error("the container hides the network's settings under /proc/sys, IPv6's among them")]
    Container,
}

impl NoIpv6 {
    /// What gives the sandbox IPv6.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Kernel => "boot it without `ipv6.disable=1`",
            Self::Container => {
                "start it with `--security-opt systempaths=unconfined` (in a pod: `procMount: \
                 Unmasked`)"
            }
        }
    }
}

/// Fails where a sandbox can't have IPv6.
///
/// # Errors
/// Why it can't.
pub fn has_ipv6() -> Result<(), NoIpv6> {
    if !file(FORWARD_IPV6).exists() {
        Err(NoIpv6::Kernel)
    } else if are_closed() {
        Err(NoIpv6::Container)
    } else {
        Ok(())
    }
}

/// Whether the settings can be read and not written: what a process needs of them it must
/// have as a capability.
pub(super) fn are_closed() -> bool {
    static CLOSED: LazyLock<bool> = LazyLock::new(|| {
        statvfs(&file(LOW_PORTS)).is_ok_and(|mount| mount.flags().contains(FsFlags::ST_RDONLY))
    });
    *CLOSED
}

/// Lets the calling thread's namespace forward IPv6, and IPv4 whatever way leads back to
/// where a packet comes from. What comes by which link [`wiring::forward`] says.
///
/// [`wiring::forward`]: super::wiring::forward
pub(super) fn forward(with_ipv6: bool) -> Result<(), Error> {
    /// A packet must come by the very link that leads back.
    const STRICT: &str = "1";
    // Inherited from the host. The stricter of this and the link's own counts.
    let all_links = "net.ipv4.conf.all.rp_filter";
    match set(all_links, "0") {
        Err(error) if is_closed(&error) && read(all_links)? != STRICT => {}
        done => done.map_err(failed(all_links))?,
    }
    if with_ipv6 {
        set(FORWARD_IPV6, "1").map_err(failed(FORWARD_IPV6))?;
    }
    // Pods on a node's network listen on its low ports as root would, without its rights.
    set_where_open(LOW_PORTS, "0").map_err(failed(LOW_PORTS))
}

/// Lets links that are made in the calling thread's namespace from now on have IPv6
/// addresses, or none. They have those that they are given and make up none of their own.
pub(super) fn ipv6(on: bool) {
    // A kernel without IPv6 has no such settings; the first address will tell.
    if on {
        const NONE: &str = "1";
        for (name, value) in [
            ("net.ipv6.conf.all.disable_ipv6", "0"),
            ("net.ipv6.conf.default.disable_ipv6", "0"),
            ("net.ipv6.conf.default.addr_gen_mode", NONE),
        ] {
            let _ = set(name, value);
        }
    } else {
        let _ = set("net.ipv6.conf.default.disable_ipv6", "1");
    }
}

/// Sets what a pod asks for. The groups that may ping are all that the user namespace has.
/// Where no setting can be written the pod goes without: low ports are its capability, and
/// what can't ping says so.
pub(super) fn of_pod(sysctls: &BTreeMap<String, String>, stage: &str) -> Result<(), Error> {
    for (name, value) in sysctls {
        let set = match set_where_open(name, value) {
            Err(error)
                if name == "net.ipv4.ping_group_range"
                    && error.raw_os_error() == Some(Errno::EINVAL as i32) =>
            {
                set(name, "0 0")
            }
            done => done,
        };
        set.map_err(|source| Error::at(format!("{stage}: set {name}"), Need::Sysctl, source))?;
    }
    Ok(())
}

fn set_where_open(name: &str, value: &str) -> io::Result<()> {
    match set(name, value) {
        Err(error) if is_closed(&error) => Ok(()),
        done => done,
    }
}

/// Sets a sysctl of the calling thread's network namespace, named as by `sysctl`.
fn set(name: &str, value: &str) -> io::Result<()> {
    let path = file(name);
    // Not every file system lets one open with truncation what is already right.
    if fs::read_to_string(&path)
        .is_ok_and(|now| now.split_whitespace().eq(value.split_whitespace()))
    {
        return Ok(());
    }
    fs::write(path, value)
}

fn read(name: &str) -> Result<String, Error> {
    let text = fs::read_to_string(file(name)).map_err(failed(name))?;
    Ok(text.trim().to_owned())
}

fn file(name: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(name.replace('.', "/"))
}

fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EROFS as i32)
}

fn failed(name: &str) -> impl Fn(io::Error) -> Error {
    move |source| Error::at(format!("set {name}"), Need::Sysctl, source)
}
