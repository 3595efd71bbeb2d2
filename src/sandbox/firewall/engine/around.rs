//! What stands around the pods: Services, nodes, hosts outside.

use std::{collections::BTreeMap, net::IpAddr};

use ipnet::IpNet;

use super::Engine;
use crate::{
    model::Labels,
    sandbox::firewall::snapshot::{HostPortEntry, NodeEntry, ServiceEntry},
};

impl Engine {
    /// All Services.
    pub fn set_services(&mut self, services: Vec<ServiceEntry>) {
        if self.services.services != services {
            self.services.services = services;
            self.base_touched = true;
        }
    }

    /// All ports of pods that are their nodes', too.
    pub fn set_host_ports(&mut self, ports: Vec<HostPortEntry>) {
        if self.services.host_ports != ports {
            self.services.host_ports = ports;
            self.base_touched = true;
        }
    }

    /// Where the nodes are, and the cluster's own ranges.
    pub fn set_ground(&mut self, nodes: BTreeMap<String, NodeEntry>, ranges: Vec<IpNet>) {
        self.services.nodes = nodes;
        self.services.ranges = ranges;
        self.base_touched = true;
    }

    /// A node is new or has other labels or addresses; none when it has gone.
    pub fn set_node(&mut self, name: &str, node: Option<(Labels, Vec<IpAddr>)>) {
        if self.around.nodes.get(name) == node.as_ref() {
            return;
        }
        match node {
            Some(node) => _ = self.around.nodes.insert(name.to_owned(), node),
            None => _ = self.around.nodes.remove(name),
        }
        self.register.look_around(&self.around);
    }

    /// A host outside the cluster is new or has other names or addresses; none when it has
    /// gone.
    pub fn set_host(&mut self, name: &str, host: Option<(Vec<String>, Vec<IpAddr>)>) {
        let plain = |name: String| name.trim_end_matches('.').to_lowercase();
        let host =
            host.map(|(names, addresses)| (names.into_iter().map(plain).collect(), addresses));
        if self.around.hosts.get(name) == host.as_ref() {
            return;
        }
        match host {
            Some(host) => _ = self.around.hosts.insert(name.to_owned(), host),
            None => _ = self.around.hosts.remove(name),
        }
        self.register.look_around(&self.around);
    }
}
