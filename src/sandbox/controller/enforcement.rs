//! The CNI and the proxy of all nodes: what the store says becomes rules that are in force.
//!
//! ```text
//!   store ── events ──▶ inbox ──▶ intake (faults hold back) ──▶ engine ── deltas ──▶ nodes
//! ```
//!
//! Each pass takes in what has come since the last one and changes the tables of the nodes
//! that it touches. Passes follow one another, so that a newer state is never overtaken by
//! an older one. After a pass the version that it saw is published: pods start only then.

mod cni;
pub(super) mod facts;
mod intake;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use serde_json::Value;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

pub use self::cni::Cni;
use self::intake::{Intake, Key};
use crate::sandbox::{
    api::{
        object::Object,
        resource::{
            ENDPOINT_SLICES, EXTERNAL_HOSTS, FAULTS, NAMESPACES, NETWORK_POLICIES, NODES, PODS,
            Resource, SERVICES,
        },
        store::{Change, Event, Observer, Store},
    },
    fault::NetworkFault as Fault,
    firewall::Update,
    node::Network,
};

/// How soon rules are loaded again that the kernel refused.
const RETRY: Duration = Duration::from_millis(200);

/// How many objects are taken in at once. An ordinary user's transactions are limited to
/// some 400 KiB, and a flood of changes must not make one that is larger.
const AT_ONCE: usize = 64;

/// The kinds that rules are made of; ClusterNetworkPolicies besides, of which there are none
/// at the start.
static KINDS: [&Resource; 8] = [
    &NAMESPACES,
    &PODS,
    &NETWORK_POLICIES,
    &SERVICES,
    &ENDPOINT_SLICES,
    &FAULTS,
    &NODES,
    &EXTERNAL_HOSTS,
];

/// Keeps the rules of all nodes in step with the store until cancelled, and publishes up to
/// which version they are.
pub async fn enforce(
    store: Arc<Store>,
    network: Network,
    cni: Arc<Cni>,
    applied: watch::Sender<u64>,
    cancel: CancellationToken,
) {
    let inbox = Arc::new(Inbox::default());
    store.observe(&inbox, &KINDS);
    inbox.notify.notify_one();
    let mut enforcer = Enforcer { network, cni, fabric: None, intake: Intake::default() };
    let mut next = None;
    loop {
        let due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = inbox.notify.notified() => {}
            () = due => {}
            () = cancel.cancelled() => return,
        }
        let (version, news) = inbox.take();
        let (fine, due) = enforcer.pass(news).await;
        next = due;
        if fine {
            applied.send_replace(version);
        } else {
            sleep(RETRY).await;
            inbox.notify.notify_one();
        }
    }
}

/// What has come and was not taken in yet: of each object only its last state.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<Pending>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    /// The version of the last write that was seen, wanted or not.
    version: u64,
    news: BTreeMap<(&'static str, Key), News>,
}

#[derive(Debug)]
struct News {
    /// The first version of the object that was not taken in.
    since: u64,
    resource: &'static Resource,
    key: Key,
    /// None when it has gone.
    object: Option<Arc<Value>>,
}

impl Inbox {
    /// The oldest news, and the version that is reached with them. If more are left, the
    /// next pass is signalled.
    fn take(&self) -> (u64, Vec<News>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news: Vec<News> = std::mem::take(&mut state.news).into_values().collect();
        news.sort_by_key(|one| one.since);
        if news.len() <= AT_ONCE {
            return (state.version, news);
        }
        let later = news.split_off(AT_ONCE);
        // Everything before the first that is left.
        let reached = later.first().map_or(state.version, |first| first.since.saturating_sub(1));
        for one in later {
            state.news.insert((one.resource.plural, one.key.clone()), one);
        }
        self.notify.notify_one();
        (reached, news)
    }
}

impl Observer for Inbox {
    fn observe(&self, event: &Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.version = state.version.max(event.version);
        if !wanted(event) {
            return;
        }
        let key = (event.object.namespace().to_owned(), event.object.name().to_owned());
        let gone = event.change == Change::Deleted;
        let object = (!gone).then(|| Arc::clone(&event.object));
        let (since, resource) = (event.version, event.resource);
        state
            .news
            .entry((resource.plural, key.clone()))
            .and_modify(|news| news.object.clone_from(&object))
            .or_insert(News { since, resource, key, object });
        drop(state);
        self.notify.notify_one();
    }
}

/// Whether an event can change any rule. Of pods and nodes it is the few facts that rules
/// are made of.
fn wanted(event: &Event) -> bool {
    let previous = event.previous.as_deref().filter(|_| event.change != Change::Deleted);
    if event.resource == &PODS {
        let facts = |pod: &Value| (facts::addresses(pod), pod.labels(), facts::ended(pod));
        previous.map(facts) != Some(facts(&event.object))
    } else if event.resource == &NODES {
        previous.map(facts::node) != Some(facts::node(&event.object))
    } else {
        KINDS.contains(&event.resource) || facts::is_cluster_policy(event.resource)
    }
}

struct Enforcer {
    network: Network,
    cni: Arc<Cni>,
    fabric: Option<Vec<Fault>>,
    intake: Intake,
}

impl Enforcer {
    /// Brings every node up to date. Says whether all took their rules, and when a change
    /// that is held back is due.
    async fn pass(&mut self, news: Vec<News>) -> (bool, Option<Instant>) {
        let (updates, due) = {
            let mut engine = self.cni.lock();
            let now = Instant::now();
            for News { resource, key, object, .. } in news {
                self.intake.take_in(&mut engine, now, (resource, key), object);
            }
            let due = self.intake.settle(&mut engine, now);
            (engine.take(), due)
        };
        let mut fine = true;
        if self.fabric.as_ref() != Some(&self.intake.faults) {
            match self.network.apply_fabric(&self.intake.faults).await {
                Ok(()) => self.fabric = Some(self.intake.faults.clone()),
                Err(error) => {
                    tracing::warn!(%error, "load the fabric's rules");
                    fine = false;
                }
            }
        }
        let network = &self.network;
        let results = join_all(updates.into_iter().map(|(name, update)| async move {
            let result = match update {
                Update::Whole(rules) => network.apply(&name, &rules).await,
                Update::Delta(delta) => network.apply_delta(&name, delta).await,
            };
            (name, result)
        }))
        .await;
        for (name, result) in results {
            if let Err(error) = result {
                tracing::warn!(%error, node = name, "load the node's rules");
                self.cni.lock().reload(&name);
                fine = false;
            }
        }
        (fine, due)
    }
}

#[cfg(test)]
mod tests;
