//! Name constraints (RFC 5280 §4.2.1.10): what an issuer may sign for.

use std::net::IpAddr;

use crate::{
    reader::{DerFault, Reader, only},
    writer::tag,
};

/// Subtrees of the two types that leaves have; others bind no leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameConstraints {
    pub(super) permitted_dns: Vec<String>,
    excluded_dns: Vec<String>,
    /// Address and mask, one after the other.
    permitted_ip: Vec<Vec<u8>>,
    excluded_ip: Vec<Vec<u8>>,
}

impl NameConstraints {
    /// Reads the extension's value.
    ///
    /// # Errors
    /// When it is not DER, or has a subtree that is none.
    pub fn parse(value: &[u8]) -> Result<Self, DerFault> {
        let mut found = Self::default();
        let mut outer = Reader::new(only(value, tag::SEQUENCE)?.contents);
        if let Some(trees) = outer.optional(tag::constructed(0))? {
            subtrees(
                trees.contents,
                &mut found.permitted_dns,
                &mut found.permitted_ip,
            )?;
        }
        if let Some(trees) = outer.optional(tag::constructed(1))? {
            subtrees(
                trees.contents,
                &mut found.excluded_dns,
                &mut found.excluded_ip,
            )?;
        }
        outer.end()?;
        Ok(found)
    }

    /// Whether a name, or a wildcard with its `*.`, is permitted with all that it stands for.
    #[must_use]
    pub fn permits_dns(&self, name: &str) -> bool {
        let (base, wildcard) = match name.strip_prefix("*.") {
            Some(base) => (base, true),
            None => (name, false),
        };
        let permitted = &self.permitted_dns;
        (permitted.is_empty() || permitted.iter().any(|tree| is_within(base, tree)))
            && !self
                .excluded_dns
                .iter()
                // The leading dot is not of RFC 5280, but common; the apex goes with what it excludes.
                .map(|tree| tree.strip_prefix('.').unwrap_or(tree))
                // A wildcard also stands for what is excluded below its base.
                .any(|tree| is_within(base, tree) || (wildcard && is_within(tree, base)))
    }

    /// Whether an address is permitted.
    #[must_use]
    pub fn permits_ip(&self, address: IpAddr) -> bool {
        let octets = match address {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let covers = |range: &Vec<u8>| {
            let (base, mask) = range.split_at(range.len() / 2);
            base.len() == octets.len()
                && octets
                    .iter()
                    .zip(mask)
                    .zip(base)
                    .all(|((o, m), b)| o & m == b & m)
        };
        (self.permitted_ip.is_empty() || self.permitted_ip.iter().any(covers))
            && !self.excluded_ip.iter().any(covers)
    }

    /// The permitted DNS subtrees; empty: no constraint.
    #[must_use]
    pub fn permitted_dns(&self) -> &[String] {
        &self.permitted_dns
    }

    /// The permitted ranges of addresses: address and prefix length; empty: none, or no constraint.
    pub fn permitted_ip(&self) -> impl Iterator<Item = (IpAddr, u8)> {
        self.permitted_ip.iter().map(|range| {
            let (base, mask) = range.split_at(range.len() / 2);
            let bits: u32 = mask.iter().map(|octet| octet.count_ones()).sum();
            let address = match <[u8; 4]>::try_from(base) {
                Ok(v4) => IpAddr::from(v4),
                Err(_) => IpAddr::from(<[u8; 16]>::try_from(base).unwrap_or_default()),
            };
            (address, u8::try_from(bits).unwrap_or_default())
        })
    }

    /// The same as text.
    #[must_use]
    pub fn permitted_ranges(&self) -> Vec<String> {
        self.permitted_ip()
            .map(|(address, bits)| format!("{address}/{bits}"))
            .collect()
    }
}

fn subtrees(contents: &[u8], dns: &mut Vec<String>, ip: &mut Vec<Vec<u8>>) -> Result<(), DerFault> {
    let mut trees = Reader::new(contents);
    while !trees.is_empty() {
        let mut tree = trees.enter(tag::SEQUENCE)?;
        let base = tree.any()?;
        // No minimum, no maximum.
        tree.end()?;
        match base.tag {
            0x82 if base.contents.is_ascii() => {
                dns.push(String::from_utf8_lossy(base.contents).to_ascii_lowercase());
            }
            0x87 if matches!(base.contents.len(), 8 | 32) => ip.push(base.contents.to_vec()),
            0x82 | 0x87 => return Err(DerFault::Value),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a name is a tree's apex or below it; of a tree with a leading dot, below it only.
fn is_within(name: &str, tree: &str) -> bool {
    name.strip_suffix(tree).is_some_and(|head| {
        let dotted = head.ends_with('.') || tree.starts_with('.') && !head.is_empty();
        tree.is_empty() || dotted || (head.is_empty() && !tree.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writer::Writer;

    fn constraints(permitted: &[(u8, &[u8])], excluded: &[(u8, &[u8])]) -> NameConstraints {
        let mut w = Writer::default();
        w.nest(tag::SEQUENCE, |w| {
            for (number, trees) in [(0, permitted), (1, excluded)] {
                if !trees.is_empty() {
                    w.nest(tag::constructed(number), |w| {
                        for (kind, base) in trees {
                            w.nest(tag::SEQUENCE, |w| w.value(*kind, base));
                        }
                    });
                }
            }
        });
        NameConstraints::parse(&w.finish()).unwrap()
    }

    #[test]
    fn names_are_judged_at_label_boundaries_and_wildcards_by_all_they_stand_for() {
        // 5280-4.2.1.10-1
        let bound = constraints(
            &[(0x82, b"Widgets.Internal"), (0x82, b".below.example")],
            &[
                (0x82, b"secret.widgets.internal"),
                (0x82, b".dotted.widgets.internal"),
            ],
        );
        let cases = [
            ("widgets.internal", true),
            ("a.b.widgets.internal", true),
            ("evilwidgets.internal", false),
            ("internal", false),
            ("widgets.internal.example", false),
            ("secret.widgets.internal", false),
            ("a.secret.widgets.internal", false),
            ("nosecret.widgets.internal", true),
            ("a.dotted.widgets.internal", false),
            // It would match secret.widgets.internal.
            ("*.widgets.internal", false),
            ("*.secret.widgets.internal", false),
            ("*.other.widgets.internal", true),
            ("*.internal", false),
            ("below.example", false),
            ("a.below.example", true),
            ("*.below.example", false),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(name, want)| bound.permits_dns(name) != *want)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn addresses_are_judged_by_their_family_and_mask() {
        // 5280-4.2.1.10-1
        let bound = constraints(
            &[(0x87, &[10, 0, 0, 0, 255, 0, 0, 0])],
            &[(0x87, &[10, 9, 7, 7, 255, 255, 0, 0]), (0x87, &[0; 32])],
        );
        let cases = [
            ("10.1.2.3", true),
            ("10.9.2.3", false),
            ("11.0.0.1", false),
            ("::1", false),
            ("::ffff:10.1.2.3", false),
        ];
        let wrong: Vec<_> = cases
            .iter()
            .filter(|(address, want)| bound.permits_ip(address.parse().unwrap()) != *want)
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}");
        assert!(bound.permits_dns("any.example"), "no constraint on names");
        assert_eq!(bound.permitted_ranges(), ["10.0.0.0/8"]);
    }
}
