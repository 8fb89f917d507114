//! A new data key: every record is sealed anew, in one transaction.

use std::collections::HashMap;
use std::ops::ControlFlow;

use keep_audit::{Action, Draft, Outcome};
use keep_store::{Row, Scan, WriteTx};
use keep_types::{ErrorCode, Fault, Origin, RecordId, SecretKey32, SecretText};

use crate::batch::{Batch, Changes};
use crate::cache::Cache;
use crate::head::Head;
use crate::header::{Header, Stanza, StanzaKind};
use crate::seal::{RowPlace, leaf, open_row, row_aad, seal};
use crate::stanzas::StanzaInfo;
use crate::subkeys::{Nonces, Subkeys};
use crate::vault::{Identity, read_header};
use crate::verify::{Depth, verify_view};
use crate::{Vault, VaultError, WeakKdf, recovery};

/// What a new data key would do to the ways to unlock. Made from the secrets that are presented.
pub struct RotationPlan {
    header: Vec<u8>,
    kept: Vec<(Stanza, SecretKey32)>,
    /// The ways to unlock that go on working.
    pub keeps: Vec<StanzaInfo>,
    /// Those that do not, because nobody presented their secret.
    pub drops: Vec<StanzaInfo>,
}

impl std::fmt::Debug for RotationPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RotationPlan").field("drops", &self.drops).finish_non_exhaustive()
    }
}

/// What was done.
#[derive(Debug)]
pub struct Rotated {
    /// The new recovery code: 24 words, shown this once. A hidden vault has none.
    pub recovery_code: Option<SecretText>,
    /// How many records were sealed anew.
    pub records: u64,
    /// Why the old bytes could not be wiped from the file, if they could not.
    pub not_wiped: Option<String>,
}

impl Vault {
    /// Finds out which ways to unlock can be kept when the data key changes: those whose secret is in `presented`. Runs
    /// Argon2id once for each.
    ///
    /// # Errors
    /// [`VaultError::WrongPassphrase`] when a presented secret opens nothing.
    pub fn plan_rotation(&self, presented: &[SecretText]) -> Result<RotationPlan, VaultError> {
        let header = read_header(&*self.store)?;
        let mut kept: Vec<(Stanza, SecretKey32)> = Vec::new();
        for secret in presented {
            let keks = header.kdf.derive(secret, WeakKdf::Allow)?.keks();
            let opened = header.opened_by(&keks);
            if opened.is_empty() {
                return Err(VaultError::WrongPassphrase);
            }
            for stanza in opened {
                let kek = match stanza.kind() {
                    Some(StanzaKind::Recovery) => &keks.recovery,
                    Some(StanzaKind::Passphrase) | None => &keks.passphrase,
                };
                if kept.iter().all(|(known, _)| known.id() != stanza.id()) {
                    kept.push((stanza.clone(), SecretKey32::take(&mut { *kek.expose() })));
                }
            }
        }
        if kept.is_empty() {
            let fault =
                Fault::new(ErrorCode::Usage, "a new data key needs at least one way to unlock that stays");
            return Err(VaultError::Rejected(fault));
        }
        let is_kept = |stanza: &&Stanza| kept.iter().any(|(known, _)| known.id() == stanza.id());
        let (keeps, drops): (Vec<&Stanza>, Vec<&Stanza>) = header.stanzas.iter().partition(is_kept);
        Ok(RotationPlan {
            keeps: keeps.into_iter().map(|stanza| self.info(stanza)).collect(),
            drops: drops.into_iter().map(|stanza| self.info(stanza)).collect(),
            header: header.to_bytes()?,
            kept,
        })
    }

    /// Gives the vault a new data key: checks every row, seals every record anew under it, wraps it for the ways to unlock that
    /// the plan keeps and for a new recovery code, and commits all of it at once. Then the old bytes are wiped from the file.
    /// `progress` hears how many records of how many are done.
    ///
    /// This handle, and those of other processes, say [`VaultError::Rekeyed`] afterwards: the vault must be opened anew.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] when a row is not as it was recorded; [`VaultError::HeaderChanged`] when the plan is out of
    /// date; when the store cannot be written. In all cases nothing was changed.
    pub fn rotate_data_key(
        &self,
        plan: RotationPlan,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Rotated, VaultError> {
        let (entropy, recovery_code) = recovery::generate()?;
        let mut raw = [0; 32];
        getrandom::getrandom(&mut raw)?;
        let data_key = SecretKey32::take(&mut raw);
        let mut records = 0;
        self.write_whole(&mut |tx| {
            let code = self.reserve.is_none().then_some(entropy.expose());
            let rotation = Rotation { vault: self, plan: &plan, data_key: &data_key, code };
            records = rotation.run(tx, progress)?;
            Ok(())
        })?;
        let not_wiped = self.store.wipe_leftovers().err().map(|error| error.to_string());
        let recovery_code = self.reserve.is_none().then_some(recovery_code);
        Ok(Rotated { recovery_code, records, not_wiped })
    }
}

struct Rotation<'a> {
    vault: &'a Vault,
    plan: &'a RotationPlan,
    data_key: &'a SecretKey32,
    code: Option<&'a [u8]>,
}

