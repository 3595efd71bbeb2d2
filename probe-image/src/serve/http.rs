//! The answer to a question in HTTP headers.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc};

use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use super::{Answerer, CONNECTION_DEADLINE, stream, tls};
use crate::question::{KeyedQuestion, NONCE_HEADER, QUESTION_BEGINS, TAG_HEADER};

/// Answers one request: 200 with the answer, or 404 with nothing; below TLS, if that is how it
/// begins. A connection that is to
/// be held speaks in lines here too.
pub async fn answer(
    answerer: Arc<Answerer>,
    stream: TcpStream,
    peer: SocketAddr,
) -> io::Result<()> {
    match tls::begins(&stream).await {
        Some(true) => {
            let Some(stream) = tls::accept(&answerer, stream).await else { return Ok(()) };
            let request = timeout(CONNECTION_DEADLINE, request(answerer, stream, peer));
            return request.await.unwrap_or(Ok(()));
        }
        Some(false) => {}
        None => return Ok(()),
    }
    let mut begin = [0; QUESTION_BEGINS.len()];
    let first = timeout(CONNECTION_DEADLINE, stream.peek(&mut begin));
    let Ok(length) = first.await else { return Ok(()) };
    if length? == begin.len() && begin == QUESTION_BEGINS {
        return stream::answer(answerer, stream, peer).await;
    }
    let request = timeout(CONNECTION_DEADLINE, request(answerer, stream, peer));
    request.await.unwrap_or(Ok(()))
}

async fn request<S>(answerer: Arc<Answerer>, stream: S, peer: SocketAddr) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(&answerer, &request, peer);
        async move { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
        .map_err(io::Error::other)
}

fn respond<B>(
    answerer: &Answerer,
    request: &Request<B>,
    peer: SocketAddr,
) -> Response<Full<Bytes>> {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let question = header(NONCE_HEADER)
        .zip(header(TAG_HEADER))
        .and_then(|(nonce, tag)| KeyedQuestion::from_headers(nonce, tag))
        .filter(|question| answerer.key.asked(question));
    let Some(question) = question else {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    let answer = answerer.key.answer(question.nonce, &answerer.identity, peer).json();
    let mut response = Response::new(Full::from(answer));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
