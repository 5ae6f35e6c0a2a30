//! The dns-01 challenge (RFC 8555 section 8.4): one attempt, with its trace. The resolver follows aliases and turns to
//! TCP; here the values are compared, and what is wrong with them is told.

use cairn_acme::challenge::ChallengeType;
use cairn_acme::identifier::DnsName;
use cairn_acme::problem::ProblemType;
use tokio::time::Instant;

use super::dns_message::RecordKind;
use super::explain::dns_remedy;
use super::inquiry::{Doubt, Doubted};
use super::resolver::{LookupFault, Resolver, Texts};
use super::rules::is_localhost;
use super::trace::{Step, Trace, excerpt};
use super::{Evidence, Failure, Job};

/// Looks the texts up and compares each with the value of the challenge (8555-8.4-2).
pub(super) async fn attempt(
    resolver: &Resolver,
    job: &Job,
    deadline: Instant,
    trace: &mut Trace,
) -> Result<Evidence, Failure> {
    let Some(name) = job.identifier.dns_name() else {
        return Err(Failure::plain(
            ProblemType::ServerInternal,
            "dns-01 shows no control of an address".to_owned(),
            false,
        ));
    };
    let asked = format!("{LABEL}.{name}");
    let story = Story {
        identifier: job.identifier.to_string(),
        asked: &asked,
        job,
    };
    if is_localhost(name) {
        trace.push(Step::NotLookedUp {
            name: asked.clone(),
            why: "names under localhost are not in the DNS".to_owned(),
        });
        return Err(story.tell_localhost(name));
    }
    match resolver.texts(&asked, deadline, trace).await {
        Err(fault) => Err(story.tell_fault(&fault)),
        Ok(texts) => {
            let expected = job.txt_value();
            if texts.found.iter().any(|text| text == expected.as_bytes()) {
                return Ok(Evidence {
                    method: ChallengeType::Dns01,
                    resolved: Vec::new(),
                    addresses: Vec::new(),
                    place: format!("TXT of {}", texts.aliases.last().unwrap_or(&asked)),
                    authenticated_dns: texts.authenticated,
                });
            }
            trace.push(Step::Compared {
                found: texts
                    .found
                    .first()
                    .map_or_else(String::new, |text| excerpt(text)),
                expected,
            });
            Err(story.tell_other(&texts))
        }
    }
}

/// Everything that the text is made of.
struct Story<'a> {
    identifier: String,
    asked: &'a str,
    job: &'a Job,
}

impl Story<'_> {
    /// A failure that DNS may be asked about once more.
    fn doubt(
        &self,
        what: Doubted,
        problem: ProblemType,
        (cause, remedy): (String, String),
        transient: bool,
    ) -> Failure {
        Doubt {
            problem,
            subject: self.identifier.clone(),
            name: self.asked.to_owned(),
            kind: RecordKind::Txt,
            what,
            cause,
            remedy,
            wanted: Some(self.job.txt_value()),
            transient,
        }
        .failure()
    }

    fn tell_localhost(&self, name: &DnsName) -> Failure {
        let detail = format!(
            "{}: names under localhost are not in the DNS, so no record can show control of {name}. Use http-01 or \
             tls-alpn-01.",
            self.identifier
        );
        Failure::plain(ProblemType::Dns, detail, false)
    }

    /// What is not there yet may still come: servers of a zone take seconds to tell each other (design section 2.5).
    fn tell_fault(&self, fault: &LookupFault) -> Failure {
        let (asked, value) = (self.asked, self.job.txt_value());
        let add = format!(
            "Add one with the value \"{value}\", and answer the challenge once all name servers of the zone have it."
        );
        let (problem, told, transient) = match fault {
            LookupFault::NoSuchName => {
                let cause = format!("there is no TXT record at {asked}: the answer was NXDOMAIN.");
                (ProblemType::Dns, (cause, add), true)
            }
            LookupFault::NoRecords => {
                let cause = format!(
                    "there is no TXT record at {asked}; the name exists with other records."
                );
                (ProblemType::Unauthorized, (cause, add), true)
            }
            LookupFault::Failed { fault, .. } => {
                let cause = format!("the look-up of TXT records of {asked} failed: {fault}.");
                let remedy = dns_remedy(fault).to_owned();
                (ProblemType::Dns, (cause, remedy), fault.is_transient())
            }
        };
        self.doubt(Doubted::from(fault), problem, told, transient)
    }

    fn tell_other(&self, texts: &Texts) -> Failure {
        let value = self.job.txt_value();
        let shown: Vec<String> = texts
            .found
            .iter()
            .take(SHOWN)
            .map(|text| format!("\"{}\"", excerpt(text)))
            .collect();
        let more = match texts.found.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let by = texts.aliases.last().map_or_else(String::new, |end| {
            format!(" (an alias of {})", excerpt(end.as_bytes()))
        });
        let hint = texts
            .found
            .iter()
            .find_map(|text| mistake(text, self.job))
            .unwrap_or_default();
        let cause = format!(
            "no TXT record at {}{by} has this challenge's value. Found {}{more}; expected \"{value}\".",
            self.asked,
            shown.join(", "),
        );
        let remedy = format!("{hint}Add a record with that value; others may stay beside it.");
        self.doubt(
            Doubted::OtherTexts,
            ProblemType::Unauthorized,
            (cause, remedy),
            false,
        )
    }
}

/// The usual ways to get the value wrong, told where one is recognised (T-CA-81).
fn mistake(text: &[u8], job: &Job) -> Option<&'static str> {
    let value = job.txt_value();
    let bare = text.trim_ascii();
    let unquoted = bare
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    if bare == job.key_authorization.as_bytes() {
        Some(
            "The record holds the key authorization itself; its SHA-256 in base64url belongs there. ",
        )
    } else if unquoted == Some(value.as_bytes()) {
        Some("The value stands in quotation marks that are part of it. ")
    } else if bare == value.as_bytes() {
        Some("The value has white space around it. ")
    } else if bare.strip_suffix(b"=") == Some(value.as_bytes()) {
        Some("The value is padded with \"=\". ")
    } else if bare.eq_ignore_ascii_case(value.as_bytes()) {
        Some("The value is in another case; base64url tells cases apart. ")
    } else {
        None
    }
}

/// The label under which challenges are answered.
const LABEL: &str = "_acme-challenge";
/// Values quoted of what was found.
const SHOWN: usize = 3;

#[cfg(test)]
mod tests;
