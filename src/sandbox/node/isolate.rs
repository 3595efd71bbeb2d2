//! Leaving the host: the namespaces that the whole sandbox lives in.
//!
//! Root needs no user namespace. An ordinary user gets one, and in it all capabilities
//! over what is made inside; so does a root that its container left without capabilities.

use std::{fs, io};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    unistd::{getegid, geteuid},
};

/// The kernel lets this process have no namespaces.
#[derive(Debug, thiserror::Error)]
pub enum IsolateError {
    /// A step was refused for a reason that is known.
    #[error("{stage}: {remedy}")]
    Denied {
        /// What was refused.
        stage: &'static str,
        /// Why, and how to allow it.
        remedy: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// A step failed.
    #[error("{stage}")]
    Failed {
        /// What failed.
        stage: &'static str,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
}

/// What the host says about user namespaces, as far as it says anything.
#[derive(Debug, Default)]
struct Host {
    /// `user.max_user_namespaces`
    max_user_namespaces: Option<String>,
    /// `kernel.unprivileged_userns_clone`, of Debian's and Arch's kernels.
    unprivileged_userns_clone: Option<String>,
    /// `kernel.apparmor_restrict_unprivileged_userns`, of Ubuntu's.
    apparmor_restrict: Option<String>,
    /// This process is under a seccomp filter, as containers are.
    seccomp: bool,
    /// This process is root without the capability that mapping root takes.
    crippled_root: bool,
}

const USER_STAGE: &str = "create a user namespace";
const MAP_STAGE: &str = "map this user into its user namespace";
const OTHER_STAGE: &str = "create network, mount and process namespaces";

/// Moves this process into namespaces of its own, and its next child into a new process
/// namespace. The process must have a single thread.
pub(in crate::sandbox) fn leave_the_host() -> Result<(), IsolateError> {
    let others = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    // Looked at before anything changes: a user namespace shows all capabilities.
    let host = Host::look();
    let refused = |stage, errno| refused(stage, errno, &host);
    if !(geteuid().is_root() && has_capabilities(NEEDED_OF_ROOT)) {
        let (user, group) = (geteuid(), getegid());
        unshare(CloneFlags::CLONE_NEWUSER).map_err(|errno| refused(USER_STAGE, errno))?;
        map_ids(user.as_raw(), group.as_raw()).map_err(|errno| refused(MAP_STAGE, errno))?;
    }
    unshare(others).map_err(|errno| refused(OTHER_STAGE, errno))?;
    // What is mounted from here on is nobody else's business.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>)
        .map_err(|errno| refused("make the mounts private", errno))
}

/// Mounts `/proc` for the process namespace that this process is the first of. Where the
/// host hides parts of its own from a container, the old one stays: all that is needed of
/// it works by whichever.
pub(in crate::sandbox) fn mount_proc() {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    if let Err(errno) = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>) {
        tracing::debug!(%errno, "keeping the host's /proc");
    }
}

/// To administer what the system, its network and its processes may do.
const NEEDED_OF_ROOT: u64 = 1 << 21 | 1 << 12 | 1 << 8;
/// To give files capabilities, and so to map root.
const SETFCAP: u64 = 1 << 31;

/// Whether the effective capabilities hold all of these.
fn has_capabilities(needed: u64) -> bool {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        })
        .is_some_and(|mask| mask & needed == needed)
}

/// Maps this one user and group to root; a process may do so for itself.
fn map_ids(user: u32, group: u32) -> Result<(), Errno> {
    let write = |file: &str, text: String| {
        fs::write(file, text)
            .map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    };
    // Without this one, a process could leave a group that is denied something.
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("0 {user} 1"))?;
    write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn refused(stage: &'static str, errno: Errno, host: &Host) -> IsolateError {
    let source = io::Error::from(errno);
    match remedy(stage, errno, host) {
        Some(remedy) => IsolateError::Denied { stage, remedy, source },
        None => IsolateError::Failed { stage, source },
    }
}

impl Host {
    fn look() -> Self {
        let sysctl =
            |path: &str| fs::read_to_string(path).ok().map(|value| value.trim().to_owned());
        Self {
            max_user_namespaces: sysctl("/proc/sys/user/max_user_namespaces"),
            unprivileged_userns_clone: sysctl("/proc/sys/kernel/unprivileged_userns_clone"),
            apparmor_restrict: sysctl("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"),
            seccomp: fs::read_to_string("/proc/self/status").is_ok_and(|status| {
                status
                    .lines()
                    .find_map(|line| line.strip_prefix("Seccomp:"))
                    .is_some_and(|mode| mode.trim() != "0")
            }),
            crippled_root: geteuid().is_root() && !has_capabilities(SETFCAP),
        }
    }
}

