use std::time::Duration;

use cairn_acme::{
    challenge::Token,
    key::PublicKey,
    status::{AccountStatus, AuthorizationStatus},
};
use cairn_x509::certificate::Serial;

use super::*;
use crate::{
    id::{AuthorizationId, DirectoryId, IssuerId, OrderId},
    model::{CertificateState, Evidence, Method},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);
const KEY: [u8; 32] = [7; 32];
const JWK: &[u8] =
    br#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn account_id(n: u8) -> AccountId {
    AccountId::from_bytes([n; 16])
}

fn account(n: u8, status: AccountStatus) -> Account {
    let key = PublicKey::from_jwk(JWK).unwrap();
    Account {
        id: account_id(n),
        directory: DirectoryId::FIRST,
        thumbprint: key.thumbprint(),
        key,
        spki_sha256: [n; 32],
        status,
        contacts: Vec::new(),
        terms_agreed: true,
        terms: None,
        url: String::new(),
        external: None,
        created_at: NOW,
    }
}

fn name(text: &str) -> Identifier {
    Identifier::parse("dns", text).unwrap()
}

/// Of account 1, for two names.
fn certificate(revocation: Option<Revocation>) -> Certificate {
    Certificate {
        key: CertificateKey {
            issuer: IssuerId([1; 16]),
            serial: Serial::new(1, 0, [1; 16]),
        },
        account: account_id(1),
        order: OrderId::from_bytes([1; 16]),
        directory: DirectoryId::FIRST,
        state: CertificateState::Issued,
        names: vec![name("a.test"), name("*.b.test")],
        not_before: NOW.minus(HOUR),
        not_after: NOW.plus(HOUR),
        tbs: Vec::new(),
        signature: Some(Vec::new()),
        spki_sha256: KEY,
        profile_hash: [0; 32],
        crl_shard: 0,
        lint: String::new(),
        evidence: String::new(),
        request: Vec::new(),
        created_at: NOW.minus(HOUR),
        issued_at: Some(NOW.minus(HOUR)),
        revocation,
    }
}

fn authorization(of: u8, text: &str, expires: Timestamp) -> Option<Authorization> {
    let name = name(text);
    Some(Authorization {
        id: AuthorizationId::from_bytes([of; 16]),
        account: account_id(of),
        order: Some(OrderId::from_bytes([2; 16])),
        directory: DirectoryId::FIRST,
        identifier: name.base(),
        wildcard: name.is_wildcard(),
        status: AuthorizationStatus::Valid,
        expires,
        token: Token::from_random(&[1; 16]).unwrap(),
        challenges: Vec::new(),
        evidence: Some(Evidence {
            method: Method::OwnHost,
            validated_at: NOW,
            addresses: Vec::new(),
            detail: String::new(),
            caa: None,
        }),
        trace: None,
        created_at: NOW,
    })
}

fn ask(claimant: Claimant, reason: Option<i64>, proof: RevocationProof) -> Decision<Certificate> {
    let revoke = Revoke {
        certificate: certificate(None).key,
        claimant,
        reason,
        requester: Requester { address: None },
        now: NOW,
    };
    revoke_checked(&revoke, proof)
}

/// A revocation leaves one audit row, an operator's refusal too, and a refusal nothing else.
fn revoke_checked(input: &Revoke, proof: RevocationProof) -> Decision<Certificate> {
    let decision = revoke(input, proof);
    let is_repeat = decision
        .answer
        .as_ref()
        .is_err_and(|p| p.kind == ProblemType::AlreadyRevoked);
    let is_told = decision.answer.is_ok() || input.claimant == Claimant::Operator;
    assert_eq!(
        decision.changes.audit.len(),
        usize::from(is_told && !is_repeat)
    );
    if decision.answer.is_err() {
        assert!(
            decision.changes.revoke_certificates.is_empty()
                && decision.changes.block_keys.is_empty()
        );
    }
    decision
}

fn proof(certificate: Certificate) -> RevocationProof {
    RevocationProof {
        certificate: Some(certificate),
        account: None,
        authorizations: Vec::new(),
        is_blocked_key: false,
    }
}

/// What account `n` shows.
fn by(n: u8, shown: Vec<Option<Authorization>>) -> (Claimant, RevocationProof) {
    let mut proof = proof(certificate(None));
    proof.account = Some(account(n, AccountStatus::Valid));
    proof.authorizations = shown;
    (Claimant::Account(account_id(n)), proof)
}

