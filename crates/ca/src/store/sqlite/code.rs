//! Between the tables' values and the domain's: enumerations as small integers, times as milliseconds, small lists as
//! JSON. What this version does not know is a fault, never a default (T-CA-123).

use cairn_acme::{
    challenge::ChallengeType,
    identifier::Identifier,
    status::{AccountStatus, AuthorizationStatus},
    time::Timestamp,
};
use cairn_x509::certificate::Serial;
use rusqlite::ErrorCode;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    model::{CertificateKey, CertificateState, OrderState},
    store::{RowFault, StoreError},
};

/// Why a statement or a row was of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// SQLite's own.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A value that this version does not understand, or a row that is not there.
    #[error("table {table}: {reason}")]
    Row {
        /// Where.
        table: &'static str,
        /// What.
        reason: String,
    },
    /// A value that had to be new was there already.
    #[error("table {0}: a unique value was drawn twice")]
    Collision(&'static str),
}

impl Fault {
    pub(super) fn row(table: &'static str, reason: impl Into<String>) -> Self {
        Self::Row {
            table,
            reason: reason.into(),
        }
    }

    /// An insert's error: a second row with the same public id or serial is a collision.
    pub(super) fn of_insert(table: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |error| match error.sqlite_error() {
            Some(e) if e.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE => {
                Self::Collision(table)
            }
            _ => Self::Sql(error),
        }
    }

    /// Whether the disk refuses writes: full, failing or read-only.
    pub(super) fn is_disk(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::DiskFull
                    | ErrorCode::SystemIoFailure
                    | ErrorCode::ReadOnly
                    | ErrorCode::CannotOpen
            )
        )
    }

    fn is_busy(&self) -> bool {
        matches!(
            self.code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        )
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sql(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        if fault.is_busy() {
            return Self::Overloaded(super::RETRY_AFTER);
        }
        if fault.is_disk() {
            return Self::ReadOnly(fault.to_string());
        }
        Self::Failed(fault.to_string())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error).into()
    }
}

impl From<Fault> for RowFault {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Row { table, reason } => Self::Row { table, reason },
            other => Self::Database(other.to_string()),
        }
    }
}

/// An enumeration that the tables hold as a small integer.
pub(super) trait Code: Copy + PartialEq + Sized + 'static {
    /// Value and code of each variant.
    const CODES: &'static [(Self, i64)];

    /// The stored form. A variant without a code cannot be stored; -1 fails the column's CHECK.
    fn code(self) -> i64 {
        Self::CODES
            .iter()
            .find(|(value, _)| *value == self)
            .map_or(-1, |(_, code)| *code)
    }

    /// The value, if this version knows the code.
    fn from_code(table: &'static str, code: i64) -> Result<Self, Fault> {
        Self::CODES
            .iter()
            .find(|(_, known)| *known == code)
            .map(|(value, _)| *value)
            .ok_or_else(|| Fault::row(table, format!("value {code} is not known to this version")))
    }
}

impl Code for AccountStatus {
    const CODES: &'static [(Self, i64)] =
        &[(Self::Valid, 0), (Self::Deactivated, 1), (Self::Revoked, 2)];
}

impl Code for OrderState {
    const CODES: &'static [(Self, i64)] = &[
        (Self::Open, 0),
        (Self::Processing, 1),
        (Self::Valid, 2),
        (Self::Invalid, 3),
    ];
}

impl Code for AuthorizationStatus {
    const CODES: &'static [(Self, i64)] = &[
        (Self::Pending, 0),
        (Self::Valid, 1),
        (Self::Invalid, 2),
        (Self::Deactivated, 3),
        (Self::Expired, 4),
        (Self::Revoked, 5),
    ];
}

impl Code for CertificateState {
    /// `Permitted` is the absence of an outcome.
    const CODES: &'static [(Self, i64)] = &[(Self::Issued, 1), (Self::Unconfirmed, 2)];
}

