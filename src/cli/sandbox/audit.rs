//! `netproof sandbox audit`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
};

use clap::Args;
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::{
    Trouble,
    state::{self, Home},
};
use crate::{cli::Exit, model::chain};

/// Where the API shows its record.
const PATH: &str = "/apis/sandbox.netproof.dev/v1alpha1/audit";

/// Say who asked a sandbox's API for what, as JSON lines.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox audit | jq -r '[.user.username, .verb, .requestURI] | @tsv'
  netproof sandbox audit --role --user system:serviceaccount:ci:netproof")]
pub(super) struct AuditCommand {
    /// Which sandbox; else `default`, or the only one that is up.
    #[arg(value_name = "NAME", value_parser = state::name)]
    name: Option<String>,
    /// Go on with what is asked from now on.
    #[arg(long, conflicts_with = "role")]
    follow: bool,
    /// Print the smallest ClusterRole that permits what was done.
    #[arg(long)]
    role: bool,
    /// Only what this user asked.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

impl AuditCommand {
    pub(super) async fn run(self) -> Result<Exit, Trouble> {
        let kept = Home::open()?.choose(self.name.as_deref())?;
        let trouble = |error: &dyn std::error::Error| {
            let message =
                format!("read the record of the sandbox `{}`: {}", kept.name, chain(error));
            Trouble::input(message, "see `netproof sandbox status`")
        };
        let kubeconfig =
            Kubeconfig::read_from(kept.kubeconfig()).map_err(|error| trouble(&error))?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.map_err(|error| trouble(&error))?;
        // A quiet sandbox is no broken one.
        config.read_timeout = None;
        let client = Client::try_from(config).map_err(|error| trouble(&error))?;
        let path = if self.follow { format!("{PATH}?follow=true") } else { PATH.to_owned() };
        let request = http::Request::get(path).body(Vec::new()).map_err(|error| trouble(&error))?;
        let stream = client.request_stream(request).await.map_err(|error| trouble(&error))?;
        let mut lines = stream.lines();
        let mut asked = Vec::new();
        let mut out = anstream::stdout();
        while let Some(line) = lines.try_next().await.map_err(|error| trouble(&error))? {
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            let user = event["user"]["username"].as_str().unwrap_or_default();
            if self.user.as_deref().is_some_and(|wanted| wanted != user) {
                continue;
            }
            if self.role {
                asked.push(event);
            } else if writeln!(out, "{line}").is_err() {
                // The reader has seen enough.
                break;
            }
        }
        if self.role {
            let text = serde_yaml::to_string(&role(&asked)).map_err(|error| trouble(&error))?;
            let _ = out.write_all(text.as_bytes());
        }
        Ok(Exit::Passed)
    }
}

/// The smallest role that permits every request that was not refused for want of rights,
/// and those that were as well: they were asked for.
fn role(events: &[Value]) -> Value {
    type Asked = BTreeMap<(String, String), BTreeSet<String>>;
    let (mut resources, mut paths) = (Asked::new(), BTreeSet::new());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for event in events {
        let about = &event["objectRef"];
        if about.is_null() {
            let path = text(&event["requestURI"]);
            let path = path.split('?').next().unwrap_or_default();
            // Everybody may look at what there is.
            if !["/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz"]
                .iter()
                .any(|known| path.starts_with(known))
            {
                paths.insert((text(&event["verb"]), path.to_owned()));
            }
            continue;
        }
        let mut resource = text(&about["resource"]);
        if let Some(sub) = about["subresource"].as_str() {
            resource = format!("{resource}/{sub}");
        }
        let place = (text(&about["apiGroup"]), resource.clone());
        let verbs = resources.entry(place).or_default();
        verbs.insert(text(&event["verb"]));
        if resource == "pods/exec" {
            // An upgrade is a GET that takes `create` as well.
            verbs.insert("create".to_owned());
        }
    }
    // Resources of a group with the same verbs share a rule.
    let mut rules = BTreeMap::<(String, BTreeSet<String>), Vec<String>>::new();
    for ((group, resource), verbs) in resources {
        rules.entry((group, verbs)).or_default().push(resource);
    }
    let rules = rules.into_iter().map(|((group, verbs), resources)| {
        json!({"apiGroups": [group], "resources": resources, "verbs": verbs})
    });
    let paths =
        paths.into_iter().map(|(verb, path)| json!({"nonResourceURLs": [path], "verbs": [verb]}));
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "what-was-asked"},
        "rules": rules.chain(paths).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_permits_what_was_asked_and_no_more() {
        let asked = |verb: &str, group: &str, resource: &str, sub: Option<&str>| {
            json!({"verb": verb, "requestURI": "/x", "objectRef": {
                "apiGroup": group, "resource": resource, "subresource": sub,
            }})
        };
        let events = [
            asked("list", "", "pods", None),
            asked("get", "", "pods", None),
            asked("get", "", "services", None),
            asked("list", "", "services", None),
            asked("get", "", "pods", Some("exec")),
            asked("create", "apps", "deployments", None),
            json!({"verb": "get", "requestURI": "/api?timeout=32s"}),
            json!({"verb": "get", "requestURI": "/metrics"}),
        ];
        assert_eq!(
            role(&events)["rules"],
            json!([
                {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create", "get"]},
                {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list"]},
                {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["create"]},
                {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
            ])
        );
    }
}
