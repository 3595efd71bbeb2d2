//! `suites/shop.yaml` as a test binary: `cargo test --test shop` lists, filters and runs
//! its cases, which all share one run in the sandbox.

mod support;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, OnceLock},
};

use libtest_mimic::{Arguments, Failed, Trial};
use netproof::{
    event::{CaseOutcome, Event},
    model::{Family, Labels, RunId},
    plan::{self, Filter, Inputs},
    suite,
    verdict::Verdict,
};

const SUITE: &str = "suites/shop.yaml";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let run = Arc::new(OnceLock::new());
    let trials = ids()
        .into_iter()
        .map(|id| {
            let run = Arc::clone(&run);
            Trial::test(id.clone(), move || verdict_of(run.get_or_init(outcomes), &id))
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// The ids of the suite's cases, found without a cluster.
fn ids() -> Vec<String> {
    let suites = suite::load(&[PathBuf::from(SUITE)])
        .unwrap_or_else(|mistakes| panic!("{}", mistakes.render(false)));
    let node = |name: &str| plan::Node { name: name.to_owned(), labels: Labels::new() };
    let inputs = Inputs {
        run: RunId::from_random(0),
        nodes: vec![node("node-1"), node("node-2")],
        families: vec![Family::Ipv4],
        services: BTreeMap::new(),
        control_namespace: None,
        filter: Filter::default(),
        max_nodes: 2,
    };
    let plan = plan::build(&suites, &inputs).expect("the suite can be planned");
    plan.cases().map(|case| case.id.to_string()).collect()
}

fn outcomes() -> BTreeMap<String, CaseOutcome> {
    let finished = support::run(&["run", "--sandbox", "--output", "json", SUITE]);
    assert!(!finished.stdout.is_empty(), "the run said nothing: {}", finished.stderr);
    let judged = finished.records().into_iter().filter_map(|record| match record.event {
        Event::CaseJudged { id, outcome } => Some((id.0, *outcome)),
        _ => None,
    });
    judged.collect()
}

fn verdict_of(outcomes: &BTreeMap<String, CaseOutcome>, id: &str) -> Result<(), Failed> {
    let outcome = outcomes.get(id).ok_or("the run ended without a verdict for it")?;
    if outcome.judgement.verdict == Verdict::Pass {
        Ok(())
    } else {
        Err(format!("{}: {}", outcome.judgement.verdict, outcome.judgement.reason).into())
    }
}
