//! DNS queries and answers as bytes (RFC 1035, RFC 6891); pure, and a fuzz target.
//!
//! [`interpret`] decides what one datagram or TCP message says about one query. Left out: DNSSEC
//! (the AD bit is reported, not judged) and record types that validation does not ask for.

use std::fmt;
use std::net::IpAddr;

use hickory_proto::op::{Edns, Header, Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::NULL;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use serde::{Deserialize, Serialize};

use super::dns_question::{Asking, Question, u16_at};
use crate::authority::caa::{BadRecord, CaaRecord};

pub use super::dns_question::{Belongs, QueryRandom};

/// The record types that validation asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordKind {
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// Text, for dns-01.
    Txt,
    /// Who may issue (RFC 8659).
    Caa,
}

impl RecordKind {
    pub(super) fn record_type(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Txt => RecordType::TXT,
            Self::Caa => RecordType::CAA,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Txt => "TXT",
            Self::Caa => "CAA",
        })
    }
}

/// One query, ready to be sent.
#[derive(Clone, Debug)]
pub struct Query {
    kind: RecordKind,
    question: Question,
}

impl Query {
    /// Builds a query for a name in dotted form, its letters in random case (T-CA-79).
    ///
    /// # Errors
    ///
    /// [`DnsFault::NameTooLong`] when the name does not fit into a question.
    pub fn new(name: &str, kind: RecordKind, random: &QueryRandom) -> Result<Self, DnsFault> {
        let question = Question::new(name, kind.record_type(), Asking::Recursive, random)?;
        Ok(Self { kind, question })
    }

    /// Gives the id.
    pub fn id(&self) -> u16 {
        self.question.id()
    }

    /// Gives the message's bytes, without the length that TCP puts before it.
    pub fn wire(&self) -> &[u8] {
        self.question.wire()
    }

    pub(super) fn question(&self) -> &[u8] {
        self.question.section()
    }

    /// Tells how far a message can be the answer to this query; cheap, before any parsing.
    pub fn belongs(&self, bytes: &[u8]) -> Belongs {
        self.question.belongs(bytes)
    }
}

/// What a server said about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The finding.
    pub finding: Finding,
    /// The names that the chain of CNAME records led through, the asked one left out.
    pub aliases: Vec<String>,
    /// The AD bit: the server says that it validated the answer (RFC 4035 section 3.2.3).
    pub authenticated: bool,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Addresses of the kind asked for, each once, in the server's order.
    Addresses(Vec<IpAddr>),
    /// The strings of each TXT record, joined.
    Texts(Vec<Vec<u8>>),
    /// The CAA set, which is not empty.
    Caa(Vec<CaaRecord>),
    /// NXDOMAIN.
    NoSuchName,
    /// The name exists without records of this kind (RFC 2308 section 2.2).
    NoRecords,
    /// The chain of aliases leads to this name, about which nothing was said.
    Alias(String),
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DnsFault {
    /// The message answers another query; never shown, the wait goes on.
    #[error("the message answers another query")]
    Unrelated,
    /// The question was absent or in another case; TCP decides.
    #[error("the question did not come back as it was sent")]
    Unproven,
    /// The TC bit; TCP has the whole.
    #[error("the answer was cut short")]
    Truncated,
    /// SERVFAIL, which also stands for an answer that failed DNSSEC.
    #[error("SERVFAIL")]
    ServerFailure,
    /// REFUSED.
    #[error("REFUSED")]
    Refused,
    /// Any other response code.
    #[error("response code {0}")]
    Code(u16),
    /// The bytes are no proper DNS message.
    #[error("a malformed answer ({0})")]
    Malformed(String),
    /// A CNAME chain that returns to a name in it; the chain up to the repeat.
    #[error("a loop of CNAME records, {0}")]
    AliasLoop(String),
    /// A CNAME chain of more links than followed.
    #[error("a chain of more than {MAX_ALIASES} CNAME records")]
    AliasChain,
    /// More records than are read.
    #[error("more than {MAX_RECORDS} records in an answer")]
    TooManyRecords,
    /// The name does not fit into a query.
    #[error("the name is too long to be asked for")]
    NameTooLong,
    /// No answer within the time.
    #[error("no answer in time")]
    Timeout,
    /// The server's host refused, or there is no way to it.
    #[error("the DNS server could not be reached ({0})")]
    Unreachable(String),
}

impl DnsFault {
    /// Tells whether asking again in some seconds may help.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::ServerFailure
                | Self::Refused
                | Self::Timeout
                | Self::Unreachable(_)
                | Self::Code(_)
                | Self::Unproven
                | Self::Truncated
                | Self::Unrelated
        )
    }
}

