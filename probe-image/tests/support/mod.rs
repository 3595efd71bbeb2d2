//! The agent as a process: `serve` with ports of the kernel's choice, and a session through
//! pipes, with a deadline for every wait.

#![allow(clippy::unwrap_used)]
#![allow(dead_code)] // Each test binary uses its own part.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use netproof_probe::{
    question::{Key, Nonce},
    wire::{
        Dial, Outcome, Probe, ProbeResult, Protocol, Question, Request, Response, Target, Timing,
        VERSION,
    },
};

/// No wait of a test takes longer.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub fn key() -> Key {
    Key::from_bytes([1; 32])
}

/// A nonce that no other probe of the test has.
pub fn nonce() -> Nonce {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Nonce::from_bytes(bytes)
}

pub fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netproof-probe"));
    command.args(arguments);
    command
}

/// Ends its process when dropped.
pub struct Guard(pub Child);

impl Guard {
    /// Waits for the process to end by itself.
    pub fn exit(mut self) -> ExitStatus {
        let deadline = std::time::Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(std::time::Instant::now() < deadline, "the agent does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running `serve`.
pub struct Serve {
    pub process: Guard,
    pub ports: Vec<u16>,
    pub control: u16,
    pub output: BufReader<ChildStdout>,
}

impl Serve {
    pub fn start(key: &Key, listen: &[&str], extra: &[&str]) -> Self {
        let mut command = agent(&["serve", "--identity", "shop/web", "--control-port", "0"]);
        command.args(["--key", &key.to_string()]).args(extra);
        for listen in listen {
            command.args(["--listen", listen]);
        }
        let mut process = Guard(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut output = BufReader::new(process.0.stdout.take().unwrap());
        let mut ports = Vec::new();
        let control = loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "serve ended before it was ready");
            if let Some((_, port)) = line.rsplit_once("control port ") {
                break port.trim().parse().unwrap();
            }
            let listen = line.rsplit([' ', '=']).next().unwrap();
            ports.push(listen.split('/').next().unwrap().parse().unwrap());
        };
        Self { process, ports, control, output }
    }

    /// What it says until it ends.
    pub fn rest(mut self) -> (String, ExitStatus) {
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        (text, self.process.exit())
    }
}

/// A running `dial`.
pub struct Session {
    pub process: Guard,
    pub input: Option<ChildStdin>,
    output: mpsc::Receiver<Response>,
}

impl Session {
    /// Starts one that has heard nothing yet.
    pub fn start(extra: &[&str]) -> Self {
        let mut process = agent(&["dial"]);
        // The control port of an agent that happens to run here must not be disturbed.
        process.args(["--control-port", "1"]).args(extra);
        let process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut process = Guard(process);
        let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let response = serde_json::from_str(&line).unwrap();
                if sender.send(response).is_err() {
                    break;
                }
            }
        });
        let input = process.0.stdin.take();
        Self { process, input, output }
    }

    /// Starts one, and opens it.
    pub fn open(key: &Key) -> Self {
        let mut session = Self::start(&[]);
        session.say(&Request::Open { version: VERSION, key: key.to_string() });
        let hello = session.hear();
        assert!(matches!(hello, Some(Response::Hello { version: VERSION, .. })), "{hello:?}");
        session
    }

    pub fn say(&mut self, request: &Request) {
        self.line(&serde_json::to_string(request).unwrap());
    }

    pub fn line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next response; `None` at the end.
    pub fn hear(&self) -> Option<Response> {
        match self.output.recv_timeout(DEADLINE) {
            Ok(response) => Some(response),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("the agent says nothing"),
        }
    }

    /// Makes probes, and waits for all results, in the probes' order.
    pub fn batch(&mut self, probes: Vec<Probe>) -> Vec<ProbeResult> {
        self.say(&Request::Batch { batch: 1, rate: None, probes });
        let mut results = Vec::new();
        loop {
            match self.hear() {
                Some(Response::Result { batch: 1, result }) => results.push(result),
                Some(Response::BatchDone { batch: 1 }) => break,
                other => panic!("{other:?}"),
            }
        }
        results.sort_by_key(|result| result.id);
        results
    }

    /// Makes one probe at an address of loopback.
    pub fn dial(&mut self, probe: Probe) -> Dial {
        let mut results = self.batch(vec![probe]);
        let mut result = results.pop().unwrap();
        assert!(results.is_empty());
        assert_eq!(result.dials.len(), 1, "{result:?}");
        result.dials.pop().unwrap()
    }

    pub fn outcome(&mut self, probe: Probe) -> Outcome {
        self.dial(probe).outcome
    }

    /// Ends the input, and waits for the exit status.
    pub fn end(mut self) -> ExitStatus {
        drop(self.input.take());
        self.process.exit()
    }
}

pub fn keyed(protocol: Protocol, port: u16) -> Probe {
    Probe {
        script: Default::default(),
        id: 1,
        target: Target::Address([127, 0, 0, 1].into()),
        family: None,
        port,
        protocol,
        question: Question::Keyed { nonce: nonce().to_string() },
        timing: Timing::default(),
    }
}

pub fn bare(protocol: Protocol, port: u16) -> Probe {
    Probe { question: Question::Bare, ..keyed(protocol, port) }
}

/// With less patience, where silence is expected.
pub fn hasty(probe: Probe) -> Probe {
    Probe { timing: Timing { window: 200, attempts: 4, reply: 200 }, ..probe }
}
