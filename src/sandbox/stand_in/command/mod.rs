//! The commands that people type in pods to try a connection: real ones, made from inside
//! the pod, with the options that are used for that, and the words and exit codes of the
//! programs they are named after. No image's programs are there, and no shell: one command
//! without quotes, variables or operators is what `sh -c` takes. Under the name [`BINARY`]
//! the netproof executable is this program.

mod curl;
mod dial;
mod fetch;
mod nc;
mod nslookup;
mod plain;
mod wget;
mod words;

use std::process::ExitCode;

use curl::Curl;
use nc::Nc;
use nslookup::Nslookup;
use plain::Plain;
use wget::Wget;

/// The name under which the netproof executable is this program.
pub const BINARY: &str = "netproof-command";

/// What can be run, for people.
pub const NAMES: &str = "cat, curl, echo, env, false, getent, hostname, nc, nslookup, printenv, \
    sleep, true and wget";

const SHELLS: [&str; 4] = ["sh", "bash", "ash", "dash"];
/// What means something to a shell. A word with a `=` may set a variable.
const OPERATORS: &[char] = &[
    '$', '`', '|', '&', ';', '<', '>', '(', ')', '{', '}', '*', '?', '[', ']', '#', '~', '!', '"',
    '\'', '\\', '\n',
];

/// A command that is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Command {
    Curl(Curl),
    Wget(Wget),
    Nc(Nc),
    Nslookup(Nslookup),
    Plain(Plain),
}

/// Why a command isn't run.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unknown {
    /// There is no such program.
    Program,
    /// There is, but it doesn't do that; what it says, and its exit code.
    Usage(String, u8),
}

/// The last part of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A command without the shell that it needs not.
fn unwrapped(words: &[String]) -> Option<Vec<String>> {
    let first = words.first()?;
    if !SHELLS.contains(&base(first)) {
        return Some(words.to_vec());
    }
    match &words[1..] {
        [option, text] if option == "-c" && !text.contains(OPERATORS) => {
            let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
            words.first().is_some_and(|first| !first.contains('=')).then_some(words)
        }
        _ => None,
    }
}

fn parse(words: &[String]) -> Result<Command, Unknown> {
    let words = unwrapped(words).ok_or(Unknown::Program)?;
    let Some((first, rest)) = words.split_first() else { return Err(Unknown::Program) };
    match base(first) {
        "curl" => curl::parse(rest).map(Command::Curl),
        "wget" => wget::parse(rest).map(Command::Wget),
        "nc" => nc::parse(rest).map(Command::Nc),
        "nslookup" => nslookup::parse(rest).map(Command::Nslookup),
        "getent" => nslookup::getent(rest).map(Command::Nslookup),
        name => plain::parse(name, rest).map(Command::Plain),
    }
}

/// Whether there is such a program, whatever it makes of its options.
pub fn is_known(words: &[String]) -> bool {
    parse(words) != Err(Unknown::Program)
}

/// Whether a command only tries a connection or a name, so that it can be run in the place
/// of an image's own.
pub fn is_attempt(words: &[String]) -> bool {
    parse(words).is_ok_and(|command| !matches!(command, Command::Plain(_)))
}

/// Runs the command of the arguments. Has a runtime of its own.
pub fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let command = match parse(&words) {
        Ok(command) => command,
        Err(Unknown::Usage(text, code)) => {
            eprintln!("{text}");
            return ExitCode::from(code);
        }
        Err(Unknown::Program) => {
            eprintln!("a stand-in has {NAMES}, and no shell");
            return ExitCode::from(127);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        match command {
            Command::Curl(curl) => curl.run().await,
            Command::Wget(wget) => wget.run().await,
            Command::Nc(nc) => nc.run().await,
            Command::Nslookup(nslookup) => nslookup.run().await,
            Command::Plain(plain) => plain.run().await,
        }
    });
    // A thread may hang in a look-up, or in a read of standard input.
    runtime.shutdown_background();
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split('|').map(str::to_owned).collect()
    }

    #[test]
    fn a_shell_is_there_for_one_plain_command() {
        for (text, known, attempt) in [
            ("curl|-s|http://db", true, true),
            ("/usr/bin/wget|-qO-|db", true, true),
            ("sh|-c|nc -zv db 5432", true, true),
            ("/bin/sh|-c|/bin/nc -zv db 5432", true, true),
            ("curl|--never-heard-of|db", true, false),
            ("env", true, false),
            ("sh", false, false),
            ("sh|-c|nc -z db 80 && echo ok", false, false),
            ("sh|-c|echo $HOSTNAME", false, false),
            ("sh|-c|A=b env", false, false),
            ("sh|-c|", false, false),
            ("sh|-ec|env", false, false),
            ("bash|-c|echo 'a'", false, false),
            ("tar|cf|-", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_known(&words(text)), known, "{text}");
            assert_eq!(is_attempt(&words(text)), attempt, "{text}");
        }
        assert!(!is_known(&[]));
    }
}
