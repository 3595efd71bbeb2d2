//! What an attempt's error means: the kernel's error queue tells a rejection from a dead
//! route where the errno alone does not.

use std::{io, os::fd::AsRawFd};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg},
};

use crate::wire::{AttemptOutcome, Outcome};

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// RST in answer to a SYN, or ICMP port unreachable.
    Refused,
    /// ICMP administratively prohibited, type and code.
    Prohibited(u8, u8),
    /// ICMP unreachable, or no local route.
    NoRoute(String),
    /// Reset after the handshake.
    Reset,
    /// The agent's own kernel refused.
    Failed(String),
    /// The kernel itself gave up waiting.
    TimedOut,
    /// This pod can't speak the protocol.
    Unsupported(String),
}

impl Failure {
    /// Without detail.
    pub fn attempt(&self) -> AttemptOutcome {
        match self {
            Self::Refused => AttemptOutcome::Refused,
            Self::Prohibited(..) => AttemptOutcome::Prohibited,
            Self::NoRoute(_) => AttemptOutcome::NoRoute,
            Self::Reset => AttemptOutcome::Reset,
            Self::Failed(_) | Self::Unsupported(_) => AttemptOutcome::Failed,
            Self::TimedOut => AttemptOutcome::TimedOut,
        }
    }

    /// With detail.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Refused => Outcome::Refused,
            Self::Prohibited(kind, code) => Outcome::Prohibited { code: format!("{kind}/{code}") },
            Self::NoRoute(message) => Outcome::NoRoute { message },
            Self::Reset => Outcome::Reset,
            Self::Failed(message) => Outcome::Failed { message },
            Self::TimedOut => Outcome::TimedOut,
            Self::Unsupported(message) => Outcome::Unsupported { message },
        }
    }

    /// How telling it is: a reset means that a handshake was completed before it.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Unsupported(_) => 6,
            Self::Reset => 5,
            Self::Prohibited(..) => 4,
            Self::Refused => 3,
            Self::NoRoute(_) => 2,
            Self::Failed(_) => 1,
            Self::TimedOut => 0,
        }
    }

    /// Takes the first ICMP error from a socket's queue, or else the errno.
    pub fn read(socket: &impl AsRawFd, error: &io::Error) -> Self {
        queued(socket).unwrap_or_else(|| Self::from_errno(error))
    }

    /// By errno alone.
    pub fn from_errno(error: &io::Error) -> Self {
        let message = describe(error);
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => Self::Refused,
            Some(Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EHOSTDOWN | Errno::ENONET) => {
                Self::NoRoute(message)
            }
            Some(Errno::ECONNRESET | Errno::EPIPE) => Self::Reset,
            Some(Errno::ETIMEDOUT) => Self::TimedOut,
            _ => Self::Failed(message),
        }
    }

    /// By ICMP type and code: RFC 792, 1122 and 1812 for IPv4, RFC 4443 for IPv6. `None`
    /// for what doesn't end an attempt.
    fn from_icmp(v6: bool, kind: u8, code: u8) -> Option<Self> {
        match (v6, kind, code) {
            (false, 3, 2 | 3) | (true, 1, 4) => Some(Self::Refused),
            (false, 3, 9 | 10 | 13) | (true, 1, 1 | 5 | 6) => Some(Self::Prohibited(kind, code)),
            // "Fragmentation needed" and "packet too big".
            (false, 3, 4) | (true, 2, _) => None,
            (false, 3 | 11, _) => Some(Self::NoRoute(format!("ICMP {kind}/{code}"))),
            (true, 1 | 3, _) => Some(Self::NoRoute(format!("ICMPv6 {kind}/{code}"))),
            _ => None,
        }
    }
}

