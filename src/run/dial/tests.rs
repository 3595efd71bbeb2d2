//! What an agent's results say, and how often it is to try.

use netproof_probe::wire::{Answer, Attempt, Outcome, Timing};

use super::*;

fn dial(whom: Whom) -> Dial {
    Dial {
        source: PodIndex(0),
        whom,
        port: "443/tcp".parse().expect("a port"),
        script: Arc::default(),
        timeout: None,
        keyed: false,
    }
}

fn address() -> IpAddr {
    "192.0.2.1".parse().expect("an address")
}

fn result(resolution: Option<Resolution>, dials: Vec<wire::Dial>) -> ProbeResult {
    ProbeResult { id: 1, started: 1_000, elapsed: 1, resolution, dials }
}

#[test]
fn a_connection_is_dated_by_the_attempt_that_made_it_and_a_denial_by_the_first() {
    let attempt = |at, outcome| Attempt { at, took: 1, port: 20_000, outcome };
    let answer = Answer::HandshakeOnly;
    let begun = Instant::now();
    let clock = Clock::showing(1_000, begun);
    for (outcome, last, expected) in [
        (Outcome::Connected { answer }, AttemptOutcome::Connected, 5_000),
        (Outcome::TimedOut, AttemptOutcome::TimedOut, 2_000),
    ] {
        let attempts = vec![attempt(2_000, AttemptOutcome::TimedOut), attempt(5_000, last)];
        let told = result(None, vec![wire::Dial { address: address(), outcome, attempts }]);
        let found = seen(&dial(Whom::Address(address())), &told, Some(&clock), begun);
        assert_eq!(found[0].at, clock.instant(expected), "{:?}", found[0].observation);
    }
}

#[test]
fn a_name_without_an_address_of_the_family_is_not_there_and_one_unresolved_is_not_seen() {
    let name = dial(Whom::Name("far.example".to_owned(), Family::Ipv6));
    let none = |resolution| {
        let found = seen(&name, &result(resolution, Vec::new()), None, Instant::now());
        found[0].observation.to_string()
    };
    let message = || "SERVFAIL".to_owned();
    for (resolution, expected) in [
        (Some(Resolution::Resolved { addresses: vec![address()] }), "not there"),
        (Some(Resolution::Resolved { addresses: Vec::new() }), "agent unreachable"),
        (Some(Resolution::NoSuchName { message: message() }), "not resolved"),
        (Some(Resolution::Failed { message: message() }), "not resolved"),
        (None, "agent unreachable"),
    ] {
        assert_eq!(none(resolution.clone()), expected, "{resolution:?}");
    }
}

#[test]
fn a_longer_wait_is_tried_as_often_as_loss_asks_for() {
    let usual = Timing { window: 800, attempts: 10, reply: 1_000 };
    for (timeout, expected) in [
        (None, usual),
        (Some(400), Timing { window: 400, attempts: 10, reply: 1_000 }),
        (Some(1_600), Timing { window: 1_600, attempts: 20, reply: 1_600 }),
        (Some(60_000), Timing { window: 60_000, attempts: MOST_ATTEMPTS, reply: 60_000 }),
    ] {
        let timeout = timeout.map(Duration::from_millis);
        let dial = Dial { timeout, ..dial(Whom::Address(address())) };
        assert_eq!(dial.timing(usual), expected, "{timeout:?}");
    }
}
