//! Exit codes, and how an error is put to a person.

use std::{io::Write, process::ExitCode};

use anstyle::{AnsiColor, Style};

use crate::report::Report;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all passed.
    Passed,
    /// 1: a claim failed.
    Failed,
    /// 2: bad input, or refused with nothing touched.
    BadInput,
    /// 3: could not tell, or incomplete.
    Undecided,
    /// 4: the CNI does not enforce.
    NotEnforced,
    /// 130: interrupted.
    Interrupted,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::Undecided => 3,
            Self::NotEnforced => 4,
            Self::Interrupted => 130,
        }
    }
}

impl Exit {
    /// The graver of two, in the order in which they count: 130, 2, 4, 1, 3, 0.
    pub fn graver(self, other: Self) -> Self {
        let order = [
            Self::Interrupted,
            Self::BadInput,
            Self::NotEnforced,
            Self::Failed,
            Self::Undecided,
            Self::Passed,
        ];
        order.into_iter().find(|exit| [self, other].contains(exit)).unwrap_or(self)
    }

    /// The end of a run, as its report has it.
    pub fn of(report: &Report) -> Self {
        let known =
            [Self::Passed, Self::Failed, Self::BadInput, Self::NotEnforced, Self::Interrupted];
        let code = report.exit_code();
        known.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Undecided)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Says on standard error what one should know, and what to do about it.
pub(super) fn warn(message: &str, remedy: Option<&str>) {
    // Where even this can't be said, the exit code still tells.
    let mut err = anstream::stderr();
    let yellow = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
    let bold = Style::new().bold();
    let _ = writeln!(err, "{yellow}warning{yellow:#}: {message}");
    if let Some(remedy) = remedy {
        let _ = writeln!(err, "  {bold}try{bold:#}: {remedy}");
    }
}

/// Says on standard error what went wrong and what to do about it.
pub(super) fn complain(message: &str, remedy: Option<&str>) {
    // Where even this can't be said, the exit code still tells.
    let mut err = anstream::stderr();
    let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
    let bold = Style::new().bold();
    let _ = writeln!(err, "{red}error{red:#}: {message}");
    if let Some(remedy) = remedy {
        let _ = writeln!(err, "  {bold}try{bold:#}: {remedy}");
    }
}
