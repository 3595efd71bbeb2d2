//! The answer to a question.

use std::net::IpAddr;

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SOA},
    },
};

use super::records::{Entry, Known, Records};

/// How long answers may be kept, in seconds; as CoreDNS has it for Kubernetes.
const TTL: u32 = 5;
/// How long it may be kept that there is nothing: tests make names and ask at once.
const NEGATIVE_TTL: u32 = 1;
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
            Known::Entry(Entry::Addresses(addresses)) => {
                for address in addresses {
                    let data = match address {
                        IpAddr::V4(address) => RData::A(A(*address)),
                        IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
                    };
                    if kind == RecordType::ANY || kind == data.record_type() {
                        response.add_answer(Record::from_rdata(name.clone(), TTL, data));
                    }
                }
                break;
            }
            Known::Entry(Entry::Alias(target)) => {
                let Ok(target) = Name::from_ascii(format!("{target}.")) else { break };
                let data = RData::CNAME(CNAME(target.clone()));
                response.add_answer(Record::from_rdata(name, TTL, data));
                if kind == RecordType::CNAME {
                    break;
                }
                name = target;
            }
            Known::Domain => break,
            // The root has name servers everywhere, and asking for them is harmless.
            Known::Nothing if name.is_root() => break,
            Known::Nothing => {
                response.metadata.response_code = ResponseCode::NXDomain;
                break;
            }
        }
    }
    if response.answers.is_empty() {
        response.add_authority(authority(asked));
    }
}

/// In lower case and without the last dot.
fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_lowercase()
}

/// Says how long nothing may be kept.
fn authority(asked: &Name) -> Record {
    let cluster = Name::from_ascii("cluster.local.").unwrap_or_else(|_| Name::root());
    let zone = if cluster.zone_of(asked) { cluster } else { Name::root() };
    let server = Name::from_ascii("ns.dns.cluster.local.").unwrap_or_else(|_| Name::root());
    let mailbox = Name::from_ascii("hostmaster.cluster.local.").unwrap_or_else(|_| Name::root());
    let soa = SOA::new(server, mailbox, 1, 7200, 1800, 86_400, NEGATIVE_TTL);
    Record::from_rdata(zone, NEGATIVE_TTL, RData::SOA(soa))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::Query;

    use super::{super::records::Update, *};

    fn records() -> Records {
        let mut records = Records::default();
        for (name, entry) in [
            ("web.shop.svc.cluster.local", Entry::Addresses(vec![[10, 96, 0, 20].into()])),
            (
                "db.shop.svc.cluster.local",
                Entry::Addresses(vec![[10, 0, 0, 1].into(), [10, 0, 0, 2].into()]),
            ),
            ("empty.shop.svc.cluster.local", Entry::Addresses(Vec::new())),
            ("out.shop.svc.cluster.local", Entry::Alias("web.shop.svc.cluster.local".into())),
            ("loop.shop.svc.cluster.local", Entry::Alias("loop.shop.svc.cluster.local".into())),
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
            ("web.shop.svc.cluster.local.", RecordType::AAAA, ResponseCode::NoError, ""),
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
