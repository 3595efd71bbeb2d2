//! The evaluator beside real packets: one network of the sandbox, whose policies are changed
//! from world to world by no more than the difference.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use futures::future::join_all;
use netproof::{
    policy::{Decision, Outcome},
    sandbox::{
        firewall::{Engine, Update},
        node::{Network, NodeSpec, PodNetwork, PodSettings},
    },
};
use tokio::{io::AsyncReadExt as _, net::TcpSocket, time::timeout};

use crate::{
    compare::{Count, Sides, disagreement, passes, probes},
    corners::Coverage,
    world::{At, Carrier, NODES, PODS, PORTS, Probe, World, node, space_of},
};

/// How long to wait for an answer that is expected; a loaded machine may be slow.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long to wait where silence is expected. Answers take microseconds.
const SILENCE: Duration = Duration::from_millis(150);
/// Dials at once in a world.
pub const DIALS: usize = 240;

/// A network with ends that answer.
pub struct Wire {
    network: Network,
    engine: Engine,
    /// By the place in [`At::ALL`].
    ends: Vec<PodNetwork>,
    /// The policies that the engine knows: namespace (none for the cluster's) and name.
    policies: BTreeSet<(String, String)>,
    /// The next source port of each end: a connection that is still tracked must not carry a
    /// new one, and so none is used again for minutes.
    sources: [AtomicU16; At::ALL.len()],
}

/// A dial: its number, where to, by what, and from which port.
type Dial = (usize, SocketAddr, Carrier, u16, Duration);

impl Wire {
    pub async fn new() -> Result<Self, String> {
        let spec = |(index, name): (usize, &&str)| NodeSpec {
            name: (*name).to_owned(),
            addresses: At::Node(index).addresses(),
            pod_cidrs: node(index).pod_cidrs,
        };
        let specs: Vec<_> = NODES.iter().enumerate().map(spec).collect();
        let network = Network::create(&specs).await.map_err(chain)?;
        let mut ends = Vec::new();
        for at in At::ALL {
            let end = match at {
                At::World => network.add_host("world", &at.addresses()).await.map_err(chain)?,
                at if at.is_host() => {
                    network.host_network(NODES[at.node().unwrap_or(0)]).map_err(chain)?
                }
                at => {
                    let node = NODES[at.node().unwrap_or(0)];
                    let settings = PodSettings::default();
                    network.add_pod(node, &at.addresses(), &settings).await.map_err(chain)?
                }
            };
            // The pod on its node's network is there already, as the node.
            if at != At::Pod(PODS - 1) {
                answer(&end, name(at)).await?;
            }
            ends.push(end);
        }
        let mut engine = Engine::new(NODES, true);
        let ground =
            NODES.iter().enumerate().map(|(index, name)| ((*name).to_owned(), node(index)));
        engine.set_ground(ground.collect(), Vec::new());
        let sources = At::ALL.map(|_| AtomicU16::new(FIRST));
        Ok(Self { network, engine, ends, policies: BTreeSet::new(), sources })
    }

    /// Puts a world's policies in force.
    async fn load(&mut self, world: &World) -> Result<(), String> {
        let snapshot = world.snapshot().map_err(|error| error.to_string())?;
        let engine = &mut self.engine;
        for (name, labels) in &snapshot.namespaces {
            engine.set_namespace(name, Some(labels.clone()));
        }
        for (name, node) in &snapshot.node_labels {
            engine.set_node(name, Some(node.clone()));
        }
        for (name, host) in &snapshot.hosts {
            engine.set_host(name, Some(host.clone()));
        }
        for pod in &snapshot.pods {
            engine.set_pod(&pod.namespace, &pod.name, Some(pod.clone()), false);
        }
        let mut policies = BTreeSet::new();
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        for policy in &snapshot.policies {
            engine.set_policy(policy);
            policies.insert((text(&policy.metadata.namespace), text(&policy.metadata.name)));
        }
        for policy in &snapshot.cluster_policies {
            engine.set_cluster_policy(policy);
            policies.insert((String::new(), text(&policy.metadata.name)));
        }
        for (namespace, name) in self.policies.difference(&policies) {
            if namespace.is_empty() {
                engine.remove_cluster_policy(name);
            } else {
                engine.remove_policy(namespace, name);
            }
        }
        self.policies = policies;
        for (node, update) in engine.take() {
            match update {
                Update::Whole(rules) => self.network.apply(&node, &rules).await,
                Update::Delta(delta) => self.network.apply_delta(&node, delta).await,
            }
            .map_err(chain)?;
        }
        Ok(())
    }

    /// Compares some of a world's connections, chosen by a number.
    ///
    /// # Errors
    /// The first connection about which the two disagree, or what went wrong.
    pub async fn compare(
        &mut self,
        world: &World,
        choice: u64,
        coverage: &mut Coverage,
        count: &mut Count,
    ) -> Result<(), (Option<Probe>, String)> {
        let sides = Sides::of(world, &[]).map_err(|why| (None, why))?;
        self.load(world).await.map_err(|why| (None, why))?;
        count.worlds += 1;
        let mut asked: Vec<(Probe, Decision)> = Vec::new();
        for probe in chosen(choice) {
            let said = sides.decide(&probe);
            if said.outcome == Outcome::Undetermined {
                count.undetermined += 1;
            } else {
                asked.push((probe, said));
            }
        }
        let seen = self.dial(&asked).await.map_err(|why| (None, why))?;
        let traces = sides.traces();
        for ((probe, said), answered) in asked.iter().zip(seen) {
            if answered != (said.outcome == Outcome::Allowed) {
                let rules = passes(&traces, probe) == answered;
                let by = if rules { "the wire, as its ruleset has it," } else { "the wire alone" };
                return Err((Some(*probe), disagreement(probe, said, answered, by)));
            }
            count.pairs += 1;
            coverage.note(&sides.features, &sides.compiled, probe, said);
        }
        Ok(())
    }

