//! One ordered stream of records, fed to the fold and to every writer.
//!
//! The writers run on a thread of their own: a terminal or a pipe that stalls must not
//! stop the run's heartbeats.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::Report;
use crate::event::{Event, Record};

/// Records that may wait for the writers: the verdicts of ten thousand cases, so that a
/// reader who stalls doesn't stall the run.
const CAPACITY: usize = 16 * 1024;

/// A format.
pub trait Writer {
    /// The writer's name in messages about it.
    fn name(&self) -> &str;

    /// Takes the next record; the report includes it already.
    ///
    /// # Errors
    /// Whatever it writes to fails. It is given no further records then.
    fn record(&mut self, record: &Record, report: &Report) -> io::Result<()>;

    /// The last record was given, whether or not the run came to its end.
    ///
    /// # Errors
    /// Whatever it writes to fails.
    fn finish(&mut self, report: &Report) -> io::Result<()>;
}

/// Where a run puts its events. The run's clock starts with it.
#[derive(Clone, Debug)]
pub struct EventSender {
    records: mpsc::Sender<Record>,
    started: Instant,
}

/// The receiving end: wait for it after the last [`EventSender`] is gone.
#[derive(Debug)]
pub struct Reporter {
    fanout: JoinHandle<Finished>,
}

/// What is left when all records are written.
#[derive(Debug)]
pub struct Finished {
    /// The fold of all records.
    pub report: Report,
    /// The writers that gave up, and why.
    pub errors: Vec<WriterError>,
}

/// A writer could not write. No other writer misses anything for it.
#[derive(Debug, thiserror::Error)]
#[error("write {writer} report")]
pub struct WriterError {
    /// The writer's name.
    pub writer: String,
    /// What failed.
    #[source]
    pub source: io::Error,
}

/// Opens the stream. Must be called inside a tokio runtime.
///
/// Writers are fed in the order given, each record to all before the next: one that
/// draws on the terminal stands before those that write to it.
pub fn channel(writers: Vec<Box<dyn Writer + Send>>) -> (EventSender, Reporter) {
    let (records, receiver) = mpsc::channel(CAPACITY);
    let sender = EventSender { records, started: Instant::now() };
    (sender, Reporter { fanout: tokio::task::spawn_blocking(|| fan_out(receiver, writers)) })
}

impl EventSender {
    /// When the run started, by the clock that stamps the records.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The time since the run's start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Stamps and sends an event. Waits only while the writers are far behind.
    pub async fn send(&self, event: Event) {
        let at = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        // The receiver is gone only if a writer panicked, which is reported at the end.
        let _ = self.records.send(Record { at, event }).await;
    }
}

impl Reporter {
    /// Waits until everything is written.
    ///
    /// # Errors
    /// A writer panicked.
    pub async fn finish(self) -> Result<Finished, tokio::task::JoinError> {
        self.fanout.await
    }
}

fn fan_out(
    mut records: mpsc::Receiver<Record>,
    mut writers: Vec<Box<dyn Writer + Send>>,
) -> Finished {
    let mut report = Report::default();
    let mut errors = Vec::new();
    let mut latest = 0;
    while let Some(mut record) = records.blocking_recv() {
        // Two senders may stamp in one order and send in the other.
        latest = record.at.max(latest);
        record.at = latest;
        report.apply(&record);
        each(&mut writers, &mut errors, |writer| writer.record(&record, &report));
    }
    each(&mut writers, &mut errors, |writer| writer.finish(&report));
    Finished { report, errors }
}

/// Feeds all writers; those that fail are dropped from the list.
fn each(
    writers: &mut Vec<Box<dyn Writer + Send>>,
    errors: &mut Vec<WriterError>,
    mut feed: impl FnMut(&mut dyn Writer) -> io::Result<()>,
) {
    writers.retain_mut(|writer| match feed(writer.as_mut()) {
        Ok(()) => true,
        Err(source) => {
            errors.push(WriterError { writer: writer.name().to_owned(), source });
            false
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Notes what it is given, and fails when its last record is due.
    struct Notes {
        seen: Arc<Mutex<Vec<u64>>>,
        good_for: usize,
    }

    impl Writer for Notes {
        fn name(&self) -> &str {
            "notes"
        }

        fn record(&mut self, record: &Record, report: &Report) -> io::Result<()> {
            let mut seen = self.seen.lock().unwrap();
            if seen.len() == self.good_for {
                return Err(io::Error::other("disk full"));
            }
            assert!(report.elapsed >= Duration::from_millis(record.at), "the fold comes first");
            seen.push(record.at);
            Ok(())
        }

        fn finish(&mut self, _report: &Report) -> io::Result<()> {
            self.seen.lock().unwrap().push(u64::MAX);
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_failing_writer_hides_nothing_from_the_others() {
        let seen: [Arc<Mutex<Vec<u64>>>; 3] = Default::default();
        let writers = seen.iter().zip([usize::MAX, 1, usize::MAX]).map(|(seen, good_for)| {
            Box::new(Notes { seen: seen.clone(), good_for }) as Box<dyn Writer + Send>
        });
        let (sender, reporter) = channel(writers.collect());
        for _ in 0..3 {
            sender.send(Event::RunFinished { complete: true }).await;
        }
        drop(sender);
        let finished = reporter.finish().await.unwrap();
        let counts = seen.map(|seen| seen.lock().unwrap().len());
        assert_eq!(counts, [4, 1, 4], "three records and the end, but for the broken one");
        let errors: Vec<_> = finished.errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors, ["write notes report"], "said once");
        assert_eq!(finished.report.complete, Some(true));
    }

    #[tokio::test]
    async fn records_are_in_order_of_time() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = Notes { seen: seen.clone(), good_for: usize::MAX };
        let (sender, reporter) = channel(vec![Box::new(notes)]);
        let event = || Event::RunFinished { complete: true };
        for at in [5, 3, 9] {
            sender.records.send(Record { at, event: event() }).await.unwrap();
        }
        drop(sender);
        reporter.finish().await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [5, 5, 9, u64::MAX]);
    }
}
