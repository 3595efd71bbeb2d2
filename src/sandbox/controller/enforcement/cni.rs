//! The state of the CNI, as others may ask for it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio_util::sync::CancellationToken;

use crate::sandbox::{
    api,
    firewall::{Engine, NodeEntry},
    flow::{self, Book, Explained, Witness},
    layout,
    node::{Network, NodeSpec},
};

/// What is enforced, and what came of it.
#[derive(Debug)]
pub struct Cni {
    engine: Arc<Knowledge>,
    book: Arc<Book>,
}

/// The engine, which the enforcer changes and others ask.
#[derive(Debug)]
struct Knowledge(Mutex<Engine>);

impl Cni {
    /// A CNI that enforces nothing yet. Where the kernel has a log, it listens to that until
    /// cancelled; where it has none, there are no flows.
    pub async fn start(network: &Network, nodes: &[NodeSpec], cancel: &CancellationToken) -> Self {
        let mut sockets = Vec::new();
        for node in nodes {
            match network.open_log(&node.name).await {
                Ok(socket) => sockets.push((node.name.clone(), socket)),
                Err(error) => {
                    tracing::warn!(%error, "there is no flow log: the kernel can't log packets");
                    sockets.clear();
                    break;
                }
            }
        }
        let names = nodes.iter().map(|node| node.name.as_str());
        let mut engine = Engine::new(names, !sockets.is_empty());
        let entry = |node: &NodeSpec| NodeEntry {
            addresses: node.addresses.clone(),
            pod_cidrs: node.pod_cidrs.clone(),
        };
        let ground = nodes.iter().map(|node| (node.name.clone(), entry(node))).collect();
        engine.set_ground(ground, layout::OWN.to_vec());
        let engine = Arc::new(Knowledge(Mutex::new(engine)));
        let book = Arc::new(Book::default());
        let addresses: BTreeMap<IpAddr, String> = nodes
            .iter()
            .flat_map(|node| node.addresses.iter().map(|&address| (address, node.name.clone())))
            .collect();
        let (witness, entries, cancel) = (Arc::clone(&engine), Arc::clone(&book), cancel.clone());
        let collector = std::thread::Builder::new().name("flows".to_owned()).spawn(move || {
            flow::collect(sockets, &addresses, &*witness, &entries, &cancel);
        });
        if let Err(error) = collector {
            tracing::warn!(%error, "there is no flow log");
        }
        Self { engine, book }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock()
    }
}

impl Knowledge {
    fn lock(&self) -> MutexGuard<'_, Engine> {
        // A panic in the engine could leave it half done; what the kernel has is then said
        // wrongly until the next full load.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness for Knowledge {
    fn explain(&self, text: &str, packet: (IpAddr, IpAddr)) -> Option<Explained> {
        let engine = self.lock();
        let judged = engine.judged(text, packet)?;
        let pod = |address| engine.resident(address).cloned();
        Some(Explained { judged, source: pod(packet.0), destination: pod(packet.1) })
    }
}

impl api::cni::Cni for Cni {
    fn rules(&self, node: &str) -> Option<String> {
        // The copy is written down after the lock is free again.
        let rules = self.lock().ruleset(node)?;
        Some(rules.to_nft())
    }

    fn flows(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }
}
