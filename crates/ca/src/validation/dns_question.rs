//! One DNS question as bytes (RFC 1035, RFC 6891), and whether a message can be the answer to it.

use hickory_proto::rr::{DNSClass, RecordType};

use super::dns_message::DnsFault;

/// Random octets for one query: two for the id, the rest for the case of letters.
pub type QueryRandom = [u8; 34];

/// How a question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asking {
    /// Of a recursive server: RD, and AD to ask for the AD bit (RFC 6840 section 5.7).
    Recursive,
    /// The same with CD and DO: whatever DNSSEC says, and the signatures with it (RFC 4035 section 3.2.2).
    Unchecked,
    /// Of a zone's own server: no recursion.
    Direct,
}

/// The bytes of a question.
#[derive(Clone, Debug)]
pub(super) struct Question {
    wire: Vec<u8>,
    end: usize,
}

impl Question {
    /// Builds it for a name in dotted form, its letters in random case (T-CA-79).
    pub(super) fn new(
        name: &str,
        kind: RecordType,
        asking: Asking,
        random: &QueryRandom,
    ) -> Result<Self, DnsFault> {
        let [id_high, id_low, case @ ..] = random;
        let mut wire = Vec::with_capacity(HEADER + name.len() + 2 + 4 + OPT.len());
        wire.extend_from_slice(&[*id_high, *id_low]);
        let flags: [u8; 2] = match asking {
            Asking::Recursive => [0x01, 0x20],
            Asking::Unchecked => [0x01, 0x10],
            Asking::Direct => [0x00, 0x00],
        };
        wire.extend_from_slice(&flags);
        // One question, one OPT.
        wire.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
        let mut position = 0_usize;
        for label in name.split('.').filter(|_| name != ROOT) {
            let length = u8::try_from(label.len()).map_err(|_| DnsFault::NameTooLong)?;
            if length == 0 || length > 63 {
                return Err(DnsFault::NameTooLong);
            }
            wire.push(length);
            for octet in label.bytes() {
                let bit =
                    case.get(position / 8 % case.len()).copied().unwrap_or(0) >> (position % 8);
                let flip = octet.is_ascii_alphabetic() && bit & 1 == 1;
                wire.push(if flip { octet ^ 0x20 } else { octet });
                position += 1;
            }
        }
        wire.push(0);
        if wire.len() - HEADER > 255 {
            return Err(DnsFault::NameTooLong);
        }
        wire.extend_from_slice(&u16::from(kind).to_be_bytes());
        wire.extend_from_slice(&u16::from(DNSClass::IN).to_be_bytes());
        let end = wire.len();
        let mut opt = OPT;
        if let (Asking::Unchecked, [.., flags, _, _, _]) = (asking, &mut opt) {
            *flags = 0x80;
        }
        wire.extend_from_slice(&opt);
        Ok(Self { wire, end })
    }

    pub(super) fn id(&self) -> u16 {
        u16_at(&self.wire, 0).unwrap_or(0)
    }

    /// The message's bytes, without the length that TCP puts before it.
    pub(super) fn wire(&self) -> &[u8] {
        &self.wire
    }

    pub(super) fn section(&self) -> &[u8] {
        self.wire.get(HEADER..self.end).unwrap_or_default()
    }

    /// Tells how far a message can be the answer; cheap, before any parsing.
    pub(super) fn belongs(&self, bytes: &[u8]) -> Belongs {
        let (Some(id), Some(flags), Some(questions)) =
            (u16_at(bytes, 0), u16_at(bytes, 2), u16_at(bytes, 4))
        else {
            return Belongs::No;
        };
        let response_to_query = flags & 0xf800 == 0x8000;
        if id != self.id() || !response_to_query || bytes.len() < HEADER {
            return Belongs::No;
        }
        if questions == 0 {
            return Belongs::WithoutQuestion;
        }
        match bytes.get(HEADER..self.end) {
            Some(question) if questions != 1 || !question.eq_ignore_ascii_case(self.section()) => {
                Belongs::No
            }
            Some(question) if question == self.section() => Belongs::Yes,
            Some(_) => Belongs::OtherCase,
            None => Belongs::No,
        }
    }
}

/// How far a message can be the answer to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belongs {
    /// Another id, question or direction: ignored.
    No,
    /// The question came back in another case: a server without 0x20, or a forger.
    OtherCase,
    /// The id fits but there is no question: a poor server, or a forger.
    WithoutQuestion,
    /// Id and question fit to the letter.
    Yes,
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes
        .get(at..at + 2)?
        .try_into()
        .ok()
        .map(u16::from_be_bytes)
}

/// The name of the root.
pub(super) const ROOT: &str = ".";
/// Octets before the question.
const HEADER: usize = 12;
/// An OPT record that offers 1232 octets, so that no answer comes in fragments (T-CA-79).
pub(super) const OPT: [u8; 11] = [0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
