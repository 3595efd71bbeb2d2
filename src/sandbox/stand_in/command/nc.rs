//! nc, as OpenBSD has it.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, stdin, stdout},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::{
    Unknown,
    dial::{Families, NotDialled, addresses, connect, said},
    words::Options,
};

const OPTIONS: Options = Options {
    program: "nc",
    usage: 1,
    valued: &[("w", ""), ("q", "")],
    flags: &[("z", ""), ("v", ""), ("n", ""), ("u", ""), ("N", ""), ("4", ""), ("6", "")],
};
/// How long an answer to a datagram is waited for where `-w` doesn't say.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest datagram that is read.
const DATAGRAM: usize = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nc {
    host: String,
    port: u16,
    udp: bool,
    only_try: bool,
    says: bool,
    within: Option<Duration>,
    families: Families,
}

pub(super) fn parse(words: &[String]) -> Result<Nc, Unknown> {
    let words = OPTIONS.read(words)?;
    let [host, port] = &*words.others else {
        return Err(OPTIONS.cannot("the nc of a stand-in takes a host and a port"));
    };
    let number = port.parse().ok().filter(|number| *number > 0);
    Ok(Nc {
        host: host.clone(),
        port: number.ok_or_else(|| OPTIONS.cannot(&format!("port number invalid: {port}")))?,
        udp: words.has("u"),
        only_try: words.has("z"),
        says: words.has("v"),
        within: OPTIONS.seconds(words.value("w"))?,
        families: Families { only_v4: words.has("4"), only_v6: words.has("6") },
    })
}

impl Nc {
    pub(super) async fn run(self) -> u8 {
        let done = if self.udp { self.datagrams().await } else { self.stream().await };
        match done {
            Ok(()) => 0,
            Err(text) => {
                // Only the verbose say why a port is closed.
                if self.says {
                    eprintln!("nc: {text}");
                }
                1
            }
        }
    }

    async fn stream(&self) -> Result<(), String> {
        let stream = connect(&self.host, self.port, self.families, self.within).await;
        let stream = stream.map_err(|error| self.failed(&error))?;
        if self.says {
            let address = stream.peer_addr().map(|address| address.ip().to_string());
            self.succeeded(&address.unwrap_or_default());
        }
        if !self.only_try {
            talk(stream).await;
        }
        Ok(())
    }

    fn succeeded(&self, address: &str) {
        let transport = if self.udp { "udp" } else { "tcp" };
        let (host, port) = (&self.host, self.port);
        eprintln!("Connection to {host} ({address}) {port} port [{transport}/*] succeeded!");
    }

    /// Whether anybody takes a datagram can't be known; only that somebody refuses it.
    async fn datagrams(&self) -> Result<(), String> {
        let no_name = |error| self.failed(&NotDialled::NoAddress(error));
        let addresses = addresses(&self.host, self.families).await.map_err(no_name)?;
        let Some(&address) = addresses.first() else { return Ok(()) };
        let failed = |error| self.failed(&NotDialled::Refused(address, error));
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.map_err(failed)?;
        socket.connect(SocketAddr::from((address, self.port))).await.map_err(failed)?;
        let mut said = Vec::new();
        if self.only_try {
            said.push(b'X');
        } else if stdin().read_to_end(&mut said).await.is_err() {
            return Ok(());
        }
        socket.send(&said).await.map_err(failed)?;
        let mut answer = vec![0; DATAGRAM];
        match timeout(self.within.unwrap_or(ANSWER), socket.recv(&mut answer)).await {
            Ok(Ok(_)) | Err(_) if self.only_try => {
                if self.says {
                    self.succeeded(&address.to_string());
                }
                Ok(())
            }
            Ok(Ok(length)) => stdout().write_all(&answer[..length]).await.map_err(failed),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Ok(()),
        }
    }

    fn failed(&self, error: &NotDialled) -> String {
        let (host, port) = (&self.host, self.port);
        let transport = if self.udp { "udp" } else { "tcp" };
        match error {
            NotDialled::NoAddress(error) => {
                let text = said(error);
                let text = text.rsplit(": ").next().unwrap_or(&text);
                format!("getaddrinfo for host \"{host}\" port {port}: {text}")
            }
            NotDialled::Refused(address, error) => format!(
                "connect to {host} ({address}) port {port} ({transport}) failed: {}",
                said(error)
            ),
            NotDialled::Late(address) => {
                let address = address.map(|address| format!(" ({address})")).unwrap_or_default();
                format!(
                    "connect to {host}{address} port {port} ({transport}) timed out: Operation \
                     now in progress"
                )
            }
        }
    }
}

/// Both ways, until the other side has ended.
async fn talk(mut stream: TcpStream) {
    let (mut read, mut write) = stream.split();
    let (mut input, mut output) = (stdin(), stdout());
    let up = async {
        // Who has hung up hears nothing more, which is no failure.
        let _ = copy(&mut input, &mut write).await;
        let _ = write.shutdown().await;
        std::future::pending::<()>().await
    };
    let down = async {
        let _ = copy(&mut read, &mut output).await;
        let _ = output.flush().await;
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
