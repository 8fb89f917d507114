//! What can be asked about keys of other bunkers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keep_audit::{Action, Draft, Outcome};
use keep_net::{PoolOptions, RelayPolicy, RelayPool, RelayUrl};
use keep_nip46::BunkerUri;
use keep_policy::{PlaintextClass, PlaintextClasses, Usage};
use keep_types::{
    EndpointId, ErrorCode, Event, EventTemplate, Fault, Intent, KeyId, Name, Origin, PublicKey, SecretKey32,
};
use keep_vault::{Vault, VaultError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RemoteSigner;
use super::ask::{ask, intent};
use super::record::RemoteKey;
use crate::KeyView;
use crate::agent::interrupt;
use crate::call::{Call, Class, Host};

/// How long a bunker may take to be reached.
const REACHED: Duration = Duration::from_secs(15);
/// How long it may take to answer: its owner may have to be asked.
const ANSWERED: Duration = Duration::from_secs(120);

/// Connections that stay open as long as the vault is unlocked here.
#[derive(Debug, Default)]
struct Connections(Mutex<HashMap<KeyId, Arc<RemoteSigner>>>);

/// Takes a key of another bunker.
#[derive(Serialize, Deserialize)]
pub(crate) struct AddRemote {
    pub name: Name,
    pub uri: String,
}

impl Call for AddRemote {
    const NAME: &'static str = "remote.add";
    const CLASS: Class = Class::Manage;
    type Reply = KeyView;

    fn run(self, host: &Host) -> Result<KeyView, Fault> {
        host.check_intact()?;
        let uri = BunkerUri::parse(self.uri.trim())?;
        keep_vault::check_name(&self.name)?;
        let name = self.name.to_string();
        let taken =
            host.vault().key_by_name(&name)?.is_some() || all(host)?.iter().any(|key| key.name == name);
        if taken {
            return Err(Fault::new(ErrorCode::AlreadyExists, format!("there is a key \"{name}\" already"))
                .with_hint("choose another name"));
        }
        let id = KeyId::random().map_err(VaultError::from)?;
        let client = EndpointId::random().map_err(VaultError::from)?;
        let made = host.vault().submit(move |tx| Vault::new_transport_key(tx, client));
        made.wait()?;
        let added = add(host, &uri, id, client, name);
        if added.is_err() {
            let undone = host.vault().submit(move |tx| Vault::delete_transport_key(tx, client));
            undone.wait()?;
        }
        added
    }
}

fn add(host: &Host, uri: &BunkerUri, id: KeyId, client: EndpointId, name: String) -> Result<KeyView, Fault> {
    let secret = host.vault().transport_key(client)?;
    let left_alone = host.left_alone();
    let ends = async {
        // Whoever ends it, the bunker is told.
        tokio::select! {
            () = tokio::time::sleep(ANSWERED) => silent(),
            () = left_alone => interrupt::unwanted(),
        }
    };
    let signer = host.runtime()?.block_on(async {
        let pool = pool(uri.relays())?;
        RemoteSigner::connect_once(uri, pool, "Keep", &secret, ends).await
    })?;
    let taken = match host.has_hung_up() {
        // Nobody would know of it.
        true => Err(interrupt::unwanted()),
        false => take(host, uri, (id, client, name), &signer),
    };
    match taken {
        Ok(view) => {
            let connections = host.state::<Connections>();
            connections.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::new(signer));
            Ok(view)
        }
        Err(fault) => Err(host.runtime()?.block_on(signer.leave(fault))),
    }
}

/// Writes down the key that this bunker holds.
fn take(
    host: &Host,
    uri: &BunkerUri,
    (id, client, name): (KeyId, EndpointId, String),
    signer: &RemoteSigner,
) -> Result<KeyView, Fault> {
    let public_key = *signer.public_key();
    let public = public_key.to_bytes();
    if host.vault().key_by_public(&public)?.is_some() || all(host)?.iter().any(|key| key.public_key == public)
    {
        return Err(Fault::new(ErrorCode::AlreadyExists, "the vault has this key already"));
    }
    let record = RemoteKey {
        id,
        name,
        public_key: public,
        bunker: uri.remote().to_bytes(),
        relays: uri.relays().iter().map(ToString::to_string).collect(),
        client,
        created_at: host.now(),
    };
    let view = record.view();
    let written = host.vault().submit(move |tx| {
        // What was looked at before it was connected to may have changed meanwhile.
        tx.put(RemoteKey::place(record.id), &record)?;
        Vault::claim_public_key(tx, client, &public_key)?;
        let entry = Draft::new(Action::RemoteKeyAdded, Outcome::Allowed, &Origin::Cli);
        tx.audit(entry.key(record.id).reason(record.name.clone()));
        Ok(())
    });
    written.wait()?;
    Ok(view)
}

