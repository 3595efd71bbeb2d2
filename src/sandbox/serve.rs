//! A whole cluster in this process: network, API, controllers and DNS, in that order.

use std::{net::TcpListener, sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    api::{
        self, Credentials, TlsError,
        failure::Failure,
        object::Object,
        resource::{ENDPOINT_SLICES, FAULTS, PODS},
        runtime::Runtime,
        store::Store,
        write::{self, WriteOptions},
    },
    clock,
    control_plane::ControlPlane,
    controller::{self, Cni, Kubelet, Zone},
    fault::{Fault, NodeFault},
    layout::{self, IpFamily},
    node::{self, Network, NodeSpec},
    process::Options,
};

/// How long DNS may take until it answers.
const DNS_WITHIN: Duration = Duration::from_secs(15);

/// Why a cluster did not come up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A thread or a listener.
    #[error("start the sandbox's runtime")]
    Runtime(#[source] std::io::Error),
    /// The API's certificates.
    #[error(transparent)]
    Credentials(#[from] TlsError),
    /// Namespaces, links or rules.
    #[error(transparent)]
    Network(#[from] node::Error),
    /// There is no IPv6, and nothing else was asked for.
    #[error("{}; {}, or start the sandbox with `--ip-family ipv4`", .0, .0.remedy())]
    NoIpv6(node::NoIpv6),
    /// A fault that is none.
    #[error("switch on the fault `{fault}`")]
    Fault {
        /// The fault as it was given.
        fault: String,
        /// What the API says of it.
        #[source]
        source: Failure,
    },
    /// The DNS pod was not ready in time.
    #[error("the sandbox's DNS did not come up: {0}")]
    Dns(String),
}

/// Serves a cluster, the API on a listener that is bound already, and tells how to reach it
/// once the API answers, the nodes are ready and DNS answers. Then serves until the process
/// is killed. Has a runtime of its own, and must not be called within another.
///
/// # Errors
/// What did not come up, with the remedy where there is one.
pub fn serve(
    listener: TcpListener,
    options: Options,
    ready: impl FnOnce(String),
) -> Result<(), Error> {
    // Whoever came first has chosen; the sandbox's own listener names its provider anyway.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("sandbox")
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(run(listener, options, ready))
}

async fn run(
    listener: TcpListener,
    options: Options,
    ready: impl FnOnce(String),
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Runtime)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::Runtime)?;
    let address = listener.local_addr().map_err(Error::Runtime)?;
    let count = u8::try_from(options.nodes.clamp(1, 200)).unwrap_or(u8::MAX);
    let family = family(options.ip_family)?;
    let nodes: Vec<NodeSpec> = (0..count).map(|number| layout::node(number, family)).collect();
    let credentials = Credentials::generate()?;
    let network = Network::create(&nodes).await?;

    let control_plane = ControlPlane::stand(&network, family).await?;
    let inside = control_plane.listen(family).await.map_err(Error::Runtime)?;

    let store = Arc::new(Store::new());
    controller::set_up(&store, family);
    controller::publish_api(&store, &layout::control_plane(family));
    let (of_nodes, others): (Vec<&Fault>, Vec<&Fault>) =
        options.faults.iter().partition(|fault| matches!(fault, Fault::Node(_)));
    of_nodes.iter().try_for_each(|fault| is_about_a_node(fault, &nodes))?;
    switch_on(&store, &others)?;
    let cancel = CancellationToken::new();
    // Whatever ends this function ends the controllers.
    let _cancel = cancel.clone().drop_guard();
    let (applied, in_force) = watch::channel(0);
    let cni = Arc::new(Cni::start(&network, &nodes, &cancel).await);
    let (authority, rules) = (credentials.authority(), (Arc::clone(&cni), applied));
    let kubelet = start(&store, &network, family, nodes, authority, rules, &cancel);
    let kubelet = kubelet as Arc<dyn Runtime>;
    let mut api = api::Api::new(Arc::clone(&store), credentials.access(), Some(kubelet));
    api.cni = Some(cni);
    api.control_plane = Some(Arc::new(control_plane));
    let router = api::router(api);
    tokio::spawn(controller::fill_token_secrets(
        Arc::clone(&store),
        Arc::clone(&credentials.tokens),
        credentials.authority().to_owned(),
        cancel.clone(),
    ));
    let server = Arc::clone(&credentials.server);
    let within = api::serve(inside, Arc::clone(&server), router.clone(), cancel.clone());
    tokio::spawn(within);
    let serving = tokio::spawn(api::serve(listener, server, router, cancel.clone()));
    dns_ready(&store, in_force).await?;
    // What the cluster needs to come up may be on the node that is to fail.
    switch_on(&store, &of_nodes)?;
    ready(credentials.kubeconfig(address));
    // It ends only with the process.
    let _ = serving.await;
    Ok(())
}

/// The families that the cluster can have, of those that it should.
fn family(wanted: IpFamily) -> Result<IpFamily, Error> {
    let Err(reason) = node::has_ipv6() else { return Ok(wanted) };
    match wanted {
        IpFamily::Ipv4 => Ok(wanted),
        IpFamily::Ipv6 => Err(Error::NoIpv6(reason)),
        IpFamily::Dual => {
            tracing::warn!("{reason}: the sandbox has IPv4 alone");
            Ok(IpFamily::Ipv4)
        }
    }
}

