//! What can be asked about keys.

use std::sync::{Mutex, PoisonError};

use keep_types::{Answer, Collection, Fault, Intent, KeyId, Name, SecretKey32, SecretText};
use keep_vault::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{bug, record, to_ncryptsec, to_nsec};
use crate::call::{Call, Class, Host, secret};
use crate::{KeyView, views::Done};

/// Makes a key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Generate {
    pub name: Name,
}

impl Call for Generate {
    const NAME: &'static str = "keys.generate";
    const CLASS: Class = Class::Use;
    type Reply = KeyView;

    fn run(self, host: &Host) -> Result<KeyView, Fault> {
        host.check_intact()?;
        Ok(KeyView::from(&host.vault().generate_key(self.name)?))
    }
}

/// Imports a secret key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    pub name: Name,
    #[serde(with = "secret::key")]
    pub secret: SecretKey32,
}

impl Call for Import {
    const NAME: &'static str = "keys.import";
    const CLASS: Class = Class::Use;
    type Reply = KeyView;

    fn run(self, host: &Host) -> Result<KeyView, Fault> {
        host.check_intact()?;
        let imported = host.vault().import_key(self.name, &self.secret);
        Ok(KeyView::from(&imported.map_err(|error| crate::remote::name_holder(host, error))?))
    }
}

/// Lists every key, by name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {}

impl Call for List {
    const NAME: &'static str = "keys.list";
    const CLASS: Class = Class::Use;
    type Reply = Vec<KeyView>;

    fn run(self, host: &Host) -> Result<Vec<KeyView>, Fault> {
        // Told before anything is read: what is written meanwhile makes the next list anew.
        let version = host.vault().version(&LISTED)?;
        let latest = host.state::<Latest>();
        let mut latest = latest.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, views)) = latest.as_ref()
            && Some(known) == version.as_ref()
        {
            return Ok(views.clone());
        }
        let views = views(host)?;
        *latest = version.map(|version| (version, views.clone()));
        Ok(views)
    }
}

/// Everything that the list of keys is made of.
const LISTED: [Collection; 4] =
    [Collection::Keys, Collection::Usage, Collection::Grants, Collection::RemoteKeys];

/// The list that was made last, and of what.
#[derive(Default)]
struct Latest(Mutex<Option<(Version, Vec<KeyView>)>>);

fn views(host: &Host) -> Result<Vec<KeyView>, Fault> {
    let keys = host.vault().keys()?;
    let used = host.vault().last_used(&keys)?;
    let views = keys
        .iter()
        .zip(used)
        .map(|(key, used)| KeyView { last_used: used.map(|time| time.to_string()), ..KeyView::from(key) });
    let mut views: Vec<KeyView> = views.collect();
    views.extend(crate::remote::views(host)?);
    Ok(views)
}

/// Finds the key that `selector` means.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Find {
    pub selector: Option<String>,
}

impl Call for Find {
    const NAME: &'static str = "keys.find";
    const CLASS: Class = Class::Use;
    type Reply = KeyView;

    fn run(self, host: &Host) -> Result<KeyView, Fault> {
        let found = record(host, self.selector.as_deref());
        match (&found, self.selector.as_deref()) {
            (Err(fault), Some(selector)) if fault.code() == keep_types::ErrorCode::NotFound => {
                let remote = crate::remote::find(host, selector)?;
                remote.map_or_else(|| Ok(KeyView::from(&found?)), |remote| Ok(remote.view()))
            }
            _ => Ok(KeyView::from(&found?)),
        }
    }
}

/// Deletes a key for good.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delete {
    pub pubkey: String,
}

impl Call for Delete {
    const NAME: &'static str = "keys.delete";
    const CLASS: Class = Class::Manage;
    type Reply = Done;

    fn run(self, host: &Host) -> Result<Done, Fault> {
        host.check_intact()?;
        match record(host, Some(&self.pubkey)) {
            Ok(key) => host.vault().delete_key(key.id)?,
            Err(fault) => {
                if !crate::remote::remove(host, &self.pubkey)? {
                    return Err(fault);
                }
            }
        }
        Ok(Done {})
    }
}

/// Hands out a secret key in clear.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportNsec {
    pub pubkey: String,
}

/// A secret key in clear.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Nsec {
    /// The secret key in bech32 (NIP-19).
    #[serde(with = "secret::text")]
    #[schemars(with = "String")]
    pub nsec: SecretText,
}

impl Call for ExportNsec {
    const NAME: &'static str = "keys.export_nsec";
    const CLASS: Class = Class::Manage;
    type Reply = Nsec;

    fn run(self, host: &Host) -> Result<Nsec, Fault> {
        let secret = export(host, record(host, Some(&self.pubkey))?.id)?;
        Ok(Nsec { nsec: to_nsec(&secret)? })
    }
}

/// Hands out a secret key under a passphrase of its own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportNcryptsec {
    pub pubkey: String,
    #[serde(with = "secret::text")]
    pub passphrase: SecretText,
}

/// A secret key under a passphrase.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Encrypted {
    /// The encrypted secret key in bech32 (NIP-49).
    pub ncryptsec: String,
}

impl Call for ExportNcryptsec {
    const NAME: &'static str = "keys.export_ncryptsec";
    const CLASS: Class = Class::Manage;
    type Reply = Encrypted;

    fn run(self, host: &Host) -> Result<Encrypted, Fault> {
        let secret = export(host, record(host, Some(&self.pubkey))?.id)?;
        Ok(Encrypted { ncryptsec: to_ncryptsec(&secret, &self.passphrase)? })
    }
}

fn export(host: &Host, key: KeyId) -> Result<SecretKey32, Fault> {
    match host.answer(key, Intent::Export)? {
        Answer::SecretKey(secret) => Ok(secret),
        _ => Err(bug("an export gave something else than a secret")),
    }
}
