//! Mistakes: what is wrong in the files, where, and what was probably meant.

use std::{collections::BTreeSet, fmt, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{
    source::{Source, Span},
    types::Location,
};

/// A line longer than this is not shown: the place has to do.
const LONGEST_SHOWN_LINE: usize = 4000;

/// So many mistakes are shown; nobody reads more, and one slip may repeat without end.
const MOST_SHOWN: usize = 1000;

/// One thing that is wrong in a file.
#[derive(Clone, Debug)]
pub struct Mistake {
    source: Arc<Source>,
    /// None where the file couldn't even be read.
    span: Option<Span>,
    message: String,
    helps: Vec<String>,
    other: Option<(Arc<Source>, Span, &'static str)>,
}

impl Mistake {
    pub(super) fn at(source: &Arc<Source>, span: &Span, message: impl Into<String>) -> Self {
        Self {
            source: Arc::clone(source),
            span: Some(span.clone()),
            message: message.into(),
            helps: Vec::new(),
            other: None,
        }
    }

    /// A mistake about a whole file that has no text to point at.
    pub(super) fn about_file(name: &str, message: impl Into<String>) -> Self {
        let source = Arc::new(Source::new(name, ""));
        Self { span: None, ..Self::at(&source, &(0..0), message) }
    }

    /// Adds a line that says what to do.
    pub(super) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.helps.push(help.into());
        self
    }

    /// Adds the nearest word, where there is one.
    pub(super) fn did_you_mean(&mut self, word: Option<&str>) -> &mut Self {
        if let Some(word) = word {
            self.help(format!("did you mean `{word}`?"));
        }
        self
    }

    /// Adds a second place that has to do with it.
    pub(super) fn see(&mut self, source: &Arc<Source>, span: &Span, label: &'static str) {
        self.other = Some((Arc::clone(source), span.clone(), label));
    }

    /// Where it is; line and column are 1 where the file couldn't be read.
    pub fn location(&self) -> Location {
        self.source.location(self.span.as_ref().map_or(0, |span| span.start))
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    fn key(&self) -> (&str, usize, usize, &str) {
        let span = self.span.as_ref().map_or((0, 0), |span| (span.start, span.end));
        (&self.source.name, span.0, span.1, &self.message)
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(self.message.as_str()));
        group = match &self.span {
            None => group.element(Origin::path(self.source.name.as_str())),
            Some(span) => point_at(group, &self.source, span, "", AnnotationKind::Primary),
        };
        if let Some((source, span, label)) = &self.other {
            group = point_at(group, source, span, label, AnnotationKind::Context);
        }
        for help in &self.helps {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

fn point_at<'a>(
    group: Group<'a>,
    source: &'a Source,
    span: &Span,
    label: &'a str,
    kind: AnnotationKind,
) -> Group<'a> {
    let line = source.line_of(span.start);
    let shown = source.line(line);
    if shown.len() > LONGEST_SHOWN_LINE {
        let place = source.location(span.start);
        let origin = Origin::path(source.name.as_str()).line(place.line).char_column(place.column);
        return group.element(origin);
    }
    // A place that spans lines is shown by its first.
    let start = (span.start - shown.start).min(shown.len());
    let end = (span.end.max(span.start) - shown.start).clamp(start, shown.len());
    let annotation = kind.span(start..end);
    let annotation = if label.is_empty() { annotation } else { annotation.label(label) };
    group.element(
        Snippet::source(&source.text[shown])
            .line_start(line + 1)
            .path(source.name.as_str())
            .annotation(annotation),
    )
}

/// All that is wrong in the files of one load, by file and place.
#[derive(Clone, Debug)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Sorts them, and drops what was found twice (a manifest that two suites name).
    pub(super) fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by(|a, b| a.key().cmp(&b.key()));
        mistakes.dedup_by(|a, b| a.key() == b.key());
        Self(mistakes)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The mistakes, by file and place.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }

    /// The mistakes themselves, by file and place.
    pub(super) fn into_inner(self) -> Vec<Mistake> {
        self.0
    }

    /// The text for people: each mistake with its line and a caret, a blank line between
    /// them, and a line break at the end.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for (index, mistake) in self.0.iter().take(MOST_SHOWN).enumerate() {
            if index > 0 {
                text.push('\n');
            }
            text.push_str(&mistake.render(&renderer));
            text.push('\n');
        }
        if let Some(more) = self.0.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
            text.push_str(&format!("\n… and {more} more\n"));
        }
        text
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: BTreeSet<&str> = self.0.iter().map(|one| one.source.name.as_str()).collect();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let (count, files) = (self.0.len(), files.len());
        write!(f, "{count} mistake{} in {files} file{}", plural(count), plural(files))
    }
}

impl From<Vec<Mistake>> for Mistakes {
    fn from(mistakes: Vec<Mistake>) -> Self {
        Self::new(mistakes)
    }
}

impl std::error::Error for Mistakes {}
