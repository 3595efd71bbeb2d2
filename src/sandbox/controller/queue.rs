//! A queue of keys: what has to be looked at, each only once, at once or later.
//!
//! A key that is queued already is not queued again, so that a queue is never longer than
//! there are objects. A key that failed comes back after a while that doubles each time.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// How soon a key that failed comes back the first time.
const FIRST_BACKOFF: Duration = Duration::from_millis(5);
/// How long it stays away at most. Kubernetes waits up to 1000 s; a sandbox is for tests.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// Keys to look at. One worker takes them; anybody adds.
#[derive(Debug)]
pub(super) struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    queued: HashSet<K>,
    /// When a delayed key comes, both ways round.
    due: HashMap<K, Instant>,
    delayed: BTreeSet<(Instant, K)>,
    failures: HashMap<K, u32>,
    /// Keys that must not come before a moment.
    resting: HashMap<K, Instant>,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::new()), wake: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a key, unless it is queued.
    pub(super) fn add(&self, key: K) {
        self.lock().add(key, Instant::now());
        self.wake.notify_one();
    }

    /// Queues a key after a while, or earlier if it was to come earlier anyway.
    pub(super) fn add_after(&self, key: K, delay: Duration) {
        self.lock().delay(key, Instant::now() + delay);
        self.wake.notify_one();
    }

    /// Queues a key that failed, after a while that grows.
    pub(super) fn retry(&self, key: K) {
        self.lock().retry(key, Instant::now());
        self.wake.notify_one();
    }

    /// Forgets that a key has failed.
    pub(super) fn succeeded(&self, key: &K) {
        self.lock().failures.remove(key);
    }

    /// Lets a key rest: it comes back only after a while, whoever adds it.
    pub(super) fn rest(&self, key: K, pause: Duration) {
        self.lock().rest(key, Instant::now() + pause);
    }

    /// The next key; waits for one.
    pub(super) async fn next(&self) -> K {
        loop {
            let wait = {
                let mut state = self.lock();
                if let Some(key) = state.next(Instant::now()) {
                    return key;
                }
                state.delayed.first().map(|(due, _)| *due)
            };
            match wait {
                Some(due) => tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = self.wake.notified() => {}
                },
                None => self.wake.notified().await,
            }
        }
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn new() -> Self {
        Self {
            ready: VecDeque::new(),
            queued: HashSet::new(),
            due: HashMap::new(),
            delayed: BTreeSet::new(),
            failures: HashMap::new(),
            resting: HashMap::new(),
        }
    }

    fn add(&mut self, key: K, now: Instant) {
        if let Some(until) = self.resting.get(&key).copied() {
            if until > now {
                self.delay(key, until);
                return;
            }
            self.resting.remove(&key);
        }
        if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    fn delay(&mut self, key: K, due: Instant) {
        if let Some(known) = self.due.get(&key).copied() {
            if known <= due {
                return;
            }
            self.delayed.remove(&(known, key.clone()));
        }
        self.due.insert(key.clone(), due);
        self.delayed.insert((due, key));
    }

    fn retry(&mut self, key: K, now: Instant) {
        let failures = self.failures.entry(key.clone()).or_default();
        let delay = backoff(*failures);
        *failures += 1;
        self.delay(key, now + delay);
    }

    /// A key that is queued by now rests as well.
    fn rest(&mut self, key: K, until: Instant) {
        self.resting.insert(key.clone(), until);
        if self.queued.remove(&key) {
            self.ready.retain(|queued| *queued != key);
            self.delay(key, until);
        }
    }

    fn next(&mut self, now: Instant) -> Option<K> {
        while let Some((due, _)) = self.delayed.first() {
            if *due > now {
                break;
            }
            if let Some((_, key)) = self.delayed.pop_first() {
                self.due.remove(&key);
                self.add(key, now);
            }
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        Some(key)
    }
}

fn backoff(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures.min(20));
    FIRST_BACKOFF.saturating_mul(factor).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_key_comes_once_and_in_order() {
        let (mut queue, now) = (State::new(), Instant::now());
        for key in ["a", "b", "a", "c", "b"] {
            queue.add(key, now);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.next(now)).collect();
        assert_eq!(order, ["a", "b", "c"]);
    }

    #[test]
    fn delayed_keys_come_when_they_are_due_and_the_earliest_wish_counts() {
        let (mut queue, now) = (State::new(), Instant::now());
        queue.delay("late", after(now, 900));
        queue.delay("late", after(now, 200));
        queue.delay("soon", after(now, 100));
        for (time, expected) in
            [(99, None), (100, Some("soon")), (199, None), (200, Some("late")), (1000, None)]
        {
            assert_eq!(queue.next(after(now, time)), expected, "at {time} ms");
        }
    }

    #[test]
    fn a_failure_is_tried_again_ever_later() {
        let pauses: Vec<_> = (0..5).map(|failures| backoff(failures).as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80]);
        assert_eq!(backoff(u32::MAX), LONGEST_BACKOFF);
        let (mut queue, now) = (State::new(), Instant::now());
        queue.retry("a", now);
        assert_eq!(queue.next(after(now, 4)), None);
        assert_eq!(queue.next(after(now, 5)), Some("a"));
    }

    #[test]
    fn a_key_that_rests_comes_after_its_rest() {
        let (mut queue, now) = (State::new(), Instant::now());
        queue.add("queued already", now);
        queue.rest("queued already", after(now, 50));
        queue.rest("a", after(now, 100));
        queue.add("a", now);
        queue.add("b", now);
        for (time, expected) in
            [(0, Some("b")), (49, None), (50, Some("queued already")), (100, Some("a"))]
        {
            assert_eq!(queue.next(after(now, time)), expected, "at {time} ms");
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_woken() {
        let queue = Queue::new();
        let (key, ()) = tokio::join!(queue.next(), async { queue.add("a") });
        assert_eq!(key, "a");
        queue.add_after("b", Duration::from_millis(1));
        assert_eq!(queue.next().await, "b");
    }
}
