//! Blocks of addresses.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;
use serde_json::Value;

use super::fields::{Findings, Origin};

/// `ipBlock`: a block of addresses without some of its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpBlock {
    /// The block, its host bits cleared.
    pub cidr: IpNet,
    /// What is taken out of this block; it denies nothing by itself.
    pub except: Vec<IpNet>,
}

impl IpBlock {
    /// True where an address is in the block and in none of the exceptions.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(&address) && !self.except.iter().any(|part| part.contains(&address))
    }
}

impl fmt::Display for IpBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.cidr)?;
        for (index, part) in self.except.iter().enumerate() {
            write!(f, "{}{part}", if index == 0 { " except " } else { ", " })?;
        }
        Ok(())
    }
}

/// Reads an `ipBlock`.
pub(super) fn read(findings: &mut Findings, path: &str, value: &Value) -> Option<IpBlock> {
    let mut object = findings.object(path, value);
    let (cidr, except) = (object.field("cidr"), object.field("except"));
    let (at_cidr, at_except) = (object.at("cidr"), object.at("except"));
    let broken = object.broken;
    object.finish(findings);
    if broken {
        return None;
    }
    let outer = match cidr {
        None => {
            findings.required(&at_cidr, "");
            None
        }
        Some(Value::String(text)) if text.is_empty() => {
            findings.required(&at_cidr, "");
            None
        }
        Some(value) => read_cidr(findings, &at_cidr, value),
    };
    let items = except.map_or(&[][..], |items| findings.list(&at_except, items));
    let mut parts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let path = format!("{at_except}[{index}]");
        let Some(inner) = read_cidr(findings, &path, item) else { continue };
        let strict = outer
            .is_none_or(|outer| outer.contains(&inner) && inner.prefix_len() > outer.prefix_len());
        if !strict {
            findings.invalid(&path, item, "must be a strict subset of `cidr`");
        }
        parts.push(inner);
    }
    Some(IpBlock { cidr: outer?, except: parts })
}

/// Reads a block. Host bits are refused since 1.36, and tolerated where they are stored.
pub(super) fn read_cidr(findings: &mut Findings, path: &str, value: &Value) -> Option<IpNet> {
    let text = findings.text(path, value)?;
    let Ok(block) = text.parse::<IpNet>() else {
        let message = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        findings.invalid(path, value, message);
        return None;
    };
    let mapped = matches!(block.addr(), IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    if findings.origin == Origin::Manifest && mapped {
        findings.invalid(path, value, "must not be an IPv4-mapped IPv6 address");
        return None;
    }
    let network = block.trunc();
    if findings.origin == Origin::Manifest && block.addr() != network.addr() {
        let message =
            format!("must not have bits set beyond the prefix length (should be \"{network}\")");
        findings.invalid(path, value, &message);
        return None;
    }
    Some(unmapped(network))
}

/// `::ffff:10.0.0.0/104` means `10.0.0.0/8`: the API server's own library reads it so.
fn unmapped(block: IpNet) -> IpNet {
    let IpNet::V6(inner) = block else { return block };
    match (inner.addr().to_ipv4_mapped(), inner.prefix_len().checked_sub(96)) {
        (Some(address), Some(length)) => {
            ipnet::Ipv4Net::new(address, length).map_or(block, IpNet::V4)
        }
        _ => block,
    }
}

/// The addresses of some blocks without others, as ranges that are in order and apart.
pub(super) fn ranges(block: &IpBlock) -> Vec<(u128, u128)> {
    let mut parts: Vec<(u128, u128)> = block
        .except
        .iter()
        .filter(|part| part.network().is_ipv4() == block.cidr.network().is_ipv4())
        .map(range)
        .collect();
    parts.sort_unstable();
    let (mut first, last) = range(&block.cidr);
    let mut found = Vec::new();
    for (from, to) in parts {
        if from > first {
            found.push((first, (from - 1).min(last)));
        }
        match to.checked_add(1) {
            Some(next) => first = first.max(next),
            None => return found,
        }
        if first > last {
            return found;
        }
    }
    found.push((first, last));
    found
}

/// The first and the last address of a block, as numbers.
pub(super) fn range(block: &IpNet) -> (u128, u128) {
    (number(block.network()), number(block.broadcast()))
}

/// An address as a number within its family.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(cidr: &str, except: &[&str]) -> IpBlock {
        let parse = |text: &&str| text.parse().expect("a block");
        IpBlock { cidr: parse(&cidr), except: except.iter().map(parse).collect() }
    }

    #[test]
    fn ranges_hold_what_the_block_holds() {
        for (block, expected) in [
            (block("10.0.0.0/30", &[]), vec![(0, 3)]),
            (block("10.0.0.0/30", &["10.0.0.0/31", "10.0.0.2/31"]), vec![]),
            (block("10.0.0.0/30", &["10.0.0.2/31", "10.0.0.1/32"]), vec![(0, 0)]),
            (block("10.0.0.0/29", &["10.0.0.2/32", "10.0.0.2/31"]), vec![(0, 1), (4, 7)]),
        ] {
            let base = u128::from(std::net::Ipv4Addr::new(10, 0, 0, 0).to_bits());
            let found: Vec<_> = ranges(&block)
                .into_iter()
                .map(|(first, last)| (first - base, last - base))
                .collect();
            assert_eq!(found, expected, "{block}");
        }
        let all = u128::MAX;
        assert_eq!(ranges(&block("::/0", &[])), [(0, all)], "all of IPv6");
        assert_eq!(ranges(&block("::/0", &["10.0.0.0/8"])), [(0, all)], "of the other family");
        assert_eq!(ranges(&block("::/0", &["8000::/1"])), [(0, all >> 1)], "the lower half");
        assert_eq!(ranges(&block("::/0", &["::/1", "8000::/1"])), [], "both halves taken out");
    }
}
