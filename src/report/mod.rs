//! What a run came to, and a writer per format.
//!
//! ```text
//! runner ─ Event ─▶ EventSender ─ Record ─▶ fold ─▶ Report ─▶ exit code
//!                                             └───▶ text, json, junit, quiet, progress
//! ```
//!
//! The fold is pure: the same records give the same report, live or read from a file.

mod advice;
mod answer;
mod block;
mod blocks;
mod cases;
mod enforcement;
mod fanout;
mod file;
mod fold;
mod headline;
mod json;
mod junit;
mod layout;
mod progress;
mod quiet;
mod remedy;
mod repetitions;
#[cfg(test)]
mod samples;
mod summary;
mod terminal;
mod text;

pub use answer::AnswerWriter;
pub use enforcement::Enforcement;
pub use fanout::{EventSender, Finished, Reporter, Writer, WriterError, channel};
pub use file::{FileFormat, ReportFile};
pub use fold::{Aborted, Counts, Head, Report, ReportedCase, Swept, Warning};
pub use json::JsonWriter;
pub use progress::ProgressWriter;
pub use quiet::QuietWriter;
pub use repetitions::Repetitions;
pub use text::TextWriter;
