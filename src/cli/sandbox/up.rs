//! `netproof sandbox up`: starts a sandbox and holds it, here or in the background.

use std::{
    io::Write,
    path::{Path, PathBuf, absolute},
    process::Stdio,
};

use clap::Args;
use jiff::Timestamp;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::Command,
};

use super::{
    SELF, Trouble,
    announce::Word,
    files::{write_kubeconfig, write_private},
    nodes, options,
    state::{self, DEFAULT_NAME, Held, Home, Process, Record},
};
use crate::{
    cli::{Exit, families, signals},
    run::Stop,
    sandbox::{
        fault::Fault,
        layout::IpFamily,
        process::{Options, Sandbox},
    },
};

/// Start a sandbox and keep it in the background, until `netproof sandbox down`.
///
/// Prints the path of its kubeconfig.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  export KUBECONFIG=$(netproof sandbox up)
  netproof sandbox up --name lossy --nodes 3 --fault loss=10%
  netproof sandbox up --foreground --kubeconfig sandbox.kubeconfig")]
pub(super) struct UpCommand {
    /// What to call it; several may be up at once.
    #[arg(long, value_name = "NAME", default_value = DEFAULT_NAME, value_parser = state::name)]
    name: String,
    /// How many nodes it has.
    #[arg(long, value_name = "NUMBER", value_parser = nodes())]
    nodes: Option<u8>,
    /// Which IP families it has: `ipv4`, `ipv6` or `dual` [default: dual].
    #[arg(long, value_name = "FAMILY")]
    ip_family: Option<IpFamily>,
    /// Break something on purpose, as in `--fault ignore-egress` or `--fault api-429=20%`; may be
    /// given several times. A wrong one lists all.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// Write the kubeconfig here too, readable by you alone.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Stay in the foreground; it ends with this process.
    #[arg(long)]
    foreground: bool,
    /// What `up` starts to be the sandbox in the background.
    #[arg(long, hide = true)]
    announce: bool,
}

/// A sandbox that is up, and what is written of it.
struct Upheld {
    sandbox: Sandbox,
    held: Held,
}

impl UpCommand {
    pub(super) async fn run(self) -> Result<Exit, Trouble> {
        if self.announce {
            Ok(self.in_background().await)
        } else if self.foreground {
            self.in_foreground().await
        } else {
            self.launch().await
        }
    }

