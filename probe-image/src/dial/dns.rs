//! DNS questions as probes: any answer to the question is an answer, whatever it says.

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Call, Said, Saying, stream::broken, summary::summary};
use crate::wire::{Answer, Dial, DnsQuestion, Outcome, Protocol, Script, Truncated};

/// How much of a scripted datagram's answer is told, and how many records of a DNS answer.
pub const LONGEST_SHOWN: usize = 1_024;

/// A question that was put.
pub struct Asked(Message);

impl Asked {
    /// For the root's name servers, which every resolver knows.
    pub fn root() -> Self {
        Self::new(Name::root(), RecordType::NS)
    }

    /// What a script asks.
    pub fn scripted(question: &DnsQuestion) -> Result<Self, String> {
        let mut name = Name::from_str_relaxed(&question.name)
            .map_err(|error| format!("`{}` is no name: {error}", question.name))?;
        name.set_fqdn(true);
        let kind = question.kind.parse::<RecordType>();
        let kind = kind.map_err(|_| format!("`{}` is no record type", question.kind))?;
        Ok(Self::new(name, kind))
    }

    fn new(name: Name, kind: RecordType) -> Self {
        let mut message = Message::new(rand::random(), MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(name, kind));
        Self(message)
    }

    /// As it is sent in a datagram.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        self.0.to_vec().ok()
    }

    /// What a reply says, if it is one to this question.
    pub fn answer(&self, reply: &[u8]) -> Option<Answer> {
        let asked = &self.0;
        let told = Message::from_vec(reply).ok()?;
        let answers = told.metadata.id == asked.metadata.id
            && told.metadata.message_type == MessageType::Response
            && (told.queries == asked.queries || told.queries.is_empty());
        if !answers {
            return None;
        }
        let kind = asked.queries.first().map(Query::query_type);
        let of_kind = told.answers.iter().filter(|record| Some(record.record_type()) == kind);
        Some(Answer::Dns {
            code: mnemonic(told.metadata.response_code),
            records: of_kind.take(LONGEST_SHOWN).map(|record| record.data.to_string()).collect(),
            truncated: told
                .metadata
                .truncation
                .then(|| Truncated::NoTcp { message: "nobody asked".to_owned() }),
        })
    }
}

/// The same question over TCP, where the answer over UDP was cut short.
pub fn once_more(call: &Call, dial: &Dial) -> Option<Call> {
    let Outcome::Connected { answer: Answer::Dns { truncated: Some(_), .. } } = &dial.outcome
    else {
        return None;
    };
    let script = Script { dns: call.script.dns.clone(), ..Script::default() };
    (call.protocol == Protocol::Udp).then(|| Call {
        protocol: Protocol::Tcp,
        script,
        saying: Saying::Bare,
        ..call.clone()
    })
}

/// What UDP began and TCP was to bring.
pub fn made_whole(mut dial: Dial, over_tcp: Outcome) -> Dial {
    let Outcome::Connected { answer: Answer::Dns { code, records, truncated } } = &mut dial.outcome
    else {
        return dial;
    };
    *truncated = Some(match over_tcp {
        Outcome::Connected { answer: Answer::Dns { code: whole, records: all, .. } } => {
            (*code, *records) = (whole, all);
            Truncated::OverTcp
        }
        other => Truncated::NoTcp { message: what_came(&other) },
    });
    dial
}

fn what_came(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Connected { .. } => "connected, and no DNS was spoken".to_owned(),
        Outcome::Refused => "refused".to_owned(),
        Outcome::Prohibited { .. } => "prohibited".to_owned(),
        Outcome::NoRoute { message }
        | Outcome::Failed { message }
        | Outcome::Unsupported { message } => message.clone(),
        Outcome::Reset => "reset".to_owned(),
        Outcome::TimedOut => "timed out".to_owned(),
    }
}

/// The code's name in the registry of DNS parameters.
fn mnemonic(code: ResponseCode) -> String {
    match u16::from(code) {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        2 => "SERVFAIL".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        other => format!("RCODE{other}"),
    }
}

/// Asks on a connection: each message has its length before it.
pub async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    question: &DnsQuestion,
    stream: &mut S,
) -> Said {
    // What is no question was refused by `check`.
    let asked = Asked::scripted(question).ok();
    let bytes = asked.as_ref().and_then(Asked::bytes);
    let Some((asked, bytes)) = asked.zip(bytes) else {
        return Said::Answer(Answer::HandshakeOnly);
    };
    let mut reply = Vec::new();
    let exchange = async {
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
        stream.flush().await?;
        let length = stream.read_u16().await?;
        stream.take(length.into()).read_to_end(&mut reply).await
    };
    match exchange.await {
        Ok(_) => Said::Answer(asked.answer(&reply).unwrap_or_else(|| Answer::Application {
            status: None,
            summary: format!("no DNS: {}", summary(&reply)),
        })),
        Err(error) => broken(&error),
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::{RData, Record, rdata::A};

    use super::*;

    fn question() -> DnsQuestion {
        DnsQuestion { name: "api.shop.svc.cluster.local".into(), kind: "A".into() }
    }

    #[test]
    fn only_an_answer_to_the_question_is_one() {
        let asked = Asked::scripted(&question()).unwrap();
        let mut told = asked.0.clone();
        assert_eq!(asked.answer(&told.to_vec().unwrap()), None, "the question itself");
        told.metadata.message_type = MessageType::Response;
        told.metadata.response_code = ResponseCode::NXDomain;
        let answer = |code: &str, records: &[&str]| {
            let records = records.iter().map(|&record| record.to_owned()).collect();
            Some(Answer::Dns { code: code.into(), records, truncated: None })
        };
        assert_eq!(asked.answer(&told.to_vec().unwrap()), answer("NXDOMAIN", &[]));
        told.metadata.response_code = ResponseCode::NoError;
        let name = told.queries[0].name().clone();
        told.add_answer(Record::from_rdata(name, 5, RData::A(A::new(10, 0, 0, 1))));
        assert_eq!(asked.answer(&told.to_vec().unwrap()), answer("NOERROR", &["10.0.0.1"]));
        let mut other = told.clone();
        other.queries = Asked::root().0.queries;
        assert_eq!(asked.answer(&other.to_vec().unwrap()), None, "another question's");
        told.metadata.id = told.metadata.id.wrapping_add(1);
        assert_eq!(asked.answer(&told.to_vec().unwrap()), None, "another question's number");
        assert_eq!(asked.answer(b"hello"), None);
    }

    #[test]
    fn a_question_names_a_type() {
        let wrong = DnsQuestion { kind: "ADDRESS".into(), ..question() };
        assert!(Asked::scripted(&wrong).is_err());
        let wrong = DnsQuestion { name: "a..b".into(), ..question() };
        assert!(Asked::scripted(&wrong).is_err());
    }
}
