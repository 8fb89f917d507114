//! What can be done to a vault, what it should come to, and doing it.

use std::sync::Arc;

use keep_signer::{Headless, Signer};
use keep_types::{
    Answer, EventTemplate, Fault, Intent, KeyId, Origin, Request, RequestId, SecretKey32, SecretText,
    Timestamp,
};
use keep_vault::{Archive, Vault};

use super::{Model, Run};
use crate::world::{Dice, name};

/// One operation.
#[derive(Debug, Clone)]
pub enum Op {
    Import(String, u64),
    Delete(String),
    Rename(String, String),
    Note(String, String),
    Store(String, String),
    Forget(String),
    Sign(String),
    Add(String),
    /// The passphrase that goes, and the one that comes.
    Change(String, String),
    Remove(String),
    /// The passphrases that are presented, and stay.
    Rotate(Vec<String>),
    /// Entries that are older than so many seconds go.
    Prune(u64),
    Backup,
}

pub fn text(text: &str) -> SecretText {
    SecretText::from(text.to_owned())
}

fn secret(seed: u64) -> SecretKey32 {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes[0] = 0;
    SecretKey32::take(&mut bytes)
}

fn public(seed: u64) -> [u8; 32] {
    let pair = secp256k1::Keypair::from_seckey_slice(secp256k1::SECP256K1, secret(seed).expose()).unwrap();
    pair.x_only_public_key().0.serialize()
}

/// An operation that can be done now. `number` makes names unique.
pub fn draw(dice: &mut Dice, model: &Model, number: u64) -> Op {
    let some = |dice: &mut Dice, len: usize| dice.below(len as u64) as usize;
    let fresh = |what: &str| format!("{what} {number}");
    let key = (!model.keys.is_empty())
        .then(|| model.keys.keys().nth(some(dice, model.keys.len())).unwrap().clone());
    let stored = (!model.secrets.is_empty())
        .then(|| model.secrets.keys().nth(some(dice, model.secrets.len())).unwrap().clone());
    // The first word of a recovery code may be any, also this one.
    let is_passphrase = |open: &&String| open.starts_with("pass") && open.split(' ').count() < 24;
    let opens: Vec<&String> = model.opens.iter().filter(is_passphrase).collect();
    let passphrase = (!opens.is_empty()).then(|| opens[some(dice, opens.len())].clone());
    match (dice.below(16), key, stored, passphrase) {
        (0, Some(key), ..) => Op::Delete(key),
        (1, Some(key), ..) => Op::Rename(key, fresh("renamed")),
        (2, Some(key), ..) => Op::Note(key, fresh("note")),
        (3 | 4, ..) => Op::Store(fresh("secret"), "x".repeat(some(dice, 3_000))),
        (5, _, Some(stored), _) => Op::Forget(stored),
        (6 | 7, Some(key), ..) => Op::Sign(key),
        (8, ..) if model.opens.len() < 5 => Op::Add(fresh("pass")),
        (9, _, _, Some(old)) => Op::Change(old, fresh("pass")),
        (10, _, _, Some(old)) if model.opens.len() > 1 => Op::Remove(old),
        (11, _, _, Some(stays)) => {
            let more = opens.iter().filter(|open| ***open != stays && dice.below(2) == 0);
            Op::Rotate(more.map(|open| (*open).clone()).chain([stays.clone()]).collect())
        }
        (12, ..) => Op::Prune(100 * (1 + dice.below(12))),
        (13, ..) => Op::Backup,
        _ => Op::Import(fresh("key"), number),
    }
}

