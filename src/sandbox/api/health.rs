//! `/healthz`, `/livez` and `/readyz`: the process serves, so all is well; `?verbose` lists
//! what was looked at.

use axum::response::{IntoResponse, Response};

use super::request::Parameters;

/// What is looked at. There is no etcd, but scripts look for its line.
const CHECKS: [&str; 4] = ["ping", "log", "etcd", "informer-sync"];

/// The answer for a path of health, if it is one.
pub fn answer(path: &str, parameters: &Parameters) -> Option<Response> {
    let mut parts = path.trim_matches('/').split('/');
    let name = parts.next().filter(|name| ["healthz", "livez", "readyz"].contains(name))?;
    match (parts.next(), parts.next()) {
        (None, _) => {}
        (Some(check), None) if CHECKS.contains(&check) => return Some("ok".into_response()),
        _ => return None,
    }
    if !parameters.has("verbose") {
        return Some("ok".into_response());
    }
    let excluded = parameters.all("exclude");
    let lines = CHECKS.iter().map(|check| {
        if excluded.iter().any(|name| name == check) {
            format!("[+]{check} excluded: ok\n")
        } else {
            format!("[+]{check} ok\n")
        }
    });
    Some(format!("{}{name} check passed\n", lines.collect::<String>()).into_response())
}