impl Rotation<'_> {
    fn run(&self, tx: &mut dyn WriteTx, progress: &mut dyn FnMut(u64, u64)) -> Result<u64, VaultError> {
        let shared = &self.vault.shared;
        let keys = shared.keys()?;
        let seen = shared.seen();
        // Sums that are made anew would make everything right that is there now.
        let report = verify_view(tx, shared, &keys, seen, Depth::Everything)?;
        shared.keep_report(&report);
        if !shared.report_is_intact() {
            return Err(VaultError::Tampered(report.problems.join("; ")));
        }
        let bytes = tx.header()?.unwrap_or_default();
        if bytes != self.plan.header {
            return Err(VaultError::HeaderChanged);
        }
        let old = shared.open_head(&bytes, &tx.head()?.unwrap_or_default(), seen)?;
        let now = shared.time().max(old.max_time);
        let header = self.new_header(&Header::from_bytes(&bytes)?, now)?;
        let bytes = header.to_bytes()?;
        let carried = keys.carried();
        let new_keys = Subkeys::derive(self.data_key, header.vault, header.epoch).with_carried(&carried);
        let identity = Identity { vault: header.vault, epoch: header.epoch };
        let mut head = Head {
            epoch: header.epoch,
            header_hash: Header::hash(&bytes),
            tallies: Vec::new(),
            carried: Some(carried),
            ..old
        };
        let reseal = Reseal { from: &keys, old: shared.identity, to: &new_keys, new: identity };
        let count = reseal.everything(tx, &mut head, progress)?;
        tx.set_header(&bytes)?;
        let draft = Draft::new(Action::DataKeyRotated, Outcome::Allowed, &Origin::Cli).reason(format!(
            "{} ways to unlock kept, {} dropped",
            self.plan.keeps.len(),
            self.plan.drops.len()
        ));
        let batch = Batch {
            raw: tx,
            keys: &new_keys,
            identity,
            head,
            now,
            cache: &mut Cache::default(),
            before: HashMap::new(),
            names_before: HashMap::new(),
            changes: Changes { drafts: vec![draft], ..Changes::default() },
        };
        batch.flush()?;
        Ok(count)
    }

    fn new_header(&self, old: &Header, now: keep_types::Timestamp) -> Result<Header, VaultError> {
        let mut header = old.clone();
        header.epoch += 1;
        header.stanzas.clear();
        for (stanza, kek) in &self.plan.kept {
            if let Some(kind) = stanza.kind() {
                let since = stanza.created_at.unwrap_or(now);
                header.wrap(kind, kek, self.data_key, stanza.label.clone(), since)?;
            }
        }
        if let Some(code) = self.code {
            let kek = recovery::kek(code, &header.kdf.salt);
            header.wrap(StanzaKind::Recovery, &kek, self.data_key, None, now)?;
        }
        Ok(header)
    }
}

/// From one data key to another.
pub(crate) struct Reseal<'a> {
    pub from: &'a Subkeys,
    pub old: Identity,
    pub to: &'a Subkeys,
    pub new: Identity,
}

/// How many rows are done between two words about it.
const STEP: u64 = 512;

impl Reseal<'_> {
    /// Every row in its own place, and `head` with the sums over them, which must have none when this begins.
    fn everything(
        &self,
        tx: &mut dyn WriteTx,
        head: &mut Head,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, VaultError> {
        let mut places: Vec<(u8, RecordId)> = Vec::new();
        tx.scan(Scan::everything(), &mut |row| {
            places.push((row.collection, row.id));
            ControlFlow::Continue(())
        })?;
        let total = places.len() as u64;
        let mut nonces = Nonces::new(1024)?;
        for (done, (collection, id)) in places.into_iter().enumerate() {
            if (done as u64).is_multiple_of(STEP) {
                progress(done as u64, total);
            }
            let row = tx.get(collection, &id)?.ok_or_else(|| VaultError::Head("a row went away".into()))?;
            let row = self.row(row, head, nonces.next()?)?;
            tx.put(&row)?;
        }
        progress(total, total);
        Ok(total)
    }

    fn row(&self, row: Row, head: &mut Head, nonce: [u8; 24]) -> Result<Row, VaultError> {
        let word = keep_types::Collection::from_number(row.collection).map_or("records", |c| c.as_str());
        let damaged =
            || VaultError::Record { collection: word, reason: "it was changed or is damaged".into() };
        let plain = open_row(self.from, self.old.vault, self.old.epoch, &row).map_err(|_| damaged())?;
        let key = self.to.records(row.collection).ok_or_else(damaged)?;
        let (collection, id, name) = (row.collection, row.id, row.name);
        let revision = head.revision.next();
        let place = RowPlace { collection, id, revision, name: name.as_ref() };
        let aad = row_aad(self.new.vault, self.new.epoch, place);
        let sealed = seal(key, nonce, &aad, &plain);
        let number = head.tally_number(collection, &id);
        let tally = head.tally(number);
        tally.sum.add(&leaf(self.to.leaf(), &aad, &sealed));
        tally.count += 1;
        Ok(Row { collection, id, revision, name, sealed })
    }
}
