//! The evaluator and the reference CNI agree: on every connection of worlds made by chance,
//! and on those that were once found to differ.
//!
//! The two share no code. The evaluator is compared with the compiled ruleset, read step by
//! step, for many connections; and with real packets in the sandbox for fewer. Where the API
//! leaves something open the evaluator does not say, and nothing is compared.
//!
//! `NETPROOF_AGREE=SECONDS` goes on for so long with each, `forever` until it is ended; it
//! prints which corners were touched. A world about which the two differ is shrunk and kept
//! under `cases/`.

mod compare;
mod corners;
mod features;
mod making;
mod wire;
mod world;

use std::{
    fmt,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use netproof::sandbox::process::{self, Options, Sandbox};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use crate::{
    compare::{Count, Kept, compare, keep, kept, shrink},
    corners::Coverage,
    wire::Wire,
};

/// How long each comparison goes on where nothing else is said.
const RULESET: Duration = Duration::from_secs(25);
const WIRE: Duration = Duration::from_secs(40);
/// How long it goes on, at most, until each corner was touched.
const AT_MOST: Duration = Duration::from_secs(300);
/// How often it says how far it is.
const SAY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    if process::is_child() {
        return process::child_main(serve);
    }
    let arguments = Arguments::from_args();
    let budget = std::env::var("NETPROOF_AGREE").ok();
    let of = |default: Duration| match budget.as_deref() {
        None => (default, false),
        Some("forever") => (Duration::from_secs(u64::from(u32::MAX)), true),
        Some(seconds) => (seconds.parse().map_or(default, Duration::from_secs), true),
    };
    let (ruleset, wire) = (of(RULESET), of(WIRE));
    let trials = vec![
        Trial::test("every_case_that_was_kept_agrees", every_case_that_was_kept_agrees),
        Trial::test("a_cni_with_a_fault_disagrees", a_cni_with_a_fault_disagrees),
        Trial::test("the_ruleset_agrees", move || the_ruleset_agrees(ruleset)),
        Trial::test("the_wire_agrees", move || the_wire_agrees(wire)),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// How far a comparison is.
fn say(coverage: &Coverage, count: &Count, what: &str) {
    let Count { worlds, pairs, undetermined } = count;
    eprintln!(
        "{what}: {worlds} worlds, {pairs} connections compared, {undetermined} left open\n\
         {coverage}"
    );
}

fn every_case_that_was_kept_agrees() -> Result<(), Failed> {
    let (mut coverage, mut count) = (Coverage::default(), Count::default());
    for (name, Kept { world, .. }) in kept() {
        compare(&world, &[], &mut coverage, &mut count)
            .map_err(|(_, why)| format!("{name}: {why}"))?;
    }
    Ok(())
}

/// So many worlds must do to find any fault.
const WORLDS: usize = 400;

fn a_cni_with_a_fault_disagrees() -> Result<(), Failed> {
    let worlds = making::world();
    for fault in [
        "allow-own-namespace",
        "enforce-nothing",
        "first-policy-only",
        "ignore-egress",
        "ignore-end-port",
        "ignore-except",
        "ignore-ingress",
        "ignore-ipv6",
        "ignore-named-ports",
        "ignore-namespace-selector",
        "ignore-udp",
        "or-selectors",
    ] {
        let faults = [fault.parse().map_err(|error| format!("{fault}: {error}"))?];
        let mut runner = TestRunner::default();
        let differs = |_| {
            let world = worlds.new_tree(&mut runner).map(|tree| tree.current());
            let compared = world.map(|world| {
                compare(&world, &faults, &mut Coverage::default(), &mut Count::default())
            });
            matches!(compared, Ok(Err((Some(_), _))))
        };
        if !(0..WORLDS).any(differs) {
            return Err(format!("nothing differs with the fault {fault}").into());
        }
    }
    Ok(())
}

fn the_ruleset_agrees((budget, talks): (Duration, bool)) -> Result<(), Failed> {
    let (mut coverage, mut count) = (Coverage::default(), Count::default());
    let (worlds, mut runner) = (making::world(), TestRunner::default());
    for (_, Kept { world, .. }) in kept() {
        compare(&world, &[], &mut coverage, &mut count).map_err(|(_, why)| why)?;
    }
    let begun = Instant::now();
    let mut said = begun;
    while goes_on(begun, budget, &coverage) {
        let mut tree = worlds.new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        let found = compare(&tree.current(), &[], &mut coverage, &mut count);
        if let Err(first) = found {
            let (world, (probe, why)) = shrink(&mut tree, first, 4000, |world| {
                compare(world, &[], &mut Coverage::default(), &mut Count::default()).err()
            });
            let kept = Kept { why, probe, world };
            return Err(format!("{}\n{}", kept.why, keep(&kept)).into());
        }
        if talks && said.elapsed() > SAY {
            said = Instant::now();
            say(&coverage, &count, "the ruleset");
        }
    }
    say(&coverage, &count, "the ruleset");
    complete(&coverage)
}

/// Whether a comparison that began then goes on: chance may leave a corner out for long on a
/// machine that is busy with other things.
fn goes_on(begun: Instant, budget: Duration, coverage: &Coverage) -> bool {
    let elapsed = begun.elapsed();
    elapsed < budget || (elapsed < AT_MOST && !coverage.missing().is_empty())
}

fn complete(coverage: &Coverage) -> Result<(), Failed> {
    let missing = coverage.missing();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("corners were not touched:\n{}", missing.join("\n")).into())
}

fn the_wire_agrees((budget, talks): (Duration, bool)) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let sandbox = Sandbox::start(Path::new("/proc/self/exe"), &Options::default()).await?;
        let address = sandbox.kubeconfig().to_owned();
        let result = tokio::task::spawn_blocking(move || listen(&address, budget, talks)).await;
        sandbox.stop().await;
        result?
    })
}

