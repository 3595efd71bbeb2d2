//! From text to trees, one per YAML document.
//!
//! Aliases and merge keys are resolved here, within limits; duplicate keys, tabs, tags
//! and broken syntax become mistakes. After broken syntax the reading goes on with the
//! next document, so that one mistake doesn't hide the others.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Marks, Tag};

use super::{
    levelling::{level_tables, restore_spaces},
    mistake::Mistake,
    node::{Entry, Node, NodeKind, Style},
    source::{Source, Span},
};

/// Deeper nesting is refused; Kubernetes' own objects need about twenty levels.
const DEEPEST: usize = 64;
/// A file may have so many nodes, those that aliases repeat included.
const MOST_NODES: usize = 1_000_000;
/// Aliases may repeat so many nodes in one file.
const MOST_REPEATED: usize = 100_000;
/// So many documents with broken syntax are reported of one file.
const MOST_BROKEN: usize = 20;

/// Reads all documents of a file, leaving out empty and broken ones.
pub(super) fn documents(source: &Arc<Source>, mistakes: &mut Vec<Mistake>) -> Vec<Node> {
    if let Some(nul) = source.text.find('\0') {
        // The parser takes it for the end of the file, and the rest would go unread.
        mistakes.push(Mistake::at(source, &(nul..nul + 1), "a NUL character"));
        return Vec::new();
    }
    let text = level_tables(&source.text);
    let characters = Characters::of(&source.text);
    let mut builder = Builder { source, mistakes, nodes: 0, repeated: 0 };
    let mut documents = Vec::new();
    let mut base = 0;
    let mut rest: &str = &text;
    for _ in 0..MOST_BROKEN {
        let Err(stop) = builder.read(rest, base, &characters, &mut documents) else { break };
        let Stop::Document { character } = stop else { break };
        // Only a line that begins a new document is sure to have left the broken one.
        let skipped = character.saturating_sub(base);
        let from = rest.char_indices().nth(skipped).map_or(rest.len(), |(byte, _)| byte);
        let Some(next) = rest[from..].find("\n---").map(|found| from + found + 1) else { break };
        base += rest[..next].chars().count();
        rest = &rest[next..];
    }
    documents
}

/// Why the reading of a stretch of documents ended early.
enum Stop {
    /// One document can't be read from here on.
    Document { character: usize },
    /// The file is beyond a limit.
    File,
}

/// Characters of a text to its bytes; the parser counts the former.
struct Characters {
    starts: Option<Vec<usize>>,
    bytes: usize,
}

impl Characters {
    fn of(text: &str) -> Self {
        let starts =
            (!text.is_ascii()).then(|| text.char_indices().map(|(byte, _)| byte).collect());
        Self { starts, bytes: text.len() }
    }

    fn byte(&self, character: usize) -> usize {
        match &self.starts {
            None => character.min(self.bytes),
            Some(starts) => starts.get(character).copied().unwrap_or(self.bytes),
        }
    }
}

/// A list or a mapping that is being read.
struct Frame {
    start: usize,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, merges: Vec<Node>, key: Option<(String, Span, bool)> },
}

struct Builder<'a> {
    source: &'a Arc<Source>,
    mistakes: &'a mut Vec<Mistake>,
    nodes: usize,
    repeated: usize,
}

