//! The owner's limits on spending, as they stand inside the write lock.

use keep_types::{RecordId, Request};
use keep_vault::{Spending, Tx, VaultError, WalletRow};

/// The limits on the key of a request that spends.
pub(crate) struct Purse {
    place: RecordId,
    spending: Spending,
}

impl Purse {
    /// Reads them. `None` when the request cannot spend, or the owner set no limits on its key.
    pub(crate) fn open(tx: &mut Tx<'_, '_>, request: &Request) -> Result<Option<Self>, VaultError> {
        if request.intent.spend().is_none() && !request.intent.may_spend_unseen() {
            return Ok(None);
        }
        let place = tx.locate::<WalletRow>(&WalletRow::spending_key(request.key));
        match tx.get::<WalletRow>(&place)? {
            Some(WalletRow::Spending(spending)) => Ok(Some(Self { place, spending })),
            Some(WalletRow::Account(_)) | None => Ok(None),
        }
    }

    pub(crate) const fn for_judging(&mut self) -> keep_policy::Purse<'_> {
        keep_policy::Purse { limits: &self.spending.limits, spent: &mut self.spending.spent }
    }

    /// Writes down what was counted.
    pub(crate) fn keep(self, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        tx.put(self.place, &WalletRow::Spending(self.spending))
    }
}
