//! The book of events: counted, combined, thinned out, and forgotten in time.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Identity, Subject};
use crate::sandbox::api::{
    names,
    object::{Object, now},
    resource::{EVENTS, NAMESPACES},
    store::Store,
};

/// How long an event is kept after it last happened, as in Kubernetes.
const KEPT: Duration = Duration::from_secs(3600);
/// How many events are kept at most; the oldest go first.
const LIMIT: usize = 20_000;
/// How many events about one object a component may write at once, and how long it takes
/// until it may write one more (client-go's spam filter).
const BURST: f64 = 25.0;
const REFILL: f64 = 300.0;
/// So many events that differ only in their message are combined, if they come within the
/// time (client-go's aggregator).
const SIMILAR: usize = 10;
const SIMILAR_WITHIN: Duration = Duration::from_secs(600);

/// What has been written.
#[derive(Default)]
pub(super) struct Book {
    /// Where the event stands that repeats may be counted on.
    written: HashMap<Identity, (String, String)>,
    /// What was written when, oldest first; repeats come again.
    order: VecDeque<(Instant, Identity)>,
    last: HashMap<Identity, Instant>,
    /// Tokens that a component has left for an object, and since when.
    tokens: HashMap<(String, Subject), (f64, Instant)>,
    /// How many different messages a reason has had of late.
    similar: HashMap<Identity, (Vec<String>, Instant)>,
}

impl Book {
    pub(super) fn write(
        &mut self,
        store: &Store,
        identity: Identity,
        version: Value,
        now_is: Instant,
    ) {
        if !self.may_write(&identity, now_is) {
            return;
        }
        let text = identity.message.clone();
        let (identity, text) = self.combined(identity, text, now_is);
        let known = self.written.get(&identity).cloned();
        let place = store.write(|writer| {
            if let Some((namespace, name)) = known
                && let Some(event) = writer.get(&EVENTS, &namespace, &name)
            {
                let mut event = Value::clone(&event);
                let count = event["count"].as_u64().unwrap_or(1) + 1;
                event["count"] = count.into();
                event["lastTimestamp"] = now().into();
                event["message"] = shortened(&text).into();
                writer.put(&EVENTS, event);
                return Some((namespace, name));
            }
            let event = event(&identity, &text, version);
            let home = writer.get(&NAMESPACES, "", event.namespace())?;
            if home.is_deleting() {
                return None;
            }
            let place = (event.namespace().to_owned(), event.name().to_owned());
            writer.put(&EVENTS, event);
            Some(place)
        });
        if let Some(place) = place {
            self.last.insert(identity.clone(), now_is);
            self.order.push_back((now_is, identity.clone()));
            self.written.insert(identity, place);
        }
        while self.written.len() > LIMIT || self.order.len() > 4 * LIMIT {
            if !self.forget_oldest(store) {
                return;
            }
        }
    }

    /// Whether a component may write one more event about an object.
    fn may_write(&mut self, identity: &Identity, now: Instant) -> bool {
        let key = (identity.component.clone(), identity.subject.clone());
        let (tokens, since) = self.tokens.entry(key).or_insert((BURST, now));
        *tokens = (*tokens + (now - *since).as_secs_f64() / REFILL).min(BURST);
        *since = now;
        let may = *tokens >= 1.0;
        if may {
            *tokens -= 1.0;
        }
        may
    }

    /// The event itself, or the one that stands for many of its like; and its message.
    fn combined(&mut self, identity: Identity, text: String, now: Instant) -> (Identity, String) {
        let alike = Identity { message: String::new(), ..identity.clone() };
        let (messages, since) = self.similar.entry(alike.clone()).or_insert((Vec::new(), now));
        if now - *since > SIMILAR_WITHIN {
            messages.clear();
        }
        *since = now;
        if !messages.contains(&identity.message) {
            if messages.len() >= SIMILAR {
                return (alike, format!("(combined from similar events): {text}"));
            }
            messages.push(identity.message.clone());
        }
        (identity, text)
    }

    pub(super) fn expire(&mut self, store: &Store, now: Instant) {
        while self.order.front().is_some_and(|(written, _)| now - *written > KEPT) {
            self.forget_oldest(store);
        }
        let full = |(tokens, since): &(f64, Instant)| {
            tokens + (now - *since).as_secs_f64() / REFILL >= BURST
        };
        self.tokens.retain(|_, account| !full(account));
        self.similar.retain(|_, (_, since)| now - *since <= SIMILAR_WITHIN);
    }

    fn forget_oldest(&mut self, store: &Store) -> bool {
        let Some((written, identity)) = self.order.pop_front() else { return false };
        if self.last.get(&identity) != Some(&written) {
            // It has happened again since.
            return true;
        }
        self.last.remove(&identity);
        if let Some((namespace, name)) = self.written.remove(&identity) {
            store.write(|writer| writer.remove(&EVENTS, &namespace, &name));
        }
        true
    }
}