impl Builder<'_> {
    fn mistake(&mut self, span: &Span, message: impl Into<String>) -> Option<&mut Mistake> {
        self.mistakes.push(Mistake::at(self.source, span, message));
        self.mistakes.last_mut()
    }

    fn read(
        &mut self,
        text: &str,
        base: usize,
        characters: &Characters,
        documents: &mut Vec<Node>,
    ) -> Result<(), Stop> {
        let mut parser = Parser::new_from_str(text);
        let mut frames: Vec<Frame> = Vec::new();
        let mut anchors: HashMap<usize, (Node, usize)> = HashMap::new();
        while let Some(event) = parser.next_event() {
            let (event, marks) = match event {
                Ok(event) => event,
                Err(error) => return Err(self.broken(&error, base, characters)),
            };
            let Marks { start, end } = marks;
            let character = base + start.index();
            let span = characters.byte(character)..characters.byte(base + end.index());
            let (node, anchor) = match event {
                Event::Scalar(text, style, anchor, tag) => {
                    (self.scalar(&text, style, tag.as_deref(), &span), anchor)
                }
                Event::Alias(anchor) => (self.alias(anchors.get(&anchor), &span)?, 0),
                Event::SequenceStart(..) | Event::MappingStart(..) if frames.len() >= DEEPEST => {
                    let message = format!("nested deeper than {DEEPEST} levels");
                    self.mistake(&span, message);
                    return Err(Stop::Document { character });
                }
                Event::SequenceStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), &span);
                    let parts = Parts::List(Vec::new());
                    frames.push(Frame { start: span.start, anchor, parts });
                    continue;
                }
                Event::MappingStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), &span);
                    let parts = Parts::Map { entries: vec![], merges: vec![], key: None };
                    frames.push(Frame { start: span.start, anchor, parts });
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(frame) = frames.pop() else { continue };
                    let span = frame.start..span.end.max(frame.start);
                    let kind = match frame.parts {
                        Parts::List(items) => NodeKind::List(items),
                        Parts::Map { entries, merges, .. } => {
                            NodeKind::Map(self.mapping(entries, merges)?)
                        }
                    };
                    (Node { span, kind }, frame.anchor)
                }
                Event::DocumentStart(_) => {
                    anchors.clear();
                    continue;
                }
                _ => continue,
            };
            self.nodes += 1;
            if self.nodes > MOST_NODES {
                self.mistake(&node.span, format!("more than {MOST_NODES} values in one file"));
                return Err(Stop::File);
            }
            if anchor > 0 {
                anchors.insert(anchor, (node.clone(), node.size()));
                self.count_repeated(&node.span, node.size())?;
            }
            match frames.last_mut() {
                Some(frame) => self.place(&mut frame.parts, node),
                None if node.is_null() => {}
                None => documents.push(node),
            }
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Node {
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
        };
        self.check_tag(tag, span);
        let is_text = tag.is_some_and(|tag| tag.suffix == "str");
        let style = if is_text && style == Style::Plain { Style::Quoted } else { style };
        let text = restore_spaces(text);
        Node { span: span.clone(), kind: NodeKind::Scalar { text, style } }
    }

    fn check_tag(&mut self, tag: Option<&Tag>, span: &Span) {
        let Some(tag) = tag else { return };
        let known = ["str", "int", "bool", "float", "null", "map", "seq"];
        if !(tag.is_yaml_core_schema() && known.contains(&tag.suffix.as_str()))
            && let Some(mistake) =
                self.mistake(span, format!("the tag `{tag}` has no meaning here"))
        {
            mistake.help("leave it out");
        }
    }

    fn alias(&mut self, anchor: Option<&(Node, usize)>, span: &Span) -> Result<Node, Stop> {
        let Some((node, size)) = anchor else {
            self.unknown_anchor(span);
            let kind = NodeKind::Scalar { text: String::new(), style: Style::Plain };
            return Ok(Node { span: span.clone(), kind });
        };
        self.count_repeated(span, *size)?;
        Ok(node.clone())
    }

    fn unknown_anchor(&mut self, span: &Span) {
        self.mistake(span, "this alias has no anchor before it in the same document");
    }

    fn count_repeated(&mut self, span: &Span, size: usize) -> Result<(), Stop> {
        self.repeated += size;
        self.nodes += size;
        if self.repeated > MOST_REPEATED {
            self.mistake(span, format!("aliases repeat more than {MOST_REPEATED} values"));
            return Err(Stop::File);
        }
        Ok(())
    }

    /// Puts a finished node where it belongs in the list or mapping around it.
    fn place(&mut self, parts: &mut Parts, node: Node) {
        let (entries, merges, key) = match parts {
            Parts::List(items) => return items.push(node),
            Parts::Map { entries, merges, key } => (entries, merges, key),
        };
        match key.take() {
            Some((name, _, true)) if name == "<<" => merges.push(node),
            Some((key, key_span, _)) => entries.push(Entry { key, key_span, value: node }),
            None => {
                let NodeKind::Scalar { text, style } = node.kind else {
                    self.mistake(&node.span, "a key can't be a list or a mapping");
                    *key = Some((String::new(), node.span, false));
                    return;
                };
                *key = Some((text, node.span, style == Style::Plain));
            }
        }
    }

    /// Finds duplicate keys, and brings in what merge keys name.
    fn mapping(&mut self, entries: Vec<Entry>, merges: Vec<Node>) -> Result<Vec<Entry>, Stop> {
        let mut first: HashMap<String, Span> = HashMap::new();
        let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(earlier) = first.get(&entry.key) {
                let message = format!("`{}` stands here twice", entry.key);
                let source = self.source;
                if let Some(mistake) = self.mistake(&entry.key_span, message) {
                    mistake.see(source, earlier, "first here");
                }
                continue;
            }
            first.insert(entry.key.clone(), entry.key_span.clone());
            kept.push(entry);
        }
        if merges.is_empty() {
            return Ok(kept);
        }
        let mut present: HashSet<String> = first.into_keys().collect();
        for merge in merges {
            let span = merge.span.clone();
            let sources = match merge.kind {
                NodeKind::List(items) => items,
                kind => vec![Node { span: merge.span, kind }],
            };
            for node in sources {
                let NodeKind::Map(merged) = node.kind else {
                    self.mistake(&span, "a merge key `<<` takes a mapping or a list of mappings");
                    continue;
                };
                kept.extend(merged.into_iter().filter(|entry| present.insert(entry.key.clone())));
            }
        }
        Ok(kept)
    }

    fn broken(&mut self, error: &ScanError, base: usize, characters: &Characters) -> Stop {
        let character = base + error.marker().index();
        let byte = characters.byte(character).min(self.source.text.len());
        let line = self.source.line(self.source.line_of(byte));
        let text = &self.source.text[line.clone()];
        let indentation = text.len() - text.trim_start().len();
        if let Some(tab) = text[..indentation].find('\t') {
            let tab = line.start + tab;
            if let Some(mistake) = self.mistake(&(tab..tab + 1), "YAML is not indented by tabs") {
                mistake.help("use spaces");
            }
        } else if error.info().ends_with("unknown anchor") {
            self.unknown_anchor(&(byte..byte));
        } else {
            self.mistake(&(byte..byte), format!("broken YAML: {}", error.info()));
        }
        Stop::Document { character }
    }
}
