//! `netproof init`: a starting suite from the policies of a cluster or of manifests.

mod asking;
mod blocks;
mod claims;
mod cluster;
mod labels;
mod network;
mod people;
mod ports;
mod write;

use std::io::Write;

use clap::Args;

use super::{Exit, check, exit::complain, state::StateArgs};
use crate::{
    policy::{Origin, Policy, PolicySet},
    suite, topology,
};

/// Write a starting suite: for each rule of each NetworkPolicy and ClusterNetworkPolicy a
/// connection to which it applies, and the nearest one to which it doesn't.
///
/// What is claimed is what the policies say, by the evaluator: read it, keep what you mean,
/// and add what no policy says. Workloads are stood for by probe pods with their labels. What
/// can't be claimed for certain is left as a comment with its reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof init --manifests deploy/ > suite.yaml
  netproof run --sandbox --manifests deploy/ suite.yaml          prove it on this machine
  helm template shop ./chart | netproof init --manifests - --name shop > shop.yaml
  netproof init --context staging --policies-in shop > shop.yaml

Exit codes:
  0 here it is    2 bad input, or there is nothing to claim    3 the cluster doesn't answer")]
pub(super) struct InitCommand {
    #[command(flatten)]
    state: StateArgs,
    /// Only the NetworkPolicies of this namespace; may be given several times.
    #[arg(long, value_name = "NAMESPACE")]
    policies_in: Vec<String>,
    /// The suite's name [default: the policies' namespace, or `policies`].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl InitCommand {
    pub(super) async fn run(self) -> Exit {
        self.tried().await.unwrap_or_else(|exit| exit)
    }

    async fn tried(&self) -> Result<Exit, Exit> {
        let objects = self.state.read().await?;
        let namespace = &self.state.namespace;
        let set = PolicySet::read(&objects.items, namespace, objects.origin).map_err(|all| {
            all.iter().for_each(|mistake| complain(&mistake.to_string(), None));
            Exit::BadInput
        })?;
        let built = topology::build(&objects.items, namespace);
        let is_wanted = |policy: &&Policy| match policy {
            Policy::Network(policy) => {
                self.policies_in.is_empty() || self.policies_in.contains(&policy.namespace)
            }
            Policy::Cluster(_) => self.policies_in.is_empty(),
        };
        let wanted: Vec<&Policy> = set.policies.iter().filter(is_wanted).collect();
        if wanted.is_empty() {
            let remedy = "name manifests that have some, or another --policies-in";
            complain("there is no policy to begin with", Some(remedy));
            return Err(Exit::BadInput);
        }
        // What manifests don't have may be there all the same; a cluster was read whole.
        let people = {
            let named = set.policies.iter().filter_map(Policy::namespace);
            people::People::new(&built.topology, objects.origin == Origin::Manifest, named)
        };
        let found = claims::claims(&set, &wanted, people);
        let name = self.name.clone().unwrap_or_else(|| suite_name(&wanted));
        let text = write::suite(&name, &found, wanted.len());
        let nowhere = |_: &str| Err(std::io::ErrorKind::NotFound.into());
        let (_, mistakes) = suite::parse("the suite", &text, &nowhere);
        if !mistakes.is_empty() {
            // The name may be one that no suite can have.
            check::print(&mistakes.into());
            return Err(Exit::BadInput);
        }
        // A closed pipe is the reader's choice.
        let _ = write!(std::io::stdout(), "{text}");
        Ok(Exit::Passed)
    }
}

/// The namespace of all of them, where they have one in common.
fn suite_name(policies: &[&Policy]) -> String {
    let mut names = policies.iter().filter_map(|policy| policy.namespace());
    match names.next() {
        Some(first) if names.all(|name| name == first) => first.to_owned(),
        _ => "policies".to_owned(),
    }
}
