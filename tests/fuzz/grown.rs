//! Good suites, made up: every field that the format has, in ways that are allowed.

use std::fmt::Write;

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

/// A suite in YAML.
pub fn suite(random: &mut StdRng) -> String {
    let mut text = format!(
        "apiVersion: netproof.dev/v1alpha1\nkind: Suite\nmetadata: {{name: s{}}}\n",
        random.random_range(0..1_000)
    );
    let _ = writeln!(
        text,
        "defaults: {{within: {}s, ports: {{main: 8080/tcp}}}}",
        random.random_range(1..60)
    );
    let spaces = random.random_range(1..4);
    text.push_str("setup:\n  namespaces:\n");
    for space in 0..spaces {
        let _ = writeln!(text, "    n{space}: {{labels: {{team: t{space}}}}}");
    }
    if random.random_bool(0.6) {
        text.push_str("  manifests:\n    - inline:\n");
        for number in 0..random.random_range(1..4) {
            let space = random.random_range(0..spaces);
            policy(&mut text, "        ", number, space);
        }
    }
    text.push_str("peers:\n");
    let pods = random.random_range(2..8);
    for pod in 0..pods {
        let space = random.random_range(0..spaces);
        let ports = ["", ", ports: {main: 8080/tcp}", ", ports: {main: 80/http, dns: 53/udp}"];
        let ports = ports.choose(random).unwrap_or(&"");
        let _ = writeln!(
            text,
            "  p{pod}: {{pod: {{namespace: n{space}, labels: {{app: a{pod}}}{ports}}}}}"
        );
    }
    text.push_str("  dns: {service: {namespace: kube-system, name: kube-dns}}\n");
    text.push_str(
        "  meta: {ip: 169.254.169.254}\n  six: {ip: 'fd00::1'}\n  name: {host: example.org}\n",
    );
    text.push_str("cases:\n");
    cases(&mut text, "  ", pods, random);
    if random.random_bool(0.4) {
        let _ = writeln!(text, "tables:\n  - name: mesh\n    port: main\n    rows: |2");
        let columns: Vec<String> = (0..pods).map(|pod| format!("p{pod}")).collect();
        let _ = writeln!(text, "         {}", columns.join(" "));
        for row in 0..pods {
            let mut cell = |column| match (row, column) {
                // A table that claims nothing is a mistake.
                (0, 1) => ". ",
                _ if column == row => "- ",
                _ => [". ", "X ", "- "][random_of(random, 3)],
            };
            let cells: Vec<&str> = (0..pods).map(&mut cell).collect();
            let _ = writeln!(text, "      p{row} {}", cells.join(" "));
        }
    }
    let steps = random.random_range(0..4);
    if steps > 0 {
        text.push_str("steps:\n");
    }
    for step in 0..steps {
        self::step(&mut text, step, pods, spaces, random);
    }
    text
}

fn random_of(random: &mut StdRng, many: usize) -> usize {
    random.random_range(0..many)
}

fn policy(text: &mut String, indent: &str, number: usize, space: usize) {
    let _ = writeln!(
        text,
        "{indent}- apiVersion: networking.k8s.io/v1\n{indent}  kind: NetworkPolicy\n\
         {indent}  metadata: {{name: policy-{number}, namespace: n{space}}}\n\
         {indent}  spec: {{podSelector: {{}}, policyTypes: [Ingress]}}"
    );
}

fn cases(text: &mut String, indent: &str, pods: usize, random: &mut StdRng) {
    for case in 0..random.random_range(1..6) {
        let from = random_of(random, pods);
        let (to, port) = match random_of(random, 7) {
            0 => ("dns".to_owned(), "[53/udp, 53/tcp]"),
            1 => ("meta".to_owned(), "80"),
            2 => ("six".to_owned(), "443/tcp"),
            3 => ("name".to_owned(), "[80/http, 443]"),
            _ => (format!("p{}", (from + 1 + random_of(random, pods - 1)) % pods), "main"),
        };
        let _ = write!(
            text,
            "{indent}- {{name: 'case {case}', from: p{from}, to: {to}, port: {port}, expect: "
        );
        let denial = ["", ", evidence: any", ", denial: drop", ", denial: reject"];
        let expect = if random.random_bool(0.5) {
            "allow".to_owned()
        } else {
            format!("deny{}", denial[random_of(random, denial.len())])
        };
        let more = ["", ", within: 3s", ", because: 'it is so: #1'"];
        let _ = writeln!(text, "{expect}{}}}", more[random_of(random, more.len())]);
    }
}

fn step(text: &mut String, step: usize, pods: usize, spaces: usize, random: &mut StdRng) {
    let _ = writeln!(text, "  - name: step-{step}");
    match random_of(random, 4) {
        0 => {
            text.push_str("    apply:\n      - inline:\n");
            policy(text, "          ", 100 + step, random_of(random, spaces));
        }
        1 => {
            let peer = random_of(random, pods);
            let _ = writeln!(text, "    label: [{{peer: p{peer}, set: {{tier: t{step}}}}}]");
        }
        2 => {
            let space = random_of(random, spaces);
            let _ = writeln!(text, "    label: [{{namespace: n{space}, set: {{seen: s{step}}}}}]");
        }
        _ => text.push_str("    wait: 10ms\n"),
    }
    text.push_str("    cases:\n");
    cases(text, "      ", pods, random);
}
