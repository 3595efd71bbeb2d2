//! The child's side: leave the host, fork pid 1, serve, and end with the pipe.

use std::{
    error::Error,
    fs::File,
    io::{self, Write as _},
    net::{Ipv4Addr, TcpListener},
    os::fd::OwnedFd,
    process::ExitCode,
    thread,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    sys::{
        prctl,
        resource::{Resource, getrlimit, setrlimit},
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::{Pid, dup2_stdin, pipe2, setsid},
};

use super::{Options, Word};
use crate::{
    model::chain,
    sandbox::node::{
        isolate::{self, IsolateError},
        raw::{self, Side},
    },
};

/// Enough for a thread that only reads.
const STACK: usize = 64 * 1024;

/// Why a child could not become a sandbox.
#[derive(Debug, thiserror::Error)]
enum ChildError {
    #[error("read the sandbox's options")]
    Options(#[source] serde_json::Error),
    #[error("the sandbox's options are missing")]
    NoOptions,
    #[error("listen on 127.0.0.1")]
    Listen(#[source] io::Error),
    #[error(transparent)]
    Isolate(#[from] IsolateError),
    #[error("{0}")]
    Process(&'static str, #[source] io::Error),
}

/// Turns this process into a sandbox: binds loopback on the host, leaves the host, forks
/// pid 1, and in pid 1's child calls `serve`, which says [`announce`] once the API answers
/// and then serves for ever.
///
/// Must be called before any other thread exists, and only where [`is_child`] holds; the
/// options are the first argument. Returns in the keeper alone, with what the sandbox
/// ended with.
///
/// [`is_child`]: super::is_child
pub fn child_main<E: Error>(serve: impl FnOnce(TcpListener, Options) -> Result<(), E>) -> ExitCode {
    match keep(serve) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            say(&Word::Error(chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Tells the parent that the API answers.
pub fn announce(kubeconfig: &str) {
    say(&Word::Ready { kubeconfig: kubeconfig.to_owned() });
}

fn say(word: &Word) {
    // A parent that doesn't read any more has closed the other pipe, too.
    if let Ok(mut line) = serde_json::to_string(word) {
        line.push('\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

/// The keeper: waits on the host for pid 1, whose namespace it cannot be in itself.
fn keep<E: Error>(
    serve: impl FnOnce(TcpListener, Options) -> Result<(), E>,
) -> Result<u8, ChildError> {
    let options = std::env::args().nth(1).ok_or(ChildError::NoOptions)?;
    let options: Options = serde_json::from_str(&options).map_err(ChildError::Options)?;
    // Ctrl-C in the terminal is the parent's: it sweeps while the pods still answer.
    let _ = setsid();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(ChildError::Listen)?;
    isolate::leave_the_host()?;
    let (alive, keeper) = pipe2(OFlag::O_CLOEXEC)
        .map_err(|errno| ChildError::Process("make a pipe", errno.into()))?;
    match raw::fork().map_err(|error| ChildError::Process("fork pid 1", error))? {
        Side::Parent(init) => {
            drop((listener, alive));
            let code = wait_for(init);
            drop(keeper);
            Ok(code)
        }
        Side::Child => {
            drop(keeper);
            let code = match init(alive, listener, options, serve) {
                Ok(code) => code,
                Err(error) => {
                    say(&Word::Error(chain(&error)));
                    1
                }
            };
            raw::exit_now(code.into())
        }
    }
}

/// Pid 1: buries orphans, and ends when the parent, the keeper or the server does.
fn init<E: Error>(
    alive: OwnedFd,
    listener: TcpListener,
    options: Options,
    serve: impl FnOnce(TcpListener, Options) -> Result<(), E>,
) -> Result<u8, ChildError> {
    isolate::mount_proc();
    // The pipes say it too, but not to a process that is stopped.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // Nothing in here needs to become more than it is.
    let _ = prctl::set_no_new_privs();
    match raw::fork().map_err(|error| ChildError::Process("fork the server", error))? {
        Side::Parent(server) => {
            drop(listener);
            let parent = io::stdin();
            end_with("parent", parent)?;
            end_with("keeper", File::from(alive))?;
            Ok(wait_for(server))
        }
        Side::Child => {
            drop(alive);
            // The pipe is pid 1's to watch; agents must not read from it.
            File::open("/dev/null")
                .and_then(|null| dup2_stdin(null).map_err(io::Error::from))
                .map_err(|error| ChildError::Process("close standard input", error))?;
            if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
                let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
            }
            let code = match serve(listener, options) {
                Ok(()) => 0,
                Err(error) => {
                    say(&Word::Error(chain(&error)));
                    1
                }
            };
            raw::exit_now(code)
        }
    }
}

/// Starts a thread that ends this process, and so the namespace, at a pipe's end-of-file.
fn end_with(whom: &str, mut pipe: impl io::Read + Send + 'static) -> Result<(), ChildError> {
    thread::Builder::new()
        .name(format!("end with {whom}"))
        .stack_size(STACK)
        .spawn(move || {
            let mut ignored = [0; 64];
            loop {
                match pipe.read(&mut ignored) {
                    Ok(0) => break,
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                    _ => {}
                }
            }
            raw::exit_now(0)
        })
        .map_err(|error| ChildError::Process("watch the parent", error))?;
    Ok(())
}

/// Waits for one child, and buries every other that ends meanwhile: pid 1 inherits the
/// orphans of its namespace. Nothing else waits for children in the processes that do this.
fn wait_for(child: Pid) -> u8 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return u8::try_from(code & 0xff).unwrap_or(1);
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return 128_u8.saturating_add(u8::try_from(signal as i32).unwrap_or(0));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return 1,
        }
    }
}
