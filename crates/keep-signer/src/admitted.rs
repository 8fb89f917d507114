//! Those whose uses are counted: of whom there are no counters after a restore, a rollback or damage, some may be lost.

use keep_policy::{Grant, Session, Usage};
use keep_types::{Collection, PublicKey, Record, Timestamp};
use keep_vault::{Tx, Vault, VaultError};

use crate::counters::LOST;

/// Under what the uses are counted of all who are admitted: clients and agents' sessions; and what stands for everybody else's, as
/// the command line's and those of agents without a name.
pub(crate) struct Admitted {
    naturals: Vec<Vec<u8>>,
}

impl Default for Admitted {
    fn default() -> Self {
        Self { naturals: vec![LOST.to_vec()] }
    }
}

impl Admitted {
    pub(crate) fn of(vault: &Vault) -> Result<Self, VaultError> {
        let mut admitted = Self::default();
        vault.all::<Grant>()?.iter().for_each(|(_, grant)| admitted.note_grant(grant));
        vault.all::<Session>()?.iter().for_each(|(_, session)| admitted.note_session(session));
        Ok(admitted)
    }

    /// Takes note of a record of any collection.
    pub(crate) fn note(&mut self, collection: Collection, cbor: &[u8]) -> Result<(), VaultError> {
        match collection {
            Collection::Grants => self.note_grant(&Grant::from_cbor(cbor)?),
            Collection::Sessions => self.note_session(&Session::from_cbor(cbor)?),
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
    }

    pub(crate) fn naturals(&self) -> impl Iterator<Item = &[u8]> {
        self.naturals.iter().map(Vec::as_slice)
    }

    /// Spends the rates of those of whom no use is counted: some may have been, in a later state than this one.
    pub(crate) fn spend(&self, tx: &mut Tx<'_, '_>) -> Result<(), VaultError> {
        let spent = spent(tx.now());
        for natural in self.naturals() {
            let place = tx.locate::<Usage>(natural);
            if tx.get::<Usage>(&place)?.is_none() {
                tx.put(place, &spent)?;
            }
        }
        Ok(())
    }
}

/// Counters of which nothing is left: all that they limit is spent.
pub(crate) fn spent(now: Timestamp) -> Usage {
    let mut usage = Usage::default();
    usage.lose(now);
    usage
}

/// Spends the rates of those of whom no use is counted, in a vault that was restored: [`revive`](crate::revive()) has spent those
/// of the others. One commit.
///
/// # Errors
/// When the vault cannot be read or written.
pub fn spend_uncounted(vault: &Vault) -> Result<(), VaultError> {
    let admitted = Admitted::of(vault)?;
    vault.submit(move |tx| admitted.spend(tx)).wait().map(drop)
}
