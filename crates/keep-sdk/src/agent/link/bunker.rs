//! A session at a bunker elsewhere: what NIP-46 knows of the calls of agents.
//!
//! The limits are those of the bunker's grant. Nothing here limits anything, and what NIP-46 has no word for is not done.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use keep_net::{PoolOptions, RelayPolicy, RelayPool};
use keep_nip46::BunkerUri;
use keep_types::{ErrorCode, EventTemplate, Fault, Scheme, SecretText};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Runtime;

use super::client_key::client_key;
use crate::RemoteSigner;
use crate::agent::uses::{Decrypt, Encrypt, public_key};
use crate::agent::{ChooseRelays, Encrypted, Identity, SignedView, Text, interrupt};
use crate::call::{Wiped, to_wiped_json};
use crate::views::{SignedEvent, npub};

/// How long an answer may take. The bunker's owner may have to be asked.
const TIMEOUT: Duration = Duration::from_secs(120);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(30);

/// A connection to a bunker, driven by a runtime of its own.
pub struct BunkerLink {
    signer: Option<RemoteSigner>,
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for BunkerLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BunkerLink").finish_non_exhaustive()
    }
}

impl BunkerLink {
    /// Connects, as the client that this machine has been for this URL before.
    pub fn open(url: &SecretText) -> Result<Self, Fault> {
        let uri = BunkerUri::parse(url.expose().trim()).map_err(Fault::from)?;
        let key = client_key(&uri)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| {
            Fault::new(ErrorCode::Bug, format!("the system gives no thread for the connection: {error}"))
        })?;
        let connecting = async {
            let pool = RelayPool::new(PoolOptions::default())?;
            for relay in uri.relays() {
                pool.add(relay.clone(), RelayPolicy { allow_private: true });
            }
            RemoteSigner::connect_as(&uri, Arc::new(pool), "keep agent", Some(&key)).await
        };
        let signer = runtime.block_on(interrupt::wanted(within(CONNECT, connecting)));
        let signer = match signer {
            Ok(signer) => signer,
            Err(fault) => {
                // Its threads may be in the middle of looking up a relay.
                runtime.shutdown_background();
                return Err(fault);
            }
        };
        Ok(Self { signer: Some(signer), runtime: Some(runtime) })
    }

    /// Makes a call of an agent, as far as NIP-46 has one like it.
    pub fn call(&self, name: &str, parameters: &str) -> Result<Wiped, Fault> {
        let (Some(signer), Some(runtime)) = (&self.signer, &self.runtime) else {
            return Err(Fault::new(ErrorCode::NotConnected, "the connection to the bunker is closed"));
        };
        runtime.block_on(interrupt::wanted(within(TIMEOUT, answer(signer, name, parameters))))
    }
}

impl Drop for BunkerLink {
    fn drop(&mut self) {
        drop(self.signer.take());
        // It may be dropped inside another runtime, where waiting for this one's end is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[derive(Deserialize)]
struct SignEvent {
    template: EventTemplate,
}

async fn answer(signer: &RemoteSigner, name: &str, parameters: &str) -> Result<Wiped, Fault> {
    match name {
        "agent.get_public_key" => {
            let key = signer.public_key();
            to_wiped_json(&Identity { npub: npub(key), pubkey: key.to_hex() })
        }
        "agent.sign_event" => {
            let SignEvent { template } = read(name, parameters)?;
            let event = signer.sign_event(template).await?;
            to_wiped_json(&SignedView { event: Some(SignedEvent(event)), question: None })
        }
        "agent.encrypt" => {
            let Encrypt { peer, plaintext, .. } = read(name, parameters)?;
            let ciphertext = signer.encrypt(Scheme::Nip44, public_key(&peer)?, plaintext).await?;
            to_wiped_json(&Encrypted { ciphertext: Some(ciphertext), question: None })
        }
        "agent.decrypt" => {
            let Decrypt { peer, ciphertext, .. } = read(name, parameters)?;
            let plaintext = signer.decrypt(Scheme::Nip44, public_key(&peer)?, ciphertext).await?;
            to_wiped_json(&Text { plaintext: Some(plaintext), question: None })
        }
        // A bunker has no word for it: the relays are those of the program that asks.
        "agent.choose_relays" => to_wiped_json(&read::<ChooseRelays>(name, parameters)?.choose(None, false)?),
        _ => Err(Fault::new(ErrorCode::UnsupportedMethod, format!("a bunker has nothing like {name}"))
            .with_hint("its owner sees and sets the limits there (`keep nip46 apps`)")),
    }
}

fn read<T: DeserializeOwned>(name: &str, parameters: &str) -> Result<T, Fault> {
    serde_json::from_str(parameters).map_err(|error| {
        Fault::new(ErrorCode::Usage, format!("the parameters of {name} do not fit: {error}"))
    })
}

/// The outcome in time. What the bunker said is told with its own code, where it is one of the table.
async fn within<T>(time: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(time, work).await {
        Ok(outcome) => outcome.map_err(with_its_code),
        Err(_) => Err(Fault::new(ErrorCode::TimedOut, "the bunker did not answer in time")),
    }
}

fn with_its_code(fault: Fault) -> Fault {
    if fault.code() != ErrorCode::Peer {
        return fault;
    }
    let said = fault.message().strip_prefix("the signer answered: ").and_then(|said| said.split_once(": "));
    let known = said.and_then(|(word, rest)| Some((ErrorCode::from_word(word)?, rest)));
    match known {
        Some((code, rest)) => Fault::new(code, format!("the bunker says: {rest}")),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bunkers_code_is_told() {
        let said = |message: &str| with_its_code(Fault::new(ErrorCode::Peer, message)).code();
        assert_eq!(
            said("the signer answered: refused_by_policy: kind 0 is not granted"),
            ErrorCode::RefusedByPolicy
        );
        assert_eq!(said("the signer answered: no"), ErrorCode::Peer);
        assert_eq!(said("the signer answered: so: what"), ErrorCode::Peer);
    }
}
