//! Many policies on ten nodes: how long until the kernels have them, and one change of many.
//!
//! The nodes' tables are the kernel's, in the network of a sandbox; of the thousand pods only
//! the rules know. What the API adds to it is the watch's event, which is measured beside.

use std::{
    collections::BTreeMap,
    fmt, io,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    time::{Duration, Instant},
};

use futures::future::join_all;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use netproof::{
    model::{Labels, Transport},
    sandbox::{
        firewall::{ClusterNetworkPolicy, Engine, NamedPort, PodEntry, Update},
        node::{Network, NodeSpec},
        process::{self, Options, Sandbox},
    },
};

/// Something that happens to the policies of a cluster.
type Change<'a> = &'a dyn Fn(&mut Engine);

const PODS: usize = 1000;
const POLICIES: usize = 500;
const SPACES: usize = 20;
const NODES: u8 = 10;
/// As many as the sandbox takes in at once.
const AT_ONCE: usize = 64;
const ROUNDS: usize = 20;

/// What it took.
pub struct Policies {
    /// Until all were in force.
    pub all: Duration,
    /// Until all nodes had their whole tables anew.
    pub anew: Duration,
    /// Until two nodes had many more policies of both families anew, in parts.
    pub parts: Duration,
    /// One change: the median, and the slowest.
    pub changes: BTreeMap<String, (Duration, Duration)>,
}

/// Measures in a sandbox of its own.
pub fn policies() -> Policies {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let lines = runtime.block_on(async {
        let sandbox = Sandbox::start(Path::new("/proc/self/exe"), &Options::default())
            .await
            .expect("a sandbox");
        let address = sandbox.kubeconfig().to_owned();
        let lines = tokio::task::spawn_blocking(move || {
            let stream = TcpStream::connect(&address).expect("the child listens");
            BufReader::new(stream).lines().collect::<Result<Vec<_>, _>>().expect("lines")
        });
        let lines = lines.await.expect("the child's answer");
        sandbox.stop().await;
        lines
    });
    let micros = |text: &str| Duration::from_micros(text.parse().expect("a number"));
    let (mut all, mut anew, mut parts) = (None, None, None);
    let mut changes = BTreeMap::new();
    for line in &lines {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["all", time] => all = Some(micros(time)),
            ["anew", time] => anew = Some(micros(time)),
            ["parts", time] => parts = Some(micros(time)),
            [what, median, slowest] => {
                changes.insert(what.to_owned(), (micros(median), micros(slowest)));
            }
            _ => panic!("the child says: {line}"),
        }
    }
    let time = |time: Option<Duration>| time.expect("the child says each");
    Policies { all: time(all), anew: time(anew), parts: time(parts), changes }
}

/// The child's side. In place of a kubeconfig it announces where it listens.
pub fn serve(listener: TcpListener, _: Options) -> Result<(), Broken> {
    let work = || -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        process::announce(&listener.local_addr().map_err(text)?.to_string());
        let (mut stream, _) = listener.accept().map_err(text)?;
        let runtime = tokio::runtime::Runtime::new().map_err(text)?;
        let lines = runtime.block_on(measure())?;
        stream.write_all(lines.as_bytes()).map_err(text)
    };
    work().map_err(Broken)
}

