//! From a question's bytes and the tables to an answer's bytes.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::{Behaviour, Question, Tables, absolute, key};

/// Aliases followed before the server gives up, as resolvers do.
const ALIASES: usize = 12;

/// The option of extended errors (RFC 8914).
const EXTENDED_ERROR: u16 = 15;

/// Bytes to send, and how.
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) delay: Duration,
    pub(super) wrong_port: bool,
    /// What goes before them, over UDP.
    pub(super) forged: Vec<Vec<u8>>,
}

/// Writes the question down and answers it; `None` where nothing shall be said.
pub(super) fn to(
    bytes: &[u8],
    from: SocketAddr,
    tcp: bool,
    tables: &Mutex<Tables>,
) -> Option<Reply> {
    let request = Message::from_vec(bytes).ok()?;
    let query = request.queries.first()?.clone();
    let mut tables = tables.lock().expect("no test panicked here");
    let name = key(&query.name().to_ascii());
    tables.log.push(Question {
        name: name.clone(),
        raw_name: query.name().to_ascii(),
        kind: query.query_type(),
        tcp,
        from,
        at: Instant::now(),
    });
    let behaviour = tables.behaviour(&name, query.query_type());
    let mut answer = tables.answer(&request, &query);
    drop(tables);

    let limit = if tcp {
        usize::from(u16::MAX)
    } else {
        usize::from(request.max_payload())
    };
    let mut reply = Reply {
        bytes: Vec::new(),
        delay: Duration::ZERO,
        wrong_port: false,
        forged: Vec::new(),
    };
    let mut flood = 0;
    match behaviour {
        None => {}
        Some(Behaviour::Drop) => return None,
        Some(Behaviour::Delay(delay)) => reply.delay = delay,
        Some(Behaviour::WrongPort) => reply.wrong_port = true,
        Some(Behaviour::WrongId) => answer.metadata.id = !answer.metadata.id,
        Some(Behaviour::NoQuestion) => answer.queries.clear(),
        Some(Behaviour::WrongName) => rename(&mut answer, absolute("wrong.invalid")),
        Some(Behaviour::WrongCase) => rename(&mut answer, other_case(query.name())),
        Some(Behaviour::Code(code)) => {
            answer = answer.truncate();
            answer.metadata.truncation = false;
            answer.metadata.response_code = code;
        }
        Some(Behaviour::Bogus(..)) if request.metadata.checking_disabled => {}
        Some(Behaviour::Bogus(error, text)) => {
            answer = answer.truncate();
            answer.metadata.truncation = false;
            answer.metadata.response_code = ResponseCode::ServFail;
            let option = [&error.to_be_bytes(), text.as_bytes()].concat();
            let mut edns = Edns::new();
            edns.options_mut()
                .insert(EdnsOption::Unknown(EXTENDED_ERROR, option));
            answer.set_edns(edns);
        }
        Some(Behaviour::Truncate) if tcp => {}
        Some(Behaviour::Truncate | Behaviour::TruncateAlways) => answer = answer.truncate(),
        Some(Behaviour::Raw(raw)) => {
            reply.bytes = [bytes.get(..2)?, &raw].concat();
            return Some(reply);
        }
        Some(Behaviour::Flood(count)) => flood = count,
        Some(Behaviour::Times(..)) => unreachable!("unwrapped by `behaviour`"),
    }
    reply.bytes = answer.to_vec().expect("an answer that can be encoded");
    if reply.bytes.len() > limit {
        reply.bytes = answer
            .truncate()
            .to_vec()
            .expect("an answer that can be encoded");
    }
    reply.forged = (1..=flood).map(|n| forge(&reply.bytes, n)).collect();
    Some(reply)
}

impl Tables {
    /// The behaviour for this question; counts down one that holds for some questions only.
    fn behaviour(&mut self, name: &str, kind: RecordType) -> Option<Behaviour> {
        let exact = self
            .behaviours
            .get_mut(&(name.to_owned(), Some(kind)))
            .and_then(take);
        exact.or_else(|| {
            self.behaviours
                .get_mut(&(name.to_owned(), None))
                .and_then(take)
        })
    }

