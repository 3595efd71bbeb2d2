//! A small cluster for scenarios: two nodes, a few pods that answer, a host outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    io::Read as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::ExitCode,
    thread,
    time::Duration,
};

use k8s_openapi::api::networking::v1::NetworkPolicy;
use netproof::{
    model::{Labels, Transport},
    sandbox::{
        fault::NetworkFault as Fault,
        firewall::{Engine, NamedPort, PodEntry, Snapshot, Update},
        node::{Network, NodeSpec, PodNetwork, PodSettings},
    },
};
use serde::Deserialize as _;

use crate::scenario::{chain, text};

/// How long to wait for an answer that is expected; a loaded machine may be slow.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait where silence is expected. Answers take microseconds.
const SILENCE: Duration = Duration::from_millis(200);
pub const NODES: [&str; 2] = ["one", "two"];
pub const WORLD: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 9);
const WORLD_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It was answered by this pod, which saw that source.
    Answer(String, IpAddr),
    Refused,
    Silence,
    Prohibited,
    Other(String),
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(by, _) => write!(f, "answered by {by}"),
            Self::Refused => f.write_str("refused"),
            Self::Silence => f.write_str("silence"),
            Self::Prohibited => f.write_str("prohibited"),
            Self::Other(error) => f.write_str(error),
        }
    }
}

pub struct Lab {
    pub network: Network,
    pub snapshot: Snapshot,
    pub faults: Vec<Fault>,
    pub engine: Engine,
    /// Those that the engine knows.
    policies: BTreeSet<(String, String)>,
    networks: BTreeMap<String, PodNetwork>,
}

type Pairs = &'static [(&'static str, &'static str)];

/// Name, node, namespace, labels.
const PODS: [(&str, &str, &str, Pairs); 5] = [
    ("web", "one", "shop", &[("app", "web"), ("tier", "front")]),
    ("api", "one", "shop", &[("app", "api")]),
    ("db", "two", "shop", &[("app", "db")]),
    ("job", "two", "shop", &[("app", "job")]),
    ("guest", "two", "other", &[("app", "web")]),
];

impl Lab {
    pub async fn new() -> Result<Self, String> {
        let specs: Vec<_> = (1..)
            .zip(NODES)
            .map(|(number, name)| NodeSpec {
                name: name.to_owned(),
                addresses: vec![
                    Ipv4Addr::new(192, 168, 77, number).into(),
                    Ipv6Addr::new(0xfd77, 0x168, 0, 0, 0, 0, 0, number.into()).into(),
                ],
                pod_cidrs: vec![
                    format!("10.77.{number}.0/24").parse().expect("a block"),
                    format!("fd77:10:77:{number}::/64").parse().expect("a block"),
                ],
            })
            .collect();
        let network = Network::create(&specs).await.map_err(chain)?;
        let labels = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let mut lab = Self {
            network,
            snapshot: Snapshot::default(),
            faults: Vec::new(),
            engine: Engine::new(NODES, true),
            policies: BTreeSet::new(),
            networks: BTreeMap::new(),
        };
        for (name, team) in [("shop", "a"), ("other", "b")] {
            let labels = labels(&[("kubernetes.io/metadata.name", name), ("team", team)]);
            lab.snapshot.namespaces.insert(name.to_owned(), labels);
        }
        for (index, (name, node, namespace, pairs)) in (10..).zip(PODS) {
            let number = if node == "one" { 1 } else { 2 };
            let address = Ipv4Addr::new(10, 77, number, index);
            let addresses = [address.into(), v6(number, index)];
            let settings = PodSettings::default();
            let pod = lab.network.add_pod(node, &addresses, &settings).await.map_err(chain)?;
            answer(&pod, name).await?;
            lab.networks.insert(name.to_owned(), pod);
            // The same name means another port on each.
            let number = if name == "db" { 9090 } else { 8080 };
            let ports = [Transport::Tcp, Transport::Udp].map(|protocol| NamedPort {
                name: "main".to_owned(),
                protocol,
                number,
            });
            lab.snapshot.pods.push(PodEntry {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                labels: labels(pairs),
                addresses: addresses.to_vec(),
                node: node.to_owned(),
                ports: ports.into(),
                host_network: false,
            });
        }
        let world =
            lab.network.add_host("world", &[WORLD.into(), WORLD_V6.into()]).await.map_err(chain)?;
        answer(&world, "world").await?;
        lab.networks.insert("world".to_owned(), world);
        for node in NODES {
            let network = lab.network.host_network(node).map_err(chain)?;
            answer(&network, node).await?;
            lab.networks.insert(node.to_owned(), network);
        }
        Ok(lab)
    }

