use super::{
    super::samples::{interrupted, mixed, records, unenforced},
    *,
};
use crate::event::{Event, Interruption};

fn written(events: Vec<Event>) -> String {
    let report: Report = records(events).into_iter().collect();
    document(&[&report]).expect("a document")
}

#[test]
fn every_verdict_has_its_element() {
    insta::assert_snapshot!(written(mixed()));
}

#[test]
fn a_cni_that_enforces_nothing_is_a_failure_of_its_own() {
    let text = written(unenforced());
    assert!(text.contains(r#"<failure message="THE CNI DOES NOT ENFORCE"#), "{text}");
    assert!(text.contains("proves nothing"), "{text}");
}

#[test]
fn a_run_that_was_cut_is_red() {
    let text = written(interrupted(Interruption::Signal));
    assert!(text.contains(r#"<property name="complete" value="false""#), "{text}");
    assert!(text.contains(r#"<error message="interrupted by a signal"#), "{text}");
    assert!(text.contains(r#"<skipped message="the run ended before"#), "{text}");
}
