//! Those whose uses are counted: of whom there are no counters after a restore, a rollback or damage, some may be lost.

use keep_policy::{Grant, Policy, Session, Usage};
use keep_types::{Collection, KeyId, PublicKey, Record, Timestamp};
use keep_vault::{KeyRecord, Tx, Vault, VaultError};
use minicbor::{Decode, Encode};

use crate::PolicyRow;

/// Under what the uses are counted of all who are admitted: clients, agents' sessions and, where a policy holds for it, the command line
/// with each key.
#[derive(Default)]
pub(crate) struct Admitted {
    naturals: Vec<Vec<u8>>,
    keys: Vec<KeyId>,
    /// Whether there is a policy for the command line.
    ruled: bool,
}

/// A key that another bunker holds: all of its record that counts here.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Elsewhere {
    #[n(0)]
    id: KeyId,
}

impl Record for Elsewhere {
    const COLLECTION: Collection = Collection::RemoteKeys;
}

impl Admitted {
    pub(crate) fn of(vault: &Vault) -> Result<Self, VaultError> {
        let mut admitted = Self::default();
        vault.all::<Grant>()?.iter().for_each(|(_, grant)| admitted.note_grant(grant));
        vault.all::<Session>()?.iter().for_each(|(_, session)| admitted.note_session(session));
        vault.all::<PolicyRow>()?.iter().for_each(|(_, row)| admitted.note_policy(row));
        admitted.keys = vault.keys()?.iter().map(|key| key.id).collect();
        vault.all::<Elsewhere>()?.iter().for_each(|(_, key)| admitted.keys.push(key.id));
        Ok(admitted)
    }

    /// Takes note of a record of any collection.
    pub(crate) fn note(&mut self, collection: Collection, cbor: &[u8]) -> Result<(), VaultError> {
        match collection {
            Collection::Grants => self.note_grant(&Grant::from_cbor(cbor)?),
            Collection::Sessions => self.note_session(&Session::from_cbor(cbor)?),
            Collection::Policies => self.note_policy(&PolicyRow::from_cbor(cbor)?),
            Collection::Keys => self.keys.push(KeyRecord::from_cbor(cbor)?.id),
            Collection::RemoteKeys => self.keys.push(Elsewhere::from_cbor(cbor)?.id),
            _ => {}
        }
        Ok(())
    }

    fn note_grant(&mut self, grant: &Grant) {
        let client = PublicKey::from_byte_array(grant.client);
        self.naturals.push(Grant::natural_key(&client, grant.endpoint).to_vec());
    }

    fn note_session(&mut self, session: &Session) {
        self.naturals.push(Session::usage_key(session.id).to_vec());
        if session.self_made {
            self.naturals.push(Session::unnamed_usage_key(session.key).to_vec());
        }
    }

    fn note_policy(&mut self, row: &PolicyRow) {
        self.ruled |= row.policy().is_some_and(|policy| policy.name == Policy::CLI);
    }

    pub(crate) fn naturals(&self) -> impl Iterator<Item = Vec<u8>> {
        let keys = self.keys.iter().filter(|_| self.ruled).map(|key| Usage::owner_key(*key).to_vec());
        self.naturals.iter().cloned().chain(keys)
    }

    /// Spends the rates of those of whom no use is counted: some may have been, in a later state than this one.
    pub(crate) fn spend(&self, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        let spent = spent(tx.now());
        for natural in self.naturals() {
            let place = tx.locate::<Usage>(&natural);
            if tx.get::<Usage>(&place)?.is_none() {
                tx.put(place, &spent)?;
            }
        }
        Ok(())
    }
}

/// Counters whose rates are spent.
pub(crate) fn spent(now: Timestamp) -> Usage {
    let mut usage = Usage::default();
    usage.exhaust(now);
    usage
}

/// Spends the rates of those of whom no use is counted, in a vault that was restored: [`revive`](crate::revive()) has spent those of the others. One
/// commit, if there is anybody.
///
/// # Errors
/// When the vault cannot be read or written.
pub fn spend_uncounted(vault: &Vault) -> Result<(), VaultError> {
    let admitted = Admitted::of(vault)?;
    if admitted.naturals().next().is_none() {
        return Ok(());
    }
    vault.submit(move |tx| admitted.spend(tx)).wait().map(drop)
}
