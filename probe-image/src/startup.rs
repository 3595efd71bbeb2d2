//! The first instants of a pod: dials that begin with the agent itself, because a session
//! comes too late for them.
//!
//! What was seen goes to standard output as one line, which stands in the container's log.

use std::{io::Write, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use crate::{
    dial::Dialer,
    question::{Key, Nonce},
    wire::{
        Answer, FirstAnswer, FirstInstants, Outcome, Probe, Question, STARTUP_LINE, Startup, Timing,
    },
};

/// One dial among many: it is the series that withstands loss.
const ONE: Timing = Timing { window: 400, attempts: 1, reply: 1_000 };

/// The most dials of one destination.
const MOST: u32 = 1_000;

/// Dials everything again and again for the time that is asked for, and tells what was seen.
pub async fn run(startup: Startup, key: Key, sockets: usize) {
    let seen = watch(&startup, key, sockets).await;
    let line = serde_json::to_string(&seen).unwrap_or_default();
    let _ = writeln!(std::io::stdout(), "{STARTUP_LINE}{line}");
}

async fn watch(startup: &Startup, key: Key, sockets: usize) -> Vec<FirstInstants> {
    let dialer = Arc::new(Dialer::new(key, sockets));
    let begun = Instant::now();
    let mut series = JoinSet::new();
    for probe in &startup.probes {
        series.spawn(dial_again(dialer.clone(), probe.clone(), startup.clone(), begun));
    }
    let mut all = series.join_all().await;
    all.sort_by_key(|seen| seen.id);
    all
}

async fn dial_again(
    dialer: Arc<Dialer>,
    probe: Probe,
    startup: Startup,
    begun: Instant,
) -> FirstInstants {
    let every = Duration::from_millis(startup.every.max(1).into());
    let count = (startup.lasts / startup.every.max(1)).clamp(1, MOST);
    let mut dials = JoinSet::new();
    for turn in 0..count {
        let (dialer, mut probe) = (dialer.clone(), probe.clone());
        probe.timing = ONE;
        if let Question::Keyed { nonce } = &mut probe.question {
            *nonce = Nonce::from_bytes(rand::random()).to_string();
        }
        dials.spawn(async move {
            tokio::time::sleep_until(begun + every * turn).await;
            let after = begun.elapsed();
            (after, dialer.probe(probe, None).await)
        });
    }
    let mut seen = FirstInstants { id: probe.id, ..FirstInstants::default() };
    while let Some(ended) = dials.join_next().await {
        let Ok((after, Ok(result))) = ended else { continue };
        let after = u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        for dial in result.dials {
            note(&mut seen, after, dial.outcome);
        }
    }
    seen.watched = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
    seen
}

fn note(seen: &mut FirstInstants, after: u32, outcome: Outcome) {
    match outcome {
        // Its own kernel's refusal is no attempt.
        Outcome::Failed { .. } => {}
        Outcome::Connected { answer } => {
            seen.attempts += 1;
            let new = FirstAnswer { after, answer };
            let tells = |answer: &Answer| !matches!(answer, Answer::HandshakeOnly);
            let is_first = seen.first.as_ref().is_none_or(|first| first.after > after);
            if is_first && (tells(&new.answer) || seen.first.is_none()) {
                seen.first = Some(new.clone());
            }
            if seen.last.as_ref().is_none_or(|last| last.after < after) {
                seen.last = Some(new);
            }
        }
        _ => seen.attempts += 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Protocol, Target};

    #[tokio::test]
    async fn a_listener_that_ends_is_seen_until_then() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let probe = Probe {
            id: 7,
            target: Target::Address(address.ip()),
            family: None,
            port: address.port(),
            protocol: Protocol::Tcp,
            question: Question::Bare,
            script: Default::default(),
            timing: Timing::default(),
        };
        let startup = Startup { every: 20, lasts: 1_000, probes: vec![probe] };
        let open = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            drop(listener);
        });
        let seen = watch(&startup, Key::from_bytes([1; 32]), 1_000).await;
        open.await.unwrap();
        let [seen] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((seen.id, seen.attempts), (7, 50));
        assert!(seen.first.as_ref().is_some_and(|first| first.after < 100), "{seen:?}");
        let last = seen.last.as_ref().map_or(0, |last| last.after);
        assert!((200..800).contains(&last), "{seen:?}");
    }
}
