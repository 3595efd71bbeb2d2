//! Flows of datagrams, which the kernel remembers as it does connections: when they are
//! judged, and that nobody inherits them.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use netproof::{
    model::Transport,
    sandbox::firewall::{EndpointEntry, ServiceEntry, ServicePortEntry},
};

use crate::{
    lab::{Lab, NODES},
    scenario::{Outcome, text},
};

/// Long enough for an answer on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait where silence is expected. Answers take microseconds.
const SILENCE: Duration = Duration::from_millis(200);

const NOBODY: &str = "
metadata: {name: nobody}
spec: {podSelector: {matchLabels: {app: api}}, policyTypes: [Ingress]}
---
metadata: {name: nobody-either}
spec: {podSelector: {matchLabels: {app: heir}}, policyTypes: [Ingress]}
";

/// A socket in a pod that always asks the same place.
struct Flow {
    socket: Arc<UdpSocket>,
    port: u16,
}

impl Flow {
    async fn open(lab: &Lab, from: &str, to: SocketAddr) -> Result<Self, String> {
        let open = move || -> io::Result<UdpSocket> {
            let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(any)?;
            socket.connect(to)?;
            Ok(socket)
        };
        let socket = lab.pod(from).run(open).await.map_err(text)?.map_err(text)?;
        let port = socket.local_addr().map_err(text)?.port();
        Ok(Self { socket: Arc::new(socket), port })
    }

    /// Asks once: who answered, if anybody did within a time.
    async fn ask(&self, within: Duration) -> Result<Option<String>, String> {
        let socket = Arc::clone(&self.socket);
        let asked = move || -> io::Result<Option<String>> {
            socket.set_read_timeout(Some(within))?;
            socket.send(b"?")?;
            let mut answer = [0; 64];
            match socket.recv(&mut answer) {
                Ok(length) => {
                    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
                    Ok(answer.split(' ').next().map(str::to_owned))
                }
                Err(_) => Ok(None),
            }
        };
        tokio::task::spawn_blocking(asked).await.map_err(text)?.map_err(text)
    }

    async fn expect(&self, what: &str, by: Option<&str>) -> Outcome {
        let within = if by.is_some() { PATIENCE } else { SILENCE };
        let answered = self.ask(within).await?;
        if answered.as_deref() == by {
            return Ok(());
        }
        Err(format!("{what}: {answered:?} answered, expected {by:?}"))
    }

    /// Waits until no node remembers it.
    async fn forgotten(&self, lab: &Lab) -> Outcome {
        let start = Instant::now();
        loop {
            let (known, port) = (Arc::new(AtomicBool::new(false)), self.port);
            let seen = Arc::clone(&known);
            lab.network
                .forget(move |flow| {
                    seen.fetch_or(flow.original.source_port == port, Ordering::Relaxed);
                    false
                })
                .await;
            if !known.load(Ordering::Relaxed) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                return Err("the flow is still remembered".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

pub async fn a_flow_goes_on_until_it_has_been_quiet() -> Outcome {
    let mut lab = Lab::new().await?;
    lab.apply("").await?;
    for node in NODES {
        let short = || {
            ["udp_timeout", "udp_timeout_stream"].iter().try_for_each(|name| {
                std::fs::write(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"), "2")
            })
        };
        let node = lab.network.host_network(node).map_err(text)?;
        node.run(short).await.map_err(text)?.map_err(text)?;
    }
    // On the same node: the fabric between two has its own memory, and asks nobody.
    for address in lab.addresses("api").to_vec() {
        lab.apply("").await?;
        let to = (address, 8080).into();
        let flow = Flow::open(&lab, "web", to).await?;
        flow.expect(&format!("{address}, before"), Some("api")).await?;
        lab.apply(NOBODY).await?;
        // A flow that was allowed goes on, as a connection does.
        flow.expect(&format!("{address}, begun before"), Some("api")).await?;
        let new = Flow::open(&lab, "web", to).await?;
        new.expect(&format!("{address}, begun after"), None).await?;
        flow.forgotten(&lab).await?;
        flow.expect(&format!("{address}, after a rest"), None).await?;
    }
    Ok(())
}

pub async fn an_address_that_is_used_again_inherits_no_flow() -> Outcome {
    let mut lab = Lab::new().await?;
    let service: [IpAddr; 2] = [[10, 96, 0, 1].into(), [0xfd96, 0, 0, 0, 0, 0, 0, 1].into()];
    let endpoint = |&address: &IpAddr| EndpointEntry {
        address,
        port: 8080,
        node: "two".to_owned(),
        ready: true,
    };
    lab.snapshot.services = vec![ServiceEntry {
        namespace: "shop".to_owned(),
        name: "db".to_owned(),
        cluster_ips: service.to_vec(),
        ports: vec![ServicePortEntry {
            protocol: Transport::Udp,
            port: 80,
            node_port: None,
            endpoints: lab.addresses("db").iter().map(endpoint).collect(),
        }],
        ..ServiceEntry::default()
    }];
    lab.apply("").await?;
    let mut flows = Vec::new();
    for (own, service) in lab.addresses("db").to_vec().into_iter().zip(service) {
        for to in [(own, 8080), (service, 80)] {
            let flow = Flow::open(&lab, "web", to.into()).await?;
            flow.expect(&format!("{to:?}, the first pod"), Some("db")).await?;
            flows.push((to, flow));
        }
    }
    lab.replace("db", "heir").await?;
    lab.apply(NOBODY).await?;
    for (to, flow) in flows {
        flow.expect(&format!("{to:?}, its heir, which is isolated"), None).await?;
    }
    lab.apply("").await?;
    let address = lab.address("heir");
    let flow = Flow::open(&lab, "web", (address, 8080).into()).await?;
    flow.expect("the heir, open", Some("heir")).await
}