    /// Starts the process that holds the sandbox, and waits until it is up.
    async fn launch(mut self) -> Result<Exit, Trouble> {
        let failed = |error| Trouble::machine(format!("start the sandbox: {error}"));
        if let Some(file) = &mut self.kubeconfig {
            // The process in the background stands elsewhere.
            *file = absolute(&*file).map_err(failed)?;
        }
        let mut command = Command::new(SELF);
        command.arg0("netproof").args(["sandbox", "up", "--announce"]).args(self.arguments());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (Some(mut answer), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Trouble::machine("start the sandbox: no pipe to it"));
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).await.map_err(failed)?;
        let word: Word = serde_json::from_str(&line)
            .map_err(|_| Trouble::machine("the sandbox's process ended without a word"))?;
        let kubeconfig = word.understand()?;
        answer.write_all(b"\n").await.map_err(failed)?;
        let shown = self.kubeconfig.as_deref().unwrap_or(&kubeconfig);
        tell(shown, &self.next_steps(shown));
        Ok(Exit::Passed)
    }

    /// The flags that a process in the background is given.
    fn arguments(&self) -> Vec<std::ffi::OsString> {
        let mut arguments = vec!["--name".into(), self.name.clone().into()];
        if let Some(nodes) = self.nodes {
            arguments.extend(["--nodes".into(), nodes.to_string().into()]);
        }
        if let Some(family) = self.ip_family {
            arguments.extend(["--ip-family".into(), family.to_string().into()]);
        }
        for fault in &self.faults {
            arguments.extend(["--fault".into(), fault.to_string().into()]);
        }
        if let Some(file) = &self.kubeconfig {
            arguments.extend(["--kubeconfig".into(), file.into()]);
        }
        arguments
    }

    fn next_steps(&self, kubeconfig: &Path) -> String {
        let (name, nodes) = (&self.name, options(self.nodes, Vec::new()).nodes);
        let plural = if nodes == 1 { "node" } else { "nodes" };
        let named = if name == DEFAULT_NAME { String::new() } else { format!(" {name}") };
        let kubeconfig = kubeconfig.display();
        let note = self.note();
        format!(
            "The sandbox `{name}` is up, with {nodes} {plural}.{note}\n  \
             netproof sandbox shell{named}\n  \
             kubectl --kubeconfig {kubeconfig} get nodes\n  \
             netproof run --kubeconfig {kubeconfig} SUITE\n  \
             netproof sandbox down{named}"
        )
    }

    /// What it goes without, as a line of its own.
    fn note(&self) -> String {
        let family = self.ip_family.unwrap_or_default();
        families::left_out(family).map(|note| format!("\nnote: {note}")).unwrap_or_default()
    }

    async fn in_foreground(self) -> Result<Exit, Trouble> {
        let stop = watch()?;
        let upheld = self.start(&stop).await?;
        let own = upheld.held.kubeconfig();
        let message =
            format!("The sandbox is up; it ends with this process (Ctrl-C).{}", self.note());
        tell(self.kubeconfig.as_deref().unwrap_or(&own), &message);
        Ok(upheld.hold(&stop).await)
    }

    /// Holds a sandbox without a terminal; what is to be said goes to its log.
    async fn in_background(self) -> Exit {
        // Fails only for a leader of a group, which has no terminal to lose.
        let _ = nix::unistd::setsid();
        let started = async {
            let stop = watch()?;
            Ok::<_, Trouble>((self.start(&stop).await?, stop))
        };
        let (word, upheld) = match started.await {
            Ok(upheld) => (Word::Up { kubeconfig: upheld.0.held.kubeconfig() }, Some(upheld)),
            Err(trouble) => (Word::from(trouble), None),
        };
        let heard = word.say(tokio::io::stdout(), tokio::io::stdin()).await;
        match upheld {
            None => Exit::Undecided,
            Some((upheld, stop)) => {
                if !heard {
                    stop.stop(crate::event::Interruption::Signal);
                }
                upheld.hold(&stop).await
            }
        }
    }

    /// Takes the name, starts the sandbox and writes down how to reach it.
    async fn start(&self, stop: &Stop) -> Result<Upheld, Trouble> {
        let held = Home::open()?.take(&self.name)?;
        if self.announce {
            // From here on nobody reads standard error; the sandbox inherits the log.
            let log = held.log().and_then(|log| Ok(nix::unistd::dup2_stderr(log)?));
            log.map_err(|error| Trouble::machine(format!("write the sandbox's log: {error}")))?;
            // It keeps no folder busy.
            let _ = std::env::set_current_dir("/");
        }
        let base = options(self.nodes, self.faults.clone());
        let options = Options { ip_family: self.ip_family.unwrap_or(base.ip_family), ..base };
        let starting = Sandbox::start(Path::new(SELF), &options);
        let sandbox = tokio::select! {
            sandbox = starting => sandbox.map_err(Trouble::from),
            () = stop.stopped() => Err(Trouble {
                exit: Exit::Interrupted,
                ..Trouble::machine("interrupted before the sandbox was up")
            }),
        };
        let sandbox = match sandbox {
            Ok(sandbox) => sandbox,
            Err(trouble) => {
                held.remove();
                return Err(trouble);
            }
        };
        match self.write(&held, &sandbox) {
            Ok(()) => Ok(Upheld { sandbox, held }),
            Err(trouble) => {
                sandbox.stop().await;
                held.remove();
                Err(trouble)
            }
        }
    }

    fn write(&self, held: &Held, sandbox: &Sandbox) -> Result<(), Trouble> {
        let keeper = sandbox.id().and_then(Process::running);
        let keeper = keeper.ok_or_else(|| Trouble::machine("the sandbox ended at once"))?;
        let written_to = self.kubeconfig.as_ref().map(absolute).transpose();
        let record = Record {
            pid: std::process::id(),
            keeper,
            nodes: options(self.nodes, Vec::new()).nodes,
            since: Timestamp::now(),
            faults: self.faults.iter().map(ToString::to_string).collect(),
            written_to: written_to.map_err(|error| Trouble::machine(error.to_string()))?,
        };
        if let Some(file) = &self.kubeconfig {
            write_kubeconfig(file, sandbox.kubeconfig())?;
        }
        write_private(&held.kubeconfig(), sandbox.kubeconfig())
            .and_then(|()| held.write(&record))
            .map_err(|error| Trouble::machine(format!("write the sandbox's state: {error}")))
    }
}

impl Upheld {
    /// Stays until told to end, or until the sandbox ends by itself.
    async fn hold(mut self, stop: &Stop) -> Exit {
        let exit = tokio::select! {
            () = stop.stopped() => Exit::Passed,
            ended = self.sandbox.ended() => {
                let how = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
                crate::cli::exit::complain(&format!("the sandbox ended by itself: {how}"), None);
                Exit::Undecided
            }
        };
        self.sandbox.stop().await;
        // The credentials in it are worth nothing any more.
        self.held.remove();
        exit
    }
}

fn watch() -> Result<Stop, Trouble> {
    let stop = Stop::new();
    signals::watch(stop.clone())
        .map_err(|error| Trouble::machine(format!("listen for signals: {error}")))?;
    Ok(stop)
}

/// The kubeconfig's path for a program, and the rest for a person.
fn tell(kubeconfig: &Path, rest: &str) {
    // Nobody may be there to read it; the file stands all the same.
    let _ = writeln!(anstream::stdout(), "{}", kubeconfig.display());
    let _ = writeln!(anstream::stderr(), "{rest}");
}