impl Model {
    /// What the vault should be afterwards. `vault` tells what a prune will take.
    pub fn after(&self, op: &Op, vault: &Vault, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.log.1 += 1;
        match op {
            Op::Import(name, seed) => drop(next.keys.insert(name.clone(), (public(*seed), None))),
            Op::Delete(name) => drop(next.keys.remove(name)),
            Op::Rename(from, to) => {
                let key = next.keys.remove(from).unwrap();
                next.keys.insert(to.clone(), key);
            }
            Op::Note(name, note) => next.keys.get_mut(name).unwrap().1 = Some(note.clone()),
            Op::Store(name, secret) => drop(next.secrets.insert(name.clone(), secret.clone())),
            Op::Forget(name) => drop(next.secrets.remove(name)),
            Op::Sign(_) | Op::Backup => {}
            Op::Add(new) => drop(next.opens.insert(new.clone())),
            Op::Change(old, new) => {
                next.opens.remove(old);
                next.opens.insert(new.clone());
            }
            Op::Remove(old) => drop(next.opens.remove(old)),
            // The new recovery code is known once it is done.
            Op::Rotate(stay) => {
                next.opens = stay.iter().cloned().chain([super::NEW_CODE.to_owned()]).collect()
            }
            Op::Prune(age) => {
                let plan = vault.plan_prune(cutoff(now, *age)).unwrap();
                if plan.removed() == 0 {
                    return self.clone();
                }
                next.log = (plan.keep_from, plan.kept + 1);
            }
        }
        next
    }
}

fn cutoff(now: Timestamp, age: u64) -> Timestamp {
    Timestamp::from_secs(now.as_secs() - age)
}

/// The vault with what uses its secrets.
pub struct Live {
    pub vault: Arc<Vault>,
    signer: Signer,
}

impl Live {
    pub fn of(vault: Vault) -> Self {
        let vault = Arc::new(vault);
        Self { signer: Signer::new(Arc::clone(&vault), Arc::new(Headless)), vault }
    }

    fn key(&self, name: &str) -> Result<KeyId, Fault> {
        Ok(self.vault.key_by_name(name)?.ok_or(keep_vault::VaultError::NoSuchKey)?.id)
    }

    fn request(&self, key: KeyId, intent: Intent) -> Request {
        let id = RequestId::random().unwrap();
        Request { id, origin: Origin::Cli, key, intent, asked_at: self.vault.now() }
    }

    fn sign(&self, name: &str) -> Result<(), Fault> {
        let key = self.vault.key_by_name(name)?.ok_or(keep_vault::VaultError::NoSuchKey)?;
        let template = EventTemplate::new(1, "words", vec![], self.vault.now().as_secs());
        let intent = Intent::SignEvent(template.into_unsigned(key.nostr_key())?);
        match self.signer.handle_blocking(self.request(key.id, intent))? {
            Answer::Event(event) => {
                event.verify().unwrap();
                Ok(())
            }
            other => panic!("{other:?}"),
        }
    }

    pub fn archive(&self) -> Result<Archive, Fault> {
        let mut archive = None;
        self.signer.archive(self.request(KeyId::from_bytes([0; 16]), Intent::Backup), &mut archive)?;
        Ok(archive.unwrap())
    }

    /// Does it; gives a new recovery code where one was made.
    pub fn run(&self, run: &Run, op: &Op) -> Result<Option<String>, Fault> {
        let vault = &self.vault;
        match op {
            Op::Import(text, seed) => vault.import_key(name(text), &secret(*seed)).map(drop)?,
            Op::Delete(text) => vault.delete_key(self.key(text)?)?,
            Op::Rename(from, to) => vault.rename_key(self.key(from)?, name(to)).map(drop)?,
            Op::Note(text, note) => vault.note_key(self.key(text)?, Some(note.clone())).map(drop)?,
            Op::Store(text, secret) => {
                vault.store_secret(name(text), &SecretText::new(secret.clone()), None, false).map(drop)?;
            }
            Op::Forget(text) => vault.remove_secret(vault.stored_secret(text)?.id)?,
            Op::Sign(text) => self.sign(text)?,
            Op::Add(new) => vault.add_passphrase(&text(new), None).map(drop)?,
            Op::Change(old, new) => {
                vault.change_passphrase(&text(new), Some(&run.stanza(vault, old))).map(drop)?;
            }
            Op::Remove(old) => vault.remove_stanza(&run.stanza(vault, old)).map(drop)?,
            Op::Rotate(stay) => {
                let presented: Vec<SecretText> = stay.iter().map(|stays| text(stays)).collect();
                let done = vault.rotate_data_key(vault.plan_rotation(&presented)?, &mut |_, _| {})?;
                return Ok(done.recovery_code.map(|code| code.expose().to_owned()));
            }
            Op::Prune(age) => {
                vault.prune(cutoff(run.now(), *age), Origin::Cli, &mut |_| {}).map(drop)?;
            }
            Op::Backup => run.expect_archive(&self.archive()?),
        }
        Ok(None)
    }
}
