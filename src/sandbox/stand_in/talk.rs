//! What a stand-in says to its clients.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// How long a client may keep a connection open without a word.
const LONGEST: Duration = Duration::from_secs(300);
/// How many connections a port has open at once; more wait in the kernel's backlog.
const CONNECTIONS: usize = 512;
/// How long to wait where the kernel gives no connection for want of memory or files.
const EXHAUSTED: Duration = Duration::from_millis(20);
/// The longest head of a request.
const HEAD: usize = 64 * 1024;
/// The methods by whose first letters HTTP is known.
const METHODS: [&str; 8] =
    ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE "];

/// Sends every datagram back to where it came from.
pub(super) async fn echo(socket: UdpSocket) {
    let mut buffer = vec![0; 2_048];
    loop {
        // ICMP errors of earlier answers come up here; they concern nobody.
        match socket.recv_from(&mut buffer).await {
            Ok((length, client)) => _ = socket.send_to(&buffer[..length], client).await,
            Err(_) => sleep(EXHAUSTED).await,
        }
    }
}

/// Talks to everybody who connects.
pub(super) async fn accept(listener: TcpListener, identity: Arc<str>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let identity = Arc::clone(&identity);
                tokio::spawn(async move {
                    // How a client leaves is its own affair.
                    let _ = talk(stream, &identity).await;
                    drop(place);
                });
            }
            Err(_) => sleep(EXHAUSTED).await,
        }
    }
}

/// Answers requests for as long as the client sends some.
async fn talk(mut stream: TcpStream, identity: &str) -> io::Result<()> {
    let mut heard = Vec::new();
    loop {
        let said = answer(&heard, identity);
        match said {
            Said::Nothing => {
                let read = timeout(LONGEST, stream.read_buf(&mut heard)).await;
                if read.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                    return Ok(());
                }
            }
            Said::Answer { text, used, last } => {
                stream.write_all(text.as_bytes()).await?;
                heard.drain(..used);
                if last {
                    return stream.shutdown().await;
                }
            }
            // In a language that a stand-in doesn't speak.
            Said::Close => return Ok(()),
        }
    }
}

/// What there is to say to what was heard so far.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// More must be heard first.
    Nothing,
    Answer {
        text: String,
        /// How much of what was heard it answers.
        used: usize,
        /// Nothing follows.
        last: bool,
    },
    Close,
}

fn answer(heard: &[u8], identity: &str) -> Said {
    let begins = |word: &str| {
        let shared = word.len().min(heard.len());
        heard[..shared] == word.as_bytes()[..shared]
    };
    if heard.is_empty() {
        return Said::Nothing;
    }
    // TLS and HTTP/2, whose clients understand no other answer.
    if heard[0] == 0x16 || begins("PRI * HTTP/2") {
        return Said::Close;
    }
    if METHODS.iter().any(|method| begins(method)) {
        return http(heard, identity);
    }
    match heard.iter().position(|&byte| byte == b'\n') {
        Some(end) => {
            let text = format!("netproof stands in for {identity}\n");
            Said::Answer { text, used: end + 1, last: false }
        }
        None if heard.len() > HEAD => Said::Close,
        None => Said::Nothing,
    }
}

fn http(heard: &[u8], identity: &str) -> Said {
    let Some(head) = heard.windows(4).position(|end| end == b"\r\n\r\n").map(|end| end + 4) else {
        return if heard.len() > HEAD { Said::Close } else { Said::Nothing };
    };
    let text = String::from_utf8_lossy(&heard[..head]);
    let header = |name: &str| {
        text.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(':')?;
            known.eq_ignore_ascii_case(name).then(|| value.trim().to_ascii_lowercase())
        })
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let used = match head.checked_add(length) {
        // A body in chunks, or a long one, isn't waited for; its connection ends.
        _ if header("transfer-encoding").is_some() || length > HEAD => heard.len(),
        Some(end) if heard.len() < end => return Said::Nothing,
        Some(end) => end,
        None => heard.len(),
    };
    let old = text.lines().next().is_some_and(|line| line.ends_with("HTTP/1.0"));
    let last = old && header("connection").as_deref() != Some("keep-alive")
        || header("connection").as_deref() == Some("close")
        || header("transfer-encoding").is_some()
        || length > HEAD;
    let body = format!("netproof stands in for {identity}\n");
    let connection = if last { "close" } else { "keep-alive" };
    let mut text_out = format!(
        "HTTP/1.1 200 OK\r\nServer: netproof-stand-in\r\nContent-Type: text/plain\r\n\
         Content-Length: {}\r\nConnection: {connection}\r\n\r\n",
        body.len()
    );
    if !text.starts_with("HEAD ") {
        text_out.push_str(&body);
    }
    Said::Answer { text: text_out, used, last }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_answered_in_its_language() {
        let line = "netproof stands in for a\n";
        for (case, heard, expected) in [
            ("nothing yet", "", None),
            ("half a method", "GE", None),
            ("half a request", "GET / HTTP/1.1\r\n", None),
            ("a body to come", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na", None),
            ("half a line", "PIN", None),
            ("a line", "PING\r\n", Some((line, 6, false))),
            ("a request", "GET / HTTP/1.1\r\n\r\n", Some((line, 18, false))),
            ("a body", "POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nab", Some((line, 40, false))),
            ("no body is wanted", "HEAD / HTTP/1.1\r\n\r\n", Some(("\r\n\r\n", 19, false))),
            ("the last one", "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", Some((line, 37, true))),
            ("an old client", "GET / HTTP/1.0\r\n\r\n", Some((line, 18, true))),
        ] {
            match (answer(heard.as_bytes(), "a"), expected) {
                (Said::Nothing, None) => {}
                (Said::Answer { text, used, last }, Some((end, all, ends))) => {
                    assert!(text.ends_with(end), "{case}: {text}");
                    assert_eq!((used, last), (all, ends), "{case}");
                }
                (said, _) => panic!("{case}: {said:?}"),
            }
        }
        for (case, heard) in
            [("TLS", &b"\x16\x03\x01"[..]), ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")]
        {
            assert_eq!(answer(heard, "a"), Said::Close, "{case}");
        }
    }
}
