//! Orders of the CA itself, from the order to the certificate: for its own listener, and on an operator's word. They pass
//! the same function as every subscriber's.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::rand;
use cairn_acme::{
    challenge::Token,
    identifier::Identifier,
    key::{Curve, PublicKey},
    status::AccountStatus,
};
use cairn_x509::key::PublicKeyKind;

use super::Profile;
use crate::{
    config::DEFAULT_PROFILE,
    id::{AccountId, AuthorizationId, DirectoryId, IdSeed, OrderId},
    model::{Account, Certificate, Order, OrderState},
    node::Ca,
    operator::OperatorGrant,
    store::{InternalName, InternalOrder, Seed, StoreError, TxError},
};

/// How long such an order may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long such an order is good; it is used at once.
const LIFE: Duration = Duration::from_secs(3600);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum InternalFault {
    /// The machine or the CA's own key.
    #[error("{0}")]
    Unusable(&'static str),
    /// The transaction's.
    #[error(transparent)]
    Transaction(#[from] TxError),
    /// The order came to nothing.
    #[error("the order ended without a certificate: {0}")]
    Ended(String),
}

impl From<StoreError> for InternalFault {
    fn from(error: StoreError) -> Self {
        Self::Transaction(error.into())
    }
}

/// What to order for these names, sorted and without duplicates, under a profile.
///
/// # Errors
/// If the machine gives no random bytes or the issuing key has no JWK form.
pub fn prepare(
    ca: &Ca,
    names: Vec<Identifier>,
    profile: &Profile,
) -> Result<InternalOrder, InternalFault> {
    let now = ca.clock.wall();
    let names = names
        .into_iter()
        .map(|name| {
            let authorization = Seed {
                id: AuthorizationId::new(now, random()?),
                token: Token::from_random(&random::<32>()?)
                    .map_err(|_| InternalFault::Unusable("a token could not be made"))?,
            };
            Ok(InternalName {
                name,
                authorization,
            })
        })
        .collect::<Result<_, InternalFault>>()?;
    Ok(InternalOrder {
        account: own_account(ca)?,
        order: OrderId::new(now, random()?),
        names,
        profile: Some(profile.name.clone()).filter(|name| name != DEFAULT_PROFILE),
        profile_hash: profile.hash,
        life: LIFE,
        now,
    })
}

/// The CA's own account: its key is the issuing key's public half, so that no subscriber can have it.
fn own_account(ca: &Ca) -> Result<Account, InternalFault> {
    let now = ca.clock.wall();
    let certificate = &ca.issuance.issuer().certificate;
    let key = account_key(certificate.public_key())
        .ok_or(InternalFault::Unusable("the issuing key has no JWK form"))?;
    let id = AccountId::new(now, random::<10>()? as IdSeed);
    Ok(Account {
        id,
        directory: DirectoryId::FIRST,
        thumbprint: key.thumbprint(),
        spki_sha256: cairn_x509::key::spki_sha256(certificate.spki_der()),
        key,
        status: AccountStatus::Valid,
        contacts: Vec::new(),
        terms_agreed: true,
        url: ca.snapshot.load().urls.account(id),
        external: None,
        created_at: now,
    })
}

/// The issuing key's public half as an account key.
pub(crate) fn account_key(key: &cairn_x509::key::PublicKey) -> Option<PublicKey> {
    match key.kind() {
        PublicKeyKind::Ec { bits: 256 } => PublicKey::from_point(Curve::P256, key.key_bits()).ok(),
        PublicKeyKind::Ec { bits: 384 } => PublicKey::from_point(Curve::P384, key.key_bits()).ok(),
        PublicKeyKind::Rsa { modulus, exponent } => PublicKey::from_rsa(modulus, exponent).ok(),
        _ => None,
    }
}

fn random<const N: usize>() -> Result<[u8; N], InternalFault> {
    let mut octets = [0; N];
    rand::fill(&mut octets).map_err(|_| InternalFault::Unusable("the random source failed"))?;
    Ok(octets)
}

/// Finalizes the placed order and follows it to its certificate.
///
/// # Errors
/// As a subscriber would be told; also if nothing came in time.
pub async fn complete(
    ca: &Arc<Ca>,
    order: &Order,
    csr: &[u8],
    grant: Option<OperatorGrant>,
) -> Result<Arc<Certificate>, InternalFault> {
    let gone = |what| InternalFault::Unusable(what);
    let account = ca
        .store
        .account(order.account)
        .await?
        .ok_or_else(|| gone("the CA's own account is gone"))?;
    let mut authorizations = Vec::new();
    for id in &order.authorizations {
        authorizations.extend(ca.store.authorization(order.account, *id).await?);
    }
    let watch = ca.holds.watch(order.id.as_bytes());
    ca.issuance
        .finalize_own(ca, &account, order, &authorizations, csr, grant)
        .await?;
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let changed = watch.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(order) = ca.store.order(account.id, order.id).await?
                && matches!(order.state, OrderState::Valid | OrderState::Invalid)
            {
                return Ok::<_, StoreError>(order);
            }
            changed.await;
        }
    })
    .await;
    let ended = match waited {
        Ok(ended) => ended?,
        Err(_) => {
            let silence = format!("nothing after {} s", PATIENCE.as_secs());
            return Err(InternalFault::Ended(silence));
        }
    };
    let key = match (ended.state, ended.certificate) {
        (OrderState::Valid, Some(key)) => key,
        _ => {
            let why = ended.error.as_ref().map(|e| e.detail.clone());
            return Err(InternalFault::Ended(why.unwrap_or_default()));
        }
    };
    ca.store
        .certificate(key.serial)
        .await?
        .ok_or_else(|| gone("the certificate is gone"))
}