    fn answer(&self, request: &Message, query: &Query) -> Message {
        let mut answer = Message::response(request.metadata.id, request.metadata.op_code);
        answer.metadata.recursion_desired = request.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.metadata.authentic_data = self.authentic;
        answer.metadata.authoritative = self.authoritative;
        answer.add_query(query.clone());
        let mut owner = query.name().clone();
        let asked = key(&owner.to_ascii());
        let below = |zone: &str| {
            asked
                .strip_suffix(zone)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if let Some((zone, (server, address))) = self.referrals.iter().find(|(z, _)| below(z)) {
            let ns = RData::NS(NS(absolute(server)));
            answer.metadata.authoritative = false;
            answer.add_authority(Record::from_rdata(absolute(zone), 60, ns));
            let glue = super::address_record(*address);
            answer.add_additional(Record::from_rdata(absolute(server), 60, glue));
            return answer;
        }
        for _ in 0..ALIASES {
            let name = key(&owner.to_ascii());
            let Some(records) = self.find(&name) else {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            };
            let wanted = |data: &&RData| data.record_type() == query.query_type();
            let alias = |data: &RData| match data {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            };
            let matching: Vec<_> = records.iter().filter(wanted).cloned().collect();
            if !matching.is_empty() {
                // The signatures of a set go with it to whoever asks for them.
                let dnssec_ok = request.edns.as_ref().is_some_and(|e| e.flags().dnssec_ok);
                let signature = |data: &&RData| data.record_type() == RecordType::RRSIG;
                let signatures = records.iter().filter(signature).filter(|_| dnssec_ok);
                let records = matching.into_iter().chain(signatures.cloned());
                answer.add_answers(records.map(|data| Record::from_rdata(owner.clone(), 60, data)));
                return answer;
            }
            let Some(target) = records.iter().find_map(alias) else {
                break;
            };
            let data = RData::CNAME(hickory_proto::rr::rdata::CNAME(target.clone()));
            answer.add_answer(Record::from_rdata(owner, 60, data));
            owner = target;
        }
        let name = key(&owner.to_ascii());
        let covers = |zone: &str| {
            name.strip_suffix(zone)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let zones = self.zones.iter().filter(|(zone, _)| covers(zone));
        let (zone, serial) = zones.max_by_key(|(zone, _)| zone.len()).map_or_else(
            || (owner.base_name(), 1),
            |(zone, serial)| (absolute(zone), *serial),
        );
        let soa = SOA::new(
            absolute("ns.test"),
            absolute("admin.test"),
            serial,
            60,
            60,
            60,
            60,
        );
        answer.add_authority(Record::from_rdata(zone, 60, RData::SOA(soa)));
        answer
    }

    /// The records of a name; empty for one that only has names below it; `None` for no name.
    fn find(&self, name: &str) -> Option<Vec<RData>> {
        if let Some(records) = self.records.get(name) {
            return Some(records.clone());
        }
        if let Some(records) = self.read_folder(name) {
            return Some(records);
        }
        let below = |suffix: &str, name: &str| {
            name.strip_suffix(suffix)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        let wildcard = self
            .wildcards
            .iter()
            .rev()
            .find(|(suffix, _)| below(suffix, name));
        if let Some((_, records)) = wildcard {
            return Some(records.clone());
        }
        let names = self.records.keys().chain(self.wildcards.keys());
        names
            .into_iter()
            .any(|other| other == name || below(name, other))
            .then(Vec::new)
    }
}

impl Tables {
    /// The TXT records that lie in the folder for a name.
    fn read_folder(&self, name: &str) -> Option<Vec<RData>> {
        // A question is from outside; no name leads out of the folder.
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let file = self.folder.as_ref().filter(|_| name.chars().all(plain))?;
        let text = std::fs::read_to_string(file.join(name)).ok()?;
        let record = |line: &str| RData::TXT(TXT::new(vec![line.to_owned()]));
        Some(text.lines().map(record).collect())
    }
}

/// The behaviour to show now; `None` when its times are over.
fn take(behaviour: &mut Behaviour) -> Option<Behaviour> {
    match behaviour {
        Behaviour::Times(0, _) => None,
        Behaviour::Times(left, inner) => {
            *left -= 1;
            Some((**inner).clone())
        }
        behaviour => Some(behaviour.clone()),
    }
}

/// The answer under another id, its last octet another.
fn forge(answer: &[u8], n: u16) -> Vec<u8> {
    let mut forged = answer.to_vec();
    let id = u16::from_be_bytes([answer[0], answer[1]]) ^ n;
    forged[..2].copy_from_slice(&id.to_be_bytes());
    *forged.last_mut().expect("a header") ^= 1;
    forged
}

fn rename(answer: &mut Message, name: Name) {
    for query in &mut answer.queries {
        query.set_name(name.clone());
    }
    for record in &mut answer.answers {
        record.name = name.clone();
    }
}

fn other_case(name: &Name) -> Name {
    let flip = |letter: char| match letter.is_ascii_uppercase() {
        true => letter.to_ascii_lowercase(),
        false => letter.to_ascii_uppercase(),
    };
    Name::from_ascii(name.to_ascii().chars().map(flip).collect::<String>()).expect("a DNS name")
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::super::Server;
    use super::*;

    /// An answer that must come.
    fn ask(server: &Server, name: &str, kind: RecordType) -> Option<Message> {
        ask_within(Duration::from_secs(5), server, name, kind)
    }

    fn ask_within(
        patience: Duration,
        server: &Server,
        name: &str,
        kind: RecordType,
    ) -> Option<Message> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(patience)).unwrap();
        let mut request = Message::query();
        request.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        socket
            .send_to(&request.to_vec().unwrap(), server.address())
            .unwrap();
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).ok()?;
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        Some(answer)
    }

