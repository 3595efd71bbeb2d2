//! Suites of any size: pods in one namespace, policies that deny half of what is asked.

use std::fmt::Write as _;

/// So many pods, each of which may speak to the next one.
pub fn pods(count: usize) -> String {
    let mut suite = head(count, 1);
    suite.push_str("cases:\n");
    for number in 0..count {
        let next = (number + 1) % count;
        writeln!(
            suite,
            "  - {{name: ring-{number}, from: p{number}, to: p{next}, port: port0, expect: allow}}"
        )
        .expect("a string takes all");
    }
    suite
}

/// Every pod to every other on every port; each pod's policy lets half of the ports in.
pub fn table(pods: usize, ports: usize) -> String {
    let mut suite = head(pods, ports);
    suite.push_str("tables:\n");
    for port in 0..ports {
        write!(suite, "  - name: table{port}\n    port: port{port}\n    rows: |2\n")
            .expect("as above");
        let cells = |cell: &dyn Fn(usize) -> String| {
            (0..pods).map(|to| format!("{:>5}", cell(to))).collect::<String>()
        };
        writeln!(suite, "      {:<5}{}", "", cells(&|to| format!("p{to}"))).expect("as above");
        for from in 0..pods {
            let cell = |to: usize| match (from == to, is_open(to, port)) {
                (true, _) => "-".to_owned(),
                (false, true) => ".".to_owned(),
                (false, false) => "X".to_owned(),
            };
            writeln!(suite, "      {:<5}{}", format!("p{from}"), cells(&cell)).expect("as above");
        }
    }
    suite
}

/// Half of the ports are open, and not the same ones everywhere.
fn is_open(pod: usize, port: usize) -> bool {
    (pod + port).is_multiple_of(2)
}

/// The peers, a default denial of ingress, and a policy per pod that opens its ports.
fn head(pods: usize, ports: usize) -> String {
    let number = |port: usize| 10_000 + port;
    let mut suite = String::from(
        "apiVersion: netproof.dev/v1alpha1\n\
         kind: Suite\n\
         metadata: {name: bench}\n\
         setup:\n  \
           namespaces: {lab: {}}\n  \
           manifests:\n",
    );
    let mut policy = |name: &str, spec: &str| {
        write!(
            suite,
            "    - inline:\n        \
             apiVersion: networking.k8s.io/v1\n        \
             kind: NetworkPolicy\n        \
             metadata: {{name: {name}, namespace: lab}}\n        \
             spec: {spec}\n"
        )
        .expect("a string takes all");
    };
    policy("closed", "{podSelector: {}, policyTypes: [Ingress]}");
    for pod in 0..pods {
        let open: Vec<String> = (0..ports)
            .filter(|&port| ports == 1 || is_open(pod, port))
            .map(|port| format!("{{port: {}}}", number(port)))
            .collect();
        let spec = format!(
            "{{podSelector: {{matchLabels: {{app: p{pod}}}}}, policyTypes: [Ingress], \
             ingress: [{{from: [{{podSelector: {{}}}}], ports: [{}]}}]}}",
            open.join(", ")
        );
        policy(&format!("open-p{pod}"), &spec);
    }
    suite.push_str("peers:\n");
    for pod in 0..pods {
        let listening: Vec<String> =
            (0..ports).map(|port| format!("port{port}: {}/tcp", number(port))).collect();
        writeln!(
            suite,
            "  p{pod}: {{pod: {{namespace: lab, labels: {{app: p{pod}}}, ports: {{{}}}}}}}",
            listening.join(", ")
        )
        .expect("a string takes all");
    }
    suite
}