/// Reads the bytes that came back for a query.
///
/// Only records that the chain from the asked name leads to are looked at, so nothing that a
/// server adds about other names has any effect.
///
/// # Errors
///
/// [`DnsFault::Unrelated`], [`DnsFault::Unproven`] and [`DnsFault::Truncated`] ask the caller to
/// wait on or to turn to TCP; the others are final for the server.
pub fn interpret(query: &Query, bytes: &[u8]) -> Result<Answer, DnsFault> {
    match query.belongs(bytes) {
        Belongs::No => return Err(DnsFault::Unrelated),
        Belongs::OtherCase | Belongs::WithoutQuestion => return Err(DnsFault::Unproven),
        Belongs::Yes => {}
    }
    interpret_related(query, bytes)
}

/// Reads bytes that came over a connection of their own, where spelling proves nothing more.
///
/// # Errors
///
/// As [`interpret`]; an answer to anything else is malformed here, there is nothing to wait for.
pub fn interpret_stream(query: &Query, bytes: &[u8]) -> Result<Answer, DnsFault> {
    match query.belongs(bytes) {
        Belongs::No => Err(DnsFault::Malformed(
            "an answer to another question".to_owned(),
        )),
        Belongs::WithoutQuestion => Err(DnsFault::Malformed("no question".to_owned())),
        Belongs::OtherCase | Belongs::Yes => match interpret_related(query, bytes) {
            Err(DnsFault::Truncated) => {
                Err(DnsFault::Malformed("cut short over TCP as well".to_owned()))
            }
            other => other,
        },
    }
}

fn interpret_related(query: &Query, bytes: &[u8]) -> Result<Answer, DnsFault> {
    let malformed = |error: &dyn fmt::Display| DnsFault::Malformed(error.to_string());
    let mut decoder = BinDecoder::new(bytes);
    let header = Header::read(&mut decoder).map_err(|e| malformed(&e))?;
    if header.metadata.truncation {
        return Err(DnsFault::Truncated);
    }
    let counts = [
        header.counts.answers,
        header.counts.authorities,
        header.counts.additionals,
    ];
    if counts.iter().any(|count| *count > MAX_RECORDS) {
        return Err(DnsFault::TooManyRecords);
    }
    let questions =
        Message::read_queries(&mut decoder, 1).map_err(|e| DnsFault::Malformed(e.to_string()))?;
    let asked = questions
        .into_iter()
        .next()
        .ok_or(DnsFault::Unrelated)?
        .name;
    let [answers, authorities, additionals] = counts.map(usize::from);
    let read = |decoder: &mut BinDecoder<'_>, count, is_additional| {
        Message::read_records(decoder, count, is_additional, OpCode::Query)
            .map_err(|e| malformed(&e))
    };
    let records = if query.kind == RecordKind::Caa {
        read_raw_caa(&mut decoder, answers)?
    } else {
        read(&mut decoder, answers, false)?.0
    };
    let (authority, _, _) = read(&mut decoder, authorities, false)?;
    let (_, edns, _) = read(&mut decoder, additionals, true)?;
    let high = edns.as_ref().map_or(0, Edns::rcode_high);
    let mut metadata = header.metadata;
    metadata.merge_response_code(high);

    match metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::ServFail => return Err(DnsFault::ServerFailure),
        ResponseCode::Refused => return Err(DnsFault::Refused),
        other => return Err(DnsFault::Code(other.into())),
    }
    let (end, aliases) = follow_aliases(&asked, query.kind, &records)?;
    let finding = if metadata.response_code == ResponseCode::NXDomain {
        Finding::NoSuchName
    } else {
        let has_soa = authority.iter().any(|r| r.record_type() == RecordType::SOA);
        match collect(&end, query.kind, &records)? {
            Some(found) => found,
            // Without an SOA record it is no statement that the target has none.
            None if !aliases.is_empty() && !has_soa => Finding::Alias(dotted(&end)),
            None => Finding::NoRecords,
        }
    };
    Ok(Answer {
        finding,
        aliases,
        authenticated: metadata.authentic_data,
    })
}

/// Follows CNAME records from the asked name to the first name with records of the kind.
fn follow_aliases(
    asked: &Name,
    kind: RecordKind,
    records: &[Record],
) -> Result<(Name, Vec<String>), DnsFault> {
    let mut current = asked.clone();
    let mut seen = vec![current.clone()];
    loop {
        let mut next: Option<&Name> = None;
        for record in records
            .iter()
            .filter(|r| r.dns_class == DNSClass::IN && r.name == current)
        {
            if record.record_type() == kind.record_type() {
                next = None;
                break;
            }
            if let RData::CNAME(target) = &record.data {
                if next.is_some_and(|before| *before != target.0) {
                    return Err(DnsFault::Malformed(
                        "two CNAME records at one name".to_owned(),
                    ));
                }
                next = Some(&target.0);
            }
        }
        let Some(target) = next else {
            let aliases = seen.iter().skip(1).map(dotted).collect();
            return Ok((current, aliases));
        };
        if seen.contains(target) {
            let mut chain: Vec<String> = seen.iter().map(dotted).collect();
            chain.push(dotted(target));
            return Err(DnsFault::AliasLoop(chained(&chain)));
        }
        if seen.len() > MAX_ALIASES {
            return Err(DnsFault::AliasChain);
        }
        current = target.clone();
        seen.push(current.clone());
    }
}

