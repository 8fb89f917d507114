//! What stands about a key that spends, inside the write lock: the owner's limits, and which scripts were used.

use keep_types::{Intent, KeyId, RecordId, Request, ScriptMark};
use keep_vault::{Spending, Trail, Tx, VaultError, WalletRow};

/// What a request that spends is measured against, and what is written down when it is allowed.
pub(crate) struct Purse {
    key: KeyId,
    limits: Option<(RecordId, Spending)>,
    /// The transaction's id, and the scripts that it uses, if they are remembered.
    uses: Option<([u8; 32], Vec<ScriptMark>)>,
}

impl Purse {
    /// Reads it. `None` when the request cannot spend.
    pub(crate) fn open(tx: &mut Tx<'_, '_>, request: &Request) -> Result<Option<Self>, VaultError> {
        let transaction = request.intent.transaction();
        if transaction.is_none() && !request.intent.may_spend_unseen() {
            return Ok(None);
        }
        // What a group signs is shown by its amounts and destinations only.
        let shown = transaction.filter(|_| matches!(request.intent, Intent::SignPsbt(_)));
        let uses = shown.map(|transaction| (transaction.txid(), transaction.marks()));
        let place = tx.locate::<WalletRow>(&WalletRow::spending_key(request.key));
        let limits = match tx.get::<WalletRow>(&place)? {
            Some(WalletRow::Spending(spending)) => Some((place, spending)),
            Some(WalletRow::Account(_) | WalletRow::Trail(_)) | None => None,
        };
        Ok(Some(Self { key: request.key, limits, uses }))
    }

    /// The owner's limits, if there are any.
    pub(crate) fn for_judging(&mut self) -> Option<keep_policy::Purse<'_>> {
        self.limits
            .as_mut()
            .map(|(_, spending)| keep_policy::Purse { limits: &spending.limits, spent: &mut spending.spent })
    }

    /// The owner's limits as they are, if there are any.
    pub(crate) fn limits(&self) -> Option<&keep_policy::SpendLimits> {
        self.limits.as_ref().map(|(_, spending)| &spending.limits)
    }

    /// Writes down what was counted, and what the transaction uses.
    pub(crate) fn keep(self, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        if let Some((place, spending)) = self.limits {
            tx.put(place, &WalletRow::Spending(spending))?;
        }
        let Some((txid, marks)) = self.uses else { return Ok(()) };
        let place = tx.locate::<WalletRow>(&WalletRow::trail_key(self.key));
        let mut trail = match tx.get::<WalletRow>(&place)? {
            Some(WalletRow::Trail(trail)) => trail,
            Some(WalletRow::Account(_) | WalletRow::Spending(_)) | None => Trail::new(self.key),
        };
        if trail.note(&txid, &marks) {
            tx.put(place, &WalletRow::Trail(trail))?;
        }
        Ok(())
    }
}
