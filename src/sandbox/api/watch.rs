//! Watches: one JSON line for each event, until the client or the time is through.

use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior},
};

use super::{
    failure::Failure,
    list_options,
    object::Object,
    read::Selection,
    request::{Parameters, Target},
    resource::Resource,
    store::{Change, Event, Expired, Store},
    table::Form,
    weather,
};

/// How long a watch lasts if the client doesn't say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// How long a watch lasts at most, whatever the client says.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often a watch that wants bookmarks gets one.
const BOOKMARKS: Duration = Duration::from_secs(30);

/// A running watch.
struct Watch {
    store: Arc<Store>,
    /// How the client wants the objects, and whether it has had none yet.
    lines: Lines,
    selection: Selection,
    events: mpsc::Receiver<Arc<Event>>,
    ready: VecDeque<Bytes>,
    bookmarks: Option<tokio::time::Interval>,
    end: Instant,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

/// Starts the watch that a request asks for: a stream of lines.
///
/// # Errors
/// 400 for bad parameters. A version that is too old is no error here but the stream's
/// only event, as in Kubernetes.
pub fn watch(
    store: Arc<Store>,
    target: &Target,
    parameters: &Parameters,
    form: Form,
) -> Result<impl Stream<Item = Result<Bytes, std::convert::Infallible>> + use<>, Failure> {
    let selection = Selection::of(target, parameters)?;
    let timeout = parameters.number::<u64>("timeoutSeconds")?.filter(|seconds| *seconds > 0);
    let timeout = timeout.map_or(DEFAULT_TIMEOUT, Duration::from_secs).min(LONGEST_TIMEOUT);
    let wants_bookmarks = parameters.flag("allowWatchBookmarks");
    let initial = parameters.flag("sendInitialEvents");
    list_options::check(parameters, true)?;
    let from = list_options::version(parameters)?.unwrap_or_default();
    let resource = target.resource;

    let mut lines = Lines { resource, form, first: true };
    let mut ready = VecDeque::new();
    let mut ended = false;
    let events = if from == 0 || initial {
        let (objects, version, events) = store.list_and_watch(resource);
        // `sendInitialEvents=false` from version 0 starts at the present state.
        if parameters.text("sendInitialEvents") != "false" {
            let selected = objects.iter().filter(|object| selection.matches(object));
            ready.extend(selected.map(|object| lines.line("ADDED", object)));
        }
        if initial && wants_bookmarks {
            ready.push_back(lines.bookmark(version, true));
        }
        events
    } else {
        let missed = if weather::expires_watches(&store) {
            Err(Expired { asked: from, oldest: store.version() })
        } else {
            store.watch(resource, from)
        };
        match missed {
            Ok((missed, events)) => {
                ready.extend(missed.iter().filter_map(|event| lines.describe(event, &selection)));
                events
            }
            Err(expired) => {
                let failure = Failure::expired(expired.asked, expired.oldest);
                ready.push_back(line("ERROR", &failure.status()));
                ended = true;
                mpsc::channel(1).1
            }
        }
    };
    let bookmarks = wants_bookmarks.then(|| {
        let mut interval = tokio::time::interval_at(Instant::now() + BOOKMARKS, BOOKMARKS);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    });
    let began = Instant::now();
    let end = began + timeout;
    let cut = Box::pin(weather::over(Arc::clone(&store), began, weather::watch_end));
    let watch = Watch { store, lines, selection, events, ready, bookmarks, end, cut, ended };
    Ok(futures::stream::unfold(watch, |mut watch| async {
        let line = watch.next().await?;
        Some((Ok(line), watch))
    }))
}

impl Watch {
    /// The next lines; several events that are there already become one chunk.
    async fn next(&mut self) -> Option<Bytes> {
        while self.ready.is_empty() && !self.ended {
            let tick = async {
                match &mut self.bookmarks {
                    Some(interval) => _ = interval.tick().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.take(&event),
                    None => self.ended = true,
                },
                () = tick => self.bookmark(),
                () = &mut self.cut => self.ended = true,
                () = tokio::time::sleep_until(self.end) => {
                    if self.bookmarks.is_some() {
                        self.bookmark();
                    }
                    self.ended = true;
                }
            }
            while let Ok(event) = self.events.try_recv() {
                self.take(&event);
            }
        }
        if self.ready.len() <= 1 {
            return self.ready.pop_front();
        }
        Some(self.ready.drain(..).flatten().collect())
    }

    fn take(&mut self, event: &Event) {
        self.ready.extend(self.lines.describe(event, &self.selection));
    }

    /// Tells the client how far it is. The version is read before the events up to it are
    /// taken, so that none of them comes after the bookmark.
    fn bookmark(&mut self) {
        let version = self.store.version();
        while let Ok(event) = self.events.try_recv() {
            self.take(&event);
        }
        if !self.events.is_closed() {
            self.ready.push_back(self.lines.bookmark(version, false));
        }
    }
}

/// Writes events in the form that the client wants.
struct Lines {
    resource: &'static Resource,
    form: Form,
    /// No object was written yet: a table tells its columns once.
    first: bool,
}

impl Lines {
    /// An event as a watch with a selection sees it: an object that leaves the selection is
    /// deleted for it, one that enters it is added.
    fn describe(&mut self, event: &Event, selection: &Selection) -> Option<Bytes> {
        let is = event.change != Change::Deleted && selection.matches(&event.object);
        let was = event.previous.as_ref().is_some_and(|previous| selection.matches(previous));
        match (was, is) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &event.object)),
            (true, true) => Some(self.line("MODIFIED", &event.object)),
            (true, false) if event.change == Change::Deleted => {
                Some(self.line("DELETED", &event.object))
            }
            (true, false) => {
                let mut last = Value::clone(event.previous.as_ref()?);
                let version = event.version.to_string();
                last.metadata_mut().insert("resourceVersion".into(), version.into());
                Some(self.line("DELETED", &last))
            }
        }
    }

    fn line(&mut self, kind: &str, object: &Value) -> Bytes {
        if self.form == Form::Whole {
            return line(kind, &self.resource.present(object));
        }
        let first = std::mem::take(&mut self.first);
        line(kind, &self.form.event(self.resource, object, first))
    }

    fn bookmark(&self, version: u64, initial_end: bool) -> Bytes {
        let mut object = json!({
            "apiVersion": self.resource.api_version(),
            "kind": self.resource.kind,
            "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null},
        });
        if initial_end {
            object["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        line("BOOKMARK", &self.form.bookmark(&object))
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    let mut text = format!("{{\"type\":\"{kind}\",\"object\":{object}}}");
    text.push('\n');
    text.into()
}
