//! The terminal on standard error, a little narrower than it is.
//!
//! The line that is drawn on it is padded up to the width. A `^C` that the terminal itself
//! writes after it must still fit, or it begins a new line and the padded one stays.

use std::io::{self, IsTerminal, Write};

use indicatif::TermLike;
use terminal_size::terminal_size_of;

/// Room for a `^C`, and the column that makes a terminal wrap.
const KEPT_FREE: u16 = 3;

/// Where the width isn't known.
const USUAL: u16 = 80;

/// Standard error, where it is a terminal that can move its cursor.
#[derive(Debug)]
pub(super) struct Terminal(());

impl Terminal {
    /// Nothing where a line can't be drawn over.
    pub(super) fn open() -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        (io::stderr().is_terminal() && !dumb).then_some(Self(()))
    }

    /// Does nothing for 0, which terminals take for 1.
    fn move_cursor(&self, n: usize, to: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.write_str(&format!("\x1b[{n}{to}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let width = terminal_size_of(io::stderr()).map_or(USUAL, |(width, _)| width.0);
        width.saturating_sub(KEPT_FREE).max(1)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(&format!("{text}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}
