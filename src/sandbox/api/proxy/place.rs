//! What a path with `proxy` in it names, and where that is.

use std::net::{IpAddr, SocketAddr};

use rand::seq::IndexedRandom as _;
use serde_json::Value;

use crate::sandbox::api::{
    failure::Failure,
    http::Api,
    object::Object,
    request::unescape,
    resource::{ENDPOINTS, NODES, PODS, Resource, SERVICES},
};

/// The kubelet's port.
const KUBELET: u16 = 10250;
const HTTP: u16 = 80;

/// A way through the API server, as `/api/v1/namespaces/shop/pods/http:web:80/proxy/a`.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sandbox::api) struct Way {
    resource: &'static Resource,
    namespace: String,
    /// As the path has it: name, and maybe scheme and port.
    named: String,
    /// `http`, `https` or nothing.
    pub scheme: String,
    name: String,
    /// A number or a name, or nothing.
    port: String,
    /// What is asked for there, as it was sent; empty if the path ends with `proxy`.
    pub path: String,
}

impl Way {
    /// Reads a path; `None` for one without such a part.
    pub(in crate::sandbox::api) fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/v1/")?;
        let (resource, namespace, rest) = match rest.strip_prefix("nodes/") {
            Some(rest) => (&NODES, "", rest),
            None => {
                let (namespace, rest) = rest.strip_prefix("namespaces/")?.split_once('/')?;
                match rest.split_once('/')? {
                    ("pods", rest) => (&PODS, namespace, rest),
                    ("services", rest) => (&SERVICES, namespace, rest),
                    _ => return None,
                }
            }
        };
        let (named, below) = rest.split_once('/')?;
        let path = below.strip_prefix("proxy")?;
        if !(path.is_empty() || path.starts_with('/')) {
            return None;
        }
        let named = unescape(named);
        let parts: Vec<_> = named.split(':').collect();
        let (scheme, name, port) = match parts[..] {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme @ ("" | "http" | "https"), name, port] => (scheme, name, port),
            // No object has such a name.
            _ => ("", "", ""),
        };
        let (scheme, name, port) = (scheme.to_owned(), name.to_owned(), port.to_owned());
        let (namespace, path) = (unescape(namespace), path.to_owned());
        Some(Self { resource, namespace, scheme, name, port, path, named })
    }

    /// The address.
    ///
    /// # Errors
    /// A name that is none, no such object, or one without an address.
    pub(super) fn leads_to(&self, api: &Api) -> Result<SocketAddr, Failure> {
        if self.name.is_empty() {
            let (kind, named) = (self.resource.kind.to_lowercase(), &self.named);
            return Err(Failure::bad_request(format!("invalid {kind} request {named:?}")));
        }
        let object = api.store.get(self.resource, &self.namespace, &self.name);
        let object = object.ok_or_else(|| Failure::not_found(self.resource, &self.name))?;
        if self.resource == &SERVICES {
            return self.endpoint(api, &object);
        }
        let (address, port) = if self.resource == &PODS {
            let containers = object.items("/spec/containers").iter();
            let mut declared =
                containers.filter_map(|one| one["ports"][0]["containerPort"].as_u64());
            (object.text("/status/podIP"), declared.next().and_then(|port| port.try_into().ok()))
        } else {
            let mut addresses = object.items("/status/addresses").iter();
            let own = addresses.find(|one| one["type"] == "InternalIP");
            (own.map_or("", |own| own.text("/address")), Some(KUBELET))
        };
        let address: IpAddr =
            address.parse().map_err(|_| Failure::bad_request("address not allowed"))?;
        let port = match &*self.port {
            "" => port.unwrap_or(HTTP),
            port => port.parse().map_err(|_| {
                Failure::unavailable(format!(
                    "error trying to reach service: dial tcp: lookup tcp/{port}: unknown port"
                ))
            })?,
        };
        Ok(SocketAddr::new(address, port))
    }

    /// One of a Service's endpoints, by chance.
    fn endpoint(&self, api: &Api, service: &Value) -> Result<SocketAddr, Failure> {
        // A number is the Service's own, and means the endpoints' port of the same name.
        let ports = service.items("/spec/ports");
        let by_number = self.port.parse::<u16>().ok().map(|number| {
            ports.iter().find(|port| port["port"] == number).map(|port| port.text("/name"))
        });
        let port = match by_number {
            None => &*self.port,
            Some(Some(name)) => name,
            Some(None) => {
                let (port, name) = (&self.port, &self.name);
                return Err(Failure::unavailable(format!(
                    "no service port {port} found for service {name:?}"
                )));
            }
        };
        let endpoints = api.store.get(&ENDPOINTS, &self.namespace, &self.name);
        let subsets = endpoints.as_ref().map_or(&[][..], |endpoints| endpoints.items("/subsets"));
        let mut found = Vec::new();
        for subset in subsets {
            let number = subset.items("/ports").iter().find(|one| one.text("/name") == port);
            let number = number.and_then(|one| u16::try_from(one["port"].as_u64()?).ok());
            let Some(number) = number else { continue };
            let addresses = subset.items("/addresses").iter();
            found
                .extend(addresses.filter_map(|one| {
                    Some(SocketAddr::new(one.text("/ip").parse().ok()?, number))
                }));
        }
        found.choose(&mut rand::rng()).copied().ok_or_else(|| {
            let named = if subsets.is_empty() { &self.name } else { &self.named };
            Failure::unavailable(format!("no endpoints available for service {named:?}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_scheme_name_port_and_what_is_asked_for() {
        for (path, expected) in [
            ("namespaces/shop/pods/web/proxy", "pods|shop||web||"),
            ("namespaces/shop/pods/web:80/proxy/", "pods|shop||web|80|/"),
            (
                "namespaces/shop/services/http:web:main/proxy/a/b%20c",
                "services|shop|http|web|main|/a/b%20c",
            ),
            ("namespaces/shop/services/https:web:/proxy/x", "services|shop|https|web||/x"),
            ("namespaces/shop/services/web%3A80/proxy/", "services|shop||web|80|/"),
            ("nodes/node-1:10250/proxy/healthz", "nodes|||node-1|10250|/healthz"),
            ("namespaces/shop/pods/ftp:web:80/proxy/", "pods|shop||||/"),
            ("namespaces/shop/pods/a:b:c:d/proxy/", "pods|shop||||/"),
        ] {
            let way = Way::parse(&format!("/api/v1/{path}")).expect(path);
            let parts =
                [way.resource.plural, &way.namespace, &way.scheme, &way.name, &way.port, &way.path];
            assert_eq!(parts.join("|"), expected, "{path}");
        }
        for path in [
            "namespaces/shop/pods/web",
            "namespaces/shop/pods/web/proxyx",
            "nodes/a",
            "namespaces/shop/secrets/web/proxy",
        ] {
            assert_eq!(Way::parse(&format!("/api/v1/{path}")), None, "{path}");
        }
        assert_eq!(Way::parse("/apis/apps/v1/namespaces/shop/deployments/web/proxy"), None);
    }
}