fn queued(socket: &impl AsRawFd) -> Option<Failure> {
    // The queue holds an entry for each message; a few are enough to find the first ICMP.
    for _ in 0..8 {
        let mut control =
            cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6, libc::sock_extended_err);
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let message =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut [], Some(&mut control), flags)
                .ok()?;
        let failure = message.cmsgs().ok()?.find_map(|message| match message {
            ControlMessageOwned::Ipv4RecvErr(error, _)
                if error.ee_origin == libc::SO_EE_ORIGIN_ICMP =>
            {
                Failure::from_icmp(false, error.ee_type, error.ee_code)
            }
            ControlMessageOwned::Ipv6RecvErr(error, _)
                if error.ee_origin == libc::SO_EE_ORIGIN_ICMP6 =>
            {
                Failure::from_icmp(true, error.ee_type, error.ee_code)
            }
            _ => None,
        });
        if failure.is_some() {
            return failure;
        }
    }
    None
}

/// An error with its errno's name, as `ENETUNREACH: Network is unreachable`.
fn describe(error: &io::Error) -> String {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => errno.to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icmp_says_why_traffic_ended() {
        let route = |text: &str| Some(Failure::NoRoute(text.into()));
        for (v6, kind, code, expected) in [
            (false, 3, 0, route("ICMP 3/0")),
            (false, 3, 1, route("ICMP 3/1")),
            (false, 3, 2, Some(Failure::Refused)),
            (false, 3, 3, Some(Failure::Refused)),
            (false, 3, 4, None),
            (false, 3, 9, Some(Failure::Prohibited(3, 9))),
            (false, 3, 10, Some(Failure::Prohibited(3, 10))),
            (false, 3, 13, Some(Failure::Prohibited(3, 13))),
            (false, 11, 0, route("ICMP 11/0")),
            (true, 1, 0, route("ICMPv6 1/0")),
            (true, 1, 1, Some(Failure::Prohibited(1, 1))),
            (true, 1, 3, route("ICMPv6 1/3")),
            (true, 1, 4, Some(Failure::Refused)),
            (true, 2, 0, None),
        ] {
            assert_eq!(Failure::from_icmp(v6, kind, code), expected, "v6 {v6}, {kind}/{code}");
        }
    }

    #[test]
    fn the_agents_own_kernel_denies_nothing() {
        for (errno, expected) in [
            (libc::ECONNREFUSED, AttemptOutcome::Refused),
            (libc::EHOSTUNREACH, AttemptOutcome::NoRoute),
            (libc::ENETUNREACH, AttemptOutcome::NoRoute),
            (libc::EPERM, AttemptOutcome::Failed),
            (libc::EACCES, AttemptOutcome::Failed),
            (libc::EADDRINUSE, AttemptOutcome::Failed),
            (libc::EMFILE, AttemptOutcome::Failed),
            (libc::ECONNRESET, AttemptOutcome::Reset),
            (libc::ETIMEDOUT, AttemptOutcome::TimedOut),
        ] {
            let error = io::Error::from_raw_os_error(errno);
            assert_eq!(Failure::from_errno(&error).attempt(), expected, "{error}");
        }
    }

    #[test]
    fn of_several_attempts_the_most_telling_counts() {
        let (route, failed) = (Failure::NoRoute(String::new()), Failure::Failed(String::new()));
        for (more, less, why) in [
            (&Failure::Reset, &Failure::Prohibited(3, 13), "somebody took the connection"),
            (&Failure::Reset, &Failure::Refused, "somebody took the connection"),
            (&Failure::Prohibited(3, 13), &Failure::Refused, "it says who refuses"),
            (&Failure::Refused, &route, "it was there"),
            (&route, &failed, "it left the pod"),
            (&failed, &Failure::TimedOut, "it was never sent"),
        ] {
            assert!(more.rank() > less.rank(), "{more:?} over {less:?}: {why}");
        }
    }

    #[test]
    fn a_failure_names_the_errno() {
        let failure = Failure::from_errno(&io::Error::from_raw_os_error(libc::EPERM));
        assert_eq!(failure, Failure::Failed("EPERM: Operation not permitted".into()));
    }
}
