//! Connections: TLS, then HTTP/1.1 with upgrades.

use std::{io, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, response::Response};
use http::Request;
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::weather::Cut;

/// How long a client may take for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Serves a router on a listener until cancelled. Connections that are open then end with
/// their runtime.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    router: Router,
    cancel: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept a connection to the API");
                if is_exhaustion(&error) {
                    // Waiting is all that helps against too many open files.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let acceptor = acceptor.clone();
        let service = Door(TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await
            else {
                return;
            };
            let connection = Builder::new(TokioExecutor::new());
            let connection =
                connection.serve_connection_with_upgrades(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                // Clients that go away in the middle are everyday.
                tracing::debug!(%error, "connection to the API");
            }
        });
    }
}

/// The router, but for answers that are to be no answer: those cut the connection.
#[derive(Clone)]
struct Door(TowerToHyperService<Router>);

impl Service<Request<Incoming>> for Door {
    type Response = Response;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, io::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            match response.extensions().get::<Cut>() {
                Some(Cut) => Err(io::ErrorKind::ConnectionAborted.into()),
                None => Ok(response),
            }
        })
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
