//! What a run came to that was made several times.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Report, summary};
use crate::verdict::Verdict;

/// Cases that are named as not the same each time; more than anybody reads.
const MOST_NAMED: usize = 25;

/// The repetitions so far, each in a few words.
#[derive(Clone, Debug, Default)]
pub struct Repetitions {
    passed: u32,
    /// Number, run and summary of those that didn't pass.
    others: Vec<(u32, String, String)>,
    verdicts: BTreeMap<String, BTreeMap<Verdict, u32>>,
}

impl Repetitions {
    /// Takes the next.
    pub fn add(&mut self, report: &Report) {
        let number = self.count() + 1;
        if report.exit_code() == 0 {
            self.passed += 1;
        } else {
            let run = report.head.as_ref().map(|head| head.run.to_string()).unwrap_or_default();
            let ending = summary::ending(report).map(|end| format!("; {end}")).unwrap_or_default();
            self.others.push((number, run, format!("{}{ending}", summary::line(report))));
        }
        for case in &report.cases {
            let counts = self.verdicts.entry(case.info.id.0.clone()).or_default();
            *counts.entry(case.verdict()).or_default() += 1;
        }
    }

    /// How many there were.
    pub fn count(&self) -> u32 {
        self.passed + u32::try_from(self.others.len()).unwrap_or(u32::MAX)
    }

    /// What they came to: how many passed, those that didn't, and the cases that were not
    /// the same each time.
    pub fn summary(&self, of: Option<u32>) -> String {
        let mut text = String::new();
        let mut say = |line: String| {
            let _ = writeln!(text, "{line}");
        };
        for (number, run, line) in &self.others {
            say(format!("repetition {number} (run {run}): {line}"));
        }
        let differ: Vec<_> =
            self.verdicts.iter().filter(|(_, verdicts)| verdicts.len() > 1).collect();
        if !differ.is_empty() {
            say("not the same each time:".to_owned());
        }
        for (id, verdicts) in differ.iter().take(MOST_NAMED) {
            let counts: Vec<_> =
                verdicts.iter().map(|(verdict, count)| format!("{verdict} {count}×")).collect();
            say(format!("  {id}: {}", counts.join(", ")));
        }
        if let Some(more) = differ.len().checked_sub(MOST_NAMED).filter(|more| *more > 0) {
            say(format!("  and {more} more"));
        }
        let count = self.count();
        let of = of.filter(|of| *of != count).map(|of| format!(" of {of}")).unwrap_or_default();
        let noun = if count == 1 && of.is_empty() { "repetition" } else { "repetitions" };
        say(format!("{count}{of} {noun}: {} passed, {} didn't", self.passed, self.others.len()));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{mixed, records},
        *,
    };

    #[test]
    fn what_was_not_the_same_each_time_is_named() {
        let mut report = Report::default();
        records(mixed()).iter().for_each(|record| report.apply(record));
        let mut cut = report.clone();
        cut.cases[0].outcome = None;
        let mut all = Repetitions::default();
        [&report, &report, &cut].into_iter().for_each(|report| all.add(report));
        let text = all.summary(Some(5));
        let id = &report.cases[0].info.id;
        for part in [
            format!("  {id}: pass 2×, not run 1×"),
            "repetition 3 (run ".to_owned(),
            "3 of 5 repetitions: 0 passed, 3 didn't".to_owned(),
        ] {
            assert!(text.contains(&part), "{part}: {text}");
        }
        assert_eq!(text.matches("2×, ").count(), 1, "the others were the same: {text}");
    }
}
