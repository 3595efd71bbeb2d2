//! Whether the way to the API server leads through a proxy, as kubectl decides it.
//!
//! A kubeconfig's `proxy-url` always counts. `HTTPS_PROXY` counts for neither this machine
//! itself nor what `NO_PROXY` lists: a sandbox on loopback is behind no proxy. (kube compares
//! `NO_PROXY` with the proxy's own address.)

use std::net::IpAddr;

use http::Uri;
use ipnet::IpNet;

/// The proxy for a server: the kubeconfig's own, else the environment's unless it is to be
/// gone round.
pub(super) fn decide(server: &Uri, own: Option<&str>, environment: Option<Uri>) -> Option<Uri> {
    let own = own.map(str::trim).filter(|url| !url.is_empty());
    if let Some(Ok(own)) = own.map(str::parse) {
        return Some(own);
    }
    let excepted = ["NO_PROXY", "no_proxy"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|list| !list.is_empty())
        .unwrap_or_default();
    environment.filter(|_| !goes_round(server, &excepted))
}

fn goes_round(server: &Uri, excepted: &str) -> bool {
    let Some(host) = server.host() else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    excepted.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let entry = entry.to_ascii_lowercase();
        if entry == "*" || entry == host {
            return true;
        }
        if let Some(address) = address {
            return entry.parse::<IpNet>().is_ok_and(|net| net.contains(&address));
        }
        // Of `name:port` the name counts.
        let name = entry.split(':').next().unwrap_or_default();
        let domain = name.trim_start_matches('*').trim_start_matches('.');
        !domain.is_empty()
            && (host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
                || (name == domain && host == domain))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_are_read_as_kubectl_reads_them() {
        for (server, excepted, expected) in [
            ("https://127.0.0.1:6443", "", true),
            ("https://[::1]:6443", "", true),
            ("https://localhost:6443", "", true),
            ("https://10.1.2.3:6443", "", false),
            ("https://10.1.2.3:6443", "10.0.0.0/8", true),
            ("https://10.1.2.3:6443", "192.168.0.0/16, 10.1.2.3", true),
            ("https://api.example.com", "example.com", true),
            ("https://api.example.com", ".example.com", true),
            ("https://api.example.com", "*.example.com", true),
            ("https://example.com", ".example.com", false),
            ("https://badexample.com", "example.com", false),
            ("https://api.example.com:6443", "example.com:443", true),
            ("https://api.example.com", "*", true),
            ("https://api.example.com", "other.org", false),
        ] {
            let server: Uri = server.parse().unwrap();
            assert_eq!(goes_round(&server, excepted), expected, "{server} with {excepted:?}");
        }
    }

    #[test]
    fn the_kubeconfigs_own_proxy_always_counts() {
        let server: Uri = "https://127.0.0.1:6443".parse().unwrap();
        let environment: Uri = "http://proxy.example:3128".parse().unwrap();
        assert_eq!(decide(&server, None, Some(environment.clone())), None);
        let own = decide(&server, Some("socks5://localhost:1080"), Some(environment));
        assert_eq!(own.unwrap().to_string(), "socks5://localhost:1080/");
    }
}
