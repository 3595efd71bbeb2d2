//! `netproof sandbox rules`.

use std::io::Write as _;

use clap::Args;
use kube::{
    Api,
    api::{DynamicObject, ListParams},
    core::{ApiResource, GroupVersionKind},
};

use super::{Trouble, cni, state};
use crate::cli::Exit;

/// Print a node's firewall rules in nft's own syntax, each with the policy that made it.
///
/// `nft -f` loads what is printed of one node, say in `unshare -n`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  netproof sandbox rules --node node-1
  netproof sandbox rules | grep -B2 'NetworkPolicy shop/db'      what one policy became")]
pub(super) struct RulesCommand {
    /// The sandbox; the only one or `default` without a name.
    #[arg(value_name = "NAME", value_parser = state::name)]
    name: Option<String>,
    /// Of this node; of all nodes, one after the other, without.
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
}

impl RulesCommand {
    pub(super) async fn run(self) -> Result<Exit, Trouble> {
        let client = cni::client(self.name.as_deref()).await?;
        let nodes = match &self.node {
            Some(node) => vec![node.clone()],
            None => {
                let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Node"));
                let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
                let list = api.list(&ListParams::default()).await.map_err(cni::refused)?;
                list.items.into_iter().filter_map(|node| node.metadata.name).collect()
            }
        };
        let mut out = anstream::stdout();
        for node in nodes {
            let rules = client
                .request_text(cni::get(&format!("nodes/{node}/rules"))?)
                .await
                .map_err(cni::refused)?;
            // Who closes the pipe has read enough.
            if write!(out, "# node {node}\n{rules}").is_err() {
                break;
            }
        }
        Ok(Exit::Passed)
    }
}
