//! A failure in the DNS in words: what the one look-up showed, what was found when DNS was asked once more, and the
//! remedy that follows from both. Pure.

use cairn_acme::time::Timestamp;

use super::super::dns_message::{DnsFault, RecordKind, chained};
use super::super::dns_report::{Fact, NO_ERROR, NX_DOMAIN, Report, code_name};
use super::super::trace::excerpt;
use super::{Doubt, Doubted, Findings, Said, ServerSaid, Silence};

/// What was found, in sentences, and a better remedy where there is one.
#[derive(Debug, Default)]
struct Told {
    evidence: Vec<String>,
    remedy: Option<String>,
}

/// The problem's detail.
pub(super) fn told(doubt: &Doubt, findings: &Findings, now: Timestamp) -> String {
    let mut told = Told::default();
    if findings.is_resolver_silent() && doubt.is_of_silence() {
        told.silent_resolver(doubt, findings);
    } else {
        told.alias(doubt, findings);
        match &doubt.what {
            Doubted::Failed(fault) => told.failed(doubt, fault, findings, now),
            Doubted::NoSuchName | Doubted::NoRecords | Doubted::OtherTexts => {
                told.absent(doubt, findings);
            }
        }
    }
    let mut evidence = told.evidence.join(" ");
    if evidence.len() > EVIDENCE {
        evidence = evidence.chars().take(EVIDENCE).collect();
        evidence.push('…');
    }
    let remedy = told.remedy.as_ref().unwrap_or(&doubt.remedy);
    let parts = [doubt.cause.as_str(), &evidence, remedy];
    let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    format!("{}: {}", doubt.subject, parts.join(" "))
}

impl Told {
    /// F-100: whose fault it is shows by what is asked about nobody's zone.
    fn silent_resolver(&mut self, doubt: &Doubt, findings: &Findings) {
        let which = findings
            .resolver
            .map_or_else(String::new, |address| format!(" ({address})"));
        self.evidence.push(format!(
            "The resolver of this CA{which} answers no question at present, not even one for the root: the fault is on \
             the CA's side, and its operator has been told."
        ));
        self.remedy = Some(format!(
            "Nothing has to change at {}; order again later.",
            doubt.name
        ));
    }

    fn alias(&mut self, doubt: &Doubt, findings: &Findings) {
        let Some(end) = findings.chain.last() else {
            return;
        };
        let mut names = vec![doubt.name.clone()];
        names.extend(findings.chain.iter().cloned());
        let said = match &findings.end {
            Some(Ok(report)) => code_name(report.code),
            Some(Err(silence)) => silence.to_string(),
            None => "nothing yet".to_owned(),
        };
        self.evidence.push(format!(
            "It is an alias, {}; there the answer is {said}.",
            chained(&names)
        ));
        let is_dead = !matches!(&findings.end, Some(Ok(report)) if report.code == NO_ERROR);
        if is_dead {
            self.remedy = Some(format!(
                "Restore {} and its zone, or remove the CNAME record at {}.",
                plain(end),
                doubt.name
            ));
        } else if doubt.wanted.is_some() {
            self.remedy = Some(format!(
                "Put the value there, at {}. {}",
                plain(end),
                doubt.remedy
            ));
        }
    }

