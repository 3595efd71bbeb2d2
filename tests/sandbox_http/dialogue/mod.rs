//! Request by request: status codes, reasons, texts and filled-in fields as a Kubernetes API
//! server gives them.

mod custom;
mod filled;
mod refused;

use serde_json::{Value, json};

use super::kit::server;

pub const JSON: &str = "application/json";
pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const OPERATIONS: &str = "application/json-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

/// One request, and what the answer must hold.
pub struct Turn {
    method: &'static str,
    path: &'static str,
    kind: &'static str,
    body: Value,
    code: u16,
    /// Pointers into the answer, and what stands there; null is nothing.
    holds: Vec<(&'static str, Value)>,
    /// The text of the answer's warning.
    warning: Option<&'static str>,
}

impl Turn {
    /// What stands in the answer, instead of what was said before.
    pub fn about(mut self, holds: &[(&'static str, Value)]) -> Self {
        self.holds = holds.to_vec();
        self
    }

    /// The answer comes with a warning.
    pub fn warns(mut self, text: &'static str) -> Self {
        self.warning = Some(text);
        self
    }
}

pub fn turn(
    method: &'static str,
    path: &'static str,
    kind: &'static str,
    body: Value,
    code: u16,
    holds: &[(&'static str, Value)],
) -> Turn {
    Turn { method, path, kind, body, code, holds: holds.to_vec(), warning: None }
}

/// A refusal: its reason and its whole message.
pub fn refused(
    method: &'static str,
    path: &'static str,
    kind: &'static str,
    body: Value,
    (code, reason): (u16, &'static str),
    message: &str,
) -> Turn {
    let holds = [("/reason", json!(reason)), ("/message", json!(message))];
    turn(method, path, kind, body, code, &holds)
}

pub async fn hold(turns: Vec<Turn>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let server = server().await;
    let client =
        reqwest::Client::builder().danger_accept_invalid_certs(true).build().expect("a client");
    for turn in turns {
        let what = format!("{} {} {}", turn.method, turn.path, turn.body);
        let method: reqwest::Method = turn.method.parse().expect("a method");
        let mut request = client
            .request(method, format!("{}{}", server.address, turn.path))
            .bearer_auth(&server.token);
        if !turn.body.is_null() {
            // A text stands for itself, that it may be no JSON.
            let body = turn.body.as_str().map_or_else(|| turn.body.to_string(), str::to_owned);
            request = request.header("content-type", turn.kind).body(body);
        }
        let response = request.send().await.expect("an answer");
        let code = response.status().as_u16();
        let warning = response.headers().get("warning").and_then(|text| text.to_str().ok());
        let warning = warning.map(str::to_owned);
        let answer: Value = response.json().await.expect("JSON");
        assert_eq!(code, turn.code, "{what}: {answer}");
        if let Some(text) = turn.warning {
            assert_eq!(warning, Some(format!("299 - \"{text}\"")), "{what}");
        }
        for (pointer, expected) in turn.holds {
            let found = answer.pointer(pointer).cloned().unwrap_or_default();
            assert_eq!(found, expected, "{what}: {pointer} of {answer}");
        }
    }
}
