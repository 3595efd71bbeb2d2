//! What the evaluator must manage, measured on this machine, with the limit beside each
//! figure. `just bench` runs it; it fails where a figure is over its limit.
//!
//! Every pod has labels of its own, so that no two pods are alike to the compiler.

mod cluster;

use std::{
    fs,
    process::ExitCode,
    time::{Duration, Instant},
};

use cluster::{Size, labels, policies, policy, topology};
use netproof::{
    model::{End, Family, IpProtocol, Traffic},
    policy::{Compiled, Policy, PolicyId, Question},
};

fn main() -> ExitCode {
    // `cargo test --benches` starts it too, without this flag.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("run me with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let mut figures = Figures::default();
    matrix(&mut figures);
    curve(&mut figures);
    points(&mut figures);
    figures.end()
}

/// 10,000 pods, 1,000 policies, 200 namespaces: every pair, and one change.
fn matrix(figures: &mut Figures) {
    let size = Size { pods: 10_000, policies: 1_000, namespaces: 200 };
    let mut all = Compiled::new(policies(size), topology(size));
    let question = Question { protocol: IpProtocol::Tcp, port: 8080, family: Some(Family::Ipv4) };
    let (found, took) = timed(|| all.matrix(&question));
    let pairs = (size.pods * size.pods) as u64;
    println!(
        "matrix: {pairs} pairs, {} allowed, {} denied, {} undetermined",
        found.allowed(),
        found.denied(),
        pairs - found.allowed() - found.denied()
    );
    figures.line("matrix: 10^8 pairs for one port", took.as_secs_f64(), 1.0, "s");
    figures.line("matrix: the process's peak", peak(), 1024.0, "MiB");
    let mut slowest = [Duration::ZERO; 3];
    for number in 0..100 {
        let pod = number * 97 % size.pods;
        let (_, relabelled) = timed(|| all.set_pod_labels(pod, labels(pod, number)));
        let (_, renamed) = timed(|| {
            all.set_namespace_labels(&format!("ns-{number:04}"), labels(number, number));
        });
        let (_, replaced) = timed(|| all.put(Policy::Network(policy(number * 7, size, number))));
        for (slowest, took) in slowest.iter_mut().zip([relabelled, renamed, replaced]) {
            *slowest = (*slowest).max(took);
        }
    }
    for (what, took) in ["a pod's labels", "a namespace's labels", "a policy"].iter().zip(slowest) {
        let what = format!("change: {what}, slowest of 100");
        figures.line(&what, took.as_secs_f64() * 1e3, 10.0, "ms");
    }
}

/// Compiling must grow no worse than linearly in pods and policies.
fn curve(figures: &mut Figures) {
    let mut before: Option<(usize, f64)> = None;
    let mut worst: f64 = 0.0;
    for factor in [1, 2, 4, 8] {
        let size =
            Size { pods: 12_500 * factor, policies: 1_250 * factor, namespaces: 250 * factor };
        let (set, pods) = (policies(size), topology(size));
        let (all, took) = timed(|| Compiled::new(set, pods));
        drop(all);
        let (objects, seconds) = (size.pods + size.policies, took.as_secs_f64());
        println!("curve: {objects:>7} pods and policies: {seconds:>7.3} s");
        if let Some((fewer, faster)) = before {
            worst = worst.max((seconds / faster) / (objects as f64 / fewer as f64));
        }
        before = Some((objects, seconds));
    }
    figures.line("curve: worst step, times linear", worst, 1.6, "times");
}

/// 100,000 pods, 10,000 policies, 2,000 namespaces: compile, then ask.
fn points(figures: &mut Figures) {
    let size = Size { pods: 100_000, policies: 10_000, namespaces: 2_000 };
    let (set, pods) = (policies(size), topology(size));
    let (all, took) = timed(|| Compiled::new(set, pods));
    figures.line("compile: 100,000 pods, 10,000 policies", took.as_secs_f64(), 5.0, "s");
    let mut times = Vec::new();
    let mut reasons = 0;
    for number in 0..20_000_usize {
        let from = number * 7_919 % size.pods;
        // Half of them inside one namespace, where most policies look.
        let to =
            if number % 2 == 0 { number * 104_729 % size.pods } else { (from + 2_000) % size.pods };
        let traffic = Traffic::new(End::Pod(from), End::Pod(to), IpProtocol::Tcp, 8080);
        let (decision, took) = timed(|| all.decide(&traffic));
        reasons += decision.egress.reasons.len() + decision.ingress.reasons.len();
        times.push(took);
    }
    assert!(reasons >= 2 * times.len(), "each answer has its reasons");
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
    figures.line("point: with its reason, at the median", at(50), 10.0, "µs");
    println!("point: at the 99th of 100 {:>31.2} µs", at(99));
    println!("points: the process's peak {:>30.0} MiB", peak());
    assert!(all.policy(PolicyId(0)).is_some(), "the policies are there");
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let made = work();
    (made, started.elapsed())
}

/// `VmHWM` in MiB: the most physical memory that this process has held.
fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or_default();
    kibibytes / 1024.0
}

/// Prints figures and remembers whether all kept to their limits.
#[derive(Default)]
struct Figures {
    over: usize,
}

impl Figures {
    fn line(&mut self, what: &str, found: f64, limit: f64, unit: &str) {
        let verdict = if found < limit { "" } else { "  OVER" };
        self.over += usize::from(found >= limit);
        println!("{what:<48}{found:>9.3} {unit:<6}limit {limit:>6.1}{verdict}");
    }

    fn end(self) -> ExitCode {
        if self.over == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