/// Starts every controller.
fn start(
    store: &Arc<Store>,
    network: &Network,
    family: IpFamily,
    nodes: Vec<NodeSpec>,
    authority: &str,
    (cni, applied): (Arc<Cni>, watch::Sender<u64>),
    cancel: &CancellationToken,
) -> Arc<Kubelet> {
    let store = || Arc::clone(store);
    let cancel = || cancel.clone();
    let (in_force, flows) = (applied.subscribe(), applied.subscribe());
    let (recorder, recording) = controller::events::recorder(store(), cancel());
    tokio::spawn(recording);
    let (zone, names) = watch::channel(Arc::new(Zone::new()));
    let kubelet = Kubelet::new(store(), network.clone(), &nodes, in_force, names, recorder.clone());
    tokio::spawn(controller::empty_namespaces(store(), authority.to_owned(), cancel()));
    tokio::spawn(controller::collect_garbage(store(), recorder.clone(), cancel()));
    let scheduling = recorder.of("default-scheduler", "");
    tokio::spawn(controller::clear_definitions(store(), cancel()));
    tokio::spawn(controller::schedule(store(), scheduling, cancel()));
    tokio::spawn(controller::budget_disruptions(store(), recorder.clone(), cancel()));
    tokio::spawn(controller::mirror_endpoints(store(), cancel()));
    tokio::spawn(controller::watch_nodes(store(), recorder.clone(), cancel()));
    tokio::spawn(controller::run_workloads(store(), recorder, cancel()));
    tokio::spawn(api::access::aggregate(store(), cancel()));
    tokio::spawn(api::admission::quota::keep_count(store(), cancel()));
    tokio::spawn(clock::obey_faults(store(), cancel()));
    tokio::spawn(controller::slice_endpoints(store(), cancel()));
    tokio::spawn(controller::name_everything(store(), family, zone, cancel()));
    tokio::spawn(controller::enforce(store(), network.clone(), cni, applied, cancel()));
    let flows = controller::forget_stale_flows(store(), network.clone(), flows, cancel());
    tokio::spawn(flows);
    tokio::spawn(controller::pull_cables(store(), network.clone(), cancel()));
    tokio::spawn(controller::balance_load(store(), network.clone(), family, cancel()));
    tokio::spawn(controller::host_outside(store(), network.clone(), cancel()));
    tokio::spawn(Arc::clone(&kubelet).run(cancel()));
    kubelet
}

/// Fails on a node that isn't there.
fn is_about_a_node(fault: &Fault, nodes: &[NodeSpec]) -> Result<(), Error> {
    let Fault::Node(NodeFault::Fail(name) | NodeFault::KubeletSilent(name)) = fault else {
        return Ok(());
    };
    if nodes.iter().any(|node| node.name == *name) {
        return Ok(());
    }
    let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
    let source = Failure::bad_request(format!("there is no such node; {} are", names.join(", ")));
    Err(Error::Fault { fault: fault.to_string(), source })
}

/// Switches faults on.
fn switch_on(store: &Store, faults: &[&Fault]) -> Result<(), Error> {
    faults.iter().try_for_each(|fault| {
        let fault = fault.to_string();
        make(store, &fault).map_err(|source| Error::Fault { fault, source })
    })
}

/// Makes the object that stands for a fault, named after it.
fn make(store: &Store, fault: &str) -> Result<(), Failure> {
    let name: String = fault
        .chars()
        .filter(|character| *character != '%')
        .map(|character| if character.is_ascii_alphanumeric() { character } else { '-' })
        .take(50)
        .collect();
    let name = name.trim_matches('-').to_lowercase();
    // Two faults may differ in nothing that fits into a name.
    let taken = store.get(&FAULTS, "", &name).is_some();
    let metadata =
        if taken { json!({"generateName": format!("{name}-")}) } else { json!({"name": name}) };
    let object = json!({"metadata": metadata, "spec": {"fault": fault}});
    write::create(store, &FAULTS, "", object, &WriteOptions::default()).map(|_| ())
}

/// Waits until a DNS pod is ready and every node leads to it.
async fn dns_ready(store: &Store, mut in_force: watch::Receiver<u64>) -> Result<(), Error> {
    let signal = store.signal(|event| event.resource == &ENDPOINT_SLICES);
    let wait = async {
        loop {
            signal.notified().await;
            let (slices, _) = store.list(&ENDPOINT_SLICES, Some("kube-system"));
            let ready = slices.iter().find(|slice| {
                let endpoints = slice.items("/endpoints");
                endpoints.iter().any(|endpoint| endpoint["conditions"]["ready"] == true)
            });
            if let Some(version) = ready.map(|slice| slice.resource_version()) {
                // It ends with the controllers, and then with the deadline.
                let _ = in_force.wait_for(|applied| *applied >= version).await;
                return;
            }
        }
    };
    if tokio::time::timeout(DNS_WITHIN, wait).await.is_ok() {
        return Ok(());
    }
    let (pods, _) = store.list(&PODS, Some("kube-system"));
    let states: Vec<_> = pods
        .iter()
        .map(|pod| format!("{} is {}", pod.name(), pod["status"]["containerStatuses"]))
        .collect();
    Err(Error::Dns(states.join(", ")))
}
