//! From a DNS question's octets to an answer's (RFC 1035), from the tables alone; pure but for the history.
//!
//! It answers as the program did whose place it takes: one step along an alias, an SOA in the authority section of every
//! answer, NOTIMP for types it has no records of, no name that does not exist, nothing cacheable.

use std::net::IpAddr;

use hickory_proto::{
    op::{Edns, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, NULL, SOA, TXT},
    },
};

use super::{
    data::{Caa, Data, Tables},
    history::{Event, Question},
};

/// Tests change what is answered from one question to the next.
const TTL: u32 = 0;

/// Octets of one string of a TXT record.
const STRING: usize = 255;

/// What is said over UDP of how much may be sent to us.
const PAYLOAD: u16 = 1232;

/// Most octets of a datagram, whatever the client would take.
const DATAGRAM: usize = 4096;

/// An answer, and how much of it its client takes over UDP.
#[derive(Debug)]
pub(super) struct Reply {
    message: Message,
    payload: usize,
}

impl Reply {
    /// For UDP: without its records, and marked so, if there are too many.
    pub(super) fn datagram(&self) -> Option<Vec<u8>> {
        let whole = self.whole()?;
        match whole.len() <= self.payload.min(DATAGRAM) {
            true => Some(whole),
            false => self.message.truncate().to_vec().ok(),
        }
    }

    /// For all else; `None` if no message can hold it.
    pub(super) fn whole(&self) -> Option<Vec<u8>> {
        self.message.to_vec().ok()
    }
}

/// Answers a question and writes it down; `None` for what is none. `user_agent` is of a question over HTTPS, else empty.
pub(super) fn answer(data: &Data, octets: &[u8], user_agent: &str) -> Option<Reply> {
    let request = Message::from_vec(octets).ok()?;
    if request.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut message = Message::response(request.metadata.id, request.metadata.op_code);
    message.metadata = Metadata::response_from_request(&request.metadata);
    message.add_queries(request.queries.iter().cloned());
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(PAYLOAD);
        message.set_edns(edns);
    }
    match (request.metadata.op_code, request.queries.as_slice()) {
        (OpCode::Query, [query]) => {
            data.asked(event(query, user_agent));
            let (code, records) = found(&data.tables(), query);
            message.metadata.response_code = code;
            message.add_answers(records);
            message.authorities.extend(authority());
        }
        (OpCode::Query, _) => message.metadata.response_code = ResponseCode::FormErr,
        _ => message.metadata.response_code = ResponseCode::NotImp,
    }
    Some(Reply {
        message,
        payload: request.max_payload().into(),
    })
}

fn event(query: &Query, user_agent: &str) -> Event {
    Event::Dns {
        question: Question {
            name: query.name().to_ascii().to_ascii_lowercase(),
            qtype: query.query_type().into(),
            qclass: query.query_class().into(),
        },
        user_agent: user_agent.to_owned(),
    }
}

/// The code and the records for a question.
fn found(tables: &Tables, query: &Query) -> (ResponseCode, Vec<Record>) {
    let asked = query.name();
    let mut name = asked.clone();
    let mut host = asked.to_ascii();
    let mut records = tables.of(&host);
    if records.servfail {
        return (ResponseCode::ServFail, Vec::new());
    }
    let mut found = Vec::new();
    if let Some(target) = records.cname.take() {
        found.extend(alias(asked, &target));
        name = absolute(&target).unwrap_or(name);
        records = tables.of(&target);
        host = target;
    }
    let data = match query.query_type() {
        RecordType::A => addresses(&records.a, &tables.default_ipv4, &host, ipv4),
        RecordType::AAAA => addresses(&records.aaaa, &tables.default_ipv6, &host, ipv6),
        RecordType::TXT => records.txt.iter().map(|text| txt(text)).collect(),
        RecordType::CAA => records.caa.iter().filter_map(caa).collect(),
        RecordType::CNAME => {
            let target = records.cname.as_deref();
            found.extend(target.and_then(|target| alias(&name, target)));
            Vec::new()
        }
        _ => return (ResponseCode::NotImp, found),
    };
    let data = data.into_iter();
    found.extend(data.map(|data| Record::from_rdata(name.clone(), TTL, data)));
    (ResponseCode::NoError, found)
}