    /// Whether each is answered, all at once.
    async fn dial(&self, asked: &[(Probe, Decision)]) -> Result<Vec<bool>, String> {
        let dials = At::ALL.into_iter().zip(&self.ends).map(async |(from, end)| {
            let own = asked.iter().enumerate().filter(|(_, (probe, _))| probe.from == from);
            let own: Vec<Dial> = own
                .map(|(index, (probe, said))| {
                    let to = SocketAddr::new(probe.to.address(probe.six), probe.port);
                    let allowed = said.outcome == Outcome::Allowed;
                    (
                        index,
                        to,
                        probe.carrier,
                        self.port(from),
                        if allowed { PATIENCE } else { SILENCE },
                    )
                })
                .collect();
            let names: Vec<String> =
                own.iter().map(|(index, ..)| name(asked[*index].0.to)).collect();
            let answers = end.run(move || dial_all(&own)).await.and_then(|done| done);
            let answers = answers.map_err(|error| error.to_string())?;
            let check = |((index, answer), name): ((usize, Option<String>), String)| match answer {
                Some(found) if found != name => Err(format!("{found} answers for {name}")),
                other => Ok((index, other.is_some())),
            };
            answers.into_iter().zip(names).map(check).collect::<Result<Vec<_>, String>>()
        });
        let mut seen = vec![false; asked.len()];
        for answers in join_all(dials).await {
            for (index, answered) in answers? {
                seen[index] = answered;
            }
        }
        Ok(seen)
    }

    fn port(&self, from: At) -> u16 {
        // Who has its node's addresses takes its node's ports.
        let from = if from.is_host() { At::Node(from.node().unwrap_or(0)) } else { from };
        let end = At::ALL.iter().position(|at| *at == from).unwrap_or(0);
        let next = |port: u16| Some(if port == LAST { FIRST } else { port + 1 });
        self.sources[end].fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(FIRST)
    }
}

/// The source ports.
const FIRST: u16 = 10_000;
const LAST: u16 = 60_000;

/// Some of the connections that go over the wire.
fn chosen(choice: u64) -> Vec<Probe> {
    let all: Vec<Probe> =
        probes().into_iter().filter(|probe| probe.carrier != Carrier::Icmp).collect();
    // A step that shares no factor with their number visits each once.
    let step = 7919 % all.len();
    let first = choice as usize * DIALS * step;
    (0..DIALS.min(all.len())).map(|index| all[(first + index * step) % all.len()]).collect()
}

/// What an end answers with.
fn name(at: At) -> String {
    match at {
        At::World => "world".to_owned(),
        at if at.is_host() => NODES[at.node().unwrap_or(0)].to_owned(),
        At::Pod(pod) => format!("{}/p{pod}", space_of(pod)),
        At::Node(_) => String::new(),
    }
}

/// Answers on all ports, TCP and UDP, with the end's name.
async fn answer(end: &PodNetwork, name: String) -> Result<(), String> {
    let listen = move || -> io::Result<()> {
        for port in PORTS {
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
            let own = name.clone();
            thread::spawn(move || {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.write_all(own.as_bytes());
                }
            });
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
            let own = name.clone();
            thread::spawn(move || {
                let mut question = [0; 16];
                while let Ok((_, from)) = socket.recv_from(&mut question) {
                    let _ = socket.send_to(own.as_bytes(), from);
                }
            });
        }
        Ok(())
    };
    end.run(listen).await.and_then(|done| done).map_err(|error| error.to_string())
}

/// Dials from the network of the calling thread.
fn dial_all(dials: &[Dial]) -> io::Result<Vec<(usize, Option<String>)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let all = dials.iter().map(async |(index, to, carrier, source, wait)| {
        let answer = match carrier {
            Carrier::Tcp => timeout(*wait, dial_tcp(*to, *source)).await,
            Carrier::Udp | Carrier::Icmp => timeout(*wait, dial_udp(*to, *source)).await,
        };
        (*index, answer.ok().and_then(Result::ok))
    });
    Ok(runtime.block_on(join_all(all)))
}

fn any(to: SocketAddr, port: u16) -> SocketAddr {
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(any, port)
}

async fn dial_tcp(to: SocketAddr, source: u16) -> io::Result<String> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(any(to, source))?;
    let mut stream = socket.connect(to).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn dial_udp(to: SocketAddr, source: u16) -> io::Result<String> {
    let socket = tokio::net::UdpSocket::bind(any(to, source)).await?;
    socket.connect(to).await?;
    socket.send(b"?").await?;
    let mut answer = [0; 64];
    let length = socket.recv(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
