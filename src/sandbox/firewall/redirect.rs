//! What a service mesh does to a pod: all of its TCP goes through a proxy inside it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    addresses::{Addresses, Family},
    ruleset::{Action, Base, Chain, Elements, Match, Rule, Ruleset, Set},
};
use crate::model::Transport;

/// How a pod's connections are led to the proxy in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// The pod's own addresses.
    pub own: Vec<IpAddr>,
    /// The proxy's ports for what comes and for what goes.
    pub inbound: u16,
    /// See `inbound`.
    pub outbound: u16,
    /// The priority of the proxy's own sockets.
    pub priority: u32,
    /// The only ports to which connections are led to the proxy as they come; all, if none
    /// is given.
    pub only_inbound: Option<Vec<u16>>,
    /// Ports to which they are not.
    pub except_inbound: Vec<u16>,
    /// Ports to which connections go out without the proxy.
    pub except_outbound: Vec<u16>,
    /// Addresses to which they do.
    pub except_networks: Vec<IpNet>,
}

impl Ruleset {
    /// The rules of a pod whose connections are led through a proxy.
    pub(in crate::sandbox) fn redirect(to: &Redirect) -> Self {
        let tcp = || Match::Transport(Transport::Tcp);
        let port = |number: u16| [tcp(), Match::Port((number..=number).into())];
        let pass = |matches: &[Match], why: &str| {
            Rule::new(matches.to_vec(), Action::Accept).because(why.to_owned())
        };
        let (mut sets, mut coming, mut going) = (Vec::new(), Vec::new(), Vec::new());
        coming.extend(to.except_inbound.iter().map(|number| pass(&port(*number), "excluded")));
        going.push(pass(&[Match::Priority(to.priority)], "the proxy's own"));
        going.push(pass(&[Match::Leaves("lo".to_owned())], "to the pod itself"));
        going.extend(to.except_outbound.iter().map(|number| pass(&port(*number), "excluded")));
        for family in Family::BOTH {
            let Some(own) = to.own.iter().copied().find(|own| Family::of(*own) == family) else {
                continue;
            };
            let suffix = if family == Family::V6 { "-6" } else { "" };
            let set = format!("own{suffix}");
            let elements = Elements::Addresses([own].into_iter().collect());
            sets.push(Set { name: set.clone(), family, elements });
            let blocks = to.except_networks.iter().map(|block| Addresses::block(*block, &[]));
            let networks = Addresses::union(blocks).of(family);
            if !networks.is_empty() {
                let name = format!("excluded{suffix}");
                going.push(pass(&[Match::DestinationIn(family, name.clone())], "excluded"));
                sets.push(Set { name, family, elements: Elements::Addresses(networks) });
            }
            let comes = Match::DestinationIn(family, set.clone());
            let lead = |port: u16| Action::Translate(vec![(own, port)]);
            let ports = match &to.only_inbound {
                None => vec![None],
                Some(ports) => ports.iter().copied().map(Some).collect(),
            };
            for only in ports {
                let mut matches = vec![comes.clone(), tcp()];
                matches.extend(only.map(|number| Match::Port((number..=number).into())));
                coming.push(Rule::new(matches, lead(to.inbound)).because("to the proxy"));
            }
            let goes = [Match::DestinationNotIn(family, set), tcp()];
            going.push(Rule::new(goes, lead(to.outbound)).because("to the proxy"));
        }
        let base =
            |name: &str, base, rules| Chain { name: name.to_owned(), base: Some(base), rules };
        let chains = vec![
            base("prerouting", Base::NatPrerouting, coming),
            base("nat-output", Base::NatOutput, going),
        ];
        Self { sets, chains }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn all_but_what_is_excluded_goes_through_the_proxy() {
        let redirect = Redirect {
            own: ["10.0.1.7", "fd00::7"].map(|own| own.parse().expect(own)).into(),
            inbound: 15_006,
            outbound: 15_001,
            priority: 6,
            only_inbound: None,
            except_inbound: vec![15_090, 22],
            except_outbound: vec![3306],
            except_networks: vec!["192.0.2.0/24".parse().expect("a block")],
        };
        assert_snapshot!(Ruleset::redirect(&redirect).to_nft());
    }
}
