//! External account keys: made and taken back by the operator. What uses them up is [`super::CreateAccount`].

use cairn_acme::time::Timestamp;

use crate::{
    authority::external,
    id::ExternalKeyId,
    model::ExternalKey,
    store::{Decision, RowFault, Rows, Transaction},
};

/// Keeps a new key.
#[derive(Debug, Clone)]
pub struct AddExternalKey(pub ExternalKey);

impl Transaction for AddExternalKey {
    const NAME: &'static str = "add_external_key";
    type Answer = ExternalKey;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<ExternalKey>, RowFault> {
        // A repeat after an unknown commit finds its own row.
        Ok(match rows.external_key(self.0.id).await? {
            Some(known) => Decision::unchanged(known),
            None => external::add(&self.0),
        })
    }
}

/// Takes a key back; the answer is none where there is no such key.
#[derive(Debug, Clone)]
pub struct RevokeExternalKey {
    pub id: ExternalKeyId,
    pub now: Timestamp,
}

impl Transaction for RevokeExternalKey {
    const NAME: &'static str = "revoke_external_key";
    type Answer = Option<(ExternalKey, bool)>;

    async fn run<R: Rows>(&self, rows: &R) -> Result<Decision<Self::Answer>, RowFault> {
        let key = rows.external_key(self.id).await?;
        Ok(external::revoke(key, self.now))
    }
}
