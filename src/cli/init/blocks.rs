//! What a block of addresses calls for: one address in it, and the nearest that isn't.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::{
    asking::{About, Asking, Question, on_other_ports},
    claims::{Section, To},
    people::protocol_word,
    ports::{Ports, first_port, port_of},
};
use crate::{
    cli::workloads::AskedPort,
    policy::{Direction, IpBlock, Outcome},
};

/// How many ranges are stepped over on the way to an address that a host can have.
const STEPS: usize = 64;

/// Where a block is the whole world: addresses that are kept free for documents.
const ABROAD: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
];

/// Ranges in which no host outside a cluster is, those of the sandbox's own cluster included.
const NOBODYS: [&str; 16] = [
    "0.0.0.0/8",
    "10.96.0.0/12",
    "10.244.0.0/16",
    "127.0.0.0/8",
    "169.254.1.1/32",
    "172.18.0.0/24",
    "172.18.255.0/24",
    "224.0.0.0/3",
    "::/127",
    "::ffff:0:0/96",
    "fd00:10:96::/48",
    "fd00:10:244::/48",
    "fd00:172:18::/48",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
];

impl Asking<'_> {
    /// A rule's block: an address to which it applies, and the nearest to which it doesn't.
    /// Who dials in from a block is no pod that a run could launch.
    pub(super) fn block(&mut self, section: &mut Section, about: &About<'_>, block: &IpBlock) {
        let (subject, ports) = (about.subject, about.ports);
        if about.direction == Direction::Ingress {
            let Some(port) = port_of(ports, subject) else { return };
            section.notes.push(format!(
                "it speaks of who dials from {block}, where no probe pod is launched; name a pod \
                 or a host of yours there"
            ));
            let allowed = about.outcome == Outcome::Allowed;
            section.open.push((format!("from-{}", block.cidr), subject.clone(), port, allowed));
            return;
        }
        let Some(port) = usual(ports) else {
            section.notes.push("none of its ports is one that a probe can ask here".to_owned());
            return;
        };
        let Some(inside) = address_in(block) else {
            section.notes.push(format!("no host outside the cluster can be in {block}"));
            return;
        };
        let question =
            |address: IpAddr| -> Question { (subject.clone(), To::Address(address), port) };
        self.itself(section, about, &[question(inside)]);
        let mut nearest: Vec<Question> = around(block).into_iter().map(question).collect();
        nearest.extend(on_other_ports(subject, &To::Address(inside), port));
        self.nearest(section, about, nearest);
    }
}

/// The first port of a rule for somebody who declares none.
fn usual(ports: Ports<'_>) -> Option<AskedPort> {
    let nobody = super::people::Person::nobody();
    match ports {
        None => Some(first_port(&nobody)),
        Some(_) => port_of(ports, &nobody).filter(|port| protocol_word(port.protocol).is_some()),
    }
}

/// An address of the block that a host outside the cluster can have.
fn address_in(block: &IpBlock) -> Option<IpAddr> {
    let is_world = block.cidr.prefix_len() < 8;
    let abroad = ABROAD.into_iter().find(|address| is_world && block.contains(*address));
    abroad.or_else(|| walk(&block.cidr, &block.except))
}

/// Addresses beside a block: in its exceptions, after it, before it.
fn around(block: &IpBlock) -> Vec<IpAddr> {
    let mut near: Vec<IpAddr> = block.except.iter().filter_map(|part| walk(part, &[])).collect();
    let (first, last) = (block.cidr.network(), last_of(&block.cidr));
    // The first of a range names it, and the last means all: neither is a host's.
    let two = |from: IpAddr, up: bool| step(step(from, up)?, up);
    let beside = [two(last, true), two(first, false)];
    near.extend(beside.into_iter().flatten().filter(|address| is_somebodys(*address, &[])));
    near
}

/// The first address of a block that is in no range that is to be left out.
fn walk(block: &IpNet, except: &[IpNet]) -> Option<IpAddr> {
    let mut address = if block.prefix_len() == block.max_prefix_len() {
        block.network()
    } else {
        step(block.network(), true)?
    };
    for _ in 0..STEPS {
        if !block.contains(&address) {
            return None;
        }
        let Some(range) = nobodys(address, except) else { return Some(address) };
        address = step(last_of(&range), true)?;
    }
    None
}

fn is_somebodys(address: IpAddr, except: &[IpNet]) -> bool {
    nobodys(address, except).is_none()
}

/// The range to be left out that an address lies in.
fn nobodys(address: IpAddr, except: &[IpNet]) -> Option<IpNet> {
    let known = NOBODYS.iter().filter_map(|text| text.parse::<IpNet>().ok());
    except.iter().copied().chain(known).find(|range| range.contains(&address))
}

fn last_of(block: &IpNet) -> IpAddr {
    block.broadcast()
}

/// The next address, or the one before.
fn step(address: IpAddr, up: bool) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let bits = address.to_bits();
            let next = if up { bits.checked_add(1) } else { bits.checked_sub(1) };
            next.map(|bits| Ipv4Addr::from_bits(bits).into())
        }
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            let next = if up { bits.checked_add(1) } else { bits.checked_sub(1) };
            next.map(|bits| Ipv6Addr::from_bits(bits).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(cidr: &str, except: &[&str]) -> IpBlock {
        IpBlock {
            cidr: cidr.parse().unwrap(),
            except: except.iter().map(|part| part.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn an_address_of_a_block_is_one_that_a_host_can_have() {
        for (cidr, except, expected) in [
            ("203.0.113.0/24", &[][..], Some("203.0.113.1")),
            ("203.0.113.0/24", &["203.0.113.0/25"], Some("203.0.113.128")),
            ("169.254.169.254/32", &[], Some("169.254.169.254")),
            ("0.0.0.0/0", &["10.0.0.0/8"], Some("198.51.100.10")),
            ("0.0.0.0/0", &["198.0.0.0/8"], Some("1.0.0.0")),
            ("10.96.0.0/11", &[], Some("10.112.0.0")),
            ("10.244.7.0/24", &[], None),
            ("127.0.0.0/8", &[], None),
            ("10.0.0.0/8", &["10.0.0.0/9"], Some("10.128.0.0")),
            ("::/0", &[], Some("2001:db8::10")),
            ("2001:db8:5::/48", &[], Some("2001:db8:5::1")),
            ("255.255.255.255/32", &[], None),
        ] {
            let found = address_in(&block(cidr, except)).map(|address| address.to_string());
            assert_eq!(found.as_deref(), expected, "{cidr} except {except:?}");
        }
    }

    #[test]
    fn what_is_beside_a_block_begins_with_its_exceptions() {
        for (cidr, except, expected) in [
            ("203.0.113.0/24", &[][..], &["203.0.114.1", "203.0.112.254"][..]),
            (
                "198.18.0.0/15",
                &["198.18.64.0/18"],
                &["198.18.64.1", "198.20.0.1", "198.17.255.254"],
            ),
            ("0.0.0.0/0", &["169.254.169.254/32"], &["169.254.169.254"]),
            ("0.0.0.0/0", &[], &[]),
        ] {
            let found = around(&block(cidr, except));
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, expected, "{cidr} except {except:?}");
        }
    }
}
