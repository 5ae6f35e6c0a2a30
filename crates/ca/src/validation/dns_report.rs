//! What a DNS server said, as evidence for a text: read leniently, bounded, and never decided upon. Pure, and a fuzz
//! target.

use std::net::IpAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::dns_message::dotted;
use super::dns_question::{Belongs, Question, u16_at};

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// The response code, the extended part with it.
    pub(super) code: u16,
    /// The AA bit.
    pub(super) authoritative: bool,
    /// The TC bit.
    pub(super) truncated: bool,
    /// Extended errors (RFC 8914): code, and the server's own text.
    pub(super) errors: Vec<(u16, Vec<u8>)>,
    pub(super) answers: Vec<Item>,
    pub(super) authorities: Vec<Item>,
    pub(super) additionals: Vec<Item>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// Lower case, no trailing dot.
    pub(super) owner: String,
    pub(super) ttl: u32,
    pub(super) fact: Fact,
}

/// What it holds, as far as a text needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Address(IpAddr),
    Alias(String),
    NameServer(String),
    Start {
        serial: u32,
    },
    Text(Vec<u8>),
    /// DS: the tag of the key that the parent vouches for.
    Delegated(u16),
    /// DNSKEY: its tag.
    Key(u16),
    /// RRSIG: when it ends, in seconds of the epoch modulo 2^32, and which key made it.
    Signature {
        until: u32,
        key: u16,
    },
    Other(RecordType),
}

impl Report {
    /// Reads the bytes that came back for a question; `None` if they cannot be an answer to it.
    pub(super) fn read(question: &Question, bytes: &[u8]) -> Option<Self> {
        if !matches!(question.belongs(bytes), Belongs::Yes | Belongs::OtherCase) {
            return None;
        }
        let message = Message::from_vec(bytes).ok()?;
        let options = message.edns.iter().flat_map(|e| e.options().as_ref());
        let errors = options.filter_map(|(_, option)| match option {
            EdnsOption::Unknown(EXTENDED_ERROR, data) => {
                Some((u16_at(data, 0)?, data.get(2..)?.to_vec()))
            }
            _ => None,
        });
        Some(Self {
            code: message.metadata.response_code.into(),
            authoritative: message.metadata.authoritative,
            truncated: message.metadata.truncation,
            errors: errors.take(FEW).collect(),
            answers: items(&message.answers),
            authorities: items(&message.authorities),
            additionals: items(&message.additionals),
        })
    }

    /// Whether it speaks about the name, be it to say that it is not there.
    pub(super) fn is_statement(&self) -> bool {
        self.code == NO_ERROR || self.code == NX_DOMAIN
    }

    /// Zone and serial, if an SOA record is in it for a zone above the name or at it.
    pub(super) fn zone(&self) -> Option<(&str, u32)> {
        let all = self.answers.iter().chain(&self.authorities);
        all.filter_map(|item| match item.fact {
            Fact::Start { serial } => Some((item.owner.as_str(), serial)),
            _ => None,
        })
        .next()
    }

    /// Whether a record of the kind is there.
    pub(super) fn has(&self, kind: RecordType) -> bool {
        self.answers.iter().any(|item| match &item.fact {
            Fact::Address(address) => {
                kind == if address.is_ipv4() {
                    RecordType::A
                } else {
                    RecordType::AAAA
                }
            }
            Fact::NameServer(_) => kind == RecordType::NS,
            Fact::Text(_) => kind == RecordType::TXT,
            Fact::Other(other) => *other == kind,
            _ => false,
        })
    }

    pub(super) fn texts(&self) -> impl Iterator<Item = (&[u8], u32)> {
        self.answers.iter().filter_map(|item| match &item.fact {
            Fact::Text(text) => Some((text.as_slice(), item.ttl)),
            _ => None,
        })
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.answers.iter().filter_map(|item| match item.fact {
            Fact::Address(address) => Some(address),
            _ => None,
        })
    }

    /// The target of the CNAME record at a name.
    pub(super) fn alias_of(&self, name: &str) -> Option<&str> {
        self.answers.iter().find_map(|item| match &item.fact {
            Fact::Alias(target) if item.owner == name => Some(target.as_str()),
            _ => None,
        })
    }
}

fn items(records: &[Record]) -> Vec<Item> {
    let of_the_internet = records.iter().filter(|r| r.dns_class == DNSClass::IN);
    of_the_internet
        .take(MANY)
        .map(|record| Item {
            owner: dotted(&record.name),
            ttl: record.ttl,
            fact: fact(&record.data),
        })
        .collect()
}

