//! What a request is about, as authorization and audit see it.

use http::{Method, Uri, request::Parts};

use super::super::request::Parameters;

/// What is asked for. Read off the path alone: whether the resource exists is another
/// question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`;
    /// of a path that is no resource the method.
    pub verb: String,
    /// The path of the URL.
    pub path: String,
    /// Whether it leads to a resource.
    pub is_resource: bool,
    /// The API group; empty for the core group.
    pub group: String,
    /// The version in the group.
    pub version: String,
    /// The plural.
    pub resource: String,
    /// `exec`, `status` …, or empty.
    pub subresource: String,
    /// The namespace, or empty.
    pub namespace: String,
    /// The object, or empty.
    pub name: String,
}

impl Attributes {
    /// Reads a request's method, path and query.
    pub fn of(parts: &Parts) -> Self {
        Self::read(&parts.method, &parts.uri)
    }

    /// As [`Self::of`].
    pub fn read(method: &Method, uri: &Uri) -> Self {
        let path = uri.path().to_owned();
        let mut attributes = Self { verb: method.as_str().to_lowercase(), path, ..Self::default() };
        let path = attributes.path.clone();
        let mut parts = path.trim_matches('/').split('/').map(unescape);
        match (parts.next().as_deref(), parts.next(), parts.next()) {
            (Some("api"), Some(version), Some(third)) => {
                attributes.version = version;
                attributes.place(std::iter::once(third).chain(parts).collect());
            }
            (Some("apis"), Some(group), Some(version)) => {
                let rest: Vec<_> = parts.collect();
                if !rest.is_empty() {
                    (attributes.group, attributes.version) = (group, version);
                    attributes.place(rest);
                }
            }
            _ => {}
        }
        if attributes.is_resource {
            attributes.verb_of(method, uri);
        }
        attributes
    }

    fn place(&mut self, parts: Vec<String>) {
        self.is_resource = true;
        let mut parts = parts.into_iter().peekable();
        if parts.peek().is_some_and(|first| first == "namespaces") {
            let rest: Vec<_> = parts.collect();
            self.namespace = rest.get(1).cloned().unwrap_or_default();
            // `namespaces/shop/status` and `/finalize` are about the namespace itself.
            let own = rest.len() < 3 || matches!(rest[2].as_str(), "status" | "finalize");
            let rest = if own { rest } else { rest[2..].to_vec() };
            parts = rest.into_iter().peekable();
        }
        self.resource = parts.next().unwrap_or_default();
        self.name = parts.next().unwrap_or_default();
        self.subresource = parts.next().unwrap_or_default();
    }

    fn verb_of(&mut self, method: &Method, uri: &Uri) {
        let verb = match method.as_str() {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        };
        self.verb = verb.to_owned();
        let parameters = Parameters::of_uri(uri);
        if verb == "get" && self.subresource.is_empty() && parameters.flag("watch") {
            self.verb = "watch".into();
        } else if self.name.is_empty() && verb == "get" {
            self.verb = "list".into();
        } else if self.name.is_empty() && verb == "delete" {
            self.verb = "deletecollection".into();
        }
        // A selector that can mean one object only is as good as its name.
        if self.name.is_empty() && matches!(&*self.verb, "list" | "watch" | "deletecollection") {
            let mut conditions = parameters.text("fieldSelector").split(',');
            self.name = conditions
                .find_map(|condition| {
                    let (field, value) = condition.split_once('=')?;
                    let value = value.strip_prefix('=').unwrap_or(value);
                    (field.trim() == "metadata.name").then(|| value.trim().to_owned())
                })
                .unwrap_or_default();
        }
    }

    /// The resource with its subresource: `pods/exec`.
    pub fn combined(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// Whether it opens a session in a pod by an upgrade of a GET.
    pub fn starts_session(&self) -> bool {
        self.verb == "get"
            && self.group.is_empty()
            && self.resource == "pods"
            && matches!(&*self.subresource, "exec" | "attach" | "portforward")
    }
}

fn unescape(text: &str) -> String {
    super::super::request::unescape(text)
}
