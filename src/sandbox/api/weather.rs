//! The API's faults, as requests meet them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    access::Attributes,
    failure::Failure,
    object::Object,
    resource::FAULTS,
    sandbox,
    store::{Event, Store},
};
use crate::sandbox::fault::{ApiFault, Fault, Share};

/// Marks a response in whose place the connection is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut;

/// How often faults with a count have struck.
#[derive(Debug, Default)]
pub(super) struct Weather {
    struck: Mutex<BTreeMap<String, u32>>,
}

/// What a request meets before it is handled.
#[derive(Debug)]
pub(super) enum Meeting {
    /// Nothing, after a while.
    Through(Duration),
    /// An answer that isn't its own.
    Answered(Response),
}

impl Weather {
    /// What a request meets.
    pub(super) fn meet(&self, store: &Store, attributes: &Attributes) -> Meeting {
        let (faults, _) = store.list(&FAULTS, None);
        let mut wait = Duration::ZERO;
        if faults.is_empty() || is_spared(attributes) {
            return Meeting::Through(wait);
        }
        self.forget(&faults);
        for object in &faults {
            let Some(Fault::Api(fault)) = Fault::of(object) else { continue };
            let answer = match fault {
                ApiFault::Slow { delay, share } => {
                    if self.strikes(object, share) {
                        wait += delay;
                    }
                    None
                }
                ApiFault::TooManyRequests(share) => {
                    self.strikes(object, share).then(too_many_requests)
                }
                ApiFault::InternalError(share) => self
                    .strikes(object, share)
                    .then(|| Failure::internal("fault api-500").into_response()),
                ApiFault::Unavailable(share) => self.strikes(object, share).then(unavailable),
                ApiFault::Drop(share) => self.strikes(object, share).then(cut),
                _ => None,
            };
            if let Some(answer) = answer {
                return Meeting::Answered(answer);
            }
        }
        Meeting::Through(wait)
    }

    fn strikes(&self, fault: &Value, share: Share) -> bool {
        match share {
            Share::Percent(percent) => rand::random_range(0..100) < percent.get(),
            Share::Count(count) => {
                let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
                let struck = struck.entry(fault.uid().to_owned()).or_default();
                let strikes = *struck < count;
                *struck = struck.saturating_add(u32::from(strikes));
                strikes
            }
        }
    }

    /// Drops the counts of faults that are over.
    fn forget(&self, faults: &[Arc<Value>]) {
        let mut struck = self.struck.lock().unwrap_or_else(PoisonError::into_inner);
        struck.retain(|uid, _| faults.iter().any(|fault| fault.uid() == uid));
    }
}

/// Whether a request never meets a fault: it must stay possible to end each, and for that
/// a client has to find the kind first.
fn is_spared(attributes: &Attributes) -> bool {
    let own = attributes.group == sandbox::GROUP;
    let is_discovery = !attributes.is_resource
        && ["/api", "/apis", "/openapi"].iter().any(|root| {
            attributes
                .path
                .strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
    own || is_discovery || (attributes.path == "/api/v1" && attributes.verb == "get")
}

fn too_many_requests() -> Response {
    let text = "Too many requests, please try again later.\n";
    let mut response = (StatusCode::TOO_MANY_REQUESTS, text).into_response();
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn unavailable() -> Response {
    let text = "the server is currently unable to handle the request";
    Failure::unavailable(text).into_response()
}

fn cut() -> Response {
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.extensions_mut().insert(Cut);
    response
}

/// Whether watches that resume are told that their version is too old.
pub(super) fn expires_watches(store: &Store) -> bool {
    among(store, |fault| matches!(fault, ApiFault::WatchExpire).then_some(())).is_some()
}

/// How long watches last.
pub(super) fn watch_end(fault: &ApiFault) -> Option<Duration> {
    match fault {
        ApiFault::WatchEnd(after) => Some(*after),
        _ => None,
    }
}

/// How long exec streams last.
pub(super) fn exec_cut(fault: &ApiFault) -> Option<Duration> {
    match fault {
        ApiFault::ExecCut(after) => Some(*after),
        _ => None,
    }
}

/// What the first fault says of which something is to be known.
pub(super) fn among<T>(store: &Store, pick: impl Fn(&ApiFault) -> Option<T>) -> Option<T> {
    let (faults, _) = store.list(&FAULTS, None);
    faults.iter().find_map(|object| match Fault::of(object)? {
        Fault::Api(fault) => pick(&fault),
        _ => None,
    })
}

/// Returns once a fault says that what began then has lasted long enough; also a fault that
/// comes meanwhile.
pub(super) async fn over(
    store: Arc<Store>,
    began: Instant,
    lasts: fn(&ApiFault) -> Option<Duration>,
) {
    fn wanted(event: &Event) -> bool {
        event.resource == &FAULTS
    }
    let signal = store.signal(wanted);
    loop {
        let end = among(&store, lasts).and_then(|after| began.checked_add(after));
        let end = async {
            match end {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = end => return,
            () = signal.notified() => {}
        }
    }
}