    fn failed(&mut self, doubt: &Doubt, fault: &DnsFault, findings: &Findings, now: Timestamp) {
        if findings.is_bogus() {
            return self.bogus(findings, now);
        }
        let resolver = findings
            .resolver
            .map_or_else(String::new, |address| format!(" {address}"));
        match (&findings.again, &findings.unchecked) {
            (Some(Ok(again)), _) if again.code == NO_ERROR || again.code == NX_DOMAIN => {
                self.evidence.push(format!(
                    "Asked again after that, this CA's resolver{resolver} answered {}: it fails at times.",
                    code_name(again.code)
                ));
            }
            (Some(Ok(again)), Some(Ok(unchecked))) => self.evidence.push(format!(
                "This CA's resolver{resolver} answers {}{}, with DNSSEC checking off (CD=1) {} as well, so it is not \
                 DNSSEC.",
                code_name(again.code),
                extended(again),
                code_name(unchecked.code),
            )),
            (Some(Err(silence)), _) => self.evidence.push(format!(
                "This CA's resolver{resolver} has {silence} for it, and answers for other names."
            )),
            _ => {}
        }
        let is_passing = matches!(&findings.again, Some(Ok(again)) if again.is_statement());
        if doubt.kind == RecordKind::Caa
            && !is_passing
            && let Some(Ok(addresses)) = &findings.addresses
            && (addresses.code == NO_ERROR || addresses.code == NX_DOMAIN)
        {
            self.evidence.push(format!(
                "For type A of {} the same resolver answers {}: it fails for type CAA alone.",
                doubt.name,
                code_name(addresses.code)
            ));
            self.remedy = Some(format!(
                "Repair or upgrade {}: for a type that it does not have, a name server answers NOERROR with no records.",
                servers_named(findings).unwrap_or_else(|| "the zone's name servers".to_owned())
            ));
        }
        self.servers(doubt, findings);
        if self.remedy.is_none() {
            self.remedy = servers_remedy(doubt, fault, findings);
        }
    }

    /// F-05.
    fn bogus(&mut self, findings: &Findings, now: Timestamp) {
        let zone = findings
            .zone
            .as_ref()
            .map_or_else(|| "the zone".to_owned(), |(zone, _)| plain(zone));
        if let (Some(Ok(again)), Some(Ok(unchecked))) = (&findings.again, &findings.unchecked) {
            self.evidence.push(format!(
                "The resolver answers {}{}, but {} with DNSSEC checking off (CD=1): what fails is the DNSSEC signature \
                 of {zone}.",
                code_name(again.code),
                extended(again),
                code_name(unchecked.code)
            ));
        }
        let ended = findings.unchecked.iter().flatten().find_map(|report| {
            let all = report.answers.iter().chain(&report.authorities);
            all.filter_map(|item| match item.fact {
                Fact::Signature { until, key } => Some((moment(until, now), key)),
                _ => None,
            })
            .find(|(until, _)| *until < now)
        });
        if let Some((until, key)) = ended {
            self.evidence
                .push(format!("The signature by key {key} ended on {until}."));
            self.remedy = Some(format!("Sign {zone} anew."));
            return;
        }
        let (delegated, keys) = (&findings.delegated, &findings.keys);
        if delegated.is_empty() {
            self.remedy = Some(format!(
                "Sign {zone} anew, or remove its DS records at the registrar."
            ));
            return;
        }
        self.evidence.push(format!(
            "The DS records at the parent are for key {}; the zone has key {}.",
            listed(delegated),
            if keys.is_empty() {
                "none".to_owned()
            } else {
                listed(keys)
            }
        ));
        let orphans: Vec<u16> = delegated
            .iter()
            .copied()
            .filter(|tag| !keys.contains(tag))
            .collect();
        self.remedy = Some(if orphans.len() == delegated.len() {
            format!(
                "Delete the DS of key {} at the registrar of {zone}, or publish that key and sign with it.",
                listed(&orphans)
            )
        } else {
            format!("Sign {zone} anew with key {}.", listed(delegated))
        });
    }

