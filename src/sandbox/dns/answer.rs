//! The answer to a question.

use std::net::IpAddr;

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NS, PTR, SOA, SRV, TXT},
    },
};

use super::records::{Entry, Known, Records};
use crate::sandbox::layout;

/// How long answers may be kept, in seconds; as CoreDNS has it for Kubernetes.
const TTL: u32 = 5;
/// How long it may be kept that there is nothing.
const NEGATIVE_TTL: u32 = 5;
/// The server's own name.
const SERVER: &str = "ns.dns.cluster.local.";
/// How many aliases are followed.
const ALIASES: usize = 8;

/// Answers a request. `None` for what is no request at all.
pub(super) fn answer(records: &Records, request: &[u8]) -> Option<Message> {
    let request = Message::from_vec(request).ok()?;
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let id = request.metadata.id;
    if request.metadata.op_code != OpCode::Query {
        let op_code = request.metadata.op_code;
        return Some(Message::error_msg(id, op_code, ResponseCode::NotImp));
    }
    let [query] = request.queries.as_slice() else {
        return Some(Message::error_msg(id, OpCode::Query, ResponseCode::FormErr));
    };
    let mut response = Message::response(id, OpCode::Query);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative = true;
    response.add_query(query.clone());
    if request.edns.is_some() {
        response.set_edns(Edns::new());
    }
    if query.query_class() != DNSClass::IN && query.query_class() != DNSClass::ANY {
        response.metadata.response_code = ResponseCode::Refused;
        return Some(response);
    }
    fill(&mut response, records, query.name(), query.query_type());
    Some(response)
}

fn fill(response: &mut Message, records: &Records, asked: &Name, kind: RecordType) {
    let mut name = asked.clone();
    for _ in 0..ALIASES {
        match records.find(&plain(&name)) {
            Known::Entry(Entry { alias: Some(target), .. }) => {
                let Ok(target) = Name::from_ascii(format!("{target}.")) else { break };
                let data = RData::CNAME(CNAME(target.clone()));
                response.add_answer(Record::from_rdata(name, TTL, data));
                if kind == RecordType::CNAME {
                    break;
                }
                name = target;
            }
            Known::Entry(entry) => {
                stands_for(response, records, &name, entry, kind);
                break;
            }
            Known::Pod(address) => {
                addresses(response, &name, [&address], kind);
                break;
            }
            Known::Domain => {
                if plain(&name) == layout::CLUSTER_DOMAIN {
                    apex(response, records, &name, kind);
                }
                break;
            }
            // The root has name servers everywhere, and asking for them is harmless.
            Known::Nothing if name.is_root() => break,
            Known::Nothing => {
                response.metadata.response_code = ResponseCode::NXDomain;
                break;
            }
        }
    }
    if response.answers.is_empty() {
        let (zone, soa) = authority(asked);
        response.add_authority(Record::from_rdata(zone, NEGATIVE_TTL, soa));
    }
}

/// What the cluster's own domain says of itself.
fn apex(response: &mut Message, records: &Records, name: &Name, kind: RecordType) {
    if kind == RecordType::SOA {
        let (zone, soa) = authority(name);
        response.add_answer(Record::from_rdata(zone, TTL, soa));
    } else if kind == RecordType::NS
        && let Ok(server) = Name::from_ascii(SERVER)
    {
        let data = RData::NS(NS(server.clone()));
        response.add_answer(Record::from_rdata(name.clone(), TTL, data));
        if let Known::Entry(entry) = records.find(&plain(&server)) {
            let more = entry.addresses.iter().map(|address| of_address(&server, *address));
            response.add_additionals(more);
        }
    }
}

fn stands_for(
    response: &mut Message,
    records: &Records,
    name: &Name,
    entry: &Entry,
    kind: RecordType,
) {
    addresses(response, name, &entry.addresses, kind);
    if matches!(kind, RecordType::SRV | RecordType::ANY) {
        // As CoreDNS shares a hundred among them.
        let weight = 100 / u16::try_from(entry.services.len().max(1)).unwrap_or(u16::MAX);
        for service in &entry.services {
            let Ok(host) = Name::from_ascii(format!("{}.", service.host)) else { continue };
            let data = RData::SRV(SRV::new(0, weight, service.port, host.clone()));
            response.add_answer(Record::from_rdata(name.clone(), TTL, data));
            if let Known::Entry(entry) = records.find(&service.host) {
                let more = entry.addresses.iter().map(|address| of_address(&host, *address));
                response.add_additionals(more);
            }
        }
    }
    if matches!(kind, RecordType::PTR | RecordType::ANY) {
        for pointer in &entry.pointers {
            let Ok(pointer) = Name::from_ascii(format!("{pointer}.")) else { continue };
            response.add_answer(Record::from_rdata(name.clone(), TTL, RData::PTR(PTR(pointer))));
        }
    }
    if let (RecordType::TXT | RecordType::ANY, Some(text)) = (kind, &entry.text) {
        let data = RData::TXT(TXT::new(vec![text.clone()]));
        response.add_answer(Record::from_rdata(name.clone(), TTL, data));
    }
}

fn addresses<'a>(
    response: &mut Message,
    name: &Name,
    addresses: impl IntoIterator<Item = &'a IpAddr>,
    kind: RecordType,
) {
    for address in addresses {
        let record = of_address(name, *address);
        if kind == RecordType::ANY || kind == record.record_type() {
            response.add_answer(record);
        }
    }
}

