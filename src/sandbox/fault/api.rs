//! Faults of the API server, as clients meet them.

use std::{fmt, time::Duration};

use super::{
    Family, FaultError, Share,
    value::{bare, duration, pair, text, write_duration},
};

/// One way in which the API is not there for its clients. Controllers, which live in the
/// same process, don't meet those that are about requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiFault {
    /// Requests are answered 429, to be tried again after a second.
    TooManyRequests(Share),
    /// Requests are answered 500.
    InternalError(Share),
    /// Requests are answered 503, as while a server starts.
    Unavailable(Share),
    /// The connections of requests are cut before an answer.
    Drop(Share),
    /// Requests wait before they are handled.
    Slow {
        /// How long.
        delay: Duration,
        /// Which.
        share: Share,
    },
    /// Watches end after this time, whatever the client asked for.
    WatchEnd(Duration),
    /// Watches that resume at a version are told that it is too old: 410.
    WatchExpire,
    /// Exec streams are cut after this time, without a status.
    ExecCut(Duration),
    /// A webhook denies new pods, with this reason.
    DenyPods(String),
    /// A webhook sets this label on new pods.
    LabelPods {
        /// The label's key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A webhook adds a proxy to new pods, through which all their TCP goes, as service meshes
    /// do.
    InjectSidecar,
}

impl Family for ApiFault {
    const NAMES: &'static [&'static str] = &[
        "api-429[=SHARE]",
        "api-500[=SHARE]",
        "api-503[=SHARE]",
        "api-drop[=SHARE]",
        "api-slow=DURATION[,SHARE]",
        "watch-end=DURATION",
        "watch-expire",
        "exec-cut=DURATION",
        "deny-pods=REASON",
        "label-pods=KEY:VALUE",
        "inject-sidecar",
    ];

    fn read(name: &str, value: Option<&str>) -> Option<Result<Self, FaultError>> {
        Some(match name {
            "api-429" => Share::read(value, "api-429=20%").map(Self::TooManyRequests),
            "api-500" => Share::read(value, "api-500=20%").map(Self::InternalError),
            "api-503" => Share::read(value, "api-503=20%").map(Self::Unavailable),
            "api-drop" => Share::read(value, "api-drop=20%").map(Self::Drop),
            "api-slow" => slow(value),
            "watch-end" => duration(value, "watch-end=5s").map(Self::WatchEnd),
            "watch-expire" => bare(Self::WatchExpire, name, value),
            "exec-cut" => duration(value, "exec-cut=3s").map(Self::ExecCut),
            "deny-pods" => text(value, "reason", "deny-pods=no more pods").map(Self::DenyPods),
            "label-pods" => {
                let label = pair(value, ':', "label", "label-pods=mesh:on");
                label.map(|(key, value)| Self::LabelPods { key, value })
            }
            "inject-sidecar" => bare(Self::InjectSidecar, name, value),
            _ => return None,
        })
    }
}

fn slow(value: Option<&str>) -> Result<ApiFault, FaultError> {
    const EXAMPLE: &str = "api-slow=2s,20%";
    let value = value.unwrap_or_default();
    let (delay, share) = match value.split_once(',') {
        Some((delay, share)) => (delay, Some(share)),
        None => (value, None),
    };
    Ok(ApiFault::Slow {
        delay: duration(Some(delay), EXAMPLE)?,
        share: Share::read(share, EXAMPLE)?,
    })
}

impl fmt::Display for ApiFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = |f: &mut fmt::Formatter<'_>, name: &str, sign: char, share: &Share| {
            f.write_str(name)?;
            if *share == Share::ALL { Ok(()) } else { write!(f, "{sign}{share}") }
        };
        match self {
            Self::TooManyRequests(share) => shared(f, "api-429", '=', share),
            Self::InternalError(share) => shared(f, "api-500", '=', share),
            Self::Unavailable(share) => shared(f, "api-503", '=', share),
            Self::Drop(share) => shared(f, "api-drop", '=', share),
            Self::Slow { delay, share } => {
                shared(f, &format!("api-slow={}", write_duration(*delay)), ',', share)
            }
            Self::WatchEnd(after) => write!(f, "watch-end={}", write_duration(*after)),
            Self::WatchExpire => f.write_str("watch-expire"),
            Self::ExecCut(after) => write!(f, "exec-cut={}", write_duration(*after)),
            Self::DenyPods(reason) => write!(f, "deny-pods={reason}"),
            Self::LabelPods { key, value } => write!(f, "label-pods={key}:{value}"),
            Self::InjectSidecar => f.write_str("inject-sidecar"),
        }
    }
}
