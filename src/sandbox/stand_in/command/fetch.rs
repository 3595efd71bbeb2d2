//! A page over HTTP, for curl and wget.

use std::{net::SocketAddr, time::Duration};

use axum::body::Body;
use futures::StreamExt;
use http::{Request, Response, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, stdout};

use super::dial::{Families, NotDialled, connect};

/// Where a page is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    uri: Uri,
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

impl Place {
    /// Reads a URL; one without a scheme is HTTP's.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = text.parse().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let host = uri.host().filter(|host| !host.is_empty())?.to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Some(Self { uri, host, port, tls })
    }

    fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ask {
    pub method: String,
    pub agent: &'static str,
    pub headers: Vec<String>,
    pub body: Option<String>,
}

/// Why there is no page.
#[derive(Debug)]
pub(super) enum NotFetched {
    Dial(NotDialled),
    /// A connection was made that would have to speak TLS.
    Tls,
    /// The server says nothing, or what no client understands.
    Talk(hyper::Error),
    /// A request that can't be sent.
    Ask(String),
}

/// Connects and asks; gives the head of the answer, and who gave it.
pub(super) async fn fetch(
    place: &Place,
    ask: &Ask,
    families: Families,
    connects_within: Option<Duration>,
) -> Result<(Response<hyper::body::Incoming>, Option<SocketAddr>), NotFetched> {
    let stream = connect(&place.host, place.port, families, connects_within).await;
    let stream = stream.map_err(NotFetched::Dial)?;
    if place.tls {
        return Err(NotFetched::Tls);
    }
    let peer = stream.peer_addr().ok();
    let request = request(place, ask).map_err(NotFetched::Ask)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(NotFetched::Talk)?;
    tokio::spawn(async move {
        // What goes wrong is said where the answer is awaited.
        let _ = connection.await;
    });
    let response = sender.send_request(request).await.map_err(NotFetched::Talk)?;
    Ok((response, peer))
}

fn request(place: &Place, ask: &Ask) -> Result<Request<Body>, String> {
    let default = if ask.body.is_some() { "POST" } else { "GET" };
    let method = if ask.method.is_empty() { default } else { &ask.method };
    let host = match place.port {
        80 => place.host.clone(),
        port => format!("{}:{port}", place.host),
    };
    let mut request = Request::builder().method(method).uri(place.path());
    let mut own = vec![("Host", host), ("User-Agent", ask.agent.to_owned())];
    own.push(("Accept", "*/*".to_owned()));
    for header in &ask.headers {
        let Some((name, value)) = header.split_once(':') else {
            return Err(format!("header `{header}` has no colon"));
        };
        own.retain(|(known, _)| !known.eq_ignore_ascii_case(name.trim()));
        request = request.header(name.trim(), value.trim());
    }
    for (name, value) in own {
        request = request.header(name, value);
    }
    if ask.body.is_some() && !ask.headers.iter().any(|one| begins(one, "content-type:")) {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let body = ask.body.clone().map_or_else(Body::empty, Body::from);
    request.body(body).map_err(|error| error.to_string())
}

fn begins(text: &str, with: &str) -> bool {
    text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with))
}

/// The head of an answer as it came, near enough.
pub(super) fn head<B>(response: &Response<B>) -> String {
    let reason = response.status().canonical_reason().unwrap_or_default();
    let mut head = format!("{:?} {} {reason}\r\n", response.version(), response.status().as_u16());
    for (name, value) in response.headers() {
        head += &format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes()));
    }
    head + "\r\n"
}

/// Reads the page to its end, and shows it if that is wanted.
pub(super) async fn show(response: Response<hyper::body::Incoming>, wanted: bool) -> bool {
    let mut data = Body::new(response.into_body()).into_data_stream();
    let mut out = stdout();
    while let Some(piece) = data.next().await {
        let Ok(piece) = piece else { return false };
        if wanted && out.write_all(&piece).await.is_err() {
            return false;
        }
    }
    out.flush().await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_where_its_url_says() {
        for (text, expected) in [
            ("db", Some(("db", 80, false, "/"))),
            ("db:8080", Some(("db", 8080, false, "/"))),
            ("http://db:8080/a?b=c", Some(("db", 8080, false, "/a?b=c"))),
            ("https://kubernetes.default", Some(("kubernetes.default", 443, true, "/"))),
            ("http://[fd00::1]:8080", Some(("[fd00::1]", 8080, false, "/"))),
            ("10.0.0.1:80/x", Some(("10.0.0.1", 80, false, "/x"))),
            ("ftp://db", None),
            ("", None),
            ("http://", None),
        ] {
            let place = Place::read(text);
            let place = place
                .as_ref()
                .map(|place| (place.host.as_str(), place.port, place.tls, place.path()));
            assert_eq!(place, expected, "{text}");
        }
    }
}