impl Code for ChallengeType {
    const CODES: &'static [(Self, i64)] =
        &[(Self::Http01, 0), (Self::Dns01, 1), (Self::TlsAlpn01, 2)];
}

/// Column values of an identifier without `*.`: its type's code and its text.
pub(super) fn identifier_columns(identifier: &Identifier) -> (i64, String) {
    match identifier {
        Identifier::Ip(address) => (1, address.to_string()),
        name => (0, name.base().to_string()),
    }
}

/// The identifier of those columns.
pub(super) fn identifier(table: &'static str, kind: i64, text: &str) -> Result<Identifier, Fault> {
    let kind = match kind {
        0 => "dns",
        1 => "ip",
        other => {
            return Err(Fault::row(
                table,
                format!("identifier type {other} is not known to this version"),
            ));
        }
    };
    Identifier::parse(kind, text).map_err(|e| Fault::row(table, e.to_string()))
}

/// A small list or object as JSON.
pub(super) fn to_json<T: Serialize>(table: &'static str, value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|e| Fault::row(table, e.to_string()))
}

/// A small list or object of stored JSON.
pub(super) fn from_json<T: DeserializeOwned>(table: &'static str, text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|e| Fault::row(table, e.to_string()))
}

/// An optional one.
pub(super) fn from_json_opt<T: DeserializeOwned>(
    table: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, Fault> {
    text.map(|t| from_json(table, t)).transpose()
}

/// A stored time.
pub(super) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A stored time that may be absent.
pub(super) fn time_opt(millis: Option<i64>) -> Option<Timestamp> {
    millis.map(Timestamp::from_millis)
}

/// The stored form of a time that may be absent.
pub(super) fn millis_opt(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

/// The stored form of a serial.
pub(super) fn serial_bytes(serial: &Serial) -> &[u8] {
    serial.as_bytes()
}

/// The serial of stored octets.
pub(super) fn serial(table: &'static str, octets: [u8; 19]) -> Result<Serial, Fault> {
    Serial::from_bytes(octets)
        .ok_or_else(|| Fault::row(table, "a serial that is not of this CA's form".to_owned()))
}

/// A certificate's key of two columns that are both there or both not.
pub(super) fn certificate_key(
    table: &'static str,
    issuer: Option<[u8; 16]>,
    octets: Option<[u8; 19]>,
) -> Result<Option<CertificateKey>, Fault> {
    match (issuer, octets) {
        (Some(issuer), Some(octets)) => Ok(Some(CertificateKey {
            issuer: crate::id::IssuerId(issuer),
            serial: serial(table, octets)?,
        })),
        _ => Ok(None),
    }
}

/// A stored count.
pub(super) fn count<T: TryFrom<i64>>(table: &'static str, value: i64) -> Result<T, Fault> {
    T::try_from(value).map_err(|_| Fault::row(table, format!("{value} is out of range")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes_are_a_bijection<T: Code + std::fmt::Debug>() {
        for (value, code) in T::CODES {
            assert_eq!(value.code(), *code);
            assert_eq!(T::from_code("t", *code).unwrap(), *value);
        }
        let mut seen: Vec<i64> = T::CODES.iter().map(|(_, c)| *c).collect();
        seen.dedup();
        assert_eq!(seen.len(), T::CODES.len());
    }

    #[test]
    fn every_enumeration_has_its_codes_and_refuses_others() {
        codes_are_a_bijection::<AccountStatus>();
        codes_are_a_bijection::<OrderState>();
        codes_are_a_bijection::<AuthorizationStatus>();
        codes_are_a_bijection::<CertificateState>();
        codes_are_a_bijection::<ChallengeType>();
        assert!(
            OrderState::from_code("orders", 4)
                .unwrap_err()
                .to_string()
                .contains("value 4")
        );
        assert_eq!(AccountStatus::CODES.len(), AccountStatus::ALL.len());
        assert_eq!(
            AuthorizationStatus::CODES.len(),
            AuthorizationStatus::ALL.len()
        );
        assert_eq!(ChallengeType::CODES.len(), ChallengeType::ALL.len());
    }
}
