//! Names against a name server on loopback that plays every part.

use std::{
    net::{Ipv4Addr, UdpSocket},
    thread,
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Record, rdata::A},
};
use hickory_resolver::config::NameServerConfig;

use super::*;

/// What the name server answers, and how many queries for it are lost before.
fn zone(name: &str) -> Option<(ResponseCode, Vec<Ipv4Addr>, usize)> {
    let addresses = |addresses: &[[u8; 4]]| addresses.iter().copied().map(Ipv4Addr::from).collect();
    Some(match name {
        "two.test." => {
            let twice = addresses(&[[10, 0, 0, 2], [10, 0, 0, 1], [10, 0, 0, 2]]);
            (ResponseCode::NoError, twice, 0)
        }
        "api.shop.svc.test." => (ResponseCode::NoError, addresses(&[[10, 0, 0, 3]]), 0),
        "lossy.test." => (ResponseCode::NoError, addresses(&[[10, 0, 0, 4]]), 6),
        "empty.test." => (ResponseCode::NoError, Vec::new(), 0),
        "broken.test." => (ResponseCode::ServFail, Vec::new(), 0),
        "silent.test." => return None,
        _ => (ResponseCode::NXDomain, Vec::new(), 0),
    })
}

/// Answers until the test process ends.
fn name_server() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut lost = 0;
        let mut buffer = [0; 2_048];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let asked = &query.queries[0];
            let name = asked.name().to_string();
            let Some((code, addresses, losses)) = zone(&name) else { continue };
            if lost < losses {
                lost += 1;
                continue;
            }
            let mut answer = Message::response(query.metadata.id, OpCode::Query);
            answer.metadata.response_code = code;
            answer.add_query(asked.clone());
            for address in addresses {
                let data = RData::A(A(address));
                answer.add_answer(Record::from_rdata(asked.name().clone(), 60, data));
            }
            socket.send_to(&answer.to_vec().unwrap(), peer).unwrap();
        }
    });
    port
}

async fn ask_for(name: &str) -> Resolution {
    let mut server = NameServerConfig::udp(Ipv4Addr::LOCALHOST.into());
    server.connections[0].port = name_server();
    let search = ["shop.svc.test.", "svc.test."].map(|name| name.parse().unwrap());
    let config = ResolverConfig::from_parts(None, search.to_vec(), vec![server]);
    let mut options = ResolverOpts::default();
    options.ndots = 5;
    resolve(name, (config, options)).await
}

fn resolved(addresses: &[[u8; 4]]) -> Resolution {
    let addresses = addresses.iter().map(|address| IpAddr::from(*address)).collect();
    Resolution::Resolved { addresses }
}

#[tokio::test]
async fn every_address_is_found_once_in_the_servers_order() {
    assert_eq!(ask_for("two.test").await, resolved(&[[10, 0, 0, 2], [10, 0, 0, 1]]));
}

#[tokio::test]
async fn the_search_list_comes_first_for_names_with_few_dots() {
    assert_eq!(ask_for("api").await, resolved(&[[10, 0, 0, 3]]));
    let absolute = ask_for("api.").await;
    assert_eq!(
        absolute,
        Resolution::NoSuchName { message: "api. does not exist".into() },
        "a final dot ends the search before it begins"
    );
}

#[tokio::test]
async fn lost_queries_are_asked_again() {
    assert_eq!(ask_for("lossy.test.").await, resolved(&[[10, 0, 0, 4]]));
}

#[tokio::test]
async fn a_name_without_addresses_is_a_fact() {
    for (name, message) in [
        ("absent.test", "absent.test. does not exist"),
        ("empty.test", "empty.test. has no A record"),
    ] {
        assert_eq!(ask_for(name).await, Resolution::NoSuchName { message: message.into() });
    }
}

#[tokio::test]
async fn a_resolver_that_cannot_tell_is_no_fact_about_the_name() {
    let Resolution::Failed { message } = ask_for("broken.test.").await else { panic!("broken") };
    assert!(message.starts_with("broken.test.: "), "{message}");
    let silent = ask_for("silent.test.").await;
    let message = "silent.test.: no name server answered within 3 s".into();
    assert_eq!(silent, Resolution::Failed { message });
}

#[test]
fn candidates_follow_resolv_conf() {
    let search: Vec<Name> = ["a.test.", "test."].map(|name| name.parse().unwrap()).into();
    for (name, ndots, expected) in [
        ("web", 1, "web.a.test. web.test. web."),
        ("web.shop", 5, "web.shop.a.test. web.shop.test. web.shop."),
        ("web.shop", 1, "web.shop. web.shop.a.test. web.shop.test."),
        ("web.", 5, "web."),
    ] {
        let found: Vec<_> =
            candidates(name, ndots, &search).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found.join(" "), expected, "{name} with ndots:{ndots}");
    }
    assert!(candidates("a..b", 1, &search).is_err());
}

#[test]
fn a_hosts_file_names_what_it_lists() {
    let hosts = "# 10.0.0.9 all\n127.0.0.1\tlocalhost\n10.0.0.1 one.example one # not two\n\
                 10.0.0.2\tone\n10.0.0.1 one\nfd00::1 ONE\nnonsense one\n";
    for (name, expected) in [
        ("one", &["10.0.0.1", "10.0.0.2", "fd00::1"][..]),
        ("One.Example", &["10.0.0.1"]),
        ("two", &[]),
        ("all", &[]),
        ("10.0.0.1", &[]),
    ] {
        let expected: Vec<IpAddr> =
            expected.iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(listed(hosts, name), expected, "{name}");
    }
}
