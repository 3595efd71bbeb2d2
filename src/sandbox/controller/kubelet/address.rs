//! The addresses of pods, node by node.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use ipnet::IpNet;

/// Which addresses are taken. One that is given back is the last to be given again, so that
/// what still travels to its old owner meets nobody new.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// A range for each family.
    nodes: Mutex<BTreeMap<String, Vec<Range>>>,
}

#[derive(Debug)]
struct Range {
    v4: bool,
    first: u128,
    /// The first that is not given any more.
    end: u128,
    last: u128,
    taken: BTreeSet<u128>,
}

/// How many addresses of a range are ever given: more than a node has pods.
const MOST: u128 = 1 << 16;

impl Range {
    fn new(cidr: IpNet) -> Self {
        let number = |address| match address {
            IpAddr::V4(address) => u128::from(u32::from(address)),
            IpAddr::V6(address) => address.into(),
        };
        // The network's own address, the first after it and IPv4's broadcast stay free, as
        // on real nodes.
        let first = number(cidr.network()) + 2;
        let end = number(cidr.broadcast()).clamp(first, first + MOST);
        let v4 = matches!(cidr, IpNet::V4(_));
        Self { v4, first, end, last: first - 1, taken: BTreeSet::new() }
    }

    fn next(&self) -> Option<u128> {
        let after = (self.last + 1).clamp(self.first, self.end);
        let mut candidates = (after..self.end).chain(self.first..after);
        candidates.find(|number| !self.taken.contains(number))
    }

    fn take(&mut self, number: u128) -> IpAddr {
        self.last = number;
        self.taken.insert(number);
        self.address(number)
    }

    fn address(&self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(number) if self.v4 => IpAddr::V4(number.into()),
            _ => IpAddr::V6(number.into()),
        }
    }
}

impl Addresses {
    /// Nothing is taken in the nodes' ranges, of which each node has one for each family.
    pub(super) fn new(nodes: impl IntoIterator<Item = (String, Vec<IpNet>)>) -> Self {
        let ranges = |cidrs: Vec<IpNet>| cidrs.into_iter().map(Range::new).collect();
        let nodes = nodes.into_iter().map(|(name, cidrs)| (name, ranges(cidrs)));
        Self { nodes: Mutex::new(nodes.collect()) }
    }

    /// Takes the next free address of each family of a node; `None` if one has none.
    pub(super) fn take(&self, node: &str) -> Option<Vec<IpAddr>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges = nodes.get_mut(node)?;
        let free: Option<Vec<_>> = ranges.iter().map(Range::next).collect();
        Some(ranges.iter_mut().zip(free?).map(|(range, number)| range.take(number)).collect())
    }

    /// Gives addresses back.
    pub(super) fn give_back(&self, node: &str, addresses: &[IpAddr]) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        for range in nodes.get_mut(node).into_iter().flatten() {
            let Range { v4, taken, .. } = range;
            for address in addresses {
                match address {
                    IpAddr::V4(address) if *v4 => taken.remove(&u32::from(*address).into()),
                    IpAddr::V6(address) if !*v4 => taken.remove(&u128::from(*address)),
                    _ => false,
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_again_only_after_all_others() {
        let cidrs = ["10.244.1.0/29", "fd00:10:244:1::/64"];
        let cidrs = cidrs.map(|cidr| cidr.parse().expect(cidr)).to_vec();
        let addresses = Addresses::new([("node-1".to_owned(), cidrs)]);
        let take = || {
            let taken = addresses.take("node-1")?;
            Some(taken.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(" "))
        };
        let expected = |v4: u8, v6: u8| Some(format!("10.244.1.{v4} fd00:10:244:1::{v6:x}"));
        assert_eq!([take(), take()], [expected(2, 2), expected(3, 3)]);
        let back = ["10.244.1.2", "fd00:10:244:1::2"];
        addresses.give_back("node-1", &back.map(|address| address.parse().expect(address)));
        assert_eq!([take(), take(), take()], [expected(4, 4), expected(5, 5), expected(6, 6)]);
        assert_eq!(take(), expected(2, 7), "the others of IPv4 are taken");
        assert_eq!(take(), None, "all of IPv4 are taken");
        assert_eq!(addresses.take("node-2"), None, "no such node");
    }
}
