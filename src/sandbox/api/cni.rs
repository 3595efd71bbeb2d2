//! What the CNI tells of itself: a node's rules, and the flow log.
//!
//! Both stand under the sandbox's own API group: `nodes/NODE/rules` and `flows`, the latter
//! as lines of JSON that go on with `?follow=true`. No role but the administrator's has
//! them.

use std::sync::Arc;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, StatusCode, header::CONTENT_TYPE};
use tokio::sync::broadcast::error::RecvError;

use super::{access::Attributes, failure::Failure, request::Parameters, resource::NODES, sandbox};
use crate::sandbox::flow::{Book, Entry};

/// Who enforces policies and knows what became of connections.
pub(in crate::sandbox) trait Cni: Send + Sync {
    /// The rules of a node, in nft's syntax; none where there is no such node.
    fn rules(&self, node: &str) -> Option<String>;

    /// The flow log.
    fn flows(&self) -> Arc<Book>;
}

/// Answers a request that is the CNI's; `None` for another one.
pub(super) fn answer(
    cni: Option<&dyn Cni>,
    attributes: &Attributes,
    method: &Method,
    parameters: &Parameters,
) -> Option<Response> {
    if attributes.group != sandbox::GROUP {
        return None;
    }
    let about = (attributes.resource.as_str(), attributes.subresource.as_str());
    let is_list = attributes.name.is_empty();
    let wanted = match about {
        ("nodes", "rules") => Wanted::Rules,
        ("flows", "") if is_list => Wanted::Flows,
        _ => return None,
    };
    if method != Method::GET {
        return Some(Failure::method_not_allowed().into_response());
    }
    let Some(cni) = cni else { return Some(Failure::no_such_path().into_response()) };
    Some(match wanted {
        Wanted::Rules => match cni.rules(&attributes.name) {
            Some(rules) => ([(CONTENT_TYPE, "text/plain; charset=utf-8")], rules).into_response(),
            None => Failure::not_found(&NODES, &attributes.name).into_response(),
        },
        Wanted::Flows => flows(&cni.flows(), parameters.flag("follow")),
    })
}

enum Wanted {
    Rules,
    Flows,
}

fn flows(book: &Book, follow: bool) -> Response {
    let (kept, next) = book.read();
    let kept = futures::stream::iter(kept).map(|entry| Ok(entry.line()));
    let body = if follow {
        let next = futures::stream::unfold(next, |mut next| async {
            let entry = match next.recv().await {
                Ok(entry) => entry,
                // A log goes on where a watch would end; how much is missing is said.
                Err(RecvError::Lagged(count)) => {
                    Entry::Lost { node: String::new(), count, time: jiff::Timestamp::now() }
                }
                Err(RecvError::Closed) => return None,
            };
            Some((Ok::<Bytes, std::convert::Infallible>(entry.line()), next))
        });
        Body::from_stream(kept.chain(next))
    } else {
        Body::from_stream(kept)
    };
    (StatusCode::OK, [(CONTENT_TYPE, "application/jsonl")], body).into_response()
}
