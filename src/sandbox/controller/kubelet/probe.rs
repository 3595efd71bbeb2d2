//! Readiness, liveness and startup probes, made from the pod's own node.
//!
//! Until it has succeeded as often as it must, a probe is repeated every 50 ms instead of
//! each period: a test that waits for readiness should wait for the pod and not for the
//! clock. For the same reason the delay before the first one isn't waited for where no
//! image's program has to come up.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    time::{sleep, timeout},
};

use crate::sandbox::{
    api::object::{Object, seconds},
    controller::kubelet::{dialer::Dialer, health::Health},
};

/// How soon a probe is repeated that has not succeeded yet.
const FIRST: Duration = Duration::from_millis(50);

/// A probe of a container, with its settings.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    action: Action,
    initial_delay: Duration,
    period: Duration,
    timeout: Duration,
    successes: u32,
    failures: u32,
}

#[derive(Clone, Debug)]
enum Action {
    Tcp(SocketAddr),
    Http {
        address: SocketAddr,
        request: String,
    },
    /// The container has no programs that a command could run: taken as passed.
    Passed,
    /// The probe names a port that the container doesn't have.
    Failed,
}

impl Probe {
    /// Reads a probe of a container, whose pod has an address.
    pub(super) fn of(container: &Value, kind: &str, address: IpAddr) -> Option<Self> {
        let probe = container.get(kind)?;
        let seconds =
            |field: &str, or: u64| seconds(probe.get(field)).unwrap_or(Duration::from_secs(or));
        let times = |field: &str, or: u32| {
            let number = probe.get(field).and_then(Value::as_u64);
            number.and_then(|number| u32::try_from(number).ok()).unwrap_or(or).max(1)
        };
        Some(Self {
            action: Action::of(container, probe, address),
            initial_delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            successes: times("successThreshold", 1),
            failures: times("failureThreshold", 3),
        })
    }

    /// The same for what stands in for an image, and is there at once.
    pub(super) fn at_once(self) -> Self {
        Self { initial_delay: Duration::ZERO, ..self }
    }

    /// Probes for ever and tells each change of the outcome. Before the first success
    /// failures are told only once there have been enough.
    ///
    /// Each failure is put in words to `complain`. While the kubelet is silent, nothing is
    /// probed.
    pub(super) async fn run(
        &self,
        dialer: &Dialer,
        node: &str,
        mut health: watch::Receiver<Health>,
        complain: impl Fn(&str),
        mut tell: impl FnMut(bool),
    ) {
        sleep(self.initial_delay).await;
        let (mut state, mut good, mut bad) = (None, 0, 0);
        let (mut ever, mut enough) = (false, false);
        let begun = tokio::time::Instant::now();
        loop {
            if health.wait_for(|health| *health == Health::Up).await.is_err() {
                return std::future::pending().await;
            }
            let outcome = self.once(dialer, node).await;
            if let Err(why) = &outcome
                && (ever || begun.elapsed() >= self.period)
            {
                complain(why);
            }
            if outcome.is_ok() {
                (good, bad, ever) = (good + 1, 0, true);
                enough |= good >= self.successes;
                if good >= self.successes && state != Some(true) {
                    state = Some(true);
                    tell(true);
                }
            } else {
                (good, bad) = (0, bad + 1);
                // The early repetitions don't count as more failures than periods went by.
                let allowed = self.period.saturating_mul(self.failures - 1);
                if bad >= self.failures
                    && state != Some(false)
                    && (ever || begun.elapsed() >= allowed)
                {
                    state = Some(false);
                    tell(false);
                }
            }
            sleep(if enough { self.period } else { FIRST }).await;
        }
    }