    /// The name or its records are not there, or are others.
    fn absent(&mut self, doubt: &Doubt, findings: &Findings) {
        if let Some((zone, serial)) = &findings.zone {
            let serial = serial.map_or_else(String::new, |n| format!(", serial {n}"));
            self.evidence
                .push(format!("The zone is {}{serial}.", plain(zone)));
        }
        if !findings.types.is_empty() {
            let types: Vec<String> = findings.types.iter().map(ToString::to_string).collect();
            self.evidence
                .push(format!("It has records of type {}.", types.join(", ")));
        }
        for near in &findings.neighbours {
            self.evidence.push(format!("{near} exists."));
        }
        if let (Some(_), Some(Ok(again))) = (&doubt.wanted, &findings.again)
            && let Some((_, ttl)) = again.texts().next()
        {
            self.evidence.push(format!(
                "Resolvers may keep what they have for another {ttl} s."
            ));
        }
        self.servers(doubt, findings);
        let wanted = doubt.wanted.as_deref().unwrap_or_default().as_bytes();
        let has = |server: &ServerSaid| match &server.said {
            Said::Asked {
                answer: Ok(report), ..
            } => report.texts().any(|(text, _)| text == wanted),
            _ => false,
        };
        let with: Vec<&str> = names(findings.servers.iter().filter(|server| has(server)));
        if doubt.wanted.is_some() && !with.is_empty() {
            let without = names(findings.servers.iter().filter(|server| !has(server)));
            self.remedy = Some(if without.is_empty() {
                "By now all name servers have the value: answer the challenge of a new order."
                    .to_owned()
            } else {
                format!(
                    "{} has the value and {} has not: see that it takes the zone over, and wait before the next order.",
                    with.join(", "),
                    without.join(", ")
                )
            });
        }
    }

    /// A table of the zone's own servers.
    fn servers(&mut self, doubt: &Doubt, findings: &Findings) {
        if findings.servers.is_empty() {
            return;
        }
        let answered =
            |server: &ServerSaid| matches!(&server.said, Said::Asked { answer: Ok(_), .. });
        let is_failure = matches!(doubt.what, Doubted::Failed(_));
        if !is_failure && !findings.servers.iter().any(answered) {
            // This CA may sit behind a firewall that lets only its resolver out.
            self.evidence.push(format!(
                "Its name servers ({}) do not answer this CA directly, so only the resolver's word is known.",
                names(findings.servers.iter()).join(", ")
            ));
            return;
        }
        let each: Vec<String> = findings.servers.iter().map(|s| line(s, doubt)).collect();
        let more = match findings.more_servers {
            0 => String::new(),
            more => format!("; {more} more were not asked"),
        };
        self.evidence.push(format!(
            "Asked directly for {}: {}{more}.",
            doubt.kind,
            each.join("; ")
        ));
    }
}

/// One server's line.
fn line(server: &ServerSaid, doubt: &Doubt) -> String {
    let name = plain(&server.name);
    match &server.said {
        Said::NoAddress => format!("{name} has no address"),
        Said::NotPermitted(address, range) => {
            format!("{name} ({address}) was not asked, for this CA may not ask there ({range})")
        }
        Said::Asked {
            address,
            answer,
            serial,
        } => {
            let serial = serial.map_or_else(String::new, |n| format!(", serial {n}"));
            let said = match answer {
                Err(silence) => silence.to_string(),
                Ok(report) => {
                    let records = report.answers.len();
                    let mut said = match (&doubt.wanted, report.texts().next()) {
                        (Some(_), Some((text, ttl))) => {
                            let more = match report.texts().count() {
                                1 => String::new(),
                                count => format!(" and {} more", count - 1),
                            };
                            format!("\"{}\"{more} (TTL {ttl} s)", excerpt(text))
                        }
                        _ if report.code == NO_ERROR && records == 0 => "no records".to_owned(),
                        _ if report.code == NO_ERROR => "an answer".to_owned(),
                        _ => code_name(report.code),
                    };
                    said.push_str(&extended(report));
                    if !report.authoritative && report.is_statement() {
                        said.push_str(", without authority (no AA bit)");
                    }
                    said
                }
            };
            format!("{name} ({address}{serial}): {said}")
        }
    }
}

