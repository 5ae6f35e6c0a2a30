//! Public suffixes: under which names of strangers stand side by side (publicsuffix.org, the part of the registries alone,
//! as BR 3.2.2.6 has it). The list is compiled in; its age is that of the `psl` crate.

use cairn_acme::identifier::DnsName;

/// What the list says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is a suffix of the registries, or its children are.
    PublicSuffix,
    /// It lies below one.
    Registrable,
    /// Its top-level domain is not on the list.
    UnknownTopLevel,
}

/// Looks a name up.
#[must_use]
pub fn standing(name: &DnsName) -> Standing {
    // A rule such as *.ck makes every name below ck a suffix, and so ck a place of suffixes.
    let below = format!("0.{name}");
    if is_suffix(name.as_str()) || is_suffix(&below) {
        return Standing::PublicSuffix;
    }
    let top = name.labels().next_back().unwrap_or_default();
    let known = [name.as_str(), top]
        .iter()
        .any(|text| psl::suffix(text.as_bytes()).is_some_and(|suffix| suffix.is_known()));
    if known {
        Standing::Registrable
    } else {
        Standing::UnknownTopLevel
    }
}

/// A suffix of the list's private part (such as github.io) is a name like any other below its registry's.
fn is_suffix(text: &str) -> bool {
    let octets = text.as_bytes();
    psl::suffix(octets)
        .is_some_and(|suffix| suffix.typ() == Some(psl::Type::Icann) && suffix.as_bytes() == octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_and_exceptions_of_the_list_count_and_its_private_part_does_not() {
        // T-CA-61
        use Standing::{PublicSuffix, Registrable, UnknownTopLevel};
        let cases = [
            ("com", PublicSuffix),
            ("co.uk", PublicSuffix),
            ("uk", PublicSuffix),
            ("example.com", Registrable),
            ("example.co.uk", Registrable),
            ("a.b.example.co.uk", Registrable),
            // *.ck, !www.ck
            ("ck", PublicSuffix),
            ("anything.ck", PublicSuffix),
            ("www.ck", Registrable),
            ("a.www.ck", Registrable),
            ("a.anything.ck", Registrable),
            ("kawasaki.jp", PublicSuffix),
            ("a.kawasaki.jp", PublicSuffix),
            ("city.kawasaki.jp", Registrable),
            // A suffix of its owner's own making.
            ("github.io", Registrable),
            ("a.github.io", Registrable),
            ("io", PublicSuffix),
            ("xn--p1ai", PublicSuffix),
            ("xn--80aswg.xn--p1ai", Registrable),
            ("internal", UnknownTopLevel),
            ("a.internal", UnknownTopLevel),
            ("localhost", UnknownTopLevel),
            ("a.test", UnknownTopLevel),
            ("printer.local", UnknownTopLevel),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .map(|(name, want)| (name, want, standing(&DnsName::parse(name).unwrap())))
            .filter(|(_, want, found)| **want != *found)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