    async fn once(&self, dialer: &Dialer, node: &str) -> Result<(), String> {
        let connect = async |address: SocketAddr| {
            let connected = dialer.connect(node, address, self.timeout).await;
            connected.map_err(|error| match error.kind() {
                std::io::ErrorKind::TimedOut => format!("dial tcp {address}: i/o timeout"),
                std::io::ErrorKind::ConnectionRefused => {
                    format!("dial tcp {address}: connect: connection refused")
                }
                _ => format!("dial tcp {address}: connect: {error}"),
            })
        };
        match &self.action {
            Action::Passed => Ok(()),
            Action::Failed => Err("the container has no port of that name".to_owned()),
            Action::Tcp(address) => connect(*address).await.map(drop),
            Action::Http { address, request } => {
                let stream = connect(*address).await?;
                timeout(self.timeout, get(stream, request))
                    .await
                    .unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
            }
        }
    }
}

/// Sends a request; fails unless the answer is a success or a redirection.
async fn get(mut stream: TcpStream, request: &str) -> Result<(), String> {
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    while !answer.contains(&b'\n') {
        match stream.read(&mut buffer).await {
            Ok(length) if length > 0 && answer.len() < 4096 => {
                answer.extend_from_slice(&buffer[..length]);
            }
            Ok(_) => return Err("the answer is no HTTP".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
    let line = String::from_utf8_lossy(&answer);
    let code = line.split_whitespace().nth(1).and_then(|code| code.parse::<u16>().ok());
    match code.filter(|_| line.starts_with("HTTP/1.")) {
        Some(200..400) => Ok(()),
        Some(code) => Err(format!("HTTP probe failed with statuscode: {code}")),
        None => Err("the answer is no HTTP".to_owned()),
    }
}

impl Action {
    fn of(container: &Value, probe: &Value, address: IpAddr) -> Self {
        let at = |action: &Value| {
            let host = action.text("/host").parse().unwrap_or(address);
            let port = port(container, action.get("port")?)?;
            Some(SocketAddr::from((host, port)))
        };
        if let Some(action) = probe.get("tcpSocket").or(probe.get("grpc")) {
            return at(action).map_or(Self::Failed, Self::Tcp);
        }
        if let Some(action) = probe.get("httpGet") {
            let Some(address) = at(action) else { return Self::Failed };
            let path = match action.text("/path") {
                "" => "/",
                path => path,
            };
            let mut headers = String::new();
            let mut host = address.to_string();
            for header in action.items("/httpHeaders") {
                let (name, value) = (header.text("/name"), header.text("/value"));
                if name.eq_ignore_ascii_case("host") {
                    host = value.to_owned();
                } else {
                    headers.push_str(&format!("{name}: {value}\r\n"));
                }
            }
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: kube-probe/1.36\r\n\
                 Accept: */*\r\n{headers}Connection: close\r\n\r\n"
            );
            return Self::Http { address, request };
        }
        Self::Passed
    }
}

/// A port that is given by its number or by the name that the container gives it.
fn port(container: &Value, port: &Value) -> Option<u16> {
    let number = match port {
        Value::Number(number) => number.as_u64(),
        Value::String(name) => container
            .items("/ports")
            .iter()
            .find(|port| port.text("/name") == name)
            .and_then(|port| port.get("containerPort")?.as_u64()),
        _ => None,
    };
    number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_of_probes_are_numbers_or_names() {
        let container = json!({"ports": [{"name": "web", "containerPort": 8080}]});
        for (given, expected) in [
            (json!(80), Some(80)),
            (json!("web"), Some(8080)),
            (json!("none"), None),
            (json!(70_000), None),
            (json!(0), None),
        ] {
            assert_eq!(port(&container, &given), expected, "{given}");
        }
    }

    #[tokio::test]
    async fn an_http_probe_takes_success_and_redirection() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 302 Found\r\n\r\n", true),
            ("HTTP/1.1 404 Not Found\r\n\r\n", false),
            ("HTTP/1.1 500 Oops\r\n\r\n", false),
            ("SSH-2.0\r\n", false),
            ("", false),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("its address");
            let server = async {
                let (mut stream, _) = listener.accept().await.expect("a client");
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            };
            let client = async {
                let stream = TcpStream::connect(address).await.expect("a server");
                get(stream, "GET / HTTP/1.1\r\n\r\n").await
            };
            let ((), passed) = tokio::join!(server, client);
            assert_eq!(passed.is_ok(), expected, "{answer:?}");
        }
    }
}
