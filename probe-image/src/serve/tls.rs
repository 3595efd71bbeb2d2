//! TLS for whoever begins with it, by a certificate that this agent has made for itself. Who
//! answered is proven by the nonce, as without TLS: nobody is to believe the certificate.

use std::sync::Arc;

use rcgen::generate_simple_self_signed;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Answerer, CONNECTION_DEADLINE};

/// The first byte of a record that holds a handshake (RFC 8446, 5.1). No question begins so.
const HANDSHAKE: u8 = 22;

/// Whether TLS is spoken; `None` where nothing is said.
pub async fn begins(stream: &TcpStream) -> Option<bool> {
    let mut begin = [0];
    match timeout(CONNECTION_DEADLINE, stream.peek(&mut begin)).await {
        Ok(Ok(1)) => Some(begin[0] == HANDSHAKE),
        _ => None,
    }
}

/// Agrees on TLS.
pub async fn accept(answerer: &Answerer, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    let config = answerer.tls.get_or_init(|| config(&answerer.identity)).clone()?;
    timeout(CONNECTION_DEADLINE, TlsAcceptor::from(config).accept(stream)).await.ok()?.ok()
}

fn config(identity: &str) -> Option<Arc<ServerConfig>> {
    let own = generate_simple_self_signed([identity.to_owned()]).ok()?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .ok()?;
    // Without a list of its own a server takes whatever is offered: HTTP/1.1, or nothing.
    config.alpn_protocols = Vec::new();
    Some(Arc::new(config))
}
