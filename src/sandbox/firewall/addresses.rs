//! Sets of IPv4 addresses, as disjoint ranges in order.

use std::{collections::BTreeSet, net::Ipv4Addr};

use ipnet::Ipv4Net;

/// A set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Addresses(Vec<(u32, u32)>);

impl Addresses {
    /// All addresses of a block but those of its exceptions.
    pub(super) fn block(block: Ipv4Net, except: &[Ipv4Net]) -> Self {
        let mut ranges = vec![bounds(block)];
        for (low, high) in except.iter().copied().map(bounds) {
            ranges = ranges
                .into_iter()
                .flat_map(|(first, last)| {
                    let below = low.checked_sub(1).map(|end| (first, last.min(end)));
                    let above = high.checked_add(1).map(|start| (first.max(start), last));
                    [below, above].into_iter().flatten().filter(|(first, last)| first <= last)
                })
                .collect();
        }
        Self(ranges)
    }

    /// The union of sets. Overlapping ranges become one; neighbours stay as they were
    /// written.
    pub(super) fn union(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut ranges: Vec<_> = sets.into_iter().flat_map(|set| set.0).collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u32, u32)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    /// Whether the set holds no address.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the set holds an address.
    pub(super) fn contains(&self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        self.0.iter().any(|&(first, last)| first <= address && address <= last)
    }

    /// The ranges, each with its first and its last address.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> {
        self.0.iter().map(|&(first, last)| (first.into(), last.into()))
    }

    /// Whether each range is one address.
    pub(super) fn is_single(&self) -> bool {
        self.0.iter().all(|(first, last)| first == last)
    }
}

impl FromIterator<Ipv4Addr> for Addresses {
    fn from_iter<I: IntoIterator<Item = Ipv4Addr>>(addresses: I) -> Self {
        let addresses: BTreeSet<u32> = addresses.into_iter().map(u32::from).collect();
        Self(addresses.into_iter().map(|address| (address, address)).collect())
    }
}

fn bounds(block: Ipv4Net) -> (u32, u32) {
    (block.network().into(), block.broadcast().into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(texts: &[&str]) -> Vec<Ipv4Net> {
        texts.iter().map(|text| text.parse().expect(text)).collect()
    }

    fn written(set: &Addresses) -> Vec<String> {
        set.ranges().map(|(first, last)| format!("{first}-{last}")).collect()
    }

    #[test]
    fn exceptions_are_cut_out_of_their_block() {
        for (block, except, expected) in [
            ("10.0.0.0/24", vec![], vec!["10.0.0.0-10.0.0.255"]),
            ("10.0.0.0/24", vec!["10.0.0.0/25"], vec!["10.0.0.128-10.0.0.255"]),
            ("10.0.0.0/24", vec!["10.0.0.128/25"], vec!["10.0.0.0-10.0.0.127"]),
            (
                "10.0.0.0/24",
                vec!["10.0.0.7/32", "10.0.0.16/28"],
                vec!["10.0.0.0-10.0.0.6", "10.0.0.8-10.0.0.15", "10.0.0.32-10.0.0.255"],
            ),
            (
                "0.0.0.0/0",
                vec!["0.0.0.0/1", "255.255.255.255/32"],
                vec!["128.0.0.0-255.255.255.254"],
            ),
            ("10.0.0.9/24", vec![], vec!["10.0.0.0-10.0.0.255"]),
            ("10.0.0.0/24", vec!["10.0.0.0/24"], vec![]),
        ] {
            let set = Addresses::block(blocks(&[block])[0], &blocks(&except));
            assert_eq!(written(&set), expected, "{block} except {except:?}");
        }
    }

    proptest! {
        #[test]
        fn a_union_holds_what_one_of_its_sets_holds(
            nets in prop::collection::vec((any::<u8>(), 24_u8..=32), 0..6),
            except in (any::<u8>(), 26_u8..=32),
            probe in any::<u8>(),
        ) {
            let address = |last: u8| Ipv4Addr::new(10, 0, 0, last);
            let net = |(last, length): (u8, u8)| Ipv4Net::new(address(last), length).expect("short");
            let holds = |net: Ipv4Net| net.contains(&address(probe));
            let sets = nets.iter().map(|&it| Addresses::block(net(it), &[net(except)]));
            let union = Addresses::union(sets);
            let expected = nets.iter().any(|&it| holds(net(it))) && !holds(net(except));
            prop_assert_eq!(union.contains(address(probe)), expected);
            let ranges: Vec<_> = union.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "disjoint, in order");
        }
    }
}
