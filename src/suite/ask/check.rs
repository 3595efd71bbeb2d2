//! Whether what is asked fits the port and the destination.

use super::Asked;
use crate::{
    model::{Port, Protocol},
    suite::{claims::Pair, reader::Reader, scope::Scope, types::Peer},
};

/// Notes a mistake and gives false where what is asked can't be asked of this port or peer.
pub(in crate::suite) fn check(
    reader: &mut Reader,
    scope: &Scope,
    pair: &Pair,
    port: Port,
    asked: &Asked,
) -> bool {
    let number = port.number;
    let spoken = |wanted: &[Protocol]| wanted.contains(&port.protocol);
    let http = format!("write `{number}/http`");
    let udp = format!("write `{number}/udp`");
    for (span, fits, is, help) in [
        (&asked.http, spoken(&[Protocol::Http]), "no HTTP port", http.as_str()),
        (
            &asked.tls,
            spoken(&[Protocol::Tcp, Protocol::Http]),
            "no TCP port",
            "TLS goes over `tcp` and `http`",
        ),
        (
            &asked.dns,
            spoken(&[Protocol::Tcp, Protocol::Udp]),
            "neither UDP nor TCP",
            "DNS goes over `53/udp` and `53/tcp`",
        ),
        (&asked.udp, spoken(&[Protocol::Udp]), "no UDP port", udp.as_str()),
    ] {
        if let Some(span) = span.as_ref().filter(|_| !fits) {
            reader.mistake(span, format!("{port} is {is}")).help(help);
            return false;
        }
    }
    if let (Some(_), Some(span)) = (&asked.dns, &asked.udp) {
        reader.mistake(span, "a case asks either `dns` or `udp`");
        return false;
    }
    if matches!(scope.peer(&pair.to), Some(Peer::Pod(_))) {
        let verified = asked.ask.tls.as_ref().is_some_and(|tls| tls.verify);
        if let Some(span) = asked.tls.as_ref().filter(|_| verified) {
            let message =
                format!("`{}` is a probe pod, whose certificate nobody has signed", pair.to);
            reader.mistake(span, message).help(
                "write `tls: {verify: false}`: who answers is proven without it; or ask a Service, \
                 an address or a host with an application behind it",
            );
            return false;
        }
        for (span, what) in [(&asked.dns, "DNS"), (&asked.udp, "such data")] {
            if let Some(span) = span {
                let message = format!("`{}` is a probe pod, which answers no {what}", pair.to);
                reader
                    .mistake(span, message)
                    .help("ask a Service, an address or a host with an application behind it");
                return false;
            }
        }
    }
    true
}