fn of_address(name: &Name, address: IpAddr) -> Record {
    let data = match address {
        IpAddr::V4(address) => RData::A(A(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    };
    Record::from_rdata(name.clone(), TTL, data)
}

/// In lower case and without the last dot.
fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}

/// The zone of a name, and what says how long nothing may be kept.
fn authority(asked: &Name) -> (Name, RData) {
    let named = |text: &str| Name::from_ascii(text).unwrap_or_else(|_| Name::root());
    let cluster = named("cluster.local.");
    let zone = if cluster.zone_of(asked) { cluster } else { Name::root() };
    let mailbox = named("hostmaster.cluster.local.");
    let soa = SOA::new(named(SERVER), mailbox, 1, 7200, 1800, 86_400, NEGATIVE_TTL);
    (zone, RData::SOA(soa))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::{
        super::records::{Service, Update},
        *,
    };

    fn at(addresses: &[&str]) -> Entry {
        let addresses = addresses.iter().map(|text| text.parse().expect(text)).collect();
        Entry { addresses, ..Entry::default() }
    }

    fn alias(name: &str) -> Entry {
        Entry { alias: Some(name.to_owned()), ..Entry::default() }
    }

    fn records() -> Records {
        let mut records = Records::default();
        let http = Service { host: "web.shop.svc.cluster.local".into(), port: 80 };
        let web = Entry { services: [http].into(), ..at(&["10.96.0.20", "fd96::20"]) };
        let pointer = Entry {
            pointers: ["web.shop.svc.cluster.local".to_owned()].into(),
            ..Entry::default()
        };
        for (name, entry) in [
            ("web.shop.svc.cluster.local", at(&["10.96.0.20", "fd96::20"])),
            ("_http._tcp.web.shop.svc.cluster.local", web),
            ("20.0.96.10.in-addr.arpa", pointer),
            ("db.shop.svc.cluster.local", at(&["10.0.0.1", "10.0.0.2"])),
            ("empty.shop.svc.cluster.local", Entry::default()),
            ("out.shop.svc.cluster.local", alias("web.shop.svc.cluster.local")),
            ("far.shop.svc.cluster.local", alias("www.example.org")),
            ("loop.shop.svc.cluster.local", alias("loop.shop.svc.cluster.local")),
            ("shop.pod.cluster.local", Entry { pods: true, ..Entry::default() }),
            ("ns.dns.cluster.local", at(&["10.96.0.10"])),
        ] {
            records.update(Update { name: name.into(), entry: Some(entry) });
        }
        records
    }

    fn ask(name: &str, kind: RecordType) -> Message {
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        let request = request.to_vec().expect("bytes");
        answer(&records(), &request).expect("an answer")
    }

    #[test]
    fn questions_are_answered() {
        for (name, kind, code, expected) in [
            ("web.shop.svc.cluster.local.", RecordType::A, ResponseCode::NoError, "10.96.0.20"),
            ("WEB.Shop.svc.cluster.local.", RecordType::A, ResponseCode::NoError, "10.96.0.20"),
            ("web.shop.svc.cluster.local.", RecordType::AAAA, ResponseCode::NoError, "fd96::20"),
            ("db.shop.svc.cluster.local.", RecordType::AAAA, ResponseCode::NoError, ""),
            (
                "_http._tcp.web.shop.svc.cluster.local.",
                RecordType::SRV,
                ResponseCode::NoError,
                "0 100 80 web.shop.svc.cluster.local.",
            ),
            ("_x._tcp.web.shop.svc.cluster.local.", RecordType::SRV, ResponseCode::NXDomain, ""),
            (
                "20.0.96.10.in-addr.arpa.",
                RecordType::PTR,
                ResponseCode::NoError,
                "web.shop.svc.cluster.local.",
            ),
            ("21.0.96.10.in-addr.arpa.", RecordType::PTR, ResponseCode::NXDomain, ""),
            ("10-0-0-9.shop.pod.cluster.local.", RecordType::A, ResponseCode::NoError, "10.0.0.9"),
            ("10-0-0-9.shop.pod.cluster.local.", RecordType::AAAA, ResponseCode::NoError, ""),
            ("cluster.local.", RecordType::NS, ResponseCode::NoError, "ns.dns.cluster.local."),
            (
                "far.shop.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NXDomain,
                "www.example.org.",
            ),
            (
                "db.shop.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NoError,
                "10.0.0.1 10.0.0.2",
            ),
            ("empty.shop.svc.cluster.local.", RecordType::A, ResponseCode::NoError, ""),
            ("shop.svc.cluster.local.", RecordType::A, ResponseCode::NoError, ""),
            ("none.shop.svc.cluster.local.", RecordType::A, ResponseCode::NXDomain, ""),
            (
                "web.shop.svc.cluster.local.shop.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NXDomain,
                "",
            ),
            ("example.com.", RecordType::A, ResponseCode::NXDomain, ""),
            (".", RecordType::NS, ResponseCode::NoError, ""),
            (
                "out.shop.svc.cluster.local.",
                RecordType::A,
                ResponseCode::NoError,
                "web.shop.svc.cluster.local. 10.96.0.20",
            ),
        ] {
            let response = ask(name, kind);
            let found: Vec<_> =
                response.answers.iter().map(|record| record.data.to_string()).collect();
            assert_eq!(response.metadata.response_code, code, "{name} {kind}");
            assert_eq!(found.join(" "), expected, "{name} {kind}");
            assert_eq!(response.authorities.len(), usize::from(expected.is_empty()), "{name}");
        }
    }

    #[test]
    fn an_alias_of_itself_ends() {
        let response = ask("loop.shop.svc.cluster.local.", RecordType::A);
        assert_eq!(response.answers.len(), ALIASES);
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        assert!(answer(&records(), b"nonsense").is_none());
        let response = ask("web.shop.svc.cluster.local.", RecordType::A).to_vec().expect("bytes");
        assert!(answer(&records(), &response).is_none(), "an answer is no question");
    }
}
