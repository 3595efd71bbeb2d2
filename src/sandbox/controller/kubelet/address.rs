//! The addresses of pods, node by node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{Mutex, PoisonError},
};

use ipnet::Ipv4Net;

/// Which addresses are taken. One that is given back is the last to be given again, so that
/// what still travels to its old owner meets nobody new.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    nodes: Mutex<BTreeMap<String, Range>>,
}

#[derive(Debug)]
struct Range {
    cidr: Ipv4Net,
    last: u32,
    taken: BTreeSet<Ipv4Addr>,
}

impl Addresses {
    /// Nothing is taken in the nodes' ranges.
    pub(super) fn new(nodes: impl IntoIterator<Item = (String, Ipv4Net)>) -> Self {
        let range = |cidr: Ipv4Net| {
            // The network's own address and the first after it stay free, as on real nodes.
            let last = u32::from(cidr.network()) + 1;
            Range { cidr, last, taken: BTreeSet::new() }
        };
        let nodes = nodes.into_iter().map(|(name, cidr)| (name, range(cidr)));
        Self { nodes: Mutex::new(nodes.collect()) }
    }

    /// Takes the next free address of a node; `None` if there is none.
    pub(super) fn take(&self, node: &str) -> Option<Ipv4Addr> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let Range { cidr, last, taken } = nodes.get_mut(node)?;
        let (first, end) = (u32::from(cidr.network()) + 2, u32::from(cidr.broadcast()));
        let after = last.saturating_add(1).clamp(first, end);
        let mut candidates = (after..end).chain(first..after).map(Ipv4Addr::from);
        let address = candidates.find(|address| !taken.contains(address))?;
        *last = address.into();
        taken.insert(address);
        Some(address)
    }

    /// Gives an address back.
    pub(super) fn give_back(&self, node: &str, address: Ipv4Addr) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(range) = nodes.get_mut(node) {
            range.taken.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_again_only_after_all_others() {
        let cidr = "10.244.1.0/29".parse().expect("a range");
        let addresses = Addresses::new([("node-1".to_owned(), cidr)]);
        let take = || addresses.take("node-1").map(|address| address.octets()[3]);
        assert_eq!([take(), take()], [Some(2), Some(3)]);
        addresses.give_back("node-1", Ipv4Addr::new(10, 244, 1, 2));
        assert_eq!([take(), take(), take()], [Some(4), Some(5), Some(6)]);
        assert_eq!(take(), Some(2), "the others are taken");
        assert_eq!(take(), None, "all are taken");
        assert_eq!(addresses.take("node-2"), None, "no such node");
    }
}
