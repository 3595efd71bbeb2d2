//! A network namespace, held by a file descriptor.
//!
//! Only threads can enter a network namespace, and the runtime's threads must stay where
//! they are; so whatever is done inside one is done on a thread of its own, which ends
//! with it. Sockets that were opened there stay there.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};
use tokio::sync::oneshot;

/// Enough for a handful of system calls.
const STACK: usize = 256 * 1024;

/// A network namespace; it lives as long as a handle to it, or a process inside.
#[derive(Clone, Debug)]
pub(super) struct Namespace(Arc<OwnedFd>);

impl Namespace {
    /// Makes a namespace and does the first work inside.
    pub(super) async fn create<T: Send + 'static>(
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> io::Result<(Self, T)> {
        on_a_thread(move || {
            unshare(CloneFlags::CLONE_NEWNET)?;
            let namespace = Self(Arc::new(File::open("/proc/thread-self/ns/net")?.into()));
            let done = work(&namespace);
            Ok((namespace, done))
        })
        .await
    }

    /// Does some work inside.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let namespace = self.clone();
        on_a_thread(move || {
            setns(namespace.as_fd(), CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        })
        .await
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name("namespace".to_owned()).stack_size(STACK).spawn(move || {
        // Nobody listens any more when the caller was cancelled.
        let _ = sender.send(work());
    })?;
    receiver.await.map_err(|_| io::Error::other("the thread inside the namespace panicked"))?
}