/// Has another bunker do something.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AskRemote {
    pub key: String,
    pub method: String,
    pub params: Vec<String>,
}

/// What another bunker answered.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Asked {
    /// The result, as NIP-46 writes it; a signed event as an object.
    pub result: serde_json::Value,
}

impl Call for AskRemote {
    const NAME: &'static str = "remote.ask";
    const CLASS: Class = Class::Use;
    type Reply = Asked;

    fn run(self, host: &Host) -> Result<Asked, Fault> {
        let key = find(host, &self.key)?.ok_or_else(|| {
            let shown = keep_types::DisplayText::truncated(&self.key, 80);
            Fault::new(ErrorCode::NotFound, format!("no bunker holds a key \"{shown}\" for this vault"))
                .with_hint("`keep list` shows those that do; `keep import --bunker` adds one")
        })?;
        if matches!(self.method.as_str(), "logout" | "connect") {
            let message =
                format!("{} would end the connection that the vault keeps for this key", self.method);
            return Err(Fault::new(ErrorCode::Usage, message)
                .with_hint("`keep delete` forgets the key; revoke the connection at the bunker"));
        }
        let intent = intent(&key.public(), &self.method, &self.params)?;
        let (method, params) = (&self.method, &self.params);
        let work = |signer: Arc<RemoteSigner>| async move { ask(&signer, method, params).await };
        let (result, releases) = with_signer(host, &key, method, intent, work)?;
        if let Some(class) = plaintext_class(method, &result).filter(|class| !releases.contains(*class)) {
            let fault = Fault::from(VaultError::Withheld(class));
            record(host, used(&key, method, Outcome::Failed).reason(fault.message()))?;
            return Err(fault);
        }
        Ok(Asked { result })
    }
}

/// Signs an event with a key of another bunker, if `id` is one.
pub(crate) fn sign_event(host: &Host, id: KeyId, template: &EventTemplate) -> Result<Option<Event>, Fault> {
    let Some(key) = by_id(host, id)? else { return Ok(None) };
    let intent = Intent::SignEvent(template.clone().into_unsigned(key.public())?);
    let template = template.clone();
    with_signer(
        host,
        &key,
        "sign_event",
        Some(intent),
        |signer| async move { signer.sign_event(template).await },
    )
    .map(|(event, _)| Some(event))
}

/// What a decryption gave, if the method is one.
fn plaintext_class(method: &str, result: &serde_json::Value) -> Option<PlaintextClass> {
    let text = result.as_str().unwrap_or_default();
    match method {
        "nip44_decrypt" | "nip04_decrypt" => Some(PlaintextClass::of(text)),
        "nip44v3_decrypt" => {
            let bytes = keep_cipher::nip44v3::from_base64(text).ok();
            let text = bytes.as_ref().and_then(|bytes| std::str::from_utf8(bytes.expose()).ok());
            Some(text.map_or(PlaintextClass::Text, PlaintextClass::of))
        }
        _ => None,
    }
}

fn used(key: &RemoteKey, method: &str, outcome: Outcome) -> Draft {
    Draft::new(Action::RemoteUse, outcome, &Origin::Cli).key(key.id).reason(method.to_owned())
}

fn record(host: &Host, entry: Draft) -> Result<(), Fault> {
    let recorded = host.vault().submit(move |tx| {
        tx.audit(entry);
        Ok(())
    });
    recorded.wait()?;
    Ok(())
}

