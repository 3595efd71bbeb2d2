//! What a list or a watch says about versions and pages, checked as Kubernetes does.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    failure::{Cause, Failure},
    object::Object,
    request::Parameters,
    store::Store,
};

/// How a version is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// That state or a later one.
    NotOlderThan,
    /// That very state.
    Exact,
}

/// The options of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// How many objects there may be; 0 is all.
    pub limit: usize,
    /// The very version that is asked for.
    pub exact: Option<u64>,
    /// Only what comes after this namespace and name.
    pub after: Option<(String, String)>,
}

impl ListOptions {
    /// Reads and checks a list's options.
    ///
    /// # Errors
    /// 400 and 422 for options that are none or contradict each other, 504 for a version
    /// that isn't there yet.
    pub fn of(parameters: &Parameters, store: &Store) -> Result<Self, Failure> {
        check(parameters, false)?;
        let limit = parameters.number::<i64>("limit")?.unwrap_or_default();
        let mut limit = usize::try_from(limit).unwrap_or_default();
        parameters.number::<i64>("timeoutSeconds")?;
        if parameters.text("resourceVersion") == "0" && parameters.text("continue").is_empty() {
            // Such a list comes from the cache, which knows no pages.
            limit = 0;
        }
        let version = version(parameters)?;
        let matching = matching(parameters);
        let mut options = Self { limit, ..Self::default() };
        let token = parameters.text("continue");
        if !token.is_empty() {
            if version.is_some_and(|version| version > 0) {
                return Err(Failure::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let (version, after) = read_token(token)?;
            options.exact = version;
            options.after = Some(after);
            return Ok(options);
        }
        let Some(version) = version.filter(|version| *version > 0) else { return Ok(options) };
        let present = store.version();
        if version > present {
            return Err(too_large(version, present));
        }
        // With a limit, an unset match means the very version, as it did before there was one.
        if matching == Some(Match::Exact) || (matching.is_none() && limit > 0) {
            options.exact = Some(version);
        }
        Ok(options)
    }

    /// The token with which the next page is asked for.
    pub fn token(version: u64, last: &Value) -> String {
        let start = format!("{}/{}", last.namespace(), last.name());
        let token = json!({"v": "meta.k8s.io/v1", "rv": version, "start": start});
        URL_SAFE_NO_PAD.encode(token.to_string())
    }

    /// What is answered when the state that the options ask for is forgotten.
    pub fn expired(&self) -> Failure {
        let Some((namespace, name)) = &self.after else {
            return gone("The resourceVersion for the provided list is too old.".to_owned());
        };
        let mut failure = gone(
            "The provided continue parameter is too old to display a consistent list result. You \
             can start a new list without the continue parameter, or use the continue token in \
             this response to retrieve the remainder of the results. Continuing with the provided \
             token results in an inconsistent list - objects that were created, modified, or \
             deleted between the time the first chunk was returned and now may show up in the list."
                .to_owned(),
        );
        let start = format!("{namespace}/{name}");
        let token = json!({"v": "meta.k8s.io/v1", "rv": -1, "start": start}).to_string();
        failure.details = json!({"continue": URL_SAFE_NO_PAD.encode(token)});
        failure
    }
}

fn gone(message: String) -> Failure {
    let (code, reason) = (StatusCode::GONE, "Expired");
    Failure { code, reason, message, details: Value::Null }
}

fn too_large(asked: u64, present: u64) -> Failure {
    Failure {
        code: StatusCode::GATEWAY_TIMEOUT,
        reason: "Timeout",
        message: format!("Timeout: Too large resource version: {asked}, current: {present}"),
        details: json!({
            "causes": [{
                "reason": "ResourceVersionTooLarge", "message": "Too large resource version",
            }],
            "retryAfterSeconds": 1,
        }),
    }
}

/// Checks how the options of a list or a watch go together.
///
/// # Errors
/// 422 with everything that is forbidden.
pub fn check(parameters: &Parameters, is_watch: bool) -> Result<(), Failure> {
    let text = |key: &str| parameters.text(key);
    let mut causes = Vec::new();
    let stated = text("resourceVersionMatch");
    let mut forbid = |field: &str, message: &str| causes.push(Cause::forbidden(field, message));
    let initial = text("sendInitialEvents");
    if is_watch {
        if !initial.is_empty() && stated != "NotOlderThan" {
            let message = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
            forbid("resourceVersionMatch", message);
        } else if initial.is_empty() && !stated.is_empty() {
            let message =
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            forbid("resourceVersionMatch", message);
        }
        if !text("continue").is_empty() {
            forbid("continue", "continue is forbidden for watch");
        }
    } else {
        if !initial.is_empty() {
            forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if !stated.is_empty() {
            if text("resourceVersion").is_empty() {
                let message =
                    "resourceVersionMatch is forbidden unless resourceVersion is provided";
                forbid("resourceVersionMatch", message);
            }
            if !text("continue").is_empty() {
                let message = "resourceVersionMatch is forbidden when continue is provided";
                forbid("resourceVersionMatch", message);
            }
            if stated == "Exact" && text("resourceVersion") == "0" {
                let message =
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                forbid("resourceVersionMatch", message);
            }
        }
    }
    if !stated.is_empty() && !matches!(stated, "Exact" | "NotOlderThan") {
        let known = ["Exact", "NotOlderThan", ""];
        causes.push(Cause::not_supported("resourceVersionMatch", &stated.into(), &known));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid_options("ListOptions", &causes))
}

fn matching(parameters: &Parameters) -> Option<Match> {
    match parameters.text("resourceVersionMatch") {
        "Exact" => Some(Match::Exact),
        "NotOlderThan" => Some(Match::NotOlderThan),
        _ => None,
    }
}

/// The version in a request, if it states one.
///
/// # Errors
/// 400 for what is no version.
pub fn version(parameters: &Parameters) -> Result<Option<u64>, Failure> {
    let text = parameters.text("resourceVersion");
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let fault = format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: \
             invalid syntax"
        );
        if parameters.flag("watch") {
            Failure::unexplained(fault)
        } else {
            Failure::bad_request(format!("invalid resource version: {fault}"))
        }
    })
}

/// The version at which a paged list goes on, if it still is to be one state, and where.
fn read_token(token: &str) -> Result<(Option<u64>, (String, String)), Failure> {
    let invalid = |detail: &str| {
        let text = format!("invalid continue token: continue key is not valid: {detail}");
        Failure::bad_request(text)
    };
    let text = URL_SAFE_NO_PAD.decode(token).map_err(|error| invalid(&error.to_string()))?;
    let token: Value =
        serde_json::from_slice(&text).map_err(|error| invalid(&error.to_string()))?;
    if token["v"] != "meta.k8s.io/v1" {
        let text = format!("server does not recognize this encoded version {}", token.text("/v"));
        return Err(invalid(&text));
    }
    let start = token.text("/start").split_once('/');
    let (namespace, name) =
        start.ok_or_else(|| invalid("encoded start key empty (version meta.k8s.io/v1)"))?;
    Ok((token["rv"].as_u64(), (namespace.to_owned(), name.to_owned())))
}