/// Collects the records of the kind at a name.
fn collect(
    owner: &Name,
    kind: RecordKind,
    records: &[Record],
) -> Result<Option<Finding>, DnsFault> {
    let here = records
        .iter()
        .filter(|r| r.dns_class == DNSClass::IN && r.name == *owner);
    if kind == RecordKind::Txt {
        let texts: Vec<Vec<u8>> = here
            .filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            })
            .collect();
        return Ok((!texts.is_empty()).then_some(Finding::Texts(texts)));
    }
    if kind == RecordKind::Caa {
        let mut set = Vec::new();
        for record in here {
            if let RData::Unknown { rdata, .. } = &record.data
                && record.record_type() == RecordType::CAA
            {
                // T-CA-87: one record that cannot be read may be the one that forbids.
                let read = CaaRecord::parse(&rdata.anything);
                set.push(read.map_err(|bad| DnsFault::Malformed(bad.to_string()))?);
            }
        }
        return Ok((!set.is_empty()).then_some(Finding::Caa(set)));
    }
    let mut addresses: Vec<IpAddr> = Vec::new();
    for record in here {
        let address = match (&record.data, kind) {
            (RData::A(a), RecordKind::A) => IpAddr::V4(a.0),
            (RData::AAAA(aaaa), RecordKind::Aaaa) => IpAddr::V6(aaaa.0),
            _ => continue,
        };
        if addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok((!addresses.is_empty()).then_some(Finding::Addresses(addresses)))
}

/// Reads an answer section whose CAA records keep their octets: hickory's own reader refuses tags longer than 15
/// characters, which are legal (RFC 8659 §4.1).
fn read_raw_caa(decoder: &mut BinDecoder<'_>, count: usize) -> Result<Vec<Record>, DnsFault> {
    let malformed = |error: &dyn fmt::Display| DnsFault::Malformed(error.to_string());
    let mut records = Vec::with_capacity(count.min(8));
    for _ in 0..count {
        let start = u16::try_from(decoder.index())
            .map_err(|_| DnsFault::Malformed("longer than a message".to_owned()))?;
        let mut raw = decoder.clone(start);
        let name = Name::read(&mut raw).map_err(|e| malformed(&e))?;
        let fixed = raw.read_slice(10).map_err(|e| malformed(&e))?.unverified();
        let field = |at| u16_at(fixed, at).unwrap_or_default();
        let (kind, class, length) = (field(0), field(2), field(8));
        if RecordType::from(kind) != RecordType::CAA {
            records.push(Record::read(decoder).map_err(|e| malformed(&e))?);
            continue;
        }
        let rdata = raw
            .read_slice(usize::from(length))
            .map_err(|e| malformed(&e))?
            .unverified();
        if rdata.is_empty() {
            return Err(malformed(&BadRecord::Short));
        }
        let data = RData::Unknown {
            code: RecordType::CAA,
            rdata: NULL::with(rdata.to_vec()),
        };
        let mut record = Record::from_rdata(name, 0, data);
        record.dns_class = DNSClass::from(class);
        records.push(record);
        *decoder = raw;
    }
    Ok(records)
}

/// The names of a chain of aliases, each before its target; a long chain is told by its ends.
pub(super) fn chained(names: &[String]) -> String {
    let plain = |c: char| match c {
        c if c.is_ascii_alphanumeric() || "-_.*> ".contains(c) => c,
        _ => '?',
    };
    let text: String = names.join(" -> ").chars().map(plain).collect();
    if text.len() <= CHAIN_SHOWN {
        return text;
    }
    let shown: String = text.chars().take(CHAIN_SHOWN).collect();
    let last: String = names
        .last()
        .map_or("", String::as_str)
        .chars()
        .map(plain)
        .collect();
    format!("{shown}… -> {last}")
}

/// Writes a name as the trace and the next query need it: lower case, no trailing dot.
pub(super) fn dotted(name: &Name) -> String {
    let mut text = name.to_ascii();
    text.make_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// Characters of a chain of aliases in a text.
const CHAIN_SHOWN: usize = 300;
/// CNAME links followed, over all queries for one name (T-CA-77).
pub(super) const MAX_ALIASES: usize = 8;
/// Records read from one section: many TXT values at one name are legal (T-CA-78).
const MAX_RECORDS: u16 = 1024;
/// Addresses kept from one answer; two of them are ever tried.
const MAX_ADDRESSES: usize = 32;

#[cfg(test)]
mod tests;