/// What is recorded, and whether the key is blocked; or the problem.
fn outcome(decision: &Decision<Certificate>) -> String {
    match &decision.answer {
        Ok(certificate) => {
            let revocation = certificate.revocation.unwrap();
            let blocked = match decision.changes.block_keys.as_slice() {
                [] => "",
                _ => " blocked",
            };
            format!(
                "{} {}{blocked}",
                revocation.by.name(),
                revocation.reason.code()
            )
        }
        Err(problem) => format!("{} {}", problem.kind.name(), problem.status),
    }
}

/// Name, who asks with what is shown, the reason asked for, the outcome.
type Case = (
    &'static str,
    (Claimant, RevocationProof),
    Option<i64>,
    &'static str,
);

#[test]
fn who_may_revoke_and_what_is_recorded() {
    // 8555-7.6-2 8555-7.6-3 8555-7.6-6 T-CA-106 T-CA-39 BR-7.2.2-1
    let later = NOW.plus(HOUR);
    let both = || {
        vec![
            authorization(2, "a.test", later),
            authorization(2, "*.b.test", later),
        ]
    };
    let cases: Vec<Case> = vec![
        (
            "its account, no reason",
            by(1, vec![]),
            None,
            "subscriber 0",
        ),
        ("its account, 0", by(1, vec![]), Some(0), "subscriber 0"),
        (
            "its account, 1: taken at its word",
            by(1, vec![]),
            Some(1),
            "subscriber 1",
        ),
        ("its account, 3", by(1, vec![]), Some(3), "subscriber 3"),
        ("its account, 4", by(1, vec![]), Some(4), "subscriber 4"),
        ("its account, 5", by(1, vec![]), Some(5), "subscriber 5"),
        (
            "another with all names",
            by(2, both()),
            None,
            "name-holder 5",
        ),
        (
            "another, 1: no proof of it",
            by(2, both()),
            Some(1),
            "name-holder 5",
        ),
        ("another, 4", by(2, both()), Some(4), "name-holder 5"),
        (
            "another without any",
            by(2, vec![None, None]),
            None,
            "unauthorized 403",
        ),
        (
            "another, nothing looked up",
            by(2, vec![]),
            None,
            "unauthorized 403",
        ),
        (
            "another with one of two",
            by(2, vec![authorization(2, "a.test", later), None]),
            None,
            "unauthorized 403",
        ),
        (
            "another, one expired",
            by(
                2,
                vec![
                    authorization(2, "a.test", later),
                    authorization(2, "*.b.test", NOW),
                ],
            ),
            None,
            "unauthorized 403",
        ),
        (
            "another, no wildcard",
            by(
                2,
                vec![
                    authorization(2, "a.test", later),
                    authorization(2, "b.test", later),
                ],
            ),
            None,
            "unauthorized 403",
        ),
        (
            "a third's authorizations",
            by(
                2,
                vec![
                    authorization(3, "a.test", later),
                    authorization(3, "*.b.test", later),
                ],
            ),
            None,
            "unauthorized 403",
        ),
        (
            "its key",
            (Claimant::Key(KEY), proof(certificate(None))),
            None,
            "key-holder 0",
        ),
        (
            "its key, 4",
            (Claimant::Key(KEY), proof(certificate(None))),
            Some(4),
            "key-holder 4",
        ),
        (
            "its key, 1: proof",
            (Claimant::Key(KEY), proof(certificate(None))),
            Some(1),
            "key-holder 1 blocked",
        ),
        (
            "another key, such as the CA's",
            (Claimant::Key([8; 32]), proof(certificate(None))),
            Some(1),
            "unauthorized 403",
        ),
        (
            "an operator",
            (Claimant::Operator, proof(certificate(None))),
            None,
            "operator 0",
        ),
        (
            "an operator, 9",
            (Claimant::Operator, proof(certificate(None))),
            Some(9),
            "operator 9",
        ),
        (
            "an operator, 1",
            (Claimant::Operator, proof(certificate(None))),
            Some(1),
            "operator 1 blocked",
        ),
    ];
    let mut wrong = Vec::new();
    for (label, (claimant, proof), reason, want) in cases {
        let got = outcome(&ask(claimant, reason, proof));
        if got != want {
            wrong.push(format!("{label}: {got}, wanted {want}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn reasons_that_are_not_for_the_asker_are_refused_with_the_list() {
    // 8555-7.6-3 T-CA-106
    for reason in [2, 6, 7, 8, 9, 10, 11, -1, 256, 257, i64::MAX, i64::MIN] {
        for (claimant, proof) in [
            by(1, vec![]),
            (Claimant::Key(KEY), proof(certificate(None))),
        ] {
            let problem = ask(claimant, Some(reason), proof).answer.unwrap_err();
            assert_eq!(
                (problem.kind, problem.status),
                (ProblemType::BadRevocationReason, 400)
            );
            let text = "0 (unspecified), 1 (keyCompromise), 3 (affiliationChanged), 4 (superseded), 5 (cessationOfOperation)";
            assert!(
                problem.detail.contains(text) && problem.detail.contains(&reason.to_string()),
                "{}",
                problem.detail
            );
        }
    }
    let refused = ask(Claimant::Operator, Some(6), proof(certificate(None)));
    assert_eq!(outcome(&refused), "badRevocationReason 400");
}

#[test]
fn a_revoked_certificate_changes_only_to_a_proven_compromise() {
    // 8555-7.6-3 8555-7.6-6 T-CA-106
    let at = NOW.minus(HOUR);
    let before = |reason| Revocation {
        reason,
        at,
        by: RevokedBy::Subscriber(account_id(1)),
    };
    use RevocationReason::{KeyCompromise, Superseded};
    let key = Claimant::Key(KEY);
    let mine = Claimant::Account(account_id(1));
    for (label, claimant, reason, was, is_blocked_key, want) in [
        ("again", mine, None, Superseded, false, "alreadyRevoked 400"),
        (
            "its account's 1",
            mine,
            Some(1),
            Superseded,
            false,
            "alreadyRevoked 400",
        ),
        (
            "its key, another reason",
            key,
            Some(4),
            Superseded,
            false,
            "alreadyRevoked 400",
        ),
        (
            "its key, 1",
            key,
            Some(1),
            Superseded,
            false,
            "key-holder 1 blocked",
        ),
        (
            "its key, 1, the same",
            key,
            Some(1),
            KeyCompromise,
            false,
            "subscriber 1 blocked",
        ),
        (
            "its key, 1, known",
            key,
            Some(1),
            KeyCompromise,
            true,
            "alreadyRevoked 400",
        ),
        (
            "operator, 1",
            Claimant::Operator,
            Some(1),
            Superseded,
            true,
            "operator 1",
        ),
    ] {
        let mut proof = proof(certificate(Some(before(was))));
        proof.account = Some(account(1, AccountStatus::Valid));
        proof.is_blocked_key = is_blocked_key;
        let decision = ask(claimant, reason, proof);
        assert_eq!(outcome(&decision), want, "{label}");
        if let Ok(certificate) = decision.answer {
            assert_eq!(certificate.revocation.unwrap().at, at, "{label}");
        }
    }
}

#[test]
fn what_is_unknown_expired_or_asked_by_a_dead_account_is_refused() {
    // 8555-7.6-5 T-CA-31 T-CA-106
    let mut gone = by(1, vec![]);
    gone.1.certificate = None;
    let unknown = revoke(
        &Revoke {
            certificate: certificate(None).key,
            claimant: gone.0,
            reason: None,
            requester: Requester { address: None },
            now: NOW,
        },
        gone.1,
    );
    assert_eq!(outcome(&unknown), "malformed 404");
    let mut expired = certificate(None);
    expired.not_after = NOW.minus(Duration::from_secs(1));
    for claimant in [Claimant::Operator, Claimant::Key(KEY)] {
        let refused = ask(claimant, None, proof(expired.clone()));
        assert_eq!(outcome(&refused), "unauthorized 403");
        assert!(refused.answer.unwrap_err().detail.contains("expired at"));
    }
    let mut last_second = certificate(None);
    last_second.not_after = NOW;
    assert_eq!(
        outcome(&ask(Claimant::Operator, None, proof(last_second))),
        "operator 0"
    );
    for status in [AccountStatus::Deactivated, AccountStatus::Revoked] {
        let (claimant, mut proof) = by(1, vec![]);
        proof.account = Some(account(1, status));
        assert_eq!(outcome(&ask(claimant, None, proof)), "unauthorized 401");
    }
}

#[test]
fn each_name_that_is_not_shown_is_told() {
    // 8555-6.7.1-1
    let (claimant, proof) = by(2, vec![authorization(2, "a.test", NOW.plus(HOUR)), None]);
    let problem = ask(claimant, None, proof).answer.unwrap_err();
    let told: Vec<_> = problem
        .subproblems
        .iter()
        .filter_map(|s| s.identifier.as_ref().map(|i| i.value.clone()))
        .collect();
    assert_eq!(told, ["*.b.test"]);
    assert!(
        problem.detail.contains("1 of its 2 names"),
        "{}",
        problem.detail
    );
}
