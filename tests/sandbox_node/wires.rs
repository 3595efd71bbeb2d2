//! What is wired can be reached, and only that.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
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
            let expected = Seen::Answer(to.to_owned(), lab.address(from));
            let tcp = lab.tcp(from, lab.address(to), 8080).await;
            let udp = lab.udp(from, lab.address(to), 8080).await;
            if (&tcp, &udp) != (&expected, &expected) {
                return Err(format!("{from} to {to}: tcp {tcp:?}, udp {udp:?}"));
            }
        }
    }
    let closed = lab.tcp("web", lab.address("db"), 7).await;
    if closed != Seen::Refused {
        return Err(format!("a closed port: {closed}"));
    }
    Ok(())
}

pub async fn a_node_reaches_its_pods_as_the_kubelet_does() -> Outcome {
    let lab = Lab::new().await?;
    for (name, port, works) in [("web", 8080, true), ("api", 7, false)] {
        let to = (lab.address(name), port).into();
        let found = lab.network.connect("one", to, Duration::from_millis(400)).await;
        if found.is_ok() != works {
            return Err(format!("node one to {name}:{port}: {found:?}"));
        }
    }
    match lab.network.connect("three", (WORLD, 80).into(), Duration::from_secs(1)).await {
        Err(error) if error.to_string().contains("three") => Ok(()),
        other => Err(format!("from a node that is not there: {other:?}")),
    }
}

pub async fn a_pod_that_is_removed_is_gone() -> Outcome {
    let lab = Lab::new().await?;
    let address = lab.address("db");
    lab.network.remove_pod(lab.pod("db")).await.map_err(chain)?;
    let gone = lab.tcp("web", address, 8080).await;
    if gone != Seen::Prohibited {
        return Err(format!("a removed pod's address: {gone}"));
    }
    let again =
        lab.network.add_pod("two", address, &PodSettings::default()).await.map_err(chain)?;
    let closed = lab.tcp("web", address, 8080).await;
    if closed != Seen::Refused {
        return Err(format!("a new pod at the same address: {closed}"));
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
    let address = Ipv4Addr::new(10, 77, 1, 99);
    let open =
        lab.network.add_pod("one", address, &PodSettings { sysctls }).await.map_err(chain)?;
    let process = Process {
        executable: "/proc/self/exe".into(),
        argv0: lab::agent_name(),
        arguments: Vec::new(),
        environment: BTreeMap::from([("POD".to_owned(), "web".to_owned())]),
        resolv_conf: "nameserver 10.96.0.10\n".to_owned(),
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
    match lab.network.add_pod("one", address, &settings).await {
        Err(error) if error.to_string().contains("kernel.hostname") => Ok(()),
        other => Err(format!("a sysctl of the host: {other:?}")),
    }
}

pub async fn fifty_pods_are_wired_quickly() -> Outcome {
    let nodes = [1_u8, 2].map(|number| NodeSpec {
        name: format!("node-{number}"),
        address: Ipv4Addr::new(192, 168, 77, number),
        pod_cidr: format!("10.77.{number}.0/24").parse().expect("a block"),
    });
    let started = Instant::now();
    let network = Network::create(&nodes).await.map_err(chain)?;
    let created = started.elapsed();
    let mut pods = tokio::task::JoinSet::new();
    for number in 0..50_u8 {
        let network = network.clone();
        pods.spawn(async move {
            let node = number % 2 + 1;
            let address = Ipv4Addr::new(10, 77, node, number + 2);
            network.add_pod(&format!("node-{node}"), address, &PodSettings::default()).await
        });
    }
    while let Some(pod) = pods.join_next().await {
        pod.map_err(text)?.map_err(chain)?;
    }
    // A figure for people; a limit would make a loaded machine fail.
    eprintln!("two nodes {created:.0?}, fifty pods {:.0?}", started.elapsed() - created);
    Ok(())
}
