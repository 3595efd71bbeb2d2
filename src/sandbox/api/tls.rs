//! The sandbox's own certificate authority, its token, and the kubeconfig that holds both.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;

use super::access::{
    Access,
    token::{KeyError, Tokens},
};
use crate::sandbox::layout::{self, IpFamily};

/// The name of the kubeconfig's context, cluster and user.
pub const CONTEXT: &str = "netproof-sandbox";

/// Credentials could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A key or a certificate.
    #[error("make the API's certificates")]
    Certificate(#[from] rcgen::Error),
    /// The configuration of the listener.
    #[error("configure TLS for the API")]
    Configure(#[from] rustls::Error),
    /// The key that signs tokens.
    #[error(transparent)]
    Tokens(#[from] KeyError),
}

/// What one sandbox's API proves itself with, and what its clients do. Made anew for each
/// sandbox and kept nowhere.
#[derive(Clone)]
pub struct Credentials {
    /// For the listener.
    pub server: Arc<rustls::ServerConfig>,
    /// The bearer token that clients send.
    pub token: String,
    /// What signs the tokens of service accounts.
    pub tokens: Arc<Tokens>,
    authority: String,
}

impl Credentials {
    /// Makes an authority, a certificate for loopback and a token.
    ///
    /// # Errors
    /// The system has no randomness, or the TLS library refuses.
    pub fn generate() -> Result<Self, TlsError> {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "netproof sandbox");
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let names = [
            "localhost",
            "127.0.0.1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ];
        let inside = [layout::api(IpFamily::Dual), layout::control_plane(IpFamily::Dual)].concat();
        let inside = inside.iter().map(IpAddr::to_string);
        let names: Vec<_> = names.map(str::to_owned).into_iter().chain(inside).collect();
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &authority)?;

        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone(), authority.der().clone()], key)?;
        // Watches and exec sessions want a connection each, so that one protocol will do.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let tokens = Arc::new(Tokens::generate()?);
        Ok(Self { server: Arc::new(config), token, tokens, authority: authority.pem() })
    }

    /// Access for who bears the token, or one that is signed here.
    pub fn access(&self) -> Access {
        Access::new(Some(self.token.clone()), Arc::clone(&self.tokens))
    }

    /// The certificate of the authority, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// A kubeconfig for the API at an address.
    pub fn kubeconfig(&self, address: SocketAddr) -> String {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": CONTEXT, "cluster": {
                "server": format!("https://{address}"),
                "certificate-authority-data": STANDARD.encode(&self.authority),
            }}],
            "users": [{"name": CONTEXT, "user": {"token": self.token}}],
            "contexts": [{"name": CONTEXT, "context": {
                "cluster": CONTEXT, "user": CONTEXT, "namespace": "default",
            }}],
            "current-context": CONTEXT,
        });
        // Writing a JSON value as YAML can't fail; if it did, JSON is YAML too.
        serde_yaml::to_string(&config).unwrap_or_else(|_| config.to_string())
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}
