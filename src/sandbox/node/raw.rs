//! The system calls that have no safe wrapper: fork, capabilities, and what a child does
//! between fork and exec.
#![allow(unsafe_code)]

use std::{
    ffi::{CStr, CString},
    fs, io,
    os::{fd::AsFd, unix::process::CommandExt as _},
    process::Command,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    libc,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        stat::Mode,
    },
    unistd::{self, ForkResult, Pid},
};

use super::settings;

/// The two sides of a fork.
pub(in crate::sandbox) enum Side {
    /// The process that forked, with its child.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks a process that has no other thread.
///
/// # Errors
/// Also when there is another thread, for a lock that it holds would stay locked in the
/// child for ever.
pub(in crate::sandbox) fn fork() -> io::Result<Side> {
    let status = fs::read_to_string("/proc/self/status")?;
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    if threads.map(str::trim) != Some("1") {
        return Err(io::Error::other("only a process with a single thread can fork"));
    }
    // SAFETY: the process has no other thread, so the child may do all that the parent may.
    match unsafe { unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Side::Parent(child)),
        ForkResult::Child => Ok(Side::Child),
    }
}

/// Ends the process at once, whatever its other threads do.
pub(in crate::sandbox) fn exit_now(code: i32) -> ! {
    // SAFETY: has no preconditions; nothing of this process is used afterwards.
    unsafe { libc::_exit(code) }
}

/// What the child of [`confine`] needs, made before the fork, since the child can't allocate.
struct Confinement {
    /// What stands in each of [`ETC`].
    texts: [CString; 2],
    /// The host has not all of them to mount over.
    hide_etc: bool,
    /// The capabilities that stay.
    keep: u32,
}

/// The files of its own that a program has: where it reads each, and where it is made.
const ETC: [(&CStr, &CStr); 2] =
    [(c"/etc/resolv.conf", c"/proc/resolv.conf"), (c"/etc/hosts", c"/proc/hosts")];

/// Makes a command start inside a network namespace, with its own `/etc/resolv.conf` and
/// `/etc/hosts`, without any capability, and unable to get one back. Only where low ports
/// can't be opened to everybody it keeps the one to listen there.
pub(super) fn confine(
    command: &mut Command,
    network: impl AsFd + Send + Sync + 'static,
    [resolv_conf, hosts]: [&str; 2],
) -> io::Result<()> {
    let texts = [CString::new(resolv_conf)?, CString::new(hosts)?];
    let hide_etc =
        ["/etc/resolv.conf", "/etc/hosts"].iter().any(|file| fs::metadata(file).is_err());
    let keep = if settings::are_closed() { 1 << CAP_NET_BIND_SERVICE } else { 0 };
    let confinement = Confinement { texts, hide_etc, keep };
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls
    // are allowed. It makes system calls alone: every string in it is a C string, so that
    // nix's wrappers need not allocate, and errors are plain numbers.
    unsafe {
        command.pre_exec(move || {
            setns(network.as_fd(), CloneFlags::CLONE_NEWNET)?;
            confinement.mount_etc()?;
            let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
            setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
            keep_capabilities(confinement.keep)?;
            prctl::set_no_new_privs()?;
            Ok(())
        });
    }
    Ok(())
}

const NONE: Option<&CStr> = None;

impl Confinement {
    /// Mounts files that only this process sees, and leaves no other trace.
    fn mount_etc(&self) -> Result<(), Errno> {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, c"/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)?;
        // The files need a file system of their own to be mounted from. It stands where no
        // such file can be reached through, and goes when they are in their places.
        let stage = if self.hide_etc { c"/etc" } else { c"/proc" };
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some(c"tmpfs"), stage, Some(c"tmpfs"), flags, Some(c"mode=0755"))?;
        for ((place, staged), text) in ETC.iter().zip(&self.texts) {
            let file = if self.hide_etc { *place } else { *staged };
            let created = open(
                file,
                OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC,
                Mode::from_bits_truncate(0o644),
            )?;
            let text = text.as_bytes();
            if unistd::write(&created, text)? != text.len() {
                return Err(Errno::EIO);
            }
            drop(created);
            if !self.hide_etc {
                mount(Some(file), *place, NONE, MsFlags::MS_BIND, NONE)?;
            }
        }
        if !self.hide_etc {
            umount2(stage, MntFlags::MNT_DETACH)?;
        }
        Ok(())
    }
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct CapabilityData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The capability to listen on ports below 1024; see capabilities(7).
const CAP_NET_BIND_SERVICE: u32 = 10;

/// Drops every capability but those of a mask from every set, the bounding set first: without
/// it, executing a file as user 0 would give all of them back.
fn keep_capabilities(keep: u32) -> Result<(), Errno> {
    const VERSION_3: u32 = 0x2008_0522;
    let kept = |capability: u32| keep.checked_shr(capability).is_some_and(|bits| bits & 1 == 1);
    for capability in (0..64).filter(|capability| !kept(*capability)) {
        // SAFETY: takes a number and no pointer.
        let dropped = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, u64::from(capability), 0, 0, 0) };
        match Errno::result(dropped) {
            Ok(_) => {}
            // The kernel knows no capability from here on.
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    // SAFETY: takes numbers and no pointer.
    Errno::result(unsafe {
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    })?;
    let header = CapabilityHeader { version: VERSION_3, pid: 0 };
    let low = CapabilityData { effective: keep, permitted: keep, inheritable: keep };
    let high = CapabilityData { effective: 0, permitted: 0, inheritable: 0 };
    let sets = [low, high];
    // SAFETY: version 3 reads one header and two data blocks, which both outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, sets.as_ptr()) })?;
    // What is ambient passes through the execution of a file by another user than 0, too.
    for capability in (0..u32::BITS).filter(|capability| kept(*capability)) {
        let (raise, capability) = (libc::PR_CAP_AMBIENT_RAISE, u64::from(capability));
        // SAFETY: takes numbers and no pointer.
        Errno::result(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, capability, 0, 0) })?;
    }
    Ok(())
}