    #[test]
    fn answers_come_from_the_table_through_aliases_and_wildcards() {
        let server = Server::local();
        server
            .add_address("a.test", [192, 0, 2, 1])
            .add_cname("alias.test", "A.test");
        server.add_wildcard("wild.test", [192, 0, 2, 2]);
        let code = |name, kind| {
            let answer = ask(&server, name, kind).unwrap();
            (answer.metadata.response_code, answer.answers.len())
        };
        assert_eq!(code("A.Test.", RecordType::A), (ResponseCode::NoError, 1));
        assert_eq!(
            code("a.test.", RecordType::AAAA),
            (ResponseCode::NoError, 0)
        );
        assert_eq!(code("test.", RecordType::A), (ResponseCode::NoError, 0));
        assert_eq!(code("b.test.", RecordType::A), (ResponseCode::NXDomain, 0));
        assert_eq!(
            code("alias.test.", RecordType::A),
            (ResponseCode::NoError, 2)
        );
        assert_eq!(
            code("any.wild.test.", RecordType::A),
            (ResponseCode::NoError, 1)
        );
        assert_eq!(server.count("a.test", RecordType::A), 1);
        assert_eq!(server.log()[0].raw_name, "A.Test.");
    }

    #[test]
    fn a_file_in_the_folder_is_a_names_txt_records_while_it_is_there() {
        let server = Server::local();
        let folder = tempfile::tempdir().unwrap();
        server
            .add_wildcard("test", [192, 0, 2, 1])
            .txt_folder(folder.path());
        let count = || {
            let answer = ask(&server, "_acme-challenge.a.test.", RecordType::TXT).unwrap();
            answer.answers.len()
        };
        assert_eq!(count(), 0);
        let file = folder.path().join("_acme-challenge.a.test");
        std::fs::write(&file, "one\ntwo\n").unwrap();
        assert_eq!(count(), 2);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(count(), 0);
    }

    #[test]
    fn misbehaviour_is_as_scripted_and_ends_when_counted_out() {
        let server = Server::local();
        server.add_address("a.test", [192, 0, 2, 1]);
        let fail = Behaviour::Code(ResponseCode::ServFail);
        server.behave("a.test", RecordType::A, Behaviour::Times(1, Box::new(fail)));
        let code = |answer: Message| answer.metadata.response_code;
        assert_eq!(
            ask(&server, "a.test.", RecordType::A).map(code),
            Some(ResponseCode::ServFail)
        );
        assert_eq!(
            ask(&server, "a.test.", RecordType::A).map(code),
            Some(ResponseCode::NoError)
        );
        server.behave("a.test", None, Behaviour::Drop);
        let soon = Duration::from_millis(300);
        assert!(ask_within(soon, &server, "a.test.", RecordType::A).is_none());
        server.behave("a.test", None, Behaviour::WrongCase);
        let answer = ask(&server, "a.test.", RecordType::A).unwrap();
        assert_eq!(answer.queries[0].name().to_ascii(), "A.TEST.");
        server.behave("a.test", None, Behaviour::Truncate);
        assert!(
            ask(&server, "a.test.", RecordType::A)
                .unwrap()
                .metadata
                .truncation
        );
    }
}