    pub fn pod(&self, name: &str) -> &PodNetwork {
        &self.networks[name]
    }

    pub fn address(&self, name: &str) -> IpAddr {
        self.networks[name].address()
    }

    /// The addresses of both families.
    pub fn addresses(&self, name: &str) -> &[IpAddr] {
        self.networks[name].addresses()
    }

    /// Takes a pod away and puts another in its place: the same node, the same addresses,
    /// other labels.
    pub async fn replace(&mut self, old: &str, new: &str) -> Result<(), String> {
        let pod = self.networks.remove(old).expect("a pod of the lab");
        let (node, addresses) = (pod.node().to_owned(), pod.addresses().to_vec());
        self.network.remove_pod(&pod).await.map_err(chain)?;
        let settings = PodSettings::default();
        let pod = self.network.add_pod(&node, &addresses, &settings).await.map_err(chain)?;
        answer(&pod, new).await?;
        self.networks.insert(new.to_owned(), pod);
        let entry = self.snapshot.pods.iter_mut().find(|entry| entry.name == old);
        let entry = entry.expect("a pod of the lab");
        self.engine.set_pod(&entry.namespace, old, None, false);
        entry.name = new.to_owned();
        entry.labels = [("app".to_owned(), new.to_owned())].into();
        Ok(())
    }

    /// Puts the policies of a YAML text, and the Services and faults, on all nodes.
    pub async fn apply(&mut self, policies: &str) -> Result<(), String> {
        // An empty document would be an empty policy, which isolates.
        self.snapshot.policies = serde_yaml::Deserializer::from_str(policies)
            .filter(|_| !policies.is_empty())
            .map(|document| {
                let mut policy = NetworkPolicy::deserialize(document).map_err(text)?;
                policy.metadata.namespace.get_or_insert_with(|| "shop".to_owned());
                Ok(policy)
            })
            .collect::<Result<_, String>>()?;
        self.load().await?;
        self.network.apply_fabric(&self.faults).await.map_err(chain)
    }

    /// Brings the nodes from what they have to what the snapshot and the faults say, by no
    /// more than the difference.
    pub async fn load(&mut self) -> Result<(), String> {
        let engine = &mut self.engine;
        engine.set_faults(&self.faults);
        for (name, labels) in &self.snapshot.namespaces {
            engine.set_namespace(name, Some(labels.clone()));
        }
        for pod in &self.snapshot.pods {
            engine.set_pod(&pod.namespace, &pod.name, Some(pod.clone()), false);
        }
        let key = |policy: &NetworkPolicy| {
            let metadata = &policy.metadata;
            (
                metadata.namespace.clone().unwrap_or_default(),
                metadata.name.clone().unwrap_or_default(),
            )
        };
        let policies: BTreeSet<_> = self.snapshot.policies.iter().map(key).collect();
        for (namespace, name) in self.policies.difference(&policies) {
            engine.remove_policy(namespace, name);
        }
        for policy in &self.snapshot.policies {
            engine.set_policy(policy);
        }
        self.policies = policies;
        engine.set_ground(self.snapshot.nodes.clone(), self.snapshot.ranges.clone());
        engine.set_services(self.snapshot.services.clone());
        engine.set_host_ports(self.snapshot.host_ports.clone());
        for (node, update) in engine.take() {
            match update {
                Update::Whole(rules) => self.network.apply(&node, &rules).await,
                Update::Delta(delta) => self.network.apply_delta(&node, delta).await,
            }
            .map_err(chain)?;
        }
        Ok(())
    }

    /// Dials and waits as long as an answer may take.
    pub async fn tcp(&self, from: &str, to: impl Into<IpAddr>, port: u16) -> Seen {
        self.dial_tcp(from, (to.into(), port).into(), PATIENCE).await
    }