/// What helps against servers that fail: all of them, or some.
fn servers_remedy(doubt: &Doubt, fault: &DnsFault, findings: &Findings) -> Option<String> {
    let (zone, _) = findings.zone.as_ref()?;
    let zone = plain(zone);
    let serves = |server: &&ServerSaid| match &server.said {
        Said::Asked {
            answer: Ok(report), ..
        } => report.is_statement() && report.authoritative,
        _ => false,
    };
    let asked = |server: &&ServerSaid| matches!(server.said, Said::Asked { .. } | Said::NoAddress);
    let bad = names(findings.servers.iter().filter(|s| asked(s) && !serves(s)));
    let good = findings.servers.iter().filter(|s| serves(s)).count();
    let first = bad.first()?;
    if good > 0 {
        return Some(format!(
            "{} is named for {zone} but does not serve it, so look-ups fail by chance: load the zone there, or take it \
             out of the NS records.",
            bad.join(", ")
        ));
    }
    let is_silent = |server: &ServerSaid| {
        matches!(
            server.said,
            Said::Asked {
                answer: Err(Silence::NoAnswer | Silence::Unreachable),
                ..
            }
        )
    };
    let is_late = matches!(fault, DnsFault::Timeout);
    if findings.servers.iter().all(is_silent) && !is_late {
        // The resolver had an answer, if a bad one, and this CA has none: its own network may be in the way.
        return Some(format!(
            "Open UDP and TCP port 53 to {}, or move {zone} to name servers that answer; if they do answer others (see: \
             dig @{first} {} {}), tell the operator of this CA that its network keeps it from them.",
            bad.join(", "),
            doubt.name,
            doubt.kind
        ));
    }
    if is_late {
        return Some(format!(
            "Open UDP and TCP port 53 to {}, or move {zone} to name servers that answer; there is nothing to do at {} itself.",
            bad.join(", "),
            doubt.name
        ));
    }
    Some(format!(
        "The operator of {} has to repair {zone} (see: dig @{first} {} {}); until then all that helps is to wait.",
        bad.join(", "),
        doubt.name,
        doubt.kind
    ))
}

fn servers_named(findings: &Findings) -> Option<String> {
    let all = names(findings.servers.iter());
    (!all.is_empty()).then(|| all.join(", "))
}

fn names<'a>(servers: impl Iterator<Item = &'a ServerSaid>) -> Vec<&'a str> {
    servers.map(|server| server.name.as_str()).collect()
}

/// The extended errors of an answer (RFC 8914).
fn extended(report: &Report) -> String {
    let each: Vec<String> = report
        .errors
        .iter()
        .map(|(code, text)| {
            let name = match code {
                6 => " DNSSEC Bogus",
                7 => " Signature Expired",
                8 => " Signature Not Yet Valid",
                9 => " DNSKEY Missing",
                10 => " RRSIGs Missing",
                15 => " Blocked",
                18 => " Prohibited",
                20 => " Not Authoritative",
                22 => " No Reachable Authority",
                23 => " Network Error",
                _ => "",
            };
            match text.is_empty() {
                true => format!("EDE {code}{name}"),
                false => format!("EDE {code}{name} \"{}\"", excerpt(text)),
            }
        })
        .collect();
    match each.is_empty() {
        true => String::new(),
        false => format!(" ({})", each.join(", ")),
    }
}

fn listed(tags: &[u16]) -> String {
    let each: Vec<String> = tags.iter().map(ToString::to_string).collect();
    each.join(", ")
}

/// A moment of RRSIG is given modulo 2^32 seconds, next to now (RFC 4034 section 3.1.5).
fn moment(until: u32, now: Timestamp) -> Timestamp {
    let now = now.as_seconds();
    let low = u32::try_from(now.rem_euclid(1 << 32)).unwrap_or_default();
    let ahead = until.wrapping_sub(low).cast_signed();
    Timestamp::from_seconds(now + i64::from(ahead))
}

/// A name that somebody else chose.
fn plain(name: &str) -> String {
    excerpt(name.as_bytes())
}

/// Characters of evidence in a text.
const EVIDENCE: usize = 560;

#[cfg(test)]
mod tests;