/// What went wrong in the child.
#[derive(Debug)]
pub struct Broken(String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

async fn measure() -> Result<String, String> {
    let nodes: Vec<NodeSpec> = (1..=NODES)
        .map(|number| NodeSpec {
            name: format!("node-{number}"),
            addresses: vec![Ipv4Addr::new(192, 168, 77, number).into()],
            pod_cidrs: vec![format!("10.77.{number}.0/24").parse().expect("a block")],
        })
        .collect();
    let network = Network::create(&nodes).await.map_err(|error| error.to_string())?;
    let mut engine = Engine::new(nodes.iter().map(|node| node.name.as_str()), true);
    for space in 0..SPACES {
        engine.set_namespace(&space_of(space), Some(space_labels(space, 0)));
    }
    for number in 0..PODS {
        let pod = pod(number, "a");
        engine.set_pod(&pod.namespace.clone(), &pod.name.clone(), Some(pod), false);
    }
    load(&network, &mut engine).await?;

    let begun = Instant::now();
    let numbers: Vec<usize> = (0..POLICIES).collect();
    for some in numbers.chunks(AT_ONCE) {
        some.iter().for_each(|number| engine.set_policy(&policy(*number, "a")));
        load(&network, &mut engine).await?;
    }
    let mut lines = format!("all\t{}\n", begun.elapsed().as_micros());

    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for round in 0..ROUNDS {
        let number = round * 17;
        let space = round % SPACES;
        let name = format!("policy-{number}");
        let changes: [(&str, Change<'_>); 7] = [
            ("a policy changes", &|engine| engine.set_policy(&policy(number, "b"))),
            ("a policy goes", &|engine| engine.remove_policy(&space_of(number), &name)),
            ("a policy comes", &|engine| engine.set_policy(&policy(number, "a"))),
            ("a pod is relabelled", &|engine| {
                let pod = pod(number, "b");
                engine.set_pod(&pod.namespace.clone(), &pod.name.clone(), Some(pod), false);
            }),
            ("a namespace is relabelled", &|engine| {
                engine.set_namespace(&space_of(space), Some(space_labels(space, round + 1)));
            }),
            ("a policy of the cluster comes", &|engine| engine.set_cluster_policy(&guard())),
            ("a policy of the cluster goes", &|engine| engine.remove_cluster_policy("guard")),
        ];
        for (what, change) in changes {
            let begun = Instant::now();
            change(&mut engine);
            load(&network, &mut engine).await?;
            times.entry(what).or_default().push(begun.elapsed());
        }
    }
    let begun = Instant::now();
    engine.reload_all();
    load(&network, &mut engine).await?;
    lines.push_str(&format!("anew\t{}\n", begun.elapsed().as_micros()));
    lines.push_str(&format!("parts\t{}\n", in_parts(&network).await?.as_micros()));
    for (what, mut all) in times {
        all.sort_unstable();
        let (median, slowest) = (all[all.len() / 2], all[all.len() - 1]);
        lines.push_str(&format!("{what}\t{}\t{}\n", median.as_micros(), slowest.as_micros()));
    }
    Ok(lines)
}

/// What an ordinary user may send at once where the system's limit is 208 KiB, the usual one,
/// which the kernel doubles.
const ROOM: usize = 2 * 212_992;

/// Two nodes with many policies and pods of both families, all anew.
async fn in_parts(network: &Network) -> Result<Duration, String> {
    let mut engine = Engine::new(["node-1", "node-2"], true);
    for space in 0..SPACES {
        engine.set_namespace(&space_of(space), Some(space_labels(space, 0)));
    }
    for number in 0..PODS / 5 {
        let mut pod = pod(number, "a");
        pod.node = format!("node-{}", number % 2 + 1);
        let own = 0x100 + number as u16;
        pod.addresses.push(IpAddr::from([0xfd77, 0x10, 0x77, 0, 0, 0, 0, own]));
        engine.set_pod(&pod.namespace.clone(), &pod.name.clone(), Some(pod), false);
    }
    (0..3 * POLICIES).for_each(|number| engine.set_policy(&policy(number, "a")));
    network.limit_transactions(ROOM);
    let begun = Instant::now();
    load(network, &mut engine).await?;
    Ok(begun.elapsed())
}

async fn load(network: &Network, engine: &mut Engine) -> Result<(), String> {
    let updates = engine.take().into_iter().map(async |(node, update)| match update {
        Update::Whole(rules) => network.apply(&node, &rules).await,
        Update::Delta(delta) => network.apply_delta(&node, delta).await,
    });
    let loaded: Result<(), _> = join_all(updates).await.into_iter().collect();
    loaded.map_err(|error| error.to_string())
}

fn space_of(number: usize) -> String {
    format!("space-{}", number % SPACES)
}

/// A label that policies choose by, which changes from round to round.
fn space_labels(space: usize, round: usize) -> Labels {
    let labels = [
        ("kubernetes.io/metadata.name", space_of(space)),
        ("team", ((space + round) % 2).to_string()),
    ];
    labels_of(&labels)
}

fn labels_of(labels: &[(&str, String)]) -> Labels {
    labels.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn pod(number: usize, version: &str) -> PodEntry {
    let (node, last) = (number % usize::from(NODES) + 1, number / usize::from(NODES) + 2);
    let app = ("app", (number / SPACES % 10).to_string());
    PodEntry {
        namespace: space_of(number),
        name: format!("pod-{number}"),
        labels: labels_of(&[app, ("version", version.to_owned())]),
        addresses: vec![IpAddr::from([10, 77, node as u8, last as u8])],
        node: format!("node-{node}"),
        ports: vec![NamedPort { name: "web".into(), protocol: Transport::Tcp, number: 80 }],
        host_network: false,
    }
}

/// Of each kind some: isolation of a namespace, an app by its clients, egress to namespaces
/// of a team, a block.
fn policy(number: usize, version: &str) -> NetworkPolicy {
    let app = (number / SPACES % 10).to_string();
    let (who, team) = (format!("{{matchLabels: {{app: '{app}'}}}}"), number % 2);
    let spec = match number / SPACES % 4 {
        0 => format!(
            "podSelector: {{}}, policyTypes: [Ingress, Egress], egress: [{{ports: [{{port: {number}}}]}}]"
        ),
        1 => format!(
            "podSelector: {who}, ingress: [{{from: [{{podSelector: {{matchLabels: {{version: \
             {version}}}}}}}], ports: [{{port: web}}]}}]"
        ),
        2 => format!(
            "podSelector: {who}, policyTypes: [Egress], egress: [{{to: [{{namespaceSelector: \
             {{matchLabels: {{team: '{team}'}}}}}}], ports: [{{port: web}}, {{port: 443}}]}}]"
        ),
        _ => format!(
            "podSelector: {who}, ingress: [{{from: [{{ipBlock: {{cidr: 10.0.0.0/8, except: \
             [10.77.1.0/24]}}}}]}}]"
        ),
    };
    let text = format!(
        "{{metadata: {{name: policy-{number}, namespace: {}, labels: {{version: {version}}}}}, \
         spec: {{{spec}}}}}",
        space_of(number)
    );
    serde_yaml::from_str(&text).expect("a policy")
}

/// About all pods, with all pods as peers.
fn guard() -> ClusterNetworkPolicy {
    let text = "{metadata: {name: guard}, spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, \
                ingress: [{action: Pass, from: [{namespaces: {matchLabels: {team: '1'}}}]}], \
                egress: [{action: Deny, to: [{networks: [192.0.2.0/24]}]}]}}";
    serde_yaml::from_str(text).expect("a policy")
}