fn event(identity: &Identity, text: &str, version: Value) -> Value {
    let Identity { subject, component, host, kind, reason, .. } = identity;
    let namespace = if subject.namespace.is_empty() { "default" } else { &subject.namespace };
    let stamp = jiff::Timestamp::now().as_nanosecond();
    let mut source = json!({"component": component});
    if !host.is_empty() {
        source["host"] = host.clone().into();
    }
    let mut involved = json!({
        "apiVersion": subject.api_version, "kind": subject.kind, "name": subject.name,
        "uid": subject.uid,
    });
    let more = [("namespace", &subject.namespace), ("fieldPath", &subject.field)];
    for (field, value) in more.into_iter().filter(|(_, value)| !value.is_empty()) {
        involved[field] = value.clone().into();
    }
    if !version.is_null() {
        involved["resourceVersion"] = version;
    }
    let mut event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": format!("{}.{stamp:x}", subject.name),
            "namespace": namespace,
            "uid": names::uid(),
            "creationTimestamp": now(),
        },
        "involvedObject": involved,
        "reason": reason,
        "message": shortened(text),
        "source": source,
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
        "type": kind.text(),
        "reportingComponent": component,
        "reportingInstance": host,
    });
    if let Some(map) = event.as_object_mut() {
        map.insert("eventTime".into(), Value::Null);
    }
    event
}

/// A message of at most 1,024 bytes, which is what the API takes.
fn shortened(message: &str) -> &str {
    let mut end = message.len().min(1024);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::{
        super::{EventType, Recorder, recorder},
        *,
    };

    fn store() -> Arc<Store> {
        let store = Store::new();
        store.write(|writer| {
            writer.put(&NAMESPACES, json!({"metadata": {"name": "shop"}}));
        });
        Arc::new(store)
    }

    fn pod() -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
            "name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "7",
        }})
    }

    async fn written(store: &Arc<Store>, record: impl FnOnce(&Recorder)) -> Vec<Arc<Value>> {
        let (root, task) = recorder(Arc::clone(store), CancellationToken::new());
        let recorder = root.of("kubelet", "node-1");
        record(&recorder);
        drop((root, recorder));
        task.await;
        store.list(&EVENTS, None).0
    }

    #[tokio::test]
    async fn what_repeats_is_counted() {
        let store = store();
        let events = written(&store, |recorder| {
            for _ in 0..3 {
                recorder.warning(&pod(), "Unhealthy", "Readiness probe failed");
            }
            recorder.about(&pod(), "spec.containers{a}", EventType::Normal, "Started", "Started");
        })
        .await;
        let seen: Vec<_> = events
            .iter()
            .map(|event| (event.text("/reason"), event["count"].as_u64(), event.text("/type")))
            .collect();
        let expected = [("Unhealthy", Some(3), "Warning"), ("Started", Some(1), "Normal")];
        assert_eq!(seen, expected);
        assert_eq!(events[1]["involvedObject"]["fieldPath"], "spec.containers{a}");
        assert_eq!(events[0]["source"], json!({"component": "kubelet", "host": "node-1"}));
        assert_eq!(events[0]["involvedObject"]["namespace"], "shop");
    }

    #[tokio::test]
    async fn a_flood_is_thinned_out() {
        let store = store();
        let events = written(&store, |recorder| {
            for number in 0..200 {
                recorder.normal(&pod(), "Noise", format!("number {number}"));
            }
        })
        .await;
        assert_eq!(events.len(), SIMILAR + 1, "the others are combined");
        assert!(
            events
                .iter()
                .any(|event| event["message"] == "(combined from similar events): number 24")
        );
        let total: u64 = events.iter().filter_map(|event| event["count"].as_u64()).sum();
        assert_eq!(total, 25, "the burst of one component about one object");
    }

    #[test]
    fn an_event_is_kept_for_an_hour_and_its_namespace_must_be_there() {
        let (store, mut book, start) = (store(), Book::default(), Instant::now());
        let identity = |namespace: &str| Identity {
            subject: Subject {
                api_version: "v1".into(),
                kind: "Pod".into(),
                namespace: namespace.into(),
                name: "web".into(),
                uid: "1".into(),
                field: String::new(),
            },
            component: "x".into(),
            host: String::new(),
            kind: EventType::Normal,
            reason: "A".into(),
            message: "a".into(),
        };
        book.write(&store, identity("gone"), Value::Null, start);
        book.write(&store, identity("shop"), Value::Null, start);
        book.write(&store, identity("shop"), Value::Null, start + KEPT / 2);
        for (hours, count) in [(1.25, 1), (1.75, 0)] {
            book.expire(&store, start + KEPT.mul_f64(hours));
            assert_eq!(store.list(&EVENTS, None).0.len(), count, "after {hours} h");
        }
        assert!(book.order.is_empty() && book.written.is_empty() && book.last.is_empty());
    }
}
