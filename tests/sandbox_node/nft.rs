//! What the kernel has, as `nft` reads it out, against what the sandbox says that it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures::future::join_all;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use netproof::{
    model::{Labels, Transport},
    sandbox::{
        firewall::{Engine, NamedPort, PodEntry, Update},
        node::{Network, NodeSpec, PodNetwork},
    },
};

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

const PODS: usize = 1000;
const POLICIES: usize = 500;
const SPACES: usize = 20;

/// Ten nodes whose tables are the kernel's; of the pods only the rules know.
pub async fn five_hundred_policies_are_in_force_quickly() -> Outcome {
    let nodes: Vec<NodeSpec> = (1..=10_u8)
        .map(|number| NodeSpec {
            name: format!("node-{number}"),
            addresses: vec![Ipv4Addr::new(192, 168, 77, number).into()],
            pod_cidrs: vec![format!("10.77.{number}.0/24").parse().expect("a block")],
        })
        .collect();
    let network = Network::create(&nodes).await.map_err(chain)?;
    let mut engine = Engine::new(nodes.iter().map(|node| node.name.as_str()), true);
    for space in 0..SPACES {
        let labels = [("kubernetes.io/metadata.name", format!("space-{space}"))];
        engine.set_namespace(&format!("space-{space}"), Some(labels_of(&labels)));
    }
    let started = Instant::now();
    for number in 0..PODS {
        let pod = pod(number, "a");
        engine.set_pod(&pod.namespace.clone(), &pod.name.clone(), Some(pod), false);
    }
    load(&network, &mut engine).await?;
    eprintln!("{PODS} pods on 10 nodes: {:.0?}", started.elapsed());

    let started = Instant::now();
    let mut longest = Duration::ZERO;
    for number in 0..POLICIES {
        let before = Instant::now();
        engine.set_policy(&policy(number));
        load(&network, &mut engine).await?;
        longest = longest.max(before.elapsed());
    }
    let all = started.elapsed();
    eprintln!("{POLICIES} policies one by one: {all:.0?}, the longest {longest:.1?}");
    let mut times: BTreeMap<&str, Duration> = BTreeMap::new();
    for round in 0..20 {
        let mut measure = async |what, change: &dyn Fn(&mut Engine)| {
            let before = Instant::now();
            change(&mut engine);
            load(&network, &mut engine).await?;
            let time = times.entry(what).or_default();
            *time = before.elapsed().max(*time);
            Ok::<_, String>(())
        };
        let number = round * 17;
        measure("a policy goes", &|engine| {
            engine
                .remove_policy(&format!("space-{}", number % SPACES), &format!("policy-{number}"));
        })
        .await?;
        measure("a policy comes", &|engine| engine.set_policy(&policy(number))).await?;
        measure("a pod is relabelled", &|engine| {
            let pod = pod(number, "b");
            engine.set_pod(&pod.namespace.clone(), &pod.name.clone(), Some(pod), false);
        })
        .await?;
        measure("a namespace is relabelled", &|engine| {
            let labels = [("kubernetes.io/metadata.name", format!("x-{round}"))];
            engine.set_namespace(&format!("space-{}", round % SPACES), Some(labels_of(&labels)));
        })
        .await?;
    }
    eprintln!("one change of many, at the longest: {times:.1?}");
    // The limits of a release build are in the benchmarks; these only catch another order.
    let limit = Duration::from_secs(20);
    if all > limit || times.values().any(|time| *time > limit / 40) {
        return Err(format!("{all:?}, {times:?}"));
    }
    Ok(())
}

async fn load(network: &Network, engine: &mut Engine) -> Result<(), String> {
    let updates = engine.take().into_iter().map(async |(node, update)| match update {
        Update::Whole(rules) => network.apply(&node, &rules).await,
        Update::Delta(delta) => network.apply_delta(&node, &delta).await,
    });
    join_all(updates).await.into_iter().collect::<Result<(), _>>().map_err(chain)
}

fn labels_of(labels: &[(&str, String)]) -> Labels {
    labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn pod(number: usize, version: &str) -> PodEntry {
    let (node, last) = (number % 10 + 1, number / 10 + 2);
    let address = IpAddr::from([10, 77, node as u8, last as u8]);
    let app = ("app", (number / SPACES % 10).to_string());
    PodEntry {
        namespace: format!("space-{}", number % SPACES),
        name: format!("pod-{number}"),
        labels: labels_of(&[app, ("version", version.to_owned())]),
        addresses: vec![address],
        node: format!("node-{node}"),
        ports: vec![NamedPort { name: "web".into(), protocol: Transport::Tcp, number: 80 }],
        host_network: false,
    }
}

/// Of each kind some: isolation of a namespace, an app by its clients, egress to another
/// namespace, a block.
fn policy(number: usize) -> NetworkPolicy {
    let app = (number / SPACES % 10).to_string();
    let other = format!("space-{}", (number + 1) % SPACES);
    let spec = match number / SPACES % 4 {
        0 => "{podSelector: {}, policyTypes: [Ingress, Egress]}".to_owned(),
        1 => format!(
            "{{podSelector: {{matchLabels: {{app: '{app}'}}}}, ingress: [{{from: [{{podSelector: \
             {{matchLabels: {{version: a}}}}}}], ports: [{{port: web}}]}}]}}"
        ),
        2 => format!(
            "{{podSelector: {{matchLabels: {{app: '{app}'}}}}, policyTypes: [Egress], egress: [{{to: \
             [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {other}}}}}}}], \
             ports: [{{port: web}}, {{port: 443}}]}}]}}"
        ),
        _ => format!(
            "{{podSelector: {{matchLabels: {{app: '{app}'}}}}, ingress: [{{from: [{{ipBlock: {{cidr: \
             10.0.0.0/8, except: [10.77.1.0/24]}}}}]}}]}}"
        ),
    };
    let namespace = format!("space-{}", number % SPACES);
    let text =
        format!("{{metadata: {{name: policy-{number}, namespace: {namespace}}}, spec: {spec}}}");
    serde_yaml::from_str(&text).expect("a policy")
}
