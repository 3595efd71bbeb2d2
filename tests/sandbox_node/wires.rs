//! What is wired can be reached, and only that.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use netproof::sandbox::node::{Network, NodeSpec, PodSettings, Process, Stream};

use crate::{
    lab::{self, Lab, Seen, WORLD},
    scenario::{Outcome, chain, text},
};

pub async fn everything_is_routed_to_everything() -> Outcome {
    let lab = Lab::new().await?;
    let ends = ["web", "api", "db", "job", "guest", "world", "one", "two"];
    for from in ends {
        for to in ends.into_iter().filter(|to| *to != from) {
            for (source, target) in lab.addresses(from).iter().zip(lab.addresses(to)) {
                let expected = Seen::Answer(to.to_owned(), *source);
                let tcp = lab.tcp(from, *target, 8080).await;
                let udp = lab.udp(from, *target, 8080).await;
                if (&tcp, &udp) != (&expected, &expected) {
                    return Err(format!("{from} to {to} {target}: tcp {tcp:?}, udp {udp:?}"));
                }
            }
        }
    }
    for address in lab.addresses("db") {
        let closed = lab.tcp("web", *address, 7).await;
        if closed != Seen::Refused {
            return Err(format!("a closed port of {address}: {closed}"));
        }
    }
    Ok(())
}

pub async fn a_node_reaches_its_pods_as_the_kubelet_does() -> Outcome {
    let lab = Lab::new().await?;
    for (name, port, works) in [("web", 8080, true), ("api", 7, false)] {
        for address in lab.addresses(name) {
            let to = (*address, port).into();
            let found = lab.network.connect("one", to, Duration::from_millis(400)).await;
            if found.is_ok() != works {
                return Err(format!("node one to {name} {to}: {found:?}"));
            }
        }
    }
    match lab.network.connect("three", (WORLD, 80).into(), Duration::from_secs(1)).await {
        Err(error) if error.to_string().contains("three") => Ok(()),
        other => Err(format!("from a node that is not there: {other:?}")),
    }
}

pub async fn a_pod_that_is_removed_is_gone() -> Outcome {
    let lab = Lab::new().await?;
    let addresses = lab.addresses("db");
    lab.network.remove_pod(lab.pod("db")).await.map_err(chain)?;
    for address in addresses {
        let gone = lab.tcp("web", *address, 8080).await;
        let unreachable = gone == Seen::Prohibited
            || matches!(&gone, Seen::Other(error) if error.contains("unreachable"));
        if !unreachable {
            return Err(format!("a removed pod's {address}: {gone}"));
        }
    }
    let settings = PodSettings::default();
    let again = lab.network.add_pod("two", addresses, &settings).await.map_err(chain)?;
    for address in addresses {
        let closed = lab.tcp("web", *address, 8080).await;
        if closed != Seen::Refused {
            return Err(format!("a new pod at the same {address}: {closed}"));
        }
    }
    lab.network.remove_pod(&again).await.map_err(chain)
}

pub async fn a_program_runs_confined() -> Outcome {
    let lab = Lab::new().await?;
    let sysctls = BTreeMap::from(
        [
            ("net.ipv4.ip_unprivileged_port_start", "0"),
            ("net.ipv4.ping_group_range", "0 2147483647"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let addresses = [Ipv4Addr::new(10, 77, 1, 99).into(), lab::v6(1, 99)];
    let open =
        lab.network.add_pod("one", &addresses, &PodSettings { sysctls }).await.map_err(chain)?;
    let process = Process {
        executable: "/proc/self/exe".into(),
        argv0: lab::agent_name(),
        arguments: Vec::new(),
        environment: BTreeMap::from([("POD".to_owned(), "web".to_owned())]),
        resolv_conf: "nameserver 10.96.0.10\n".to_owned(),
        hosts: String::new(),
        stdin: Stream::Null,
        stdout: Stream::Piped,
        stderr: Stream::Inherited,
    };
    for (pod, port) in [(lab.pod("web"), "Err(PermissionDenied)"), (&open, "Ok(())")] {
        let child = pod.spawn(&process).map_err(text)?;
        let output = child.wait_with_output().await.map_err(text)?;
        let found = String::from_utf8_lossy(&output.stdout).into_owned();
        let zero = "0000000000000000";
        let expected = format!(
            "CapInh:\t{zero}\nCapPrm:\t{zero}\nCapEff:\t{zero}\nCapBnd:\t{zero}\nCapAmb:\t{zero}\n\
             NoNewPrivs:\t1\nnameserver 10.96.0.10\n[(\"POD\", \"web\")]\n{port}\n"
        );
        if found != expected {
            return Err(format!("{pod:?}: {found}"));
        }
    }
    let settings =
        PodSettings { sysctls: BTreeMap::from([("kernel.hostname".to_owned(), "x".to_owned())]) };
    match lab.network.add_pod("one", &addresses, &settings).await {
        Err(error) if error.to_string().contains("kernel.hostname") => Ok(()),
        other => Err(format!("a sysctl of the host: {other:?}")),
    }
}

pub async fn fifty_pods_are_wired_quickly() -> Outcome {
    let nodes = [1_u8, 2].map(|number| NodeSpec {
        name: format!("node-{number}"),
        addresses: vec![
            Ipv4Addr::new(192, 168, 77, number).into(),
            Ipv6Addr::new(0xfd77, 0x168, 0, 0, 0, 0, 0, number.into()).into(),
        ],
        pod_cidrs: vec![
            format!("10.77.{number}.0/24").parse().expect("a block"),
            format!("fd77:10:77:{number}::/64").parse().expect("a block"),
        ],
    });
    let started = Instant::now();
    let network = Network::create(&nodes).await.map_err(chain)?;
    let created = started.elapsed();
    for both in [false, true] {
        let started = Instant::now();
        let mut pods = tokio::task::JoinSet::new();
        for number in 0..50_u8 {
            let network = network.clone();
            pods.spawn(async move {
                let (node, last) = (number % 2 + 1, number + 2 + 100 * u8::from(both));
                let addresses = [Ipv4Addr::new(10, 77, node, last).into(), lab::v6(node, last)];
                let addresses = &addresses[..if both { 2 } else { 1 }];
                let settings = PodSettings::default();
                network.add_pod(&format!("node-{node}"), addresses, &settings).await
            });
        }
        while let Some(pod) = pods.join_next().await {
            pod.map_err(text)?.map_err(chain)?;
        }
        // A figure for people; a limit would make a loaded machine fail.
        let families = if both { 2 } else { 1 };
        let took = started.elapsed();
        eprintln!("two nodes {created:.0?}, fifty pods of {families} families {took:.0?}");
    }
    Ok(())
}