/// Why the kernel refused, and how to make it not to; one message for each cause.
fn remedy(stage: &str, errno: Errno, host: &Host) -> Option<&'static str> {
    let is = |value: &Option<String>, wanted: &str| value.as_deref() == Some(wanted);
    match errno {
        Errno::ENOSPC | Errno::EUSERS if is(&host.max_user_namespaces, "0") => Some(
            "user namespaces are turned off; `sysctl -w user.max_user_namespaces=10000` turns \
             them on, or run as root",
        ),
        Errno::ENOSPC | Errno::EUSERS => Some(
            "this machine has no namespaces left for this user; end what holds them, or raise \
             the limits under /proc/sys/user",
        ),
        Errno::EINVAL | Errno::ENOSYS => Some(
            "the kernel lacks namespaces; one with CONFIG_USER_NS, CONFIG_NET_NS and \
             CONFIG_PID_NS is needed (as root, without CONFIG_USER_NS)",
        ),
        Errno::EPERM | Errno::EACCES if is(&host.unprivileged_userns_clone, "0") => Some(
            "only root may make user namespaces here; `sysctl -w \
             kernel.unprivileged_userns_clone=1` lets every user, or run as root",
        ),
        Errno::EPERM if stage == MAP_STAGE && host.crippled_root => Some(
            "a root without capabilities can have no user namespace; run as another user, or \
             let the container keep CAP_SETFCAP",
        ),
        // Ubuntu lets the namespace be made and takes its capabilities away.
        Errno::EPERM | Errno::EACCES
            if is(&host.apparmor_restrict, "1") || (stage != USER_STAGE && !host.seccomp) =>
        {
            Some(
                "AppArmor keeps ordinary users' namespaces from being used; `sysctl -w \
                 kernel.apparmor_restrict_unprivileged_userns=0` lifts that, or run as root",
            )
        }
        Errno::EPERM | Errno::EACCES if host.seccomp => Some(
            "this container's seccomp profile or capabilities forbid namespaces; start it with \
             `--security-opt seccomp=unconfined` (and on Ubuntu `--security-opt \
             apparmor=unconfined`), or with `--privileged`",
        ),
        Errno::EPERM | Errno::EACCES => Some(
            "this user may not make user namespaces; allow them (a chroot or a security module \
             may be what forbids them), or run as root",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_own_remedy() {
        let zero = || Some("0".to_owned());
        let one = || Some("1".to_owned());
        for (case, stage, errno, host, word) in [
            (
                "user namespaces off",
                USER_STAGE,
                Errno::ENOSPC,
                Host { max_user_namespaces: zero(), ..Host::default() },
                "sysctl -w user.max_user_namespaces=10000",
            ),
            ("limit reached", USER_STAGE, Errno::ENOSPC, Host::default(), "no namespaces left"),
            (
                "Debian's switch",
                USER_STAGE,
                Errno::EPERM,
                Host { unprivileged_userns_clone: zero(), ..Host::default() },
                "kernel.unprivileged_userns_clone=1",
            ),
            (
                "Ubuntu's restriction, as its switch says",
                MAP_STAGE,
                Errno::EPERM,
                Host { apparmor_restrict: one(), ..Host::default() },
                "kernel.apparmor_restrict_unprivileged_userns=0",
            ),
            (
                "Ubuntu's restriction, by its symptom alone",
                MAP_STAGE,
                Errno::EACCES,
                Host::default(),
                "kernel.apparmor_restrict_unprivileged_userns=0",
            ),
            (
                "a container",
                USER_STAGE,
                Errno::EPERM,
                Host { seccomp: true, ..Host::default() },
                "seccomp=unconfined",
            ),
            (
                "a container whose root has lost everything",
                MAP_STAGE,
                Errno::EPERM,
                Host { crippled_root: true, ..Host::default() },
                "CAP_SETFCAP",
            ),
            ("a chroot", USER_STAGE, Errno::EPERM, Host::default(), "run as root"),
            ("an old kernel", USER_STAGE, Errno::EINVAL, Host::default(), "CONFIG_USER_NS"),
        ] {
            let found = remedy(stage, errno, &host).unwrap_or("none");
            assert!(found.contains(word), "{case}: {found}");
        }
        assert_eq!(remedy(USER_STAGE, Errno::ENOMEM, &Host::default()), None, "out of memory");
    }
}
