//! A table that is longer than a transaction may be, made anew under traffic.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    lab::Lab,
    nft::same_as_the_kernels,
    scenario::{Outcome, text},
};

/// As many bytes at once as an ordinary user's system might allow, and less.
const LIMIT: usize = 8 * 1024;
const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(5);

/// Only `web` may reach `db`; the many others make the table long, and isolate everybody.
fn policies() -> String {
    let first = "{metadata: {name: db}, spec: {podSelector: {matchLabels: {app: db}}, ingress: \
                 [{from: [{podSelector: {matchLabels: {app: web}}}]}]}}";
    let many = (1..=70).map(|number| {
        format!(
            "{{metadata: {{name: many-{number}}}, spec: {{podSelector: {{}}, ingress: [{{from: \
             [{{ipBlock: {{cidr: 192.0.2.{number}/32}}}}], ports: [{{port: {number}}}]}}]}}}}"
        )
    });
    [first.to_owned()].into_iter().chain(many).collect::<Vec<_>>().join("\n---\n")
}

/// Datagrams from a pod to another, each a flow of its own.
struct Datagrams {
    what: String,
    sent: Arc<AtomicUsize>,
    got: Arc<AtomicUsize>,
}

impl Datagrams {
    async fn start(
        lab: &Lab,
        (from, to): (&str, IpAddr),
        port: u16,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, String> {
        let (sent, got) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, sending, stop) = (Arc::clone(&got), Arc::clone(&sent), Arc::clone(stop));
        let listen = move || -> io::Result<()> {
            let receiver = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port))?;
            thread::spawn(move || {
                let mut datagram = [0; 8];
                while receiver.recv_from(&mut datagram).is_ok() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            Ok(())
        };
        lab.pod("db").run(listen).await.map_err(text)?.map_err(text)?;
        let send = move || {
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                    let sent = UdpSocket::bind(any).and_then(|own| own.send_to(b"?", (to, port)));
                    sending.fetch_add(usize::from(sent.is_ok()), Ordering::Relaxed);
                    thread::sleep(Duration::from_micros(500));
                }
            });
        };
        lab.pod(from).run(send).await.map_err(text)?;
        Ok(Self { what: format!("{from} to {to}"), sent, got })
    }

    fn counts(&self) -> (usize, usize) {
        // What is counted as sent first can't be short of what came.
        let sent = self.sent.load(Ordering::Relaxed);
        (sent, self.got.load(Ordering::Relaxed))
    }
}

/// A connection that asks and is answered without a pause, until it is told to stop: how often
/// it was.
async fn connection(
    lab: &Lab,
    from: &str,
    to: SocketAddr,
    stop: &Arc<AtomicBool>,
) -> Result<thread::JoinHandle<io::Result<usize>>, String> {
    let stop = Arc::clone(stop);
    let open = move || -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    };
    let mut stream = lab.pod(from).run(open).await.map_err(text)?.map_err(text)?;
    Ok(thread::spawn(move || {
        let mut turns = 0;
        let mut answer = [0];
        while !stop.load(Ordering::Relaxed) {
            stream.write_all(b"?")?;
            stream.read_exact(&mut answer)?;
            turns += 1;
            thread::sleep(Duration::from_micros(500));
        }
        Ok(turns)
    }))
}

/// Repeats what it hears.
fn repeat(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))?;
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).and_then(|()| stream.write_all(&byte)).is_ok() {}
            });
        }
    });
    Ok(())
}

pub async fn a_reload_in_parts_opens_nothing_and_cuts_nothing() -> Outcome {
    let mut lab = Lab::new().await?;
    lab.apply("").await?;
    lab.pod("api").run(|| repeat(7001)).await.map_err(text)?.map_err(text)?;
    let stop = Arc::new(AtomicBool::new(false));
    let mut connections = Vec::new();
    // On the same node and from another; none of them could be made any more later.
    for (from, address) in lab
        .addresses("api")
        .to_vec()
        .into_iter()
        .flat_map(|address| ["web", "job"].map(|from| (from, address)))
    {
        connections.push(connection(&lab, from, (address, 7001).into(), &stop).await?);
    }
    lab.apply(&policies()).await?;
    for node in ["one", "two"] {
        let length = lab.engine.ruleset(node).map_or(0, |rules| rules.to_nft().len());
        if length < 3 * LIMIT {
            return Err(format!("{length} bytes of rules on {node} would not need parts"));
        }
    }
    let (mut denied, mut allowed) = (Vec::new(), Vec::new());
    let addresses = lab.addresses("db").to_vec();
    for (index, to) in (0_u16..).zip(addresses) {
        for (from, port) in [("job", 7100), ("api", 7110)] {
            denied.push(Datagrams::start(&lab, (from, to), port + index, &stop).await?);
        }
        allowed.push(Datagrams::start(&lab, ("web", to), 7120 + index, &stop).await?);
    }
    lab.network.limit_transactions(LIMIT);
    for _ in 0..ROUNDS {
        lab.engine.reload_all();
        lab.load().await?;
    }
    stop.store(true, Ordering::Relaxed);
    for connection in connections {
        let turns = connection.join().map_err(|_| "a thread panicked")?;
        match turns {
            Ok(turns) if turns > ROUNDS => {}
            other => return Err(format!("an established connection: {other:?} turns")),
        }
    }
    for datagrams in &denied {
        let (sent, got) = datagrams.counts();
        if sent < ROUNDS || got > 0 {
            return Err(format!("{}: {got} of {sent} got through", datagrams.what));
        }
    }
    for datagrams in &allowed {
        let start = Instant::now();
        let (mut sent, mut got) = datagrams.counts();
        // The last are still on their way.
        while (got < sent || sent < ROUNDS) && start.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(10)).await;
            (sent, got) = datagrams.counts();
        }
        if got < sent || sent < ROUNDS {
            return Err(format!("{}: only {got} of {sent} came", datagrams.what));
        }
    }
    same_as_the_kernels(&mut lab).await
}
