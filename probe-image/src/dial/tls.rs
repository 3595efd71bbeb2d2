//! TLS over a connection whose handshake is done: what fails here was let through.

use std::{net::IpAddr, sync::Arc};

use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Said, failure::Failure};
use crate::wire::{Answer, AttemptOutcome, Tls};

/// Agrees on TLS, or says what came in its place.
pub async fn agree(
    tls: &Tls,
    dialled: &str,
    http: bool,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, Said> {
    let failed = |message: String| Said::Answer(Answer::TlsFailed { message });
    let (config, name) = settings(tls, dialled, http).map_err(failed)?;
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(name, stream).await.map_err(|error| {
        match Failure::from_errno(&error).attempt() {
            AttemptOutcome::Reset => failed("the server reset the connection".to_owned()),
            _ => failed(error.to_string()),
        }
    })
}

/// Whether TLS can be spoken like this.
pub fn check(tls: &Tls) -> Result<(), String> {
    settings(tls, "localhost", false).map(drop)
}

fn settings(
    tls: &Tls,
    dialled: &str,
    http: bool,
) -> Result<(ClientConfig, ServerName<'static>), String> {
    let name = tls.server_name.as_deref().unwrap_or(dialled);
    let name = name.trim_end_matches('.');
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let name = match bare.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` is no name of a server"))?,
    };
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = if tls.verify {
        builder.with_root_certificates(roots(tls.ca.as_deref())?)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    }
    .with_no_client_auth();
    if http {
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
    }
    Ok((config, name))
}

fn roots(ca: Option<&str>) -> Result<RootCertStore, String> {
    let Some(ca) = ca else {
        return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("the authority: {error}"))?;
        roots.add(certificate).map_err(|error| format!("the authority: {error}"))?;
    }
    if roots.is_empty() {
        Err("there is no certificate in the authority".to_owned())
    } else {
        Ok(roots)
    }
}

/// Takes any certificate, as long as whoever shows it has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