/// Starts the child's work, and hears what comes of it: lines with a word in front.
fn listen(address: &str, budget: Duration, talks: bool) -> Result<(), Failed> {
    let mut stream = TcpStream::connect(address)?;
    writeln!(stream, "{}", budget.as_secs())?;
    let (mut lines, mut count) = (String::new(), Count::default());
    let mut last = None;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("corner", rest)) => lines.push_str(&format!("{rest}\n")),
            Some(("count", rest)) => {
                let mut numbers = rest.split(' ').filter_map(|number| number.parse().ok());
                let mut next = || numbers.next().unwrap_or_default();
                count = Count { worlds: next(), pairs: next(), undetermined: next() };
                let coverage = Coverage::read(&std::mem::take(&mut lines));
                if talks {
                    say(&coverage, &count, "the wire");
                }
                last = Some(coverage);
            }
            Some(("failed", why)) => return Err(why.replace("\\n", "\n").into()),
            _ => return Err(format!("the child says: {line}").into()),
        }
    }
    let coverage = last.ok_or("the child has ended early")?;
    if !talks {
        say(&coverage, &count, "the wire");
    }
    complete(&coverage)
}

/// The child's side. In place of a kubeconfig it announces where it listens.
fn serve(listener: TcpListener, _: Options) -> Result<(), Broken> {
    process::announce(&listener.local_addr().map_err(Broken)?.to_string());
    let (mut stream, _) = listener.accept().map_err(Broken)?;
    let mut seconds = String::new();
    BufReader::new(stream.try_clone().map_err(Broken)?).read_line(&mut seconds).map_err(Broken)?;
    let budget = Duration::from_secs(seconds.trim().parse().unwrap_or(1));
    let runtime = tokio::runtime::Runtime::new().map_err(Broken)?;
    match work(&runtime, budget, &mut stream) {
        Ok(()) => Ok(()),
        Err(why) => writeln!(stream, "failed {}", why.replace('\n', "\\n")).map_err(Broken),
    }
}

#[derive(Debug)]
struct Broken(io::Error);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the child's connection: {}", self.0)
    }
}

impl std::error::Error for Broken {}

fn work(
    runtime: &tokio::runtime::Runtime,
    budget: Duration,
    parent: &mut impl io::Write,
) -> Result<(), String> {
    let mut wire = runtime.block_on(Wire::new())?;
    let (mut coverage, mut count) = (Coverage::default(), Count::default());
    for (name, Kept { world, .. }) in kept() {
        // Enough choices for each connection to be among them.
        for choice in 0..8 {
            let compared = wire.compare(&world, choice, &mut coverage, &mut count);
            runtime.block_on(compared).map_err(|(_, why)| format!("{name}: {why}"))?;
        }
    }
    let (worlds, mut runner) = (making::world(), TestRunner::default());
    let begun = Instant::now();
    let mut said = begun;
    let mut choice = 0;
    while goes_on(begun, budget, &coverage) {
        let mut tree = worlds.new_tree(&mut runner).map_err(|reason| reason.to_string())?;
        choice += 1;
        let world = tree.current();
        let found = wire.compare(&world, choice, &mut coverage, &mut count);
        if let Err(first) = runtime.block_on(found) {
            let (world, (probe, why)) = shrink(&mut tree, first, 200, |world| {
                let (mut coverage, mut count) = (Coverage::default(), Count::default());
                let again = wire.compare(world, choice, &mut coverage, &mut count);
                runtime.block_on(again).err()
            });
            let kept = Kept { why, probe, world };
            return Err(format!("{}\n{}", kept.why, keep(&kept)));
        }
        if said.elapsed() > SAY {
            said = Instant::now();
            tell(parent, &coverage, &count).map_err(|error| error.to_string())?;
        }
    }
    tell(parent, &coverage, &count).map_err(|error| error.to_string())
}

fn tell(parent: &mut impl io::Write, coverage: &Coverage, count: &Count) -> io::Result<()> {
    for line in coverage.lines().lines() {
        writeln!(parent, "corner {line}")?;
    }
    writeln!(parent, "count {} {} {}", count.worlds, count.pairs, count.undetermined)
}