/// The addresses of a name, else the default; a name that is an address itself has none.
fn addresses(
    own: &[String],
    default: &str,
    host: &str,
    record: fn(IpAddr) -> Option<RData>,
) -> Vec<RData> {
    let default = default.to_owned();
    let is_address = super::data::key(host).parse::<IpAddr>().is_ok();
    let texts = match own {
        [] if is_address || default.is_empty() => &[],
        [] => std::slice::from_ref(&default),
        own => own,
    };
    let texts = texts.iter().filter_map(|text| text.parse::<IpAddr>().ok());
    texts.filter_map(record).collect()
}

fn ipv4(address: IpAddr) -> Option<RData> {
    match address.to_canonical() {
        IpAddr::V4(address) => Some(RData::A(A(address))),
        IpAddr::V6(_) => None,
    }
}

fn ipv6(address: IpAddr) -> Option<RData> {
    match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(RData::AAAA(AAAA(address))),
    }
}

fn txt(text: &str) -> RData {
    RData::TXT(TXT::from_bytes(text.as_bytes().chunks(STRING).collect()))
}

/// By its octets: tests set tags that are none.
fn caa(caa: &Caa) -> Option<RData> {
    let length = u8::try_from(caa.tag.len()).ok()?;
    let octets = [&[0, length], caa.tag.as_bytes(), caa.value.as_bytes()].concat();
    Some(RData::Unknown {
        code: RecordType::CAA,
        rdata: NULL::with(octets),
    })
}

fn alias(name: &Name, target: &str) -> Option<Record> {
    let data = RData::CNAME(CNAME(absolute(target)?));
    Some(Record::from_rdata(name.clone(), TTL, data))
}

