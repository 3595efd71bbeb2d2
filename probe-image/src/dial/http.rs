//! HTTP over a connection whose handshake is done.

use std::{error::Error as _, io, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::{Call, Said, Saying, stream::broken};
use crate::{
    question::{KeyedAnswer, NONCE_HEADER, TAG_HEADER},
    wire::{Answer, HttpRequest},
};

/// Longer than any answer.
const BODY_LIMIT: usize = 4_096;

/// How long a foreign body may take; it proves nothing that the status didn't.
const BODY_WAIT: Duration = Duration::from_secs(1);

/// Asks, and says what came back.
pub async fn converse<S>(call: &Call, stream: S) -> Said
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    match timeout(call.reply, exchange(call, stream)).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => classify(&error),
        Err(_) => Said::Answer(Answer::HandshakeOnly),
    }
}

async fn exchange<S>(call: &Call, stream: S) -> hyper::Result<Said>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let talk = async {
        let response = sender.send_request(request(call)).await?;
        Ok(judge(call, response).await)
    };
    // The connection does the work of the talk, and ends with it.
    tokio::pin!(talk, connection);
    tokio::select! {
        biased;
        said = &mut talk => said,
        // A response that came before the connection broke is a response.
        end = &mut connection => talk.await.map_err(|error| end.err().unwrap_or(error)),
    }
}

/// Whether a request can be made.
pub fn check(http: &HttpRequest) -> Result<(), String> {
    Method::from_bytes(http.method.as_bytes())
        .map_err(|_| format!("`{}` is no HTTP method", http.method))?;
    if !http.path.starts_with('/') || http.path.parse::<Uri>().is_err() {
        return Err(format!("`{}` is no path of an HTTP request", http.path));
    }
    let host = http.host.iter().map(|host| ("host", host));
    for (name, value) in http.headers.iter().map(|(name, value)| (name.as_str(), value)).chain(host)
    {
        if name.parse::<HeaderName>().is_err() || value.parse::<HeaderValue>().is_err() {
            return Err(format!("`{name}: {value}` is no HTTP header"));
        }
    }
    Ok(())
}

fn request(call: &Call) -> Request<Empty<Bytes>> {
    let mut request = Request::new(Empty::new());
    let asked = call.script.http.as_ref();
    let host = match (asked.and_then(|http| http.host.clone()), call.address.port()) {
        (Some(host), _) => host,
        (None, 80) if call.script.tls.is_none() => call.host.clone(),
        (None, 443) if call.script.tls.is_some() => call.host.clone(),
        (None, port) => format!("{}:{port}", call.host),
    };
    // What can't be said was refused by `check`.
    if let Some(http) = asked {
        *request.method_mut() = Method::from_bytes(http.method.as_bytes()).unwrap_or_default();
        *request.uri_mut() = http.path.parse().unwrap_or_default();
    }
    let mut header = |name: hyper::header::HeaderName, value: &str| {
        // A name that resolved has no characters that a header can't have.
        if let Ok(value) = value.parse() {
            request.headers_mut().insert(name, value);
        }
    };
    header(HOST, &host);
    header(USER_AGENT, concat!("netproof-probe/", env!("CARGO_PKG_VERSION")));
    header(CONNECTION, "close");
    for (name, value) in asked.iter().flat_map(|http| &http.headers) {
        if let Ok(name) = name.parse() {
            header(name, value);
        }
    }
    if let Saying::Keyed(key, nonce) = &call.saying {
        let question = key.question(*nonce);
        header(hyper::header::HeaderName::from_static(NONCE_HEADER), &nonce.to_string());
        header(hyper::header::HeaderName::from_static(TAG_HEADER), &question.tag());
    }
    request
}

async fn judge(call: &Call, response: Response<Incoming>) -> Said {
    let status = response.status();
    if let Saying::Keyed(key, nonce) = &call.saying {
        let body = Limited::new(response.into_body(), BODY_LIMIT).collect();
        let bytes = match timeout(BODY_WAIT.min(call.reply), body).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => Bytes::new(),
        };
        let answer = KeyedAnswer::parse(&bytes).filter(|answer| key.answered(*nonce, answer));
        if let Some(KeyedAnswer { identity, saw, .. }) = answer {
            return Said::Answer(Answer::Agent { identity, saw });
        }
    }
    Said::Answer(Answer::Application {
        status: Some(status.as_u16()),
        summary: format!("HTTP {status}"),
    })
}

/// What a failed exchange means.
fn classify(error: &hyper::Error) -> Said {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    if let Some(cause) = cause {
        return broken(cause);
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return Said::Answer(Answer::HandshakeOnly);
    }
    Said::Answer(Answer::Application { status: None, summary: format!("no HTTP: {error}") })
}
