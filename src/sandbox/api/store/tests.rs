use serde_json::json;

use super::*;
use crate::sandbox::api::resource::{CONFIG_MAPS, PODS};

fn config_map(name: &str, value: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop"}, "data": {"key": value}})
}

#[test]
fn a_watch_from_a_version_hears_what_came_after_it_and_nothing_else() {
    let store = Store::new();
    let first = store.write(|writer| writer.put(&CONFIG_MAPS, config_map("a", "1")));
    store.write(|writer| writer.put(&PODS, json!({"metadata": {"name": "p"}})));
    store.write(|writer| writer.put(&CONFIG_MAPS, config_map("a", "2")));
    let (missed, mut later) =
        store.watch(&CONFIG_MAPS, first.resource_version()).expect("remembered");
    store.write(|writer| writer.remove(&CONFIG_MAPS, "shop", "a"));

    let missed: Vec<_> = missed.iter().map(|event| (event.version, event.change)).collect();
    assert_eq!(missed, [(3, Change::Modified)]);
    let event = later.try_recv().expect("the removal");
    assert_eq!((event.version, event.change), (4, Change::Deleted));
    assert_eq!(event.object.resource_version(), 4, "a deleted object carries its removal");
    assert!(later.try_recv().is_err(), "nothing more happened");
}

#[test]
fn a_write_that_changes_nothing_is_no_event() {
    let store = Store::new();
    let first = store.write(|writer| writer.put(&CONFIG_MAPS, config_map("a", "1")));
    let second = store.write(|writer| writer.put(&CONFIG_MAPS, config_map("a", "1")));
    assert_eq!(first, second);
    assert_eq!(store.version(), 1);
}

#[test]
fn a_watch_from_a_forgotten_version_is_expired() {
    let store = Store::new();
    for round in 0..=RING {
        store.write(|writer| writer.put(&CONFIG_MAPS, config_map("a", &round.to_string())));
    }
    let expired = store.watch(&CONFIG_MAPS, 0).err();
    assert_eq!(expired, Some(Expired { asked: 0, oldest: 1 }));
    assert!(store.watch(&CONFIG_MAPS, 1).is_ok(), "the event after version 1 is remembered");
}

#[test]
fn a_watcher_that_lags_is_cut_off() {
    let store = Store::new();
    let (_, _, mut events) = store.list_and_watch(&CONFIG_MAPS);
    for round in 0..BUFFER + 1 {
        store.write(|writer| writer.put(&CONFIG_MAPS, config_map("a", &round.to_string())));
    }
    let mut heard = 0;
    while let Ok(event) = events.try_recv() {
        heard += 1;
        assert_eq!(event.version, heard);
    }
    assert_eq!(heard, BUFFER as u64);
    assert!(events.is_closed(), "it must list anew instead of missing an event");
}

#[test]
fn a_signal_coalesces_and_is_set_at_first() {
    let store = Store::new();
    let signal = store.signal(|event| event.resource == &PODS);
    let is_set = || {
        let mut waiting = tokio_test_ready(signal.notified());
        waiting.next().is_some()
    };
    assert!(is_set(), "set from the beginning");
    store.write(|writer| writer.put(&CONFIG_MAPS, config_map("a", "1")));
    assert!(!is_set(), "not wanted");
    store.write(|writer| writer.put(&PODS, json!({"metadata": {"name": "p"}})));
    store.write(|writer| writer.put(&PODS, json!({"metadata": {"name": "q"}})));
    assert!(is_set(), "two events, one signal");
    assert!(!is_set());
}

/// Yields once if the future is ready at its first poll.
fn tokio_test_ready(future: impl Future<Output = ()>) -> std::option::IntoIter<()> {
    use futures::FutureExt;
    future.now_or_never().into_iter()
}
