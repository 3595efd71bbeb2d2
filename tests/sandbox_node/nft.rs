//! What the kernel has, as `nft` reads it out, against what the sandbox says that it has.

use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use netproof::sandbox::node::PodNetwork;

use crate::{
    lab::{Lab, NODES},
    scenario::{Outcome, chain, text},
};

/// Compares the tables of all nodes with what the engine says; where `nft` is missing,
/// nothing.
pub async fn same_as_the_kernels(lab: &mut Lab) -> Outcome {
    // A network that has no table of its own.
    let scratch = lab.pod("world").clone();
    for node in NODES {
        let said = lab.engine.ruleset(node).ok_or("no such node")?.to_nft();
        let network = lab.network.host_network(node).map_err(chain)?;
        let Some(loaded) = nft(&network, "list table inet netproof".to_owned()).await? else {
            return Ok(());
        };
        // As nft itself writes what it reads.
        nft(&scratch, said).await?;
        let said = nft(&scratch, "list table inet netproof".to_owned()).await?.unwrap_or_default();
        nft(&scratch, "delete table inet netproof".to_owned()).await?;
        let (loaded, said) = (blocks(&loaded), blocks(&said));
        let only = |these: &BTreeSet<String>, others| {
            these.difference(others).cloned().collect::<Vec<_>>().join("\n")
        };
        if loaded != said {
            let (loaded, said) = (only(&loaded, &said), only(&said, &loaded));
            return Err(format!(
                "node {node}: the kernel has\n{loaded}\nit is said to have\n{said}"
            ));
        }
    }
    Ok(())
}

/// Runs commands of `nft` inside a network; none where there is no such program.
async fn nft(network: &PodNetwork, commands: String) -> Result<Option<String>, String> {
    let run = move || {
        let child = Command::new("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(text)?,
        };
        let mut stdin = child.stdin.take().ok_or("no stdin")?;
        stdin.write_all(commands.as_bytes()).map_err(text)?;
        drop(stdin);
        let output = child.wait_with_output().map_err(text)?;
        if !output.status.success() {
            return Err(format!("{}\nof\n{commands}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(Some(String::from_utf8_lossy(&output.stdout).into_owned()))
    };
    network.run(run).await.map_err(text)?
}

/// Sets and chains, each on a line, with the elements of sets in order.
fn blocks(table: &str) -> BTreeSet<String> {
    let mut blocks = BTreeSet::new();
    for block in table.split("\n\t}") {
        let words = block.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = words.trim_start_matches("table inet netproof { ");
        let block = match words.split_once("elements = { ") {
            Some((head, elements)) => {
                let mut elements: Vec<_> = elements.trim_end_matches(" }").split(", ").collect();
                elements.sort_unstable();
                format!("{head}{elements:?}")
            }
            None => words.to_owned(),
        };
        blocks.insert(block);
    }
    blocks
}
