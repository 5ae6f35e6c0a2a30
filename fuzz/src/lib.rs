//! Fuzz targets as plain functions: whatever reads bytes from outside. `make test` runs them over the corpus and a seeded
//! mutator (`tests/targets.rs`), `make soak` under libFuzzer (`libfuzzer/`).
//!
//! A target must return on every input: no panic, no unbounded work. Where a parser has a printer, printing what was
//! parsed and parsing it again gives the same.

use std::path::Path;

use cairn_ca::{config::Config, validation};

/// One reader of outside bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name and its corpus folder's.
    pub name: &'static str,
    /// Reads.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 13] = [
    Target {
        name: "jws",
        run: jws,
    },
    Target {
        name: "external",
        run: external,
    },
    Target {
        name: "json",
        run: json,
    },
    Target {
        name: "jwk",
        run: jwk,
    },
    Target {
        name: "identifier",
        run: identifier,
    },
    Target {
        name: "cert_id",
        run: cert_id,
    },
    Target {
        name: "csr",
        run: csr,
    },
    Target {
        name: "acme-identifier",
        run: acme_identifier,
    },
    Target {
        name: "der",
        run: der,
    },
    Target {
        name: "config",
        run: config,
    },
    Target {
        name: "dns",
        run: dns,
    },
    Target {
        name: "caa",
        run: caa,
    },
    Target {
        name: "http",
        run: http,
    },
];

/// A request body as it arrives.
pub fn jws(data: &[u8]) {
    if let Ok(envelope) = cairn_acme::jws::Envelope::parse(data) {
        let _ = envelope.algorithm();
    }
}

/// An external account binding, in a request of the account key that its corpus names.
pub fn external(data: &[u8]) {
    use cairn_acme::{
        jws::{Binding, MacKey},
        key::PublicKey,
    };
    const JWK: &[u8] = br#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    let Ok(key) = PublicKey::from_jwk(JWK) else {
        return;
    };
    let url = "https://ca.example/acme/new-account";
    if let Ok(binding) = Binding::parse(data, url, &key) {
        let guessed = MacKey::new(vec![0; MacKey::OCTETS].into());
        assert!(!binding.is_made_with(&guessed), "a guessed secret fits");
    }
}

/// Every payload that a request may carry.
pub fn json(data: &[u8]) {
    use cairn_acme::object;
    let _ = cairn_acme::json::parse::<object::NewAccount>(data);
    let _ = cairn_acme::json::parse::<object::AccountUpdate>(data);
    let _ = cairn_acme::json::parse::<object::NewOrder>(data);
    let _ = cairn_acme::json::parse::<object::Finalize>(data);
    let _ = cairn_acme::json::parse::<object::RevokeCert>(data);
    let _ = cairn_acme::json::parse::<object::Deactivation>(data);
    let _ = cairn_acme::json::parse::<cairn_acme::problem::Problem>(data);
}

/// A public key; what parses prints to the same key.
pub fn jwk(data: &[u8]) {
    if let Ok(key) = cairn_acme::key::PublicKey::from_jwk(data) {
        let again = cairn_acme::key::PublicKey::from_jwk(key.to_jwk().as_bytes());
        assert_eq!(
            again.map(|k| k.thumbprint()).ok(),
            Some(key.thumbprint()),
            "a key changed by printing"
        );
    }
}

/// A DNS name or address in newOrder; what parses prints to itself.
pub fn identifier(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for kind in ["dns", "ip"] {
        if let Ok(parsed) = cairn_acme::identifier::Identifier::parse(kind, text) {
            let again = cairn_acme::identifier::Identifier::parse(kind, &parsed.to_string());
            assert_eq!(
                again.ok(),
                Some(parsed),
                "an identifier changed by printing"
            );
        }
    }
}

/// A certificate's name in renewalInfo's path and in `replaces`; what parses prints to itself.
pub fn cert_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = text.parse::<cairn_acme::renewal::CertId>() {
        let again = id.to_string().parse::<cairn_acme::renewal::CertId>();
        assert_eq!(
            again.ok(),
            Some(id),
            "a certificate's name changed by printing"
        );
    }
}

