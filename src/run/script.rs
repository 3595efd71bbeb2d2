//! What a case says, where its protocol leaves a choice, and what it wants to hear.

use std::sync::{Arc, LazyLock};

use netproof_probe::wire::{DnsQuestion, HttpRequest, Script, Tls};

use super::live::Live;
use crate::{
    suite::{Ask, Authority},
    verdict::{Observation, WantedAnswer},
};

/// Nothing but the usual, which nearly every question says.
pub(super) fn plain() -> Arc<Script> {
    static PLAIN: LazyLock<Arc<Script>> = LazyLock::new(Arc::default);
    Arc::clone(&PLAIN)
}

/// What a case wants said.
pub(super) fn script(live: &Live<'_>, ask: &Ask) -> Result<Arc<Script>, Observation> {
    if *ask == Ask::default() {
        return Ok(plain());
    }
    let http = ask.http.as_ref().map(|http| HttpRequest {
        method: http.method.clone(),
        path: http.path.clone(),
        host: http.host.clone(),
        headers: http.headers.clone().into_iter().collect(),
    });
    let tls = ask.tls.as_ref().map(|tls| {
        let ca = match &tls.ca {
            Authority::Public => None,
            Authority::Pem(text) => Some(text.clone()),
            Authority::Cluster => Some(live.authority.clone().ok_or_else(|| {
                let message =
                    "the kubeconfig names no certificate authority, as `ca: cluster` asks";
                Observation::NoDestination { message: message.to_owned() }
            })?),
        };
        Ok::<_, Observation>(Tls { server_name: tls.server_name.clone(), verify: tls.verify, ca })
    });
    Ok(Arc::new(Script {
        http,
        tls: tls.transpose()?,
        dns: ask
            .dns
            .as_ref()
            .map(|dns| DnsQuestion { name: dns.name.clone(), kind: dns.kind.clone() }),
        hold: None,
        payload: ask.udp.as_ref().map(|udp| netproof_probe::wire::hex::encode(&udp.payload)),
    }))
}

/// What an allow wants to hear.
pub(super) fn wanted(ask: &Ask) -> Option<WantedAnswer> {
    let status = ask.http.as_ref().map(|http| &http.status).filter(|status| !status.is_empty());
    if let Some(status) = status {
        return Some(WantedAnswer::Status(status.clone()));
    }
    if let Some(dns) = &ask.dns {
        return Some(WantedAnswer::Dns(dns.expect.clone()));
    }
    ask.udp.as_ref().map(|udp| WantedAnswer::Holds(udp.expect.clone()))
}
