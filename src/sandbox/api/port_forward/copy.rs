//! One forwarded connection: what is said on either side is said on the other.

use std::{future::Future, io};

use bytes::Bytes;
use nix::errno::Errno;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Duration, timeout},
};

use super::Forwarder;

/// How long the client may go on once the pod has ended its side.
const GRACE: Duration = Duration::from_secs(1);

/// The side of the client.
pub(super) trait Client {
    /// The next bytes; `None` at the end.
    fn read(&mut self) -> impl Future<Output = Option<Bytes>> + Send;
    /// The way to the client.
    fn writer(&self) -> impl ToClient + 'static;
}

/// Sends to a client.
pub(super) trait ToClient: Send {
    /// `None` if the client is gone.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Option<()>> + Send;
    /// Nothing more will come.
    fn end(&mut self) -> impl Future<Output = Option<()>> + Send;
}

/// Connects to the port and copies until both sides have ended, or either is gone. Gives
/// what is to be said to the client on its error stream.
pub(super) async fn forward(
    forwarder: &Forwarder,
    port: u16,
    client: &mut impl Client,
) -> Result<(), String> {
    let connected = forwarder.runtime.connect(&forwarder.pod, port).await;
    let pod = connected.map_err(|why| forwarder.closed(port, &why))?;
    // A few bytes at once are what people type.
    let _ = pod.set_nodelay(true);
    both_ways(pod, client)
        .await
        .map_err(|why| forwarder.failure(port, &forwarder.inside(&said(&why))))
}

async fn both_ways(pod: TcpStream, client: &mut impl Client) -> io::Result<()> {
    let (mut from_pod, mut to_pod) = pod.into_split();
    let mut to_client = client.writer();
    let mut up = std::pin::pin!(async {
        while let Some(bytes) = client.read().await {
            to_pod.write_all(&bytes).await?;
        }
        to_pod.shutdown().await
    });
    let mut down = std::pin::pin!(async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match from_pod.read(&mut buffer).await? {
                0 => break,
                length => {
                    if to_client.write(&buffer[..length]).await.is_none() {
                        return Ok(());
                    }
                }
            }
        }
        // A client that is gone needs no end.
        let _ = to_client.end().await;
        io::Result::Ok(())
    });
    let mut sent = Ok(());
    let mut sending = true;
    let received = loop {
        tokio::select! {
            result = &mut up, if sending => {
                sent = result;
                sending = false;
            }
            result = &mut down => break result,
        }
    };
    if sending {
        // What the client still says to a pod that has ended is lost either way.
        if let Ok(result) = timeout(GRACE, up).await {
            sent = result;
        }
    }
    // A pod that has closed its side wholly resets what still comes.
    received.and(sent.or_else(|error| match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected => Ok(()),
        _ => Err(error),
    }))
}

/// What Go says of an error of the system: its text, without the number.
pub(in crate::sandbox::api) fn said(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => Errno::from_raw(code).desc().to_lowercase(),
        None => error.to_string(),
    }
}
