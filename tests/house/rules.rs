//! The table: each module imports only from those before it, and the pure zone stays pure.

use crate::paths::Named;

/// Modules in the order in which they may import: each only from the lines before its own.
const ORDER: [&[&str]; 10] = [
    &["model"],
    &["suite", "policy", "topology"],
    &["plan"],
    &["verdict"],
    &["event"],
    &["report"],
    &["cluster"],
    &["run"],
    &["verify", "drill"],
    &["cli"],
];

/// The pure zone: no runtime, no cluster, no clock, no environment, no printing.
const PURE: [&str; 9] = [
    "model",
    "suite",
    "policy",
    "topology",
    "plan",
    "verdict",
    "event",
    "report::fold",
    "report::enforcement",
];

/// The parts of it that read files, so that the rest needn't.
const IMPURE: [&str; 2] = ["suite::loader", "topology::reader"];

/// What the pure zone doesn't name.
const FORBIDDEN: [&str; 31] = [
    "futures",
    "hyper",
    "hyper_util",
    "indicatif",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "jiff::tz",
    "kube",
    "nix",
    "rand",
    "reqwest",
    "rustls",
    "std::dbg",
    "std::env",
    "std::eprint",
    "std::eprintln",
    "std::fs",
    "std::io::stderr",
    "std::io::stdin",
    "std::io::stdout",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::print",
    "std::println",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
];

/// What the pure zone may name of the probe: plain types.
const PROBE: [&str; 2] = ["wire", "question"];

/// Why a module may not name a path.
pub fn violation(module: &[String], named: &Named) -> Option<String> {
    let from = module.first().map_or("", String::as_str);
    let path: Vec<&str> = named.path.iter().map(String::as_str).collect();
    if let ["crate", to, ..] = path[..] {
        // A path of one segment below the root is the module itself or a macro.
        // The executable is a sandbox's programs too: which one, its name decides.
        let dispatch = from == "main" && path[1..] == ["sandbox", "program"];
        return (!dispatch && !may_import(from, to)).then(|| format!("{from} may not use {to}"));
    }
    // Tests of the pure zone may read their samples.
    if named.test || !is_pure(module) {
        return None;
    }
    if let ["netproof_probe", part, ..] = path[..] {
        return (!PROBE.contains(&part)).then(|| "the pure zone sees the probe's wire".to_owned());
    }
    let forbidden = FORBIDDEN.iter().find(|forbidden| is_below(&path, forbidden));
    forbidden.map(|forbidden| format!("{forbidden} in the pure zone"))
}

fn may_import(from: &str, to: &str) -> bool {
    let rank = |module: &str| ORDER.iter().position(|line| line.contains(&module));
    match (from, to) {
        // The root declares the modules, and nothing else.
        ("", _) => true,
        ("main", to) => to == "cli",
        (from, to) if from == to => true,
        ("sandbox", to) => to == "model",
        (from, "sandbox") => from == "cli",
        (from, to) => matches!((rank(from), rank(to)), (Some(from), Some(to)) if to < from),
    }
}

fn is_pure(module: &[String]) -> bool {
    let path: Vec<&str> = module.iter().map(String::as_str).collect();
    let within = |zone: &[&str]| zone.iter().any(|zone| is_below(&path, zone));
    within(&PURE) && !within(&IMPURE)
}

/// True where the path is the other one or leads below it; a glob reaches everything.
fn is_below(path: &[&str], other: &str) -> bool {
    let other: Vec<&str> = other.split("::").collect();
    let same = path.iter().zip(&other).all(|(a, b)| a == b || *a == "*");
    same && (path.len() >= other.len() || path.last() == Some(&"*"))
}
