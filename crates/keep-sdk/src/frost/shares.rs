//! Shares in and out.

use keep_frost::wire::{KdfCost, ShareExport};
use keep_frost::{FrostError, Suite};
use keep_types::{Answer, Fault, GroupUse, Intent, Name, PublicKey, SecretText};
use keep_vault::{Accept, Holding};
use rand_core::OsRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::documents::{is_sealed, members, public_to_json, read};
use super::lookup::{free_name, group, index};
use super::views::{GroupView, ImportView, RecoveredKey, ShareView};
use crate::call::{Call, Class, Host, secret};
use crate::keys::{bug, to_nsec};
use crate::views::npub;

/// The form of an exported share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareForm {
    /// `kshare1…`
    #[default]
    Bech32,
    /// JSON.
    Json,
}

/// Hands a share out, sealed under a passphrase of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportShare {
    pub group: Option<String>,
    pub index: u16,
    pub form: ShareForm,
    #[serde(with = "secret::text")]
    pub passphrase: SecretText,
    /// A cheaper key derivation, for tests: memory in KiB, passes, lanes.
    pub cost: Option<(u32, u8, u8)>,
}

impl Call for ExportShare {
    const NAME: &'static str = "frost.export_share";
    const CLASS: Class = Class::Manage;
    type Reply = ShareView;

    fn run(self, host: &Host) -> Result<ShareView, Fault> {
        let record = group(host, self.group.as_deref())?;
        record.expect_share(index(self.index)?)?;
        let cost = match self.cost {
            Some((memory, passes, lanes)) => KdfCost::new(memory, passes, lanes)?,
            None => KdfCost::DEFAULT,
        };
        let export = GroupUse::ExportShare { index: self.index };
        let Answer::Share(bytes) = host.answer(record.id, Intent::Group(Box::new(export)))? else {
            return Err(bug("an export gave something else than a share"));
        };
        let Holding { share, device } = Holding::from_record(bytes.expose())?;
        // A device key that the roster does not name would not be believed.
        let device = device.filter(|d| record.group.device(share.index()) == Ok(d.public()));
        let sealed = ShareExport::seal(
            &record.group,
            &share,
            device.as_ref(),
            record.endorsement.as_ref(),
            &self.passphrase,
            cost,
            &mut OsRng,
        )?;
        Ok(ShareView {
            group: record.name.to_string(),
            npub: npub(&PublicKey::from_byte_array(record.group.public_key())),
            index: self.index,
            epoch: record.group.epoch(),
            share: match self.form {
                ShareForm::Bech32 => sealed.to_bech32()?,
                ShareForm::Json => sealed.to_json()?,
            },
        })
    }
}

/// What is public about a group, for a vault that has none of its shares.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportGroup {
    pub group: Option<String>,
}

/// What is public about a group, as a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublicGroupView {
    /// The group's name.
    pub name: String,
    /// JSON that `keep frost import` reads.
    pub text: String,
}

impl Call for ExportGroup {
    const NAME: &'static str = "frost.export_group";
    const CLASS: Class = Class::Use;
    type Reply = PublicGroupView;

    fn run(self, host: &Host) -> Result<PublicGroupView, Fault> {
        let record = group(host, self.group.as_deref())?;
        Ok(PublicGroupView { name: record.name.to_string(), text: public_to_json(&record)? })
    }
}

/// Brings shares in: Keep's own, or those of other software.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    #[serde(with = "secret::text")]
    pub text: SecretText,
    #[serde(with = "secret::optional_text")]
    pub passphrase: Option<SecretText>,
    pub name: Option<Name>,
    #[serde(default)]
    pub accept: ImportOptions,
}

/// What may be changed by shares of a group that is here already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// Shares of a later epoch take the place of those that are here.
    pub replace: bool,
    /// Even if nothing proves that they are the group's: the owner vouches for them.
    pub unproved: bool,
    /// Device keys that are not known here are taken on the word of whoever made the shares.
    pub trust_roster: bool,
    /// Renewals that are under way here are given up for them: those that they are not the end of, and those that device keys that
    /// come along do not fit.
    pub abandon: bool,
}

impl Import {
    /// Whether a passphrase is needed.
    pub fn needs_passphrase(text: &SecretText) -> bool {
        is_sealed(text)
    }
}

impl Call for Import {
    const NAME: &'static str = "frost.import";
    // It may replace a group and its shares.
    const CLASS: Class = Class::Manage;
    type Reply = ImportView;

    fn run(self, host: &Host) -> Result<ImportView, Fault> {
        host.check_intact()?;
        let incoming = read(&self.text, self.passphrase.as_ref())?;
        let imported = members(&incoming.holdings);
        let id = incoming.group.id();
        let known = host.vault().groups()?.into_iter().find(|record| record.group.id() == id);
        let (record, proof) = match known {
            Some(known) => {
                let ImportOptions { replace, unproved, trust_roster: roster, abandon } = self.accept;
                host.vault().add_shares(known.id, incoming, Accept { replace, unproved, roster, abandon })?
            }
            None => {
                let name = self.name.map_or_else(|| free_name(host), Ok)?;
                (host.vault().add_group(name, incoming)?, None)
            }
        };
        let proof = proof.map(|proof| proof.as_str().to_owned());
        Ok(ImportView { group: GroupView::new(&record, host.vault().id()), imported, proof })
    }
}

/// Puts the whole secret key together from the shares that are here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recover {
    pub group: Option<String>,
}

impl Call for Recover {
    const NAME: &'static str = "frost.recover";
    const CLASS: Class = Class::Manage;
    type Reply = RecoveredKey;

    fn run(self, host: &Host) -> Result<RecoveredKey, Fault> {
        let record = group(host, self.group.as_deref())?;
        if record.shares.len() < usize::from(record.group.threshold()) {
            let (need, have) = (record.group.threshold(), record.shares.len());
            return Err(Fault::from(FrostError::TooFewSigners { need, have })
                .with_hint("import the shares of more members first"));
        }
        let Answer::SecretKey(key) = host.answer(record.id, Intent::Group(Box::new(GroupUse::Recover)))?
        else {
            return Err(bug("a recovery gave something else than a secret"));
        };
        let secret = match record.group.suite() {
            Suite::Secp256k1Tr => to_nsec(&key)?,
            Suite::Ed25519 => SecretText::new(hex::encode(key.expose())),
        };
        Ok(RecoveredKey {
            group: record.name.to_string(),
            npub: npub(&PublicKey::from_byte_array(record.group.public_key())),
            secret,
        })
    }
}