fn fact(data: &RData) -> Fact {
    match data {
        RData::A(a) => Fact::Address(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Fact::Address(IpAddr::V6(aaaa.0)),
        RData::CNAME(target) => Fact::Alias(dotted(&target.0)),
        RData::NS(server) => Fact::NameServer(dotted(&server.0)),
        RData::SOA(start) => Fact::Start {
            serial: start.serial,
        },
        RData::TXT(txt) => Fact::Text(txt.txt_data.concat()),
        RData::Unknown { code, rdata } => {
            of_dnssec(*code, &rdata.anything).unwrap_or(Fact::Other(*code))
        }
        other => Fact::Other(other.record_type()),
    }
}

/// DS, DNSKEY and RRSIG (RFC 4034), which the DNS library reads only with a validator of its own.
fn of_dnssec(kind: RecordType, octets: &[u8]) -> Option<Fact> {
    match kind {
        RecordType::DS => Some(Fact::Delegated(u16_at(octets, 0)?)),
        RecordType::DNSKEY => Some(Fact::Key(key_tag(octets))),
        RecordType::RRSIG => {
            let until = octets.get(8..12)?.try_into().ok().map(u32::from_be_bytes)?;
            let key = u16_at(octets, 16)?;
            Some(Fact::Signature { until, key })
        }
        _ => None,
    }
}

/// RFC 4034 appendix B.
fn key_tag(octets: &[u8]) -> u16 {
    let sum: u32 = octets
        .chunks(2)
        .map(|two| match two {
            [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
            [high] => u32::from(*high) << 8,
            _ => 0,
        })
        .sum();
    u16::try_from((sum + (sum >> 16)) & 0xffff).unwrap_or_default()
}

/// The response codes in words.
pub(super) fn code_name(code: u16) -> String {
    match code {
        NO_ERROR => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        SERV_FAIL => "SERVFAIL".to_owned(),
        NX_DOMAIN => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        9 => "NOTAUTH".to_owned(),
        other => format!("response code {other}"),
    }
}

pub(super) const NO_ERROR: u16 = 0;
pub(super) const SERV_FAIL: u16 = 2;
pub(super) const NX_DOMAIN: u16 = 3;
/// The option code of RFC 8914.
const EXTENDED_ERROR: u16 = 15;
/// Extended errors kept of one answer.
const FEW: usize = 4;
/// Records kept of one section.
const MANY: usize = 64;

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Edns, ResponseCode};
    use hickory_proto::rr::rdata::NULL;
    use hickory_proto::rr::{Name, rdata};

    use super::super::dns_question::Asking;
    use super::*;

    fn question(asking: Asking) -> Question {
        Question::new("www.example.org", RecordType::A, asking, &[7; 34]).unwrap()
    }

    /// An answer to the question, changed.
    fn answer(question: &Question, change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::from_vec(question.wire()).unwrap().into_response();
        message.edns = None;
        change(&mut message);
        message.to_vec().unwrap()
    }

    #[test]
    fn a_question_says_how_it_is_asked() {
        // RD, AD, CD, and DO in the OPT record.
        let cases = [
            (Asking::Recursive, [0x01, 0x20], 0),
            (Asking::Unchecked, [0x01, 0x10], 0x80),
            (Asking::Direct, [0, 0], 0),
        ];
        for (asking, flags, dnssec_ok) in cases {
            let wire = question(asking).wire().to_vec();
            assert_eq!(wire[2..4], flags, "{asking:?}");
            assert_eq!(wire[wire.len() - 4], dnssec_ok, "{asking:?}");
        }
        let root = Question::new(".", RecordType::NS, Asking::Recursive, &[0; 34]).unwrap();
        assert_eq!(root.section(), [0, 0, 2, 0, 1]);
    }

    #[test]
    fn extended_errors_signatures_and_keys_are_read() {
        let asked = question(Asking::Unchecked);
        let raw = |code: RecordType, octets: &[u8]| {
            let rdata = NULL::with(octets.to_vec());
            let name = Name::from_ascii("example.org.").unwrap();
            Record::from_rdata(name, 60, RData::Unknown { code, rdata })
        };
        let mut signature = vec![0; 18];
        signature[8..12].copy_from_slice(&1_700_000_000_u32.to_be_bytes());
        signature[16..18].copy_from_slice(&4711_u16.to_be_bytes());
        let bytes = answer(&asked, |message| {
            message.metadata.response_code = ResponseCode::ServFail;
            message.metadata.authoritative = true;
            message.add_answer(raw(RecordType::DS, &[0x12, 0x34, 8, 2]));
            message.add_answer(raw(RecordType::DNSKEY, &[1, 1, 3, 8, 0xff, 0xff, 9]));
            message.add_answer(raw(RecordType::RRSIG, &signature));
            let mut edns = Edns::new();
            let mut option = 7_u16.to_be_bytes().to_vec();
            option.extend(b"signature expired");
            edns.options_mut()
                .insert(EdnsOption::Unknown(EXTENDED_ERROR, option));
            message.set_edns(edns);
        });
        let read = Report::read(&asked, &bytes).unwrap();
        assert_eq!((read.code, read.authoritative), (SERV_FAIL, true));
        assert_eq!(read.errors, [(7, b"signature expired".to_vec())]);
        let facts: Vec<&Fact> = read.answers.iter().map(|item| &item.fact).collect();
        assert_eq!(facts[0], &Fact::Delegated(0x1234));
        // 0x0101 + 0x0308 + 0xffff + 0x0900 = 0x10d08, and its carry.
        assert_eq!(facts[1], &Fact::Key(0x0d09));
        assert_eq!(
            facts[2],
            &Fact::Signature {
                until: 1_700_000_000,
                key: 4711
            }
        );
    }

    #[test]
    fn what_answers_another_question_is_no_report() {
        let asked = question(Asking::Direct);
        let other = Question::new("www.example.org", RecordType::A, Asking::Direct, &[8; 34]);
        let bytes = answer(&other.unwrap(), |_| {});
        assert_eq!(Report::read(&asked, &bytes), None);
        assert_eq!(Report::read(&asked, b"short"), None);
        let start = answer(&asked, |message| {
            let name = Name::from_ascii("example.org.").unwrap();
            let soa = rdata::SOA::new(name.clone(), name.clone(), 2026, 1, 1, 1, 1);
            message.add_authority(Record::from_rdata(name, 60, RData::SOA(soa)));
        });
        let read = Report::read(&asked, &start).unwrap();
        assert_eq!(read.zone(), Some(("example.org", 2026)));
    }
}
