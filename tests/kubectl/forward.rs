//! port-forward: to pods, Services and Deployments, over websockets and over SPDY.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    process::{Child, ChildStdout, Stdio},
    time::Duration,
};

use crate::{Claim, lab::Lab};

pub const CLAIMS: &[Claim] = &[
    ("a_port_of_a_pod_is_forwarded_whatever_policies_say", forward),
    ("a_port_that_nobody_listens_on_is_said_to_be_closed", closed),
];

/// kubectl's own switch: off means plain SPDY.
const WEBSOCKETS: &str = "KUBECTL_PORT_FORWARD_WEBSOCKETS";

/// A forwarding kubectl, until dropped.
struct Forward {
    child: Child,
    said: BufReader<ChildStdout>,
    port: u16,
}

impl Forward {
    fn start(lab: &Lab, namespace: &str, what: &str, port: &str, websockets: bool) -> Self {
        let mut command = lab.command(namespace, &["port-forward", what, port]);
        command.env(WEBSOCKETS, websockets.to_string());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start kubectl");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        let port = line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| {
            let (port, _) = rest.split_once(' ')?;
            port.parse().ok()
        });
        let Some(port) = port else {
            let mut complaint = String::new();
            child.stderr.take().expect("a pipe").read_to_string(&mut complaint).expect("text");
            panic!("kubectl port-forward {what}: {line}{complaint}");
        };
        Self { child, said, port }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("kubectl listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("set");
        stream
    }

    /// Asks for a page.
    fn get(&self) -> String {
        let mut stream = self.connect();
        stream.write_all(b"GET / HTTP/1.0\r\nHost: web\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // `timeout` passes it on, and it may have ended by itself.
        let id = self.child.id().to_string();
        let _ = std::process::Command::new("kill").arg(&id).status();
        let _ = self.child.wait();
    }
}

const NOBODY: &str = r#"{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
    "metadata": {"name": "nobody"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}"#;

fn forward(lab: &Lab, namespace: &str) {
    lab.ok(namespace, &["create", "deployment", "web", "--image=nginx:1.29", "--port=80"]);
    lab.ok(namespace, &["expose", "deployment", "web", "--port=8080", "--target-port=80"]);
    lab.ok_with(namespace, &["apply", "-f", "-"], NOBODY);
    lab.ok(namespace, &["rollout", "status", "deployment", "web", "--timeout=60s"]);
    let pod = lab.ok(namespace, &["get", "pods", "-o", "name"]);
    let pod = pod.trim();
    for (what, port, websockets) in [
        (pod, ":80", true),
        (pod, ":80", false),
        ("svc/web", ":8080", true),
        ("deploy/web", ":80", true),
    ] {
        let forward = Forward::start(lab, namespace, what, port, websockets);
        let name = format!("{namespace}/{}", pod.trim_start_matches("pod/"));
        let answer = forward.get();
        assert!(answer.starts_with("HTTP/1.") && answer.contains(&name), "{what}: {answer}");
        // Several at once: one is open while others come and go.
        let mut first = forward.connect();
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..8).map(|_| scope.spawn(|| forward.get())).collect();
            for other in others {
                assert!(other.join().expect("no panic").contains(&name));
            }
        });
        // The client's end reaches the pod, whose answer still comes back.
        first.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("sent");
        first.shutdown(Shutdown::Write).expect("half closed");
        let mut answer = String::new();
        first.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains(&name), "{what}: {answer}");
    }
}

fn closed(lab: &Lab, namespace: &str) {
    lab.ok(namespace, &["run", "web", "--image=nginx:1.29", "--port=80"]);
    lab.ok(namespace, &["wait", "pod/web", "--for=condition=Ready", "--timeout=60s"]);
    for websockets in [true, false] {
        let mut forward = Forward::start(lab, namespace, "pod/web", ":81", websockets);
        let mut nothing = Vec::new();
        // Reset or closed, as the system likes.
        let _ = forward.connect().read_to_end(&mut nothing);
        assert!(nothing.is_empty(), "{nothing:?}");
        let mut said = String::new();
        forward.said.read_to_string(&mut said).expect("text");
        assert!(!forward.child.wait().expect("it ends").success());
        let mut complaint = String::new();
        let mut stderr = forward.child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut complaint).expect("text");
        for part in [
            "error forwarding port 81 to pod ",
            "uid : failed to execute portforward in network namespace \\\"/var/run/netns/cni-",
            "IPv4: dial tcp4 127.0.0.1:81: connect: connection refused",
            "IPv6 dial tcp6 [::1]:81: connect: connection refused",
            "lost connection to pod",
        ] {
            let plain = complaint.contains(&part.replace('\\', ""));
            assert!(plain || complaint.contains(part), "{part}: {complaint}");
        }
    }
    let pending = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "nowhere"},
        "spec": {"nodeSelector": {"no": "node"}, "containers": [{"name": "a", "image": "a"}]}}"#;
    lab.ok_with(namespace, &["apply", "-f", "-"], pending);
    let said = lab.fails(namespace, &["port-forward", "nowhere", ":80"], "");
    let expected = "unable to forward port because pod is not running. Current status=Pending";
    assert!(said.contains(expected), "{said}");
    let said = lab.fails(namespace, &["port-forward", "none", ":80"], "");
    assert!(said.contains("pods \"none\" not found"), "{said}");
}
