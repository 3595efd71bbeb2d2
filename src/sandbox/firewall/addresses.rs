//! Sets of addresses of both families, as disjoint ranges in order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// An address as a number; only numbers of one family can be compared.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The address of a number; one that no IPv4 address has never comes from one.
fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX)).into(),
        Family::V6 => Ipv6Addr::from(number).into(),
    }
}

/// The address behind another, unless that is the family's last.
pub(super) fn next(after: IpAddr) -> Option<IpAddr> {
    let most = match Family::of(after) {
        Family::V4 => u32::MAX.into(),
        Family::V6 => u128::MAX,
    };
    (number(after) < most).then(|| address(Family::of(after), number(after) + 1))
}

/// Addresses from the first to the last, as a block where they are one.
pub(super) fn as_block(first: IpAddr, last: IpAddr) -> Option<IpNet> {
    let family = Family::of(first);
    let width = match family {
        Family::V4 => 32,
        Family::V6 => 128,
    };
    let same = (number(first) ^ number(last)).leading_zeros() - (128 - width);
    let block = IpNet::new(first, u8::try_from(same).ok()?).ok()?;
    (block.network() == first && block.broadcast() == last).then_some(block)
}

/// A set of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Addresses(Vec<(IpAddr, IpAddr)>);

impl Addresses {
    /// All addresses of a block but those of its exceptions; exceptions of the other family
    /// take nothing away.
    pub(super) fn block(block: IpNet, except: &[IpNet]) -> Self {
        let family = Family::of(block.addr());
        let mut ranges = vec![bounds(block)];
        let except = except.iter().filter(|except| Family::of(except.addr()) == family);
        for (low, high) in except.copied().map(bounds) {
            ranges = ranges
                .into_iter()
                .flat_map(|(first, last)| {
                    let below = low.checked_sub(1).map(|end| (first, last.min(end)));
                    let above = high.checked_add(1).map(|start| (first.max(start), last));
                    [below, above].into_iter().flatten().filter(|(first, last)| first <= last)
                })
                .collect();
        }
        let range = |(first, last)| (address(family, first), address(family, last));
        Self(ranges.into_iter().map(range).collect())
    }

    /// The union of sets. Overlapping ranges become one; neighbours stay as they were
    /// written.
    pub(super) fn union(sets: impl IntoIterator<Item = Self>) -> Self {
        let mut ranges: Vec<_> = sets.into_iter().flat_map(|set| set.0).collect();
        // All of IPv4 comes before all of IPv6, so that no range meets the other family's.
        ranges.sort_unstable();
        let mut merged: Vec<(IpAddr, IpAddr)> = Vec::with_capacity(ranges.len());
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
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|&(first, last)| first <= address && address <= last)
    }

    /// The addresses of one family.
    pub(super) fn of(&self, family: Family) -> Self {
        let ranges = self.0.iter().filter(|(first, _)| Family::of(*first) == family);
        Self(ranges.copied().collect())
    }

    /// The ranges, each with its first and its last address.
    pub(super) fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        self.0.iter().copied()
    }

    /// Whether each range is one address.
    pub(super) fn is_single(&self) -> bool {
        self.0.iter().all(|(first, last)| first == last)
    }
}

impl FromIterator<IpAddr> for Addresses {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        let mut ranges: Vec<_> = addresses.into_iter().map(|one| (one, one)).collect();
        ranges.sort_unstable();
        ranges.dedup();
        Self(ranges)
    }
}

fn bounds(block: IpNet) -> (u128, u128) {
    (number(block.network()), number(block.broadcast()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blocks(texts: &[&str]) -> Vec<IpNet> {
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
            ("10.0.0.0/24", vec!["fd00::/8"], vec!["10.0.0.0-10.0.0.255"]),
            (
                "fd00::/126",
                vec!["fd00::1/128", "10.0.0.0/8"],
                vec!["fd00::-fd00::", "fd00::2-fd00::3"],
            ),
            (
                "::/0",
                vec!["::/1", "ffff::/16"],
                vec!["8000::-fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            ),
        ] {
            let set = Addresses::block(blocks(&[block])[0], &blocks(&except));
            assert_eq!(written(&set), expected, "{block} except {except:?}");
        }
    }

    #[test]
    fn a_range_that_is_a_block_is_written_as_one() {
        for (first, last, expected) in [
            ("10.0.0.0", "10.0.0.255", Some("10.0.0.0/24")),
            ("10.0.0.7", "10.0.0.7", Some("10.0.0.7/32")),
            ("0.0.0.0", "255.255.255.255", Some("0.0.0.0/0")),
            ("10.0.0.1", "10.0.0.255", None),
            ("10.0.0.0", "10.0.0.2", None),
            ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("::/0")),
            ("fd00::4", "fd00::7", Some("fd00::4/126")),
            ("fd00::4", "fd00::8", None),
        ] {
            let (first, last) = (first.parse().expect(first), last.parse().expect(last));
            let found = as_block(first, last).map(|block| block.to_string());
            assert_eq!(found.as_deref(), expected, "{first} to {last}");
        }
    }

    proptest! {
        #[test]
        fn a_union_holds_what_one_of_its_sets_holds(
            nets in prop::collection::vec((any::<bool>(), any::<u8>(), 24_u8..=32), 0..6),
            except in (any::<bool>(), any::<u8>(), 26_u8..=32),
            probe in (any::<bool>(), any::<u8>()),
        ) {
            let address = |six: bool, last: u8| -> IpAddr {
                if six {
                    Ipv6Addr::from(0xfd00 << 112 | u128::from(last)).into()
                } else {
                    Ipv4Addr::new(10, 0, 0, last).into()
                }
            };
            let net = |(six, last, length): (bool, u8, u8)| {
                IpNet::new(address(six, last), length + if six { 96 } else { 0 }).expect("short")
            };
            let probe = address(probe.0, probe.1);
            let holds = |net: IpNet| net.contains(&probe);
            let sets = nets.iter().map(|&it| Addresses::block(net(it), &[net(except)]));
            let union = Addresses::union(sets);
            let expected = nets.iter().any(|&it| holds(net(it))) && !holds(net(except));
            prop_assert_eq!(union.contains(probe), expected);
            let families = Family::BOTH.map(|family| union.of(family));
            prop_assert_eq!(families.iter().any(|one| one.contains(probe)), expected);
            let ranges: Vec<_> = union.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0), "disjoint, in order");
        }
    }
}
