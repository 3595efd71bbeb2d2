//! `proxy` below pods, services and nodes: HTTP to them by way of the API server.
//!
//! The API server dials from where it stands, beyond the nodes; policies see its address, and
//! isolate a pod from it as from anybody.

mod place;
#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr};

use axum::{body::Body, response::Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri,
    header::{self, HOST, LOCATION},
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use hyper::{client::conn::http1, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;

pub(super) use self::place::Way;
use super::{failure::Failure, http::Api, port_forward::said};

/// What says something of one connection, and not of the request (RFC 9110, section 7.6.1).
const OF_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Answers with what stands at the other end.
///
/// # Errors
/// No such object, one without an address or an endpoint, or one that doesn't answer.
pub(super) async fn answer(
    api: &Api,
    way: &Way,
    parts: Parts,
    body: Body,
) -> Result<Response, Failure> {
    let to = way.leads_to(api)?;
    if way.path.is_empty() {
        return Ok(with_slash(&parts.uri));
    }
    if way.scheme == "https" {
        let why = "the sandbox's API server speaks no TLS to pods";
        return Err(unreachable(why));
    }
    exchange(api, way, to, parts, body).await.map_err(|why| unreachable(&why))
}

fn unreachable(why: &str) -> Failure {
    Failure::unavailable(format!("error trying to reach service: {why}"))
}

/// Relative links of a page lead to the right place only below a path that ends so.
fn with_slash(uri: &Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    if let Ok(place) = HeaderValue::from_str(&format!("{}/{query}", uri.path())) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

async fn exchange(
    api: &Api,
    way: &Way,
    to: SocketAddr,
    mut parts: Parts,
    body: Body,
) -> Result<Response, String> {
    let dialled = |why: &str| format!("dial tcp {to}: {why}");
    let Some(control_plane) = &api.control_plane else {
        return Err(dialled("connect: network is unreachable"));
    };
    let stream = control_plane.connect(to).await.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => dialled("i/o timeout"),
        _ => dialled(&format!("connect: {}", said(&error))),
    })?;
    let spoken = |error: hyper::Error| {
        if error.is_incomplete_message() { "EOF".to_owned() } else { error.to_string() }
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(spoken)?;
    tokio::spawn(connection.with_upgrades());
    let upgrade = parts.extensions.remove::<OnUpgrade>();
    let upgrades = parts.headers.contains_key(header::UPGRADE) && upgrade.is_some();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("{}{query}", way.path);
    let target: PathAndQuery = target.parse().map_err(|error| format!("{error}"))?;
    let prefix = parts.uri.path().strip_suffix(&way.path).unwrap_or_default().to_owned();
    let asked = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let asked = asked.unwrap_or_default().to_owned();
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = target.into();
    *request.headers_mut() = forwarded(&parts.headers, &parts.uri, upgrades);
    let response = sender.send_request(request).await.map_err(spoken)?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(upgrade) = upgrade
    {
        return Ok(join(response, upgrade));
    }
    let (mut parts, body) = response.into_parts();
    OF_CONNECTION.iter().for_each(|name| drop(parts.headers.remove(name)));
    let place = parts.headers.get(LOCATION);
    let place = place.and_then(|place| redirected(place, [&to.to_string(), &asked], &prefix));
    if let Some(place) = place {
        parts.headers.insert(LOCATION, place);
    }
    Ok(Response::from_parts(parts, Body::new(body)))
}

/// What the other end is told: the request's own headers, its `Host` among them, without who
/// asks, and the path that was asked for.
fn forwarded(headers: &HeaderMap, uri: &Uri, upgrades: bool) -> HeaderMap {
    let mut told = headers.clone();
    told.remove(header::AUTHORIZATION);
    let kept = |name: &HeaderName| upgrades && [header::CONNECTION, header::UPGRADE].contains(name);
    OF_CONNECTION.iter().filter(|name| !kept(name)).for_each(|name| drop(told.remove(name)));
    if let Ok(path) = HeaderValue::from_str(uri.path()) {
        told.insert(HeaderName::from_static("x-forwarded-uri"), path);
    }
    told
}

/// Where a redirection leads by way of the API server: below the same prefix, if it is to the
/// same host and not relative; none if it stays as it is.
fn redirected(place: &HeaderValue, hosts: [&str; 2], prefix: &str) -> Option<HeaderValue> {
    let [own, asked] = hosts;
    let place: Uri = place.to_str().ok()?.parse().ok()?;
    let host = place.authority().map_or("", Authority::as_str);
    let is_elsewhere = ![own, asked, ""].contains(&host);
    if is_elsewhere || !place.path().starts_with('/') || place.path().starts_with(prefix) {
        return None;
    }
    let start = match place.scheme_str() {
        Some(scheme) if host == asked => format!("{scheme}://{host}"),
        _ => String::new(),
    };
    let below = place.path_and_query().map_or("/", PathAndQuery::as_str);
    HeaderValue::from_str(&format!("{start}{prefix}{below}")).ok()
}

/// Copies between both ends once both have left HTTP, until either is gone.
fn join(response: Response<hyper::body::Incoming>, client: OnUpgrade) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = response.status();
    answer.headers_mut().extend(response.headers().clone());
    tokio::spawn(async move {
        let ends = tokio::try_join!(hyper::upgrade::on(response), client);
        let copied = match ends {
            Ok((there, here)) => {
                let (mut there, mut here) = (TokioIo::new(there), TokioIo::new(here));
                tokio::io::copy_bidirectional(&mut there, &mut here).await.map(drop)
            }
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = copied {
            tracing::debug!(%error, "a proxied connection");
        }
    });
    answer
}
