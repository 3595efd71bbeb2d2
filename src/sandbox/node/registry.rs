//! Which pods hang where, by their addresses.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use super::{PodNetwork, pod::Wired};

/// The pods that are wired, and all addresses that pods ever had.
#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    pods: HashMap<IpAddr, Weak<Wired>>,
    ever: HashSet<IpAddr>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of these addresses those that a pod has had before; from now on all of them.
    pub(super) fn claim(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let mut state = self.lock();
        addresses.iter().copied().filter(|address| !state.ever.insert(*address)).collect()
    }

    pub(super) fn add(&self, pod: &PodNetwork) {
        let mut state = self.lock();
        for address in pod.addresses() {
            state.pods.insert(*address, Arc::downgrade(&pod.0));
        }
    }

    /// Forgets a pod, unless another has taken its addresses meanwhile.
    pub(super) fn remove(&self, pod: &PodNetwork) {
        let mut state = self.lock();
        for address in pod.addresses() {
            let known = state
                .pods
                .get(address)
                .is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(&pod.0)));
            if known {
                state.pods.remove(address);
            }
        }
    }

    pub(super) fn find(&self, address: IpAddr) -> Option<PodNetwork> {
        self.lock().pods.get(&address)?.upgrade().map(PodNetwork)
    }
}