/// Asks the bunker of a key something, after policy and whoever confirms it agreed, and it was recorded. Says which plaintexts
/// policy releases.
fn with_signer<T, F>(
    host: &Host,
    key: &RemoteKey,
    method: &str,
    intent: Option<Intent>,
    work: impl FnOnce(Arc<RemoteSigner>) -> F,
) -> Result<(T, PlaintextClasses), Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    host.check_intact()?;
    if host.session().is_some() {
        let message = "a session cannot use a key that another bunker holds";
        return Err(Fault::new(ErrorCode::RefusedByPolicy, message));
    }
    let releases = match intent {
        Some(intent) => host.allow_elsewhere((key.id, key.public()), method, intent)?,
        None => {
            record(host, used(key, method, Outcome::Allowed))?;
            PlaintextClasses::ALL
        }
    };
    let connections = host.state::<Connections>();
    let open = || connections.0.lock().unwrap_or_else(PoisonError::into_inner);
    let known = open().get(&key.id).cloned();
    let signer = match known {
        Some(signer) => signer,
        None => {
            let secret = host.vault().transport_key(key.client)?;
            let signer = Arc::new(host.wait_remotely(within(REACHED, resume(key, &secret)))?);
            open().insert(key.id, Arc::clone(&signer));
            signer
        }
    };
    let outcome = host.wait_remotely(within(ANSWERED, work(signer)));
    if outcome.as_ref().is_err_and(|fault| fault.code() == ErrorCode::TimedOut) {
        // The next use begins with a new connection.
        open().remove(&key.id);
    }
    outcome.map(|outcome| (outcome, releases))
}

async fn resume(key: &RemoteKey, secret: &SecretKey32) -> Result<RemoteSigner, Fault> {
    let relays = key.relays.iter().map(|relay| RelayUrl::parse(relay)).collect::<Result<Vec<_>, _>>()?;
    let bunker = PublicKey::from_byte_array(key.bunker);
    RemoteSigner::resume(bunker, key.public(), pool(&relays)?, secret).await
}

fn pool(relays: &[RelayUrl]) -> Result<Arc<RelayPool>, Fault> {
    let pool = RelayPool::new(PoolOptions::default())?;
    for relay in relays {
        // The owner gave the address; a bunker on the owner's own network is usual.
        pool.add(relay.clone(), RelayPolicy { allow_private: true });
    }
    Ok(Arc::new(pool))
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> Fault {
    Fault::new(ErrorCode::TimedOut, "the bunker of this key does not answer")
        .with_hint("is it running, and on the same relays? It may also wait for its owner")
}

fn all(host: &Host) -> Result<Vec<RemoteKey>, Fault> {
    Ok(host.vault().listing::<RemoteKey>()?.iter().map(|(_, key)| key.clone()).collect())
}

fn by_id(host: &Host, id: KeyId) -> Result<Option<RemoteKey>, Fault> {
    Ok(all(host)?.into_iter().find(|key| key.id == id))
}

/// The key that `selector` means: its name, npub or public key in hexadecimal.
pub(crate) fn find(host: &Host, selector: &str) -> Result<Option<RemoteKey>, Fault> {
    let public = PublicKey::parse(selector).ok();
    Ok(all(host)?.into_iter().find(|key| match &public {
        Some(public) => key.public() == *public,
        None => key.name == selector,
    }))
}

/// Says of a key that cannot be made here, because another bunker holds the same one, under which name that is listed.
pub(crate) fn name_holder(host: &Host, error: VaultError) -> Fault {
    let VaultError::KeyExists(public) = &error else { return error.into() };
    match find(host, public) {
        Ok(Some(key)) => {
            let message = format!("another bunker holds this key already, as \"{}\"", key.name);
            Fault::new(ErrorCode::AlreadyExists, message)
                .with_hint("to hold it here from now on, `keep delete` that one first")
        }
        Ok(None) | Err(_) => error.into(),
    }
}

/// The names of all of them.
pub(crate) fn names(host: &Host) -> Result<Vec<(KeyId, String)>, Fault> {
    Ok(all(host)?.into_iter().map(|key| (key.id, key.name)).collect())
}

/// How they are shown, by name.
pub(crate) fn views(host: &Host) -> Result<Vec<KeyView>, Fault> {
    let mut keys = all(host)?;
    keys.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(keys.iter().map(RemoteKey::view).collect())
}

/// Forgets a key of another bunker, if `selector` means one. The bunker is not told: it may be gone.
pub(crate) fn remove(host: &Host, selector: &str) -> Result<bool, Fault> {
    let Some(key) = find(host, selector)? else { return Ok(false) };
    let (id, client) = (key.id, key.client);
    let removed = host.vault().submit(move |tx| {
        tx.delete::<RemoteKey>(&RemoteKey::place(id))?;
        tx.delete::<Usage>(&tx.locate::<Usage>(&Usage::owner_key(id)))?;
        Vault::delete_transport_key(tx, client)?;
        let entry = Draft::new(Action::RemoteKeyRemoved, Outcome::Allowed, &Origin::Cli);
        tx.audit(entry.key(id).reason(key.name.clone()));
        Ok(())
    });
    removed.wait()?;
    host.state::<Connections>().0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    Ok(true)
}
