//! What others change while a run asks: policies of the namespaces that it asks in, and the
//! labels of these namespaces, which policies select by.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use k8s_openapi::{
    api::{core::v1::Namespace, networking::v1::NetworkPolicy},
    jiff::Timestamp,
};
use kube::{
    Api, Resource, ResourceExt,
    api::ObjectMeta,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{RunContext, change::editor, marks, retry::Backoff};

/// How long the first look at everything may take.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Seconds after which the server ends a watch, and a connection that died is noticed.
const WATCH: u32 = 30;

/// A watch over what others change. It ends when this is dropped.
pub struct Meddling {
    context: RunContext,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    noted: Mutex<Vec<Noted>>,
    /// Watches that have seen everything once, or may see nothing.
    ready: watch::Sender<usize>,
    /// What may not be watched.
    blind: Mutex<BTreeSet<String>>,
}

/// A change that the watch has shown, whoever made it.
#[derive(Clone, Debug)]
struct Noted {
    namespace: String,
    /// The object's resourceVersion; of one that was deleted, its uid.
    trace: String,
    sentence: String,
}

impl RunContext {
    /// Begins to watch these namespaces. What they hold by now is what the run found.
    pub async fn watch_meddling(&self, namespaces: &BTreeSet<String>) -> Meddling {
        let shared = Arc::new(Shared {
            noted: Mutex::default(),
            ready: watch::channel(0).0,
            blind: Mutex::default(),
        });
        let stop = CancellationToken::new();
        let own = format!("{}-", marks::run_object(self.run()));
        for namespace in namespaces {
            let policies = Follower {
                namespace: namespace.clone(),
                own: own.clone(),
                what: "networkpolicies",
                shared: shared.clone(),
            };
            let labels = Follower { what: "namespaces", ..policies.clone() };
            let api: Api<NetworkPolicy> = Api::namespaced(self.client(), namespace);
            let following = policies.follow(api, watcher::Config::default(), policy);
            tokio::spawn(stop.clone().run_until_cancelled_owned(following));
            let only = watcher::Config::default().fields(&format!("metadata.name={namespace}"));
            let following = labels.follow(Api::all(self.client()), only, labels_of);
            tokio::spawn(stop.clone().run_until_cancelled_owned(following));
        }
        let mut ready = shared.ready.subscribe();
        let all = ready.wait_for(|ready| *ready >= 2 * namespaces.len());
        let _ = tokio::time::timeout(FIRST_LOOK, all).await;
        Meddling { context: self.clone(), shared, _stop: stop.drop_guard() }
    }

    /// Notes a write of the run's own, by the resourceVersion that it led to, or the uid of
    /// what it deleted.
    pub(super) fn note_own(&self, trace: Option<&String>) {
        self.memory().own_writes.extend(trace.cloned());
    }
}

impl Meddling {
    /// What others have changed so far, in a sentence for each namespace.
    pub fn seen(&self) -> BTreeMap<String, String> {
        let noted = lock(&self.shared.noted).clone();
        let memory = self.context.memory();
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for one in noted.into_iter().filter(|one| !memory.own_writes.contains(&one.trace)) {
            seen.entry(one.namespace).or_insert(one.sentence);
        }
        seen
    }

    /// What could not be watched, for lack of a permission.
    pub fn blind(&self) -> BTreeSet<String> {
        lock(&self.shared.blind).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves these whole: every write is a single push.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What of an object matters to the run.
fn policy(policy: &NetworkPolicy) -> Value {
    serde_json::to_value(&policy.spec).unwrap_or_default()
}

fn labels_of(namespace: &Namespace) -> Value {
    serde_json::to_value(&namespace.metadata.labels).unwrap_or_default()
}

#[derive(Clone)]
struct Follower {
    namespace: String,
    /// How the names of netproof's own policies begin.
    own: String,
    what: &'static str,
    shared: Arc<Shared>,
}

impl Follower {
    async fn follow<K>(self, api: Api<K>, config: watcher::Config, digest: fn(&K) -> Value)
    where
        K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    {
        let mut events =
            std::pin::pin!(watcher::watcher(api, config.timeout(WATCH)).backoff(Backoff::watch()));
        let mut known: HashMap<String, Value> = HashMap::new();
        let mut listed = BTreeSet::new();
        let mut ready = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.insert(object.name_any());
                    self.see(&mut known, &object, digest, ready);
                }
                Ok(Event::InitDone) => {
                    let missing = known.extract_if(|name, _| !listed.contains(name));
                    for (name, _) in missing {
                        self.note(&name, None, "deleted");
                    }
                    if !ready {
                        ready = true;
                        self.shared.ready.send_modify(|count| *count += 1);
                    }
                }
                Ok(Event::Apply(object)) => self.see(&mut known, &object, digest, ready),
                Ok(Event::Delete(object)) => {
                    if known.remove(&object.name_any()).is_some() {
                        self.note(&object.name_any(), Some(object.meta()), "deleted");
                    }
                }
                Err(error) => {
                    let forbidden = matches!(
                        &error,
                        watcher::Error::InitialListFailed(kube::Error::Api(status))
                        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
                            if status.code == 403
                    );
                    if forbidden && !ready {
                        ready = true;
                        let what = format!("{} in {}", self.what, self.namespace);
                        lock(&self.shared.blind).insert(what);
                        self.shared.ready.send_modify(|count| *count += 1);
                    }
                }
            }
        }
    }

    fn see<K>(
        &self,
        known: &mut HashMap<String, Value>,
        object: &K,
        digest: fn(&K) -> Value,
        ready: bool,
    ) where
        K: Resource<DynamicType = ()>,
    {
        let name = object.name_any();
        let now = digest(object);
        let before = known.insert(name.clone(), now.clone());
        if !ready || before.as_ref() == Some(&now) {
            return;
        }
        let deed = if before.is_some() { "changed" } else { "created" };
        self.note(&name, Some(object.meta()), deed);
    }

    fn note(&self, name: &str, metadata: Option<&ObjectMeta>, deed: &str) {
        if name.starts_with(&self.own) && self.what == "networkpolicies" {
            return;
        }
        let trace = metadata.and_then(|metadata| match deed {
            "deleted" => metadata.uid.clone(),
            _ => metadata.resource_version.clone(),
        });
        let by = metadata.map(editor).unwrap_or_default();
        let by = if by.is_empty() { format!(" at {:.0}", Timestamp::now()) } else { by };
        let what = match self.what {
            "namespaces" => format!("the labels of namespace {name}"),
            _ => format!("NetworkPolicy {}/{name}", self.namespace),
        };
        lock(&self.shared.noted).push(Noted {
            namespace: self.namespace.clone(),
            trace: trace.unwrap_or_default(),
            sentence: format!("somebody else {deed} {what} meanwhile{by}"),
        });
    }
}