    /// Dials and waits as long as an answer may take.
    pub async fn udp(&self, from: &str, to: impl Into<IpAddr>, port: u16) -> Seen {
        self.dial_udp(from, (to.into(), port).into(), PATIENCE).await
    }

    /// Dials, and gives up sooner where silence is expected.
    pub async fn expect(&self, from: &str, to: SocketAddr, udp: bool, expected: &Seen) -> Seen {
        let wait = if *expected == Seen::Silence { SILENCE } else { PATIENCE };
        if udp { self.dial_udp(from, to, wait).await } else { self.dial_tcp(from, to, wait).await }
    }

    async fn dial_tcp(&self, from: &str, to: SocketAddr, wait: Duration) -> Seen {
        self.dial(from, move || {
            let mut answer = String::new();
            let mut stream = TcpStream::connect_timeout(&to, wait)?;
            stream.set_read_timeout(Some(wait))?;
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })
        .await
    }

    async fn dial_udp(&self, from: &str, to: SocketAddr, wait: Duration) -> Seen {
        self.dial(from, move || {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.set_read_timeout(Some(wait))?;
            socket.connect(to)?;
            socket.send(b"?")?;
            let mut answer = [0; 64];
            let length = socket.recv(&mut answer)?;
            Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
        })
        .await
    }

    async fn dial(
        &self,
        from: &str,
        work: impl FnOnce() -> io::Result<String> + Send + 'static,
    ) -> Seen {
        use io::ErrorKind as Kind;
        match self.networks[from].run(work).await {
            Ok(Ok(answer)) => match answer.split_once(' ') {
                Some((by, source)) => {
                    let source = source.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
                    Seen::Answer(by.to_owned(), source)
                }
                None => Seen::Other(format!("answer `{answer}`")),
            },
            Ok(Err(error)) | Err(error) => match error.kind() {
                Kind::ConnectionRefused => Seen::Refused,
                Kind::TimedOut | Kind::WouldBlock => Seen::Silence,
                // "Administratively prohibited" and "unreachable" come as one errno.
                Kind::HostUnreachable => Seen::Prohibited,
                _ => Seen::Other(error.to_string()),
            },
        }
    }
}

/// The IPv6 address of a pod.
pub fn v6(node: u8, last: u8) -> IpAddr {
    Ipv6Addr::new(0xfd77, 0x10, 0x77, node.into(), 0, 0, 0, last.into()).into()
}

/// Answers on 8080 and 9090, TCP and UDP, with the pod's name and the source it saw.
async fn answer(pod: &PodNetwork, name: &str) -> Result<(), String> {
    let name = name.to_owned();
    pod.run(move || -> io::Result<()> {
        for port in [8080, 9090] {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
            let own = name.clone();
            thread::spawn(move || {
                use io::Write as _;
                while let Ok((mut stream, from)) = listener.accept() {
                    let _ = write!(stream, "{own} {}", from.ip().to_canonical());
                }
            });
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
            let own = name.clone();
            thread::spawn(move || {
                let mut question = [0; 64];
                while let Ok((_, from)) = socket.recv_from(&mut question) {
                    let answer = format!("{own} {}", from.ip().to_canonical());
                    let _ = socket.send_to(answer.as_bytes(), from);
                }
            });
        }
        Ok(())
    })
    .await
    .and_then(|done| done)
    .map_err(text)
}

const AGENT: &str = "netproof-test-agent";

/// Whether this process was started inside a pod.
pub fn is_agent() -> bool {
    std::env::args().next().as_deref() == Some(AGENT)
}

/// Says what a program inside a pod finds.
pub fn agent() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("sleep") {
        loop {
            thread::park();
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines() {
        if line.starts_with("Cap") || line.starts_with("NoNewPrivs") {
            println!("{line}");
        }
    }
    print!("{}", std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    println!("{:?}", std::env::vars().collect::<Vec<_>>());
    println!("{:?}", TcpListener::bind("0.0.0.0:80").map(drop).map_err(|e| e.kind()));
    ExitCode::SUCCESS
}

pub fn agent_name() -> String {
    AGENT.to_owned()
}
