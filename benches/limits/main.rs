//! What netproof must manage, measured on this machine, with the limit beside each figure.
//!
//! `just bench` runs it. It drives the program itself, in a sandbox, and reads the times
//! off the program's own event stream. It fails where a figure is over its limit.

mod api;
mod measure;
mod policies;
mod scale;
mod suites;
mod way;

use std::{collections::BTreeMap, fmt::Display, process::ExitCode, time::Duration};

use measure::{Run, run, sandbox_up};
use netproof::sandbox::process;
use suites::{pods, table};

/// The limits are promises about release builds.
const MIB: f64 = 1024.0 * 1024.0;

fn main() -> ExitCode {
    if process::is_child() {
        return process::child_main(policies::serve);
    }
    // `cargo test --benches` starts it too, without this flag.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("run me with `cargo bench`");
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_wanted = |name: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()))
    };
    let mut figures = Figures::default();
    if is_wanted("sandbox") {
        let fastest = (0..3).map(|_| sandbox_up()).min().unwrap_or(Duration::MAX);
        figures.time("sandbox: from nothing to API ready", fastest, 1.0);
    }
    if is_wanted("scale") {
        let thousand = scale::scale(1_000, 10);
        figures.time("scale: 1,000 pods on 10 nodes ready", thousand.ready, 60.0);
        figures.note("scale: processor time of the sandbox", thousand.spent);
        figures.memory("scale: all of the sandbox's memory", thousand.memory, 4_096.0);
        figures.share("scale: of a core, probing each pod each second", thousand.idle, 100.0);
        figures.moments("scale: request to packet", thousand.ways);
    }
    if is_wanted("policies") {
        let found = policies::policies();
        figures.time("policies: 500 in force, 1,000 pods on 10 nodes", found.all, 2.0);
        figures.note("policies: the same, all tables anew", found.anew);
        figures.moments("policies", found.changes);
        figures.time("policies: 1,500 of both families, anew in parts", found.parts, 2.0);
    }
    if is_wanted("api") {
        let found = api::api();
        let thousands = Duration::from_secs_f64(2000.0 / found.requests.max(f64::EPSILON));
        figures.time("api: 2,000 small requests by 16 clients", thousands, 1.0);
        figures.moment("api: from a write to a watch's event", found.event, 5.0);
    }
    if is_wanted("pods") {
        let run = run(&pods(50));
        figures.time("pods: 50 created and ready", run.launched, 3.0);
    }
    let mut small = None;
    if is_wanted("table") || is_wanted("tenfold") {
        let run = run(&table(9, 4));
        figures.time("table: 288 cases, from sessions to verdicts", run.judged, 4.0);
        figures.note("table: the whole run, sandbox included", run.whole);
        small = Some(run);
    }
    if let Some(small) = small.filter(|_| is_wanted("tenfold")) {
        let large = run(&table(9, 40));
        let times = |part: fn(&Run) -> Duration| {
            part(&large).as_secs_f64() / part(&small).as_secs_f64().max(f64::EPSILON)
        };
        figures.note("tenfold: 2880 cases, from sessions to verdicts", large.judged);
        figures.ratio("tenfold: times that of 288, verdicts", times(|run| run.judged), 3.0);
        figures.ratio("tenfold: times that of 288, whole run", times(|run| run.whole), 3.0);
    }
    if is_wanted("memory") {
        let run = run(&table(25, 17));
        figures.note("memory: 10,200 cases, the whole run", run.whole);
        figures.memory("memory: the runner's peak", run.peak, 150.0);
    }
    figures.end()
}

/// Prints figures and remembers whether all kept to their limits.
#[derive(Default)]
struct Figures {
    over: usize,
}

impl Figures {
    fn time(&mut self, what: &str, found: Duration, limit: f64) {
        self.line(what, found.as_secs_f64(), limit, "s");
    }

    fn moment(&mut self, what: &str, found: Duration, limit: f64) {
        self.line(what, found.as_secs_f64() * 1000.0, limit, "ms");
    }

    /// Changes, each mostly and at the slowest, that must be in force within 20 ms.
    fn moments(&mut self, part: &str, changes: BTreeMap<impl Display, (Duration, Duration)>) {
        for (what, (median, slowest)) in changes {
            self.moment(&format!("{part}: {what}, mostly"), median, 20.0);
            self.moment(&format!("{part}: {what}, at the slowest"), slowest, 20.0);
        }
    }

    fn ratio(&mut self, what: &str, found: f64, limit: f64) {
        self.line(what, found, limit, "times");
    }

    fn memory(&mut self, what: &str, bytes: u64, limit: f64) {
        self.line(what, bytes as f64 / MIB, limit, "MB");
    }

    fn share(&mut self, what: &str, percent: f64, limit: f64) {
        self.line(what, percent, limit, "%");
    }

    /// A figure without a limit.
    fn note(&self, what: &str, found: Duration) {
        println!("{what:<64}{:>9.2} s", found.as_secs_f64());
    }

    fn line(&mut self, what: &str, found: f64, limit: f64, unit: &str) {
        let verdict = if found < limit { "" } else { "  OVER" };
        self.over += usize::from(found >= limit);
        println!("{what:<64}{found:>9.2} {unit:<6}limit {limit:>6.1}{verdict}");
    }

    fn end(self) -> ExitCode {
        if self.over == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
