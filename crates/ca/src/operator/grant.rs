//! An operator's word that one certificate may be issued without a challenge. Only this module makes one, and it makes it
//! of a request on the operator's listener; `begin_issuance` asks for it wherever an authorization rests on one (T-CA-121).
//! It is never stored: an issuance that a restart interrupts ends, and the operator asks again.

use cairn_acme::identifier::Identifier;

use crate::{id::OrderId, model::Certificate};

/// The word: for this order, these names and this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorGrant {
    order: OrderId,
    names: Vec<Identifier>,
    spki_sha256: [u8; 32],
}

impl OperatorGrant {
    /// Gives it.
    pub(super) fn new(order: OrderId, names: Vec<Identifier>, spki_sha256: [u8; 32]) -> Self {
        Self {
            order,
            names,
            spki_sha256,
        }
    }

    /// The order that it was given for.
    #[must_use]
    pub fn order(&self) -> OrderId {
        self.order
    }

    /// Whether it was given for exactly this.
    #[must_use]
    pub fn covers(&self, certificate: &Certificate) -> bool {
        self.order == certificate.order
            && self.names == certificate.names
            && self.spki_sha256 == certificate.spki_sha256
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cairn_acme::{
        challenge::Token,
        key::PublicKey,
        problem::ProblemType,
        status::{AccountStatus, AuthorizationStatus},
        time::Timestamp,
    };
    use cairn_x509::certificate::Serial;

    use super::*;
    use crate::{
        authority::issuance::{self, BeginIssuance, IssuanceProof},
        id::{AccountId, AuthorizationId, BootId, DirectoryId, IssuerId},
        model::{
            Account, Authorization, CaaCheck, CertificateKey, CertificateState, Evidence, Method,
            Order, OrderState,
        },
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const JWK: &[u8] =
        br#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn id(n: u8) -> OrderId {
        OrderId::from_bytes([n; 16])
    }

    fn name(text: &str) -> Identifier {
        Identifier::parse("dns", text).unwrap()
    }

    fn checked() -> CaaCheck {
        CaaCheck {
            name: "a.test".to_owned(),
            checked_at: NOW,
            found_at: None,
            aliases: Vec::new(),
            records: Vec::new(),
            resolver: None,
            dnssec: false,
            not_asked: None,
        }
    }

    fn certificate() -> Certificate {
        Certificate {
            key: CertificateKey {
                issuer: IssuerId([1; 16]),
                serial: Serial::new(1, 0, [1; 16]),
            },
            account: AccountId::from_bytes([1; 16]),
            order: id(1),
            directory: DirectoryId::FIRST,
            state: CertificateState::Permitted,
            names: vec![name("a.test")],
            not_before: NOW,
            not_after: NOW.plus(HOUR),
            tbs: vec![1],
            signature: None,
            spki_sha256: [7; 32],
            profile_hash: [0; 32],
            crl_shard: 0,
            lint: String::new(),
            evidence: String::new(),
            request: Vec::new(),
            created_at: NOW,
            issued_at: None,
            revocation: None,
        }
    }

    /// Everything is in order, and the name rests on an operator's word.
    fn proof(method: Option<Method>) -> IssuanceProof {
        let account = AccountId::from_bytes([1; 16]);
        let key = PublicKey::from_jwk(JWK).unwrap();
        let authorization = Authorization {
            id: AuthorizationId::from_bytes([1; 16]),
            account,
            order: Some(id(1)),
            directory: DirectoryId::FIRST,
            identifier: name("a.test"),
            wildcard: false,
            status: AuthorizationStatus::Valid,
            expires: NOW.plus(HOUR),
            token: Token::from_random(&[1; 16]).unwrap(),
            challenges: Vec::new(),
            evidence: method.map(|method| Evidence {
                method,
                validated_at: NOW,
                addresses: Vec::new(),
                detail: String::new(),
                caa: None,
            }),
            trace: None,
            created_at: NOW,
        };
        IssuanceProof {
            account: Some(Account {
                id: account,
                directory: DirectoryId::FIRST,
                thumbprint: key.thumbprint(),
                key,
                spki_sha256: [1; 32],
                status: AccountStatus::Valid,
                contacts: Vec::new(),
                terms_agreed: true,
                url: String::new(),
                external: None,
                created_at: NOW,
            }),
            order: Some(Order {
                id: id(1),
                account,
                directory: DirectoryId::FIRST,
                identifiers: vec![name("a.test")],
                not_before: None,
                not_after: None,
                profile: None,
                profile_hash: [0; 32],
                replaces: None,
                fingerprint: 0,
                state: OrderState::Open,
                expires: NOW.plus(HOUR),
                authorizations: vec![authorization.id],
                certificate: None,
                error: None,
                attempts: 0,
                created_at: NOW,
            }),
            authorizations: vec![authorization],
            work: None,
            stop: None,
            is_account_key: false,
            is_blocked_key: false,
        }
    }

    #[test]
    fn an_operators_word_is_worth_nothing_without_the_very_grant() {
        // T-CA-121
        let grant = |order, text: &str, key| OperatorGrant::new(order, vec![name(text)], key);
        let granted = Some(Method::OperatorGrant);
        for (label, method, grant, want) in [
            (
                "the grant",
                granted,
                Some(grant(id(1), "a.test", [7; 32])),
                true,
            ),
            ("none", granted, None, false),
            (
                "another order's",
                granted,
                Some(grant(id(2), "a.test", [7; 32])),
                false,
            ),
            (
                "another name's",
                granted,
                Some(grant(id(1), "b.test", [7; 32])),
                false,
            ),
            (
                "another key's",
                granted,
                Some(grant(id(1), "a.test", [8; 32])),
                false,
            ),
            (
                "nothing shown at all",
                None,
                Some(grant(id(1), "a.test", [7; 32])),
                false,
            ),
            ("the configured host", Some(Method::OwnHost), None, true),
        ] {
            let begin = BeginIssuance {
                account: AccountId::from_bytes([1; 16]),
                order: id(1),
                resumes: None,
                grant,
                certificate: certificate(),
                caa: vec![Some(checked())],
                boot: BootId::from_bytes([1; 16]),
                lease: HOUR,
                now: NOW,
            };
            let decision = issuance::begin(&begin, proof(method));
            assert_eq!(decision.answer.is_ok(), want, "{label}");
            if let Err(problem) = decision.answer {
                assert_eq!(problem.kind, ProblemType::Unauthorized, "{label}");
                assert!(decision.changes.insert_certificates.is_empty(), "{label}");
            }
        }
    }
}
