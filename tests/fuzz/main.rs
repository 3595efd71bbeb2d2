//! Suites that nobody would write: damaged ones must be refused with a place for each
//! mistake, and made-up good ones must be planned.
//!
//! `NETPROOF_FUZZ=100000` makes that many; `NETPROOF_SEED` begins elsewhere.

mod damage;
mod grown;

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use netproof::{
    model::{Family, RunId},
    plan::{self, Filter, Inputs, Node, Plan},
    suite::{self, Mistakes, Suite},
};
use rand::{SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// So many damaged suites are read.
const DAMAGED: u64 = 1_000;
/// So many good ones are planned.
const GROWN: u64 = 150;
/// Longer than this no suite may take, not even in a slow build on a busy machine.
const HUNG: Duration = Duration::from_secs(5);

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The shipped suites and those of the tests, in a folder that damage may be done in.
fn seeds(folder: &Path) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["suites", "tests/suites", "deploy/base"] {
        copy(&root.join(name), &folder.join(name));
    }
    let mut found = Vec::new();
    collect(folder, &mut found);
    found.sort();
    found.retain(|path| {
        let text = fs::read_to_string(path).expect("a seed");
        text.contains("kind: Suite") && path.extension().is_some_and(|end| end == "yaml")
    });
    assert!(found.len() > 10, "{found:?}");
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { collect(&path, found) } else { found.push(path) }
    }
}

/// What `netproof check` and `netproof plan` do with a file.
fn read_and_plan(path: &Path) -> Result<Option<Plan>, Mistakes> {
    let suites = suite::load(&[path.to_owned()])?;
    Ok(planned(&suites).ok())
}

fn planned(suites: &[Suite]) -> Result<Plan, plan::PlanError> {
    let node = |number: usize| Node { name: format!("node-{number}"), labels: Default::default() };
    let inputs = Inputs {
        run: RunId::from_random(0),
        nodes: vec![node(1), node(2)],
        families: vec![Family::Ipv4, Family::Ipv6],
        services: Default::default(),
        control_namespace: None,
        filter: Filter::default(),
        max_nodes: 2,
    };
    plan::build(suites, &inputs)
}

/// Every mistake has its file, line and column, also as people see it.
fn check_places(mistakes: &Mistakes) {
    let shown = mistakes.render(false);
    for mistake in mistakes.iter() {
        let place = mistake.location();
        assert!(place.line >= 1 && place.column >= 1, "{place}");
        assert!(!mistake.message().is_empty(), "{place}");
        assert!(!mistake.message().contains('\n'), "one line: {:?}", mistake.message());
    }
    let first = mistakes.iter().next().expect("a refusal says why").location().to_string();
    // A file that isn't there has no lines.
    let unread = shown.contains("can't read");
    assert!(unread || shown.contains(&first), "{first} isn't in: {shown}");
}

#[test]
fn damaged_suites_are_refused_at_a_place_and_never_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    let seeds = seeds(folder.path());
    let first = number("NETPROOF_SEED", 1);
    let (mut refused, mut read) = (0, 0);
    for seed in first..first + number("NETPROOF_FUZZ", DAMAGED) {
        let mut random = StdRng::seed_from_u64(seed);
        let from = seeds.choose(&mut random).expect("a seed");
        let bytes = damage::done_to(&fs::read(from).expect("a seed"), &mut random);
        // Beside the original, so that its manifests are found.
        let path = from.with_file_name("damaged.yaml");
        fs::write(&path, &bytes).expect("written");
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| match read_and_plan(&path) {
            Ok(_) => true,
            Err(mistakes) => {
                check_places(&mistakes);
                false
            }
        }));
        let took = begun.elapsed();
        fs::remove_file(&path).expect("removed");
        let text = String::from_utf8_lossy(&bytes);
        match outcome {
            Ok(true) => read += 1,
            Ok(false) => refused += 1,
            Err(_) => panic!("seed {seed}, of {}:\n{text}", from.display()),
        }
        assert!(took < HUNG, "seed {seed} took {took:?}, of {}:\n{text}", from.display());
    }
    // Damage that nobody notices, or that nothing survives, tests nothing.
    assert!(refused > 4 * read / 3 && read > 0, "{refused} refused, {read} read");
}

#[test]
fn made_up_suites_are_planned_whole() {
    let first = number("NETPROOF_SEED", 1);
    let (mut cases, mut steps) = (0, 0);
    for seed in first..first + number("NETPROOF_FUZZ", GROWN).min(10 * GROWN) {
        let text = grown::suite(&mut StdRng::seed_from_u64(seed));
        let (suites, mistakes) = suite::parse("grown.yaml", &text, &|_| unreachable!());
        let said = Mistakes::from(mistakes);
        assert!(said.is_empty(), "seed {seed}:\n{text}\n{}", said.render(false));
        let plan = planned(&suites).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let mut ids: Vec<_> = plan.cases().map(|case| case.id.clone()).collect();
        let claimed = ids.len();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), claimed, "seed {seed}: ids are unique\n{text}");
        assert!(claimed >= suites[0].all_cases().count(), "seed {seed}: no case is lost\n{text}");
        for case in plan.cases() {
            assert!(case.source.0 < plan.pods.len(), "seed {seed}: {}", case.id);
            assert!(!plan.controls_of(case).is_empty(), "seed {seed}: {}", case.id);
        }
        cases += claimed;
        steps += plan.suites[0].steps.len();
    }
    assert!(cases > 500 && steps > 50, "{cases} cases in {steps} steps: too little is made up");
}
