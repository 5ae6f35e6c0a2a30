//! A refusal in words: what was found and where, and the line that would change it (voice.md).

use super::{Applicant, CaaRecord, ISSUE, ISSUE_WILD, Permission, Reason, Refusal, decide};

/// The relevant set with the place it was found at.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The name to be issued for, without `*.`.
    pub name: &'a str,
    /// The name in the climb that has the set.
    pub at: &'a str,
    /// Where aliases led from there, the last one is the records' owner.
    pub aliases: &'a [String],
    /// The set.
    pub records: &'a [CaaRecord],
}

impl Found<'_> {
    /// The name in whose zone the records stand.
    fn owner(&self) -> &str {
        self.aliases.last().map_or(self.at, String::as_str)
    }

    /// `CAA of example.org, which …`.
    fn place(&self) -> String {
        let mut text = format!("CAA of {}", self.owner());
        if self.owner() != self.at {
            text.push_str(&format!(" (to which {} is an alias)", self.at));
        }
        if self.at != self.name {
            text.push_str(&format!(", which {} inherits,", self.name));
        }
        text
    }
}

/// The problem's detail.
#[must_use]
pub fn tell(found: &Found<'_>, applicant: &Applicant<'_>, refusal: &Refusal) -> String {
    let subject = if applicant.wildcard {
        format!("*.{}", found.name)
    } else {
        found.name.to_owned()
    };
    let refused = found.records.get(refusal.record);
    let shown = |place: usize| {
        let record = found.records.get(place);
        record.map_or_else(String::new, |r| format!("{}. CAA {r}", found.owner()))
    };
    let mut what = cause(&refusal.reason, refused, applicant);
    let mut evidence = format!("Record: {}.", shown(refusal.record));
    let without = without_wildcard(found, applicant, refused);
    if let Some(permission) = without {
        what = format!("allows single names and not the wildcard: issuewild {what}");
        if let Permission::Authorised(place) = permission {
            evidence = format!("Records: {} and {}.", shown(place), shown(refusal.record));
        }
    }
    let remedy = remedy(found, applicant, &refusal.reason, without.is_some());
    format!(
        "{subject}: {} {what}. {evidence} {remedy} Until then a new order is refused too.",
        found.place()
    )
}

/// What the same records say to the names themselves, where only `issuewild` stands against the wildcard.
fn without_wildcard(
    found: &Found<'_>,
    applicant: &Applicant<'_>,
    refused: Option<&CaaRecord>,
) -> Option<Permission> {
    let wild = applicant.wildcard && refused.is_some_and(|record| record.has_tag(ISSUE_WILD));
    let single = Applicant {
        wildcard: false,
        ..*applicant
    };
    decide(found.records, &single).ok().filter(|_| wild)
}

fn cause(reason: &Reason, record: Option<&CaaRecord>, applicant: &Applicant<'_>) -> String {
    match reason {
        Reason::Nobody => "forbids every CA".to_owned(),
        Reason::Others(named) => {
            let others = listed(named);
            match named.iter().find_map(|n| near(n, applicant.identities)) {
                Some(ours) => format!("allows only {others}, which is not \"{ours}\""),
                None => format!("allows only {others}"),
            }
        }
        Reason::Malformed(why) => {
            format!("has a value that names no CA, for {why}")
        }
        Reason::Unsatisfiable(why) => {
            format!("names this CA with a parameter that nobody can satisfy: {why}")
        }
        Reason::OtherAccount(uri) => format!(
            "allows this CA for the account \"{}\" alone; this is account \"{}\"",
            shown(uri),
            applicant.accounts.first().map_or("", String::as_str)
        ),
        Reason::OtherMethods(methods) if methods.is_empty() => {
            format!(
                "allows this CA by no validation method; {} was used",
                applicant.method
            )
        }
        Reason::OtherMethods(methods) => format!(
            "allows this CA by {} alone; {} was used",
            listed(methods),
            applicant.method
        ),
        Reason::Critical => format!(
            "has the critical property \"{}\", which this CA does not know, and so must not issue",
            record.map_or("", CaaRecord::tag)
        ),
    }
}

fn remedy(
    found: &Found<'_>,
    applicant: &Applicant<'_>,
    reason: &Reason,
    wildcard_alone: bool,
) -> String {
    let Some(ours) = applicant.identities.first() else {
        return "This CA has no name for CAA records: its operator has to set caa_identities."
            .to_owned();
    };
    let tag = if applicant.wildcard && found.records.iter().any(|r| r.has_tag(ISSUE_WILD)) {
        ISSUE_WILD
    } else {
        ISSUE
    };
    let line = |parameters: &str| format!("{}. CAA 0 {tag} \"{ours}{parameters}\"", found.owner());
    let account = applicant.accounts.first().map_or("", String::as_str);
    let mut otherwise = if found.at == found.name {
        String::new()
    } else {
        format!(", or give {} CAA records of its own", found.name)
    };
    let mut it = "it";
    if wildcard_alone {
        otherwise.push_str(", or order without the wildcard");
        it = "the issuewild record";
    }
    match reason {
        Reason::Nobody => format!("Replace {it}: {}{otherwise}.", line("")),
        Reason::Others(_) => format!("Add: {}{otherwise}.", line("")),
        Reason::Malformed(_) | Reason::Unsatisfiable(_) => {
            format!("Correct {it}: {}{otherwise}.", line(""))
        }
        Reason::OtherAccount(_) => format!(
            "Use that account, or add: {}{otherwise}.",
            line(&format!("; accounturi={account}"))
        ),
        Reason::OtherMethods(_) => format!(
            "Answer a challenge of such a method, or add: {}{otherwise}.",
            line(&format!("; validationmethods={}", applicant.method))
        ),
        Reason::Critical => format!("Remove that record, or set its flags to 0{otherwise}."),
    }
}

/// Our name that was probably meant: a quarter of its letters may be wrong.
fn near<'a>(named: &str, identities: &'a [String]) -> Option<&'a String> {
    let named = named.to_ascii_lowercase();
    identities
        .iter()
        .find(|ours| strsim::damerau_levenshtein(&named, ours) <= (ours.len() / 4).max(1))
}

fn listed(words: &[String]) -> String {
    let mut each: Vec<String> = words
        .iter()
        .take(LISTED)
        .map(|word| format!("\"{}\"", shown(word)))
        .collect();
    if words.len() > each.len() {
        each.push(format!("{} more", words.len() - each.len()));
    }
    each.join(" and ")
}

/// Foreign words are printable ASCII by their parser; only their length is not ours.
fn shown(word: &str) -> String {
    let mut text: String = word
        .chars()
        .take(WORD)
        .filter(|c| *c != '"' && *c != '\\')
        .collect();
    if word.len() > WORD {
        text.push('…');
    }
    text
}

/// Words of one list in a text.
const LISTED: usize = 4;
/// Characters of one word in a text: room for an account's URL.
const WORD: usize = 160;
