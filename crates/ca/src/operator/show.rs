//! Rows as JSON for operators: everything that is kept, traces included, but no key and no request body.

use cairn_acme::time::Timestamp;
use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::{
    authority::renewal,
    model::{
        Account, Authorization, Certificate, CertificateState, ExternalKey, Order, OrderState,
        RenewalFacts, StoredCrl,
    },
    store::{AuditRecord, OrderDetail},
};

pub(super) fn certificate(certificate: &Certificate) -> Value {
    json!({
        "serial": certificate.key.serial.to_string(),
        "state": match (certificate.state, &certificate.revocation) {
            (_, Some(_)) => "revoked",
            (CertificateState::Permitted, None) => "permitted",
            (CertificateState::Issued, None) => "issued",
            (CertificateState::Unconfirmed, None) => "unconfirmed",
        },
        "names": certificate.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
        "account": certificate.account.to_string(),
        "order": certificate.order.to_string(),
        "revoked_at": certificate.revocation.map(|r| r.at),
        "reason": certificate.revocation.map(|r| r.reason.name()),
    })
}

pub(super) fn certificate_detail(
    shown: &Certificate,
    first_crl: Option<u64>,
    facts: Option<&RenewalFacts>,
) -> Value {
    let renewal = facts.map(|facts| {
        let window = renewal::window(facts, renewal::PLAN);
        json!({
            "start": window.start,
            "end": window.end,
            "set_aside": facts.set_aside.as_ref().map(|a| a.at),
            "explanation": facts.set_aside.as_ref().and_then(|a| a.explanation.as_deref()),
        })
    });
    let mut value = certificate(shown);
    extend(
        &mut value,
        json!({
            "issuer": shown.key.issuer.to_string(),
            "crl_shard": shown.crl_shard,
            "spki_sha256": HEXLOWER.encode(&shown.spki_sha256),
            "profile": HEXLOWER.encode(&shown.profile_hash),
            "renewal": renewal,
            "lint": shown.lint,
            "evidence": parsed(&shown.evidence),
            "created_at": shown.created_at,
            "issued_at": shown.issued_at,
            "revoked_by": shown.revocation.map(|r| r.by.name()),
            "revoked_by_account": shown.revocation.and_then(|r| r.by.account()).map(|id| id.to_string()),
            "first_crl": first_crl,
        }),
    );
    value
}

pub(super) fn order(order: &Order, now: Timestamp) -> Value {
    json!({
        "id": order.id.to_string(),
        "status": match order.state {
            OrderState::Open if order.expires <= now => "expired",
            OrderState::Open => "open",
            OrderState::Processing => "processing",
            OrderState::Valid => "valid",
            OrderState::Invalid => "invalid",
        },
        "identifiers": order.identifiers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "expires": order.expires,
        "account": order.account.to_string(),
        "created_at": order.created_at,
        "error": order.error,
    })
}

pub(super) fn order_detail(detail: &OrderDetail, now: Timestamp) -> Value {
    let mut value = order(&detail.order, now);
    extend(
        &mut value,
        json!({
            "not_before": detail.order.not_before,
            "not_after": detail.order.not_after,
            "profile": HEXLOWER.encode(&detail.order.profile_hash),
            "profile_name": detail.order.profile,
            "replaces": detail.order.replaces,
            "serials_given": detail.order.attempts,
            "authorizations": detail.authorizations.iter().map(authorization).collect::<Vec<_>>(),
            "certificate": detail.certificate.as_ref().map(certificate),
            "audit": detail.audit.iter().map(audit).collect::<Vec<_>>(),
        }),
    );
    value
}

fn authorization(shown: &Authorization) -> Value {
    json!({
        "id": shown.id.to_string(),
        "identifier": shown.identifier.to_string(),
        "wildcard": shown.wildcard,
        "status": shown.status,
        "expires": shown.expires,
        "challenges": shown.challenges.iter().map(|challenge| json!({
            "type": challenge.kind,
            "status": challenge.status,
            "validated": challenge.validated,
            "error": challenge.error,
        })).collect::<Vec<_>>(),
        "evidence": shown.evidence,
        "trace": shown.trace.as_deref().map(parsed),
    })
}

pub(super) fn authorization_detail(shown: &Authorization, now: Timestamp) -> Value {
    let mut value = authorization(shown);
    extend(
        &mut value,
        json!({
            "expired": shown.expires <= now,
            "order": shown.order.map(|id| id.to_string()),
            "account": shown.account.to_string(),
            "created_at": shown.created_at,
        }),
    );
    value
}

pub(super) fn account(account: &Account) -> Value {
    json!({
        "id": account.id.to_string(),
        "status": account.status,
        "contacts": account.contacts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "created_at": account.created_at,
        "external_key": account.external.as_ref().map(|e| e.key.to_string()),
        "owner": account.external.as_ref().and_then(|e| e.owner.as_deref()),
    })
}

pub(super) fn account_detail(shown: &Account, events: &[AuditRecord]) -> Value {
    let mut value = account(shown);
    extend(
        &mut value,
        json!({
            "url": shown.url,
            "terms_agreed": shown.terms_agreed,
            "allowed": shown.external.as_ref().map(|e| texts(&e.allowed)),
            "key": { "algorithm": shown.key.algorithm().to_string(), "thumbprint": shown.thumbprint.to_string() },
            "audit": events.iter().map(audit).collect::<Vec<_>>(),
        }),
    );
    value
}

pub(super) fn external_key(key: &ExternalKey, now: Timestamp) -> Value {
    json!({
        "id": key.id.to_string(),
        "state": key.state(now).name(),
        "owner": key.owner,
        "allowed": texts(&key.allowed),
        "many": key.many,
        "expires": key.expires,
        "created_at": key.created_at,
        "revoked_at": key.revoked_at,
        "accounts": key.uses,
        "account": key.last_use.map(|(account, _)| account.to_string()),
        "used_at": key.last_use.map(|(_, at)| at),
    })
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

pub(super) fn crl(crl: &StoredCrl) -> Value {
    json!({
        "issuer": crl.issuer.to_string(),
        "shard": crl.shard,
        "number": crl.number,
        "this_update": crl.this_update,
        "next_update": crl.next_update,
    })
}

fn audit(event: &AuditRecord) -> Value {
    json!({
        "at": event.at,
        "event": event.event,
        "account": event.account.map(|id| id.to_string()),
        "order": event.order.map(|id| id.to_string()),
        "serial": event.serial.as_ref().map(ToString::to_string),
        "detail": parsed(&event.detail),
    })
}

/// Stored JSON as JSON; text that is none stays text.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(members), Value::Object(more)) = (value, more) {
        members.extend(more);
    }
}
