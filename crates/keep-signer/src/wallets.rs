//! Opened Bitcoin accounts, the owner's limits on spending, and which scripts were used.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use keep_audit::{Action, Draft, Outcome};
use keep_policy::{SpendLimits, Spent};
use keep_types::{ErrorCode, Fault, KeyId, Origin, RecordId, ScriptMark};
use keep_vault::{GroupRecord, KeyRecord, Spending, Tx, Vault, VaultError, WalletAccount, WalletRow};

use crate::counters;

/// Which account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountId {
    /// The key that it belongs to.
    pub key: KeyId,
    /// The word of the network.
    pub network: String,
    /// Its number.
    pub number: u32,
}

/// The first index that does not exist (BIP-32: the unhardened ones are below).
const END_OF_INDEXES: u32 = 1 << 31;

/// The accounts of a vault, and the limits on its keys.
#[derive(Debug, Clone)]
pub struct Wallets {
    vault: Arc<Vault>,
}

impl Wallets {
    /// The wallets of `vault`.
    pub const fn new(vault: Arc<Vault>) -> Self {
        Self { vault }
    }

    /// An account, if it is open.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn account(&self, id: &AccountId) -> Result<Option<WalletAccount>, VaultError> {
        let id = id.clone();
        let pending = self.vault.submit(move |tx| Ok(find(tx, &id)?.map(|(_, account)| account)));
        Ok(pending.wait()?.0)
    }

    /// Every open account of `key` on `network`, by number.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn accounts(&self, key: KeyId, network: &str) -> Result<Vec<WalletAccount>, VaultError> {
        let rows = self.vault.all::<WalletRow>()?.into_iter();
        let mut accounts: Vec<WalletAccount> = rows
            .filter_map(|(_, row)| match row {
                WalletRow::Account(account) => Some(account),
                WalletRow::Spending(_) | WalletRow::Trail(_) => None,
            })
            .filter(|account| account.key == key && account.network == network)
            .collect();
        accounts.sort_by_key(|account| account.number);
        Ok(accounts)
    }

    /// Remembers an account with its descriptor. One that is open already stays as it is. Durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::NoSuchKey`]; when the store cannot be written.
    pub fn open(&self, id: AccountId, descriptor: String) -> Result<WalletAccount, VaultError> {
        let pending = self.vault.submit(move |tx| {
            if let Some((_, account)) = find(tx, &id)? {
                return Ok(account);
            }
            expect_key(tx, id.key)?;
            let place = place(tx, &id);
            let account = WalletAccount {
                key: id.key,
                network: id.network,
                number: id.number,
                descriptor,
                next_receive: 0,
                next_change: 0,
                opened_at: tx.now(),
            };
            tx.put(place, &WalletRow::Account(account.clone()))?;
            Ok(account)
        });
        Ok(pending.wait()?.0)
    }

    /// Takes the next `count` indexes of a branch of an open account: nobody else gets them. Durable when this returns.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] when the account is not open; [`ErrorCode::InvalidInput`] when so many indexes are not left;
    /// when the store cannot be written.
    pub fn take(&self, id: &AccountId, change: bool, count: u32) -> Result<Range<u32>, VaultError> {
        let id = id.clone();
        let pending = self.vault.submit(move |tx| {
            let Some((place, mut account)) = find(tx, &id)? else {
                return Err(Fault::new(ErrorCode::NotFound, "this account is not open").into());
            };
            let next = if change { &mut account.next_change } else { &mut account.next_receive };
            let first = *next;
            let end = first.checked_add(count).filter(|end| *end <= END_OF_INDEXES);
            *next = end.ok_or_else(|| {
                Fault::new(ErrorCode::InvalidInput, "the account has not so many addresses left")
            })?;
            let range = first..*next;
            tx.put(place, &WalletRow::Account(account))?;
            Ok(range)
        });
        Ok(pending.wait()?.0)
    }

    /// The owner's limits on spending with `key`, with what was spent. `None` if there are none.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn spending(&self, key: KeyId) -> Result<Option<Spending>, VaultError> {
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<WalletRow>(&WalletRow::spending_key(key));
            Ok(match tx.get::<WalletRow>(&place)? {
                Some(WalletRow::Spending(spending)) => Some(spending),
                Some(WalletRow::Account(_) | WalletRow::Trail(_)) | None => None,
            })
        });
        Ok(pending.wait()?.0)
    }

    /// The scripts that transactions signed with `key`, other than `txid`, spent from and paid to: the latest 2,048.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn used_besides(&self, key: KeyId, txid: [u8; 32]) -> Result<HashSet<ScriptMark>, VaultError> {
        let pending = self.vault.submit(move |tx| {
            let place = tx.locate::<WalletRow>(&WalletRow::trail_key(key));
            Ok(match tx.get::<WalletRow>(&place)? {
                Some(WalletRow::Trail(trail)) => trail.used_besides(&txid),
                Some(WalletRow::Account(_) | WalletRow::Spending(_)) | None => HashSet::new(),
            })
        });
        Ok(pending.wait()?.0)
    }

    /// Sets the owner's limits on spending with `key`, which may be a group. What was spent stays counted, and budgets are spent where
    /// earlier limits may have been lost with what was counted. Durable when this returns.
    ///
    /// # Errors
    /// [`VaultError::NoSuchKey`]; when the store cannot be written.
    pub fn set_limits(&self, key: KeyId, limits: SpendLimits) -> Result<Spending, VaultError> {
        let pending = self.vault.submit(move |tx| {
            if tx.get::<GroupRecord>(&GroupRecord::place(key))?.is_none() {
                expect_key(tx, key)?;
            }
            let place = tx.locate::<WalletRow>(&WalletRow::spending_key(key));
            let spent = match tx.get::<WalletRow>(&place)? {
                Some(WalletRow::Spending(spending)) => spending.spent,
                Some(WalletRow::Account(_) | WalletRow::Trail(_)) | None => spent_unseen(tx, key)?,
            };
            let spending = Spending { key, limits, spent };
            tx.put(place, &WalletRow::Spending(spending.clone()))?;
            let entry = Draft::new(Action::SpendLimitsChanged, Outcome::Allowed, &Origin::Cli).key(key);
            tx.audit(entry);
            Ok(spending)
        });
        Ok(pending.wait()?.0)
    }
}

/// What was spent with a key without limits, as far as it counts for new ones.
fn spent_unseen(tx: &mut Tx<'_, '_>, key: KeyId) -> Result<Spent, VaultError> {
    let mut spent = Spent::default();
    if let Some(at) = counters::lost_at(tx, key)? {
        spent.exhaust(at);
    }
    Ok(spent)
}

fn place(tx: &Tx<'_, '_>, id: &AccountId) -> RecordId {
    tx.locate::<WalletRow>(&WalletRow::account_key(id.key, &id.network, id.number))
}

fn find(tx: &mut Tx<'_, '_>, id: &AccountId) -> Result<Option<(RecordId, WalletAccount)>, VaultError> {
    let place = place(tx, id);
    Ok(match tx.get::<WalletRow>(&place)? {
        Some(WalletRow::Account(account)) => Some((place, account)),
        Some(WalletRow::Spending(_) | WalletRow::Trail(_)) | None => None,
    })
}

fn expect_key(tx: &mut Tx<'_, '_>, key: KeyId) -> Result<(), VaultError> {
    let record = tx.get::<KeyRecord>(&RecordId::from_bytes(*key.as_bytes()))?;
    record.map(|_| ()).ok_or(VaultError::NoSuchKey)
}