fn absolute(name: &str) -> Option<Name> {
    let mut name = Name::from_ascii(name).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Resolvers take an answer without records for one only beside an SOA (RFC 2308 §2.2).
fn authority() -> Option<Record> {
    let name = |text| absolute(text);
    let soa = SOA::new(
        name("ns.challtestsrv.invalid.")?,
        name("master.challtestsrv.invalid.")?,
        1,
        1,
        1,
        1,
        1,
    );
    let zone = name("challtestsrv.invalid.")?;
    Some(Record::from_rdata(zone, TTL, RData::SOA(soa)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(data: &Data, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        let mut request = Message::query();
        request.add_query(Query::query(absolute(name).unwrap(), kind));
        let reply = answer(data, &request.to_vec().unwrap(), "").unwrap();
        let reply = Message::from_vec(&reply.whole().unwrap()).unwrap();
        assert_eq!(reply.metadata.id, request.metadata.id);
        let answers = reply.answers.iter().map(|record| {
            let data = match &record.data {
                RData::TXT(txt) => txt.txt_data.iter().map(|s| s.len().to_string()).collect(),
                other => other.to_string(),
            };
            format!("{} {} {data}", record.name, record.record_type())
        });
        (reply.metadata.response_code, answers.collect())
    }

    #[test]
    fn answers_come_from_what_was_set_else_from_the_defaults() {
        let data = Data::default();
        let mut tables = data.tables();
        tables.change("a.test", |r| {
            r.a = vec!["192.0.2.1".into(), "no".into(), "2001:db8::1".into()];
            r.aaaa = vec!["no".into()];
            r.txt = vec!["x".repeat(300)];
            r.caa = vec![Caa {
                tag: "issue".into(),
                value: "ca.test".into(),
            }];
        });
        tables.change("alias.test", |r| r.cname = Some("A.test".into()));
        tables.change("far.test", |r| r.cname = Some("alias.test".into()));
        tables.change("broken.test", |r| {
            r.servfail = true;
            r.txt = vec!["x".into()];
        });
        drop(tables);
        let ok = ResponseCode::NoError;
        let rows: [(&str, RecordType, ResponseCode, &[&str]); 15] = [
            ("a.test", RecordType::A, ok, &["a.test. A 192.0.2.1"]),
            ("A.tesT", RecordType::A, ok, &["A.tesT. A 192.0.2.1"]),
            ("a.test", RecordType::AAAA, ok, &[]),
            ("a.test", RecordType::TXT, ok, &["a.test. TXT 25545"]),
            (
                "a.test",
                RecordType::CAA,
                ok,
                &["a.test. CAA 0 issue \"ca.test\""],
            ),
            ("b.test", RecordType::A, ok, &["b.test. A 127.0.0.1"]),
            ("b.test", RecordType::AAAA, ok, &["b.test. AAAA ::1"]),
            ("b.test", RecordType::TXT, ok, &[]),
            ("192.0.2.7", RecordType::A, ok, &[]),
            (
                "alias.test",
                RecordType::A,
                ok,
                &["alias.test. CNAME A.test.", "A.test. A 192.0.2.1"],
            ),
            (
                "alias.test",
                RecordType::CNAME,
                ok,
                &["alias.test. CNAME A.test."],
            ),
            (
                "far.test",
                RecordType::CNAME,
                ok,
                &["far.test. CNAME alias.test.", "alias.test. CNAME A.test."],
            ),
            ("broken.test", RecordType::TXT, ResponseCode::ServFail, &[]),
            ("a.test", RecordType::MX, ResponseCode::NotImp, &[]),
            (
                "alias.test",
                RecordType::MX,
                ResponseCode::NotImp,
                &["alias.test. CNAME A.test."],
            ),
        ];
        let mut wrong = Vec::new();
        for (name, kind, code, answers) in rows {
            let got = ask(&data, name, kind);
            if got != (code, answers.iter().map(ToString::to_string).collect()) {
                wrong.push(format!("{name} {kind}: {got:?}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn a_default_that_is_empty_gives_none() {
        let data = Data::new("", "");
        assert_eq!(ask(&data, "a.test", RecordType::A).1, [""; 0]);
        assert_eq!(ask(&data, "a.test", RecordType::AAAA).1, [""; 0]);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_marked_and_empty() {
        let data = Data::default();
        let texts = vec!["x".repeat(200); 4];
        data.tables().change("a.test", |r| r.txt = texts);
        let mut request = Message::query();
        request.add_query(Query::query(absolute("a.test").unwrap(), RecordType::TXT));
        let reply = answer(&data, &request.to_vec().unwrap(), "").unwrap();
        let short = Message::from_vec(&reply.datagram().unwrap()).unwrap();
        assert!(short.metadata.truncation && short.answers.is_empty());
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        request.set_edns(edns);
        let reply = answer(&data, &request.to_vec().unwrap(), "").unwrap();
        let large = Message::from_vec(&reply.datagram().unwrap()).unwrap();
        assert!(!large.metadata.truncation && large.answers.len() == 4);
        assert_eq!(large.edns.unwrap().max_payload(), PAYLOAD);
    }

    #[test]
    fn what_is_no_single_question_is_refused_or_passed_over() {
        let data = Data::default();
        let mut request = Message::query();
        let none = answer(&data, &request.to_vec().unwrap(), "").unwrap();
        let none = none.message;
        assert_eq!(none.metadata.response_code, ResponseCode::FormErr);
        request.metadata.op_code = OpCode::Update;
        let update = answer(&data, &request.to_vec().unwrap(), "").unwrap();
        assert_eq!(update.message.metadata.response_code, ResponseCode::NotImp);
        assert!(answer(&data, &none.to_vec().unwrap(), "").is_none());
        assert!(answer(&data, b"\0", "").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_octets_make_it_panic_or_give_what_cannot_be_read(octets: Vec<u8>) {
            if let Some(octets) = answer(&Data::default(), &octets, "").and_then(|r| r.datagram()) {
                proptest::prop_assert!(Message::from_vec(&octets).is_ok());
            }
        }
    }
}
