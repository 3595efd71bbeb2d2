//! Runs a scenario inside a sandbox's child, and brings its result back.

use std::{
    fmt::Display,
    future::Future,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    pin::Pin,
};

use crate::processes;
use netproof::sandbox::process::{self, Options, Sandbox};

pub type Outcome = Result<(), String>;
type Scenario = fn() -> Pin<Box<dyn Future<Output = Outcome>>>;

macro_rules! scenarios {
    ($($module:ident: $($name:ident),+;)+) => {
        /// Every scenario by its name.
        pub fn all() -> Vec<(&'static str, Scenario)> {
            vec![$($((
                concat!(stringify!($module), "::", stringify!($name)),
                || Box::pin(crate::$module::$name()),
            )),+),+]
        }
    };
}

scenarios! {
    wires:
        everything_is_routed_to_everything,
        a_node_reaches_its_pods_as_the_kubelet_does,
        a_pod_that_is_removed_is_gone,
        a_program_runs_confined,
        fifty_pods_are_wired_quickly;
    policies:
        policies_decide_on_the_wire,
        established_connections_stay,
        loss_takes_its_share_each_way,
        faults_break_what_they_say;
    flows:
        a_flow_goes_on_until_it_has_been_quiet,
        an_address_that_is_used_again_inherits_no_flow;
    broken:
        every_fault_breaks_what_it_says_and_no_more;
    services:
        they_translate_and_preserve_the_source,
        node_ports_lead_in_from_everywhere,
        a_client_stays_with_its_endpoint,
        a_local_service_stays_on_the_node,
        pods_seem_to_be_their_node_outside_the_cluster;
    host_ports:
        they_lead_in_from_everywhere_and_by_loopback;
    parts:
        a_reload_in_parts_opens_nothing_and_cuts_nothing;
}

/// Runs one scenario in a sandbox of its own.
pub fn run(name: &str) -> Outcome {
    let runtime = tokio::runtime::Runtime::new().map_err(text)?;
    runtime.block_on(async {
        let sandbox = Sandbox::start(Path::new("/proc/self/exe"), &Options::default())
            .await
            .map_err(chain)?;
        let address = sandbox.kubeconfig().to_owned();
        let name = name.to_owned();
        let result = tokio::task::spawn_blocking(move || ask(&address, &name)).await;
        sandbox.stop().await;
        result.map_err(text)?
    })
}

fn ask(address: &str, name: &str) -> Outcome {
    let mut stream = TcpStream::connect(address).map_err(text)?;
    writeln!(stream, "{name}").map_err(text)?;
    let answer = io::read_to_string(stream).map_err(text)?;
    if answer == "passed" { Ok(()) } else { Err(format!("{answer}.")) }
}

/// The child's side. In place of a kubeconfig it announces where it listens.
pub fn serve(listener: TcpListener, options: Options) -> Result<(), ServeError> {
    if options.nodes == 0 {
        return Err(ServeError(io::Error::other("as asked")));
    }
    obey(&listener).map_err(ServeError)
}

/// An error with a source, to see both arrive.
#[derive(Debug, thiserror::Error)]
#[error("no nodes")]
pub struct ServeError(#[source] io::Error);

fn obey(listener: &TcpListener) -> io::Result<()> {
    process::announce(&listener.local_addr()?.to_string());
    let (mut stream, _) = listener.accept()?;
    let mut name = String::new();
    BufReader::new(stream.try_clone()?).read_line(&mut name)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let scenario = all().into_iter().find(|(known, _)| *known == name.trim());
    let outcome = match (scenario, name.trim().strip_prefix("processes::wait ")) {
        (Some((_, scenario)), _) => runtime.block_on(scenario()),
        (None, Some(mark)) => runtime.block_on(processes::wait(mark, &mut stream)),
        (None, None) => Err("no such scenario".to_owned()),
    };
    match outcome {
        Ok(()) => write!(stream, "passed"),
        Err(error) => write!(stream, "{error}"),
    }
}

pub fn text(error: impl Display) -> String {
    error.to_string()
}

pub fn chain(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}
