//! Who asked for what, and what came of it: the last requests, as `audit.k8s.io` has them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt;
use http::{Method, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::{
    access::{Attributes, User},
    failure::Failure,
    names,
    request::Parameters,
    sandbox,
};
use crate::sandbox::clock;

/// How many requests are remembered.
const KEPT: usize = 16_384;
/// How many a follower may lag behind.
const LAG: usize = 4096;

/// The remembered requests.
#[derive(Debug)]
pub(super) struct Audit {
    kept: Mutex<VecDeque<Arc<Record>>>,
    followers: broadcast::Sender<Arc<Record>>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Record {
    /// When it came.
    pub received: jiff::Timestamp,
    /// When its answer began.
    pub answered: jiff::Timestamp,
    /// Path and query.
    pub uri: String,
    /// What it was about.
    pub attributes: Attributes,
    /// Who asked, if that was found out.
    pub user: Option<User>,
    /// What the client calls itself.
    pub agent: String,
    /// The HTTP status of the answer.
    pub code: u16,
}

impl Default for Audit {
    fn default() -> Self {
        Self { kept: Mutex::default(), followers: broadcast::channel(LAG).0 }
    }
}

impl Audit {
    /// Remembers a request.
    pub(super) fn record(&self, record: Record) {
        let record = Arc::new(record);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&record));
        // Nobody follows: that is fine.
        let _ = self.followers.send(record);
    }

    /// Answers a request for the log itself; `None` for another one.
    pub(super) fn answer(
        &self,
        attributes: &Attributes,
        method: &Method,
        parameters: &Parameters,
    ) -> Option<Response> {
        if attributes.group != sandbox::GROUP || attributes.resource != "audit" {
            return None;
        }
        if method != Method::GET || !attributes.name.is_empty() {
            return Some(Failure::method_not_allowed().into_response());
        }
        // Subscribed before the ring is read and under its lock: nothing is lost or doubled.
        let (past, next) = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let past: Vec<_> = kept.iter().cloned().collect();
            (past, self.followers.subscribe())
        };
        let past = futures::stream::iter(past).map(|record| Ok(record.line()));
        let body = if parameters.flag("follow") {
            let next = futures::stream::unfold(next, |mut next| async {
                // Who lags too far behind is cut off, as with watches.
                let record = next.recv().await.ok()?;
                Some((Ok::<_, std::convert::Infallible>(record.line()), next))
            });
            Body::from_stream(past.chain(next))
        } else {
            Body::from_stream(past)
        };
        Some((StatusCode::OK, [(CONTENT_TYPE, "application/jsonl")], body).into_response())
    }
}

impl Record {
    fn line(&self) -> Bytes {
        let stamp = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let mut event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata",
            "auditID": names::uid(), "stage": "ResponseComplete",
            "requestURI": self.uri, "verb": self.attributes.verb,
            "user": self.user.as_ref().map_or(Value::Null, User::info),
            "userAgent": self.agent,
            "responseStatus": {"metadata": {}, "code": self.code},
            "requestReceivedTimestamp": stamp(self.received),
            "stageTimestamp": stamp(self.answered),
        });
        if self.attributes.is_resource {
            let mut about = json!({});
            for (key, value) in [
                ("resource", &self.attributes.resource),
                ("namespace", &self.attributes.namespace),
                ("name", &self.attributes.name),
                ("apiGroup", &self.attributes.group),
                ("apiVersion", &self.attributes.version),
                ("subresource", &self.attributes.subresource),
            ] {
                if !value.is_empty() {
                    about[key] = value.clone().into();
                }
            }
            event["objectRef"] = about;
        }
        format!("{event}\n").into()
    }

    /// A record of a request that is about to be answered.
    pub(super) fn new(attributes: Attributes, uri: String, agent: String) -> Self {
        let received = clock::now();
        Self { received, answered: received, uri, attributes, user: None, agent, code: 0 }
    }
}