/// A certificate signing request.
pub fn csr(data: &[u8]) {
    if let Ok(csr) = cairn_x509::csr::Csr::parse(data) {
        let _ = (csr.dns_names(), csr.common_names(), csr.wants_must_staple());
    }
}

/// The certificate of a tls-alpn-01 handshake, from whoever listens there.
pub fn acme_identifier(data: &[u8]) {
    use cairn_x509::acme_identifier::{Named, verify};
    let names = [Named::Dns("a.example"), Named::Ip([192, 0, 2, 1].into())];
    let fits = names.map(|named| verify(data, named, &[7; 32]).is_ok());
    assert!(fits != [true, true], "one certificate for two identifiers");
}

/// Certificates, CRLs and public keys.
pub fn der(data: &[u8]) {
    let _ = cairn_x509::certificate::Certificate::parse(data);
    if let Ok(crl) = cairn_x509::crl::Crl::parse(data) {
        let _ = (crl.url(), crl.number(), crl.entries().len());
    }
    let _ = cairn_x509::key::PublicKey::from_spki_der(data);
}

/// `cairn.toml`.
pub fn config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = Config::parse(text, Path::new("cairn.toml"));
    }
}

/// A DNS answer.
pub fn dns(data: &[u8]) {
    validation::fuzz_dns_answer(data);
}

/// A CAA record; what parses prints to the same octets, and a set of it is judged.
pub fn caa(data: &[u8]) {
    use cairn_ca::authority::caa::{Applicant, CaaRecord, Found, decide, tell};
    let Ok(record) = CaaRecord::parse(data) else {
        return;
    };
    assert_eq!(record.to_rdata(), data, "a record changed by printing");
    let (identities, accounts) = (
        ["ca.example".to_owned()],
        ["https://ca.example/a".to_owned()],
    );
    let set = [record];
    for wildcard in [false, true] {
        let applicant = Applicant {
            identities: &identities,
            accounts: &accounts,
            method: "http-01",
            wildcard,
        };
        if let Err(refusal) = decide(&set, &applicant) {
            let found = Found {
                name: "www.example.org",
                at: "example.org",
                aliases: &[],
                records: &set,
            };
            let text = tell(&found, &applicant, &refusal);
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}

/// The head of a validated host's HTTP answer.
pub fn http(data: &[u8]) {
    validation::fuzz_http_head(data);
}

/// A small deterministic generator (SplitMix64), so that a seed tells the whole run.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.bits() % (bound.max(1) as u64)).unwrap_or_default()
    }
}

/// Changes an input in one to four places: a bit, a byte, a run cut, doubled, moved from another input.
pub fn mutate(random: &mut Random, input: &[u8], other: &[u8]) -> Vec<u8> {
    const INTERESTING: [u8; 12] = [
        0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'\\', b'\n', b'.', 0x30, b'=',
    ];
    let mut out = input.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(out.len() + 1);
        let run = 1 + random.below(16);
        match random.below(7) {
            0 if !out.is_empty() => {
                let i = random.below(out.len());
                out[i] ^= 1 << random.below(8);
            }
            1 if !out.is_empty() => {
                let i = random.below(out.len());
                out[i] = INTERESTING[random.below(INTERESTING.len())];
            }
            2 => out.insert(at, INTERESTING[random.below(INTERESTING.len())]),
            3 => {
                let end = (at + run).min(out.len());
                out.drain(at..end);
            }
            4 => {
                let end = (at + run).min(out.len());
                let copy = out[at..end].to_vec();
                out.splice(at..at, copy);
            }
            5 if !other.is_empty() => {
                let from = random.below(other.len());
                let end = (from + run).min(other.len());
                out.splice(at..at, other[from..end].iter().copied());
            }
            _ => out.truncate(at),
        }
    }
    out
}
