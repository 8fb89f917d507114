//! A key that another bunker holds, as a NIP-46 client sees it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keep_net::{Filter, RelayUrl, Relays, Subscription, Transport};
use keep_nip46::client::{Answered, Ask, Client, ClientEffect, ClientError, Random, V3Context};
use keep_nip46::{BunkerUri, ClientMetadata, Permissions, TransportKey};
use keep_types::{ErrorCode, Event, EventTemplate, Fault, Kind, PublicKey, Scheme, SecretKey32, SecretText};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::now;

/// How long ending a connection that came to nothing may take.
const LEAVES: Duration = Duration::from_secs(3);

type Waiting = HashMap<String, oneshot::Sender<Result<Answered, ClientError>>>;

/// A connection to a bunker. Its client key is made anew for each connection.
pub struct RemoteSigner {
    shared: Arc<Shared>,
    public_key: PublicKey,
    task: JoinHandle<()>,
}

struct Shared {
    client: Mutex<Client>,
    waiting: Mutex<Waiting>,
    transport: Arc<dyn Transport>,
    /// Where the bunker wants its user to go first.
    address: Mutex<Option<String>>,
}

impl std::fmt::Debug for RemoteSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RemoteSigner({})", self.public_key.to_hex())
    }
}

impl RemoteSigner {
    /// Connects to the bunker of a `bunker://` URL over `transport`, and asks for its public key.
    ///
    /// # Errors
    /// [`ErrorCode::RelayUnreachable`], [`ErrorCode::TimedOut`], or [`ErrorCode::Peer`] with what the bunker says.
    pub async fn connect(uri: &BunkerUri, transport: Arc<dyn Transport>, name: &str) -> Result<Self, Fault> {
        Self::connect_as(uri, transport, name, None).await
    }

    /// As [`connect`](Self::connect), as the client with this secret key: the same key is the same client for the bunker.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_as(
        uri: &BunkerUri,
        transport: Arc<dyn Transport>,
        name: &str,
        key: Option<&SecretKey32>,
    ) -> Result<Self, Fault> {
        let Some(key) = key else {
            let key = Self::fresh_key()?;
            return Self::connect_once(uri, transport, name, &key, std::future::pending()).await;
        };
        let mut signer = Self::listening(uri, transport, key).await?;
        signer.introduce(name).await?;
        signer.public_key = signer.ask_public_key().await?;
        Ok(signer)
    }

    /// As [`connect_as`](Self::connect_as), as a client that the bunker has not met before: where it does not tell its public
    /// key, or `ends` comes first, it need not know this client any longer. One that it knows may have been refused for a time only,
    /// and stays.
    pub(crate) async fn connect_once(
        uri: &BunkerUri,
        transport: Arc<dyn Transport>,
        name: &str,
        key: &SecretKey32,
        ends: impl Future<Output = Fault>,
    ) -> Result<Self, Fault> {
        let mut ends = std::pin::pin!(ends);
        let mut signer = tokio::select! {
            // Nothing has been asked yet.
            fault = &mut ends => return Err(fault),
            signer = Self::listening(uri, transport, key) => signer?,
        };
        tokio::select! {
            fault = &mut ends => return Err(signer.leave_unmet(fault).await),
            met = signer.introduce(name) => match met {
                Err(fault) if fault.code() == ErrorCode::TimedOut => return Err(signer.leave_unmet(fault).await),
                met => met?,
            },
        }
        let asked = tokio::select! {
            fault = &mut ends => Err(fault),
            asked = signer.ask_public_key() => asked,
        };
        match asked {
            Ok(key) => signer.public_key = key,
            Err(fault) => return Err(signer.leave(fault).await),
        }
        Ok(signer)
    }

    /// Ends at the bunker what came to nothing here; where the bunker does not say so in time, the failure does.
    pub(super) async fn leave(&self, fault: Fault) -> Fault {
        match tokio::time::timeout(LEAVES, self.log_out()).await {
            Ok(Ok(())) => fault,
            Ok(Err(_)) | Err(_) => still_listed(fault),
        }
    }

    /// As [`leave`](Self::leave), of a bunker that has not said whether it takes this client: it lets go of what it does not have
    /// yet, and its owner may still say yes.
    async fn leave_unmet(&self, fault: Fault) -> Fault {
        let _ = tokio::time::timeout(LEAVES, self.log_out()).await;
        still_listed(fault)
    }

    /// Ready to ask.
    async fn listening(
        uri: &BunkerUri,
        transport: Arc<dyn Transport>,
        key: &SecretKey32,
    ) -> Result<Self, Fault> {
        Self::start(Client::new(uri, TransportKey::new(key)?), *uri.remote(), transport).await
    }

    /// Connects; whose key the bunker holds is not asked yet.
    async fn introduce(&self, name: &str) -> Result<(), Fault> {
        let metadata = ClientMetadata::new(Some(name), None, None);
        self.ask(Ask::Connect { permissions: Permissions::default(), metadata }).await.map(drop)
    }

    async fn ask_public_key(&self) -> Result<PublicKey, Fault> {
        match self.ask(Ask::GetPublicKey).await? {
            Answered::PublicKey(key) => Ok(key),
            _ => Err(unexpected()),
        }
    }

    /// Goes on as a client that has connected before: nothing is asked at first.
    ///
    /// # Errors
    /// [`ErrorCode::RelayUnreachable`]; when the key is not valid.
    pub async fn resume(
        remote: PublicKey,
        public_key: PublicKey,
        transport: Arc<dyn Transport>,
        key: &SecretKey32,
    ) -> Result<Self, Fault> {
        Self::start(Client::resume(remote, TransportKey::new(key)?), public_key, transport).await
    }

    async fn start(
        client: Client,
        public_key: PublicKey,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, Fault> {
        let filter =
            Filter::new().kinds([Kind::NostrConnect]).authors([*client.remote()]).to([*client.public_key()]);
        let subscription =
            transport.subscribe(vec![filter.since(now().minus(Duration::from_secs(10)))], &Relays::All);
        subscription.subscribed().await?;
        let shared = Arc::new(Shared {
            client: Mutex::new(client),
            waiting: Mutex::default(),
            transport,
            address: Mutex::default(),
        });
        let task = tokio::spawn(listen(Arc::clone(&shared), subscription));
        Ok(Self { shared, public_key, task })
    }

    /// A new secret key for a client.
    ///
    /// # Errors
    /// When the operating system gives no random bytes.
    pub fn fresh_key() -> Result<SecretKey32, Fault> {
        let mut bytes = [0; 32];
        getrandom::getrandom(&mut bytes).map_err(keep_vault::VaultError::from)?;
        Ok(SecretKey32::take(&mut bytes))
    }

    /// The user's public key.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Asks the bunker to sign an event. The signed event is verified before it is returned: the same fields, the right
    /// id, a valid signature of the user's key.
    ///
    /// # Errors
    /// [`ErrorCode::Peer`] with what the bunker says, [`ErrorCode::TimedOut`].
    pub async fn sign_event(&self, template: EventTemplate) -> Result<Event, Fault> {
        let unsigned = template.into_unsigned(self.public_key)?;
        match self.ask(Ask::SignEvent(Box::new(unsigned))).await? {
            Answered::Signed(event) => Ok(*event),
            _ => Err(unexpected()),
        }
    }

    /// Encrypts a text to `peer`, or to the user's own key.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub async fn encrypt(&self, scheme: Scheme, peer: PublicKey, text: SecretText) -> Result<String, Fault> {
        match self.ask(Ask::Encrypt { scheme, peer, plaintext: text }).await? {
            Answered::Ciphertext(text) => Ok(text),
            _ => Err(unexpected()),
        }
    }

    /// Decrypts what `peer` sent.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub async fn decrypt(
        &self,
        scheme: Scheme,
        peer: PublicKey,
        ciphertext: String,
    ) -> Result<SecretText, Fault> {
        match self.ask(Ask::Decrypt { scheme, peer, ciphertext }).await? {
            Answered::Plaintext(text) => Ok(text),
            _ => Err(unexpected()),
        }
    }

    /// Encrypts bytes, given in base64, with NIP-44 version 3.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub async fn encrypt_v3(&self, context: V3Context, base64: SecretText) -> Result<String, Fault> {
        match self.ask(Ask::EncryptV3 { context, plaintext: base64 }).await? {
            Answered::Ciphertext(text) => Ok(text),
            _ => Err(unexpected()),
        }
    }

    /// Decrypts what was encrypted with NIP-44 version 3; the bytes in base64.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub async fn decrypt_v3(&self, context: V3Context, ciphertext: String) -> Result<SecretText, Fault> {
        match self.ask(Ask::DecryptV3 { context, ciphertext }).await? {
            Answered::Plaintext(text) => Ok(text),
            _ => Err(unexpected()),
        }
    }

    /// The relays to use from now on, if the bunker names others than now.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub async fn switch_relays(&self) -> Result<Option<Vec<RelayUrl>>, Fault> {
        match self.ask(Ask::SwitchRelays).await? {
            Answered::Relays(relays) => Ok(relays),
            _ => Err(unexpected()),
        }
    }

    /// Ends the connection at the bunker.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub async fn log_out(&self) -> Result<(), Fault> {
        self.ask(Ask::Logout).await.map(|_| ())
    }

    /// Whether the bunker answers.
    ///
    /// # Errors
    /// [`ErrorCode::TimedOut`] or [`ErrorCode::Peer`].
    pub async fn ping(&self) -> Result<(), Fault> {
        self.ask(Ask::Ping).await.map(|_| ())
    }

    /// Where the bunker last asked its user to go, to decide about a call that has no answer yet.
    pub fn challenge(&self) -> Option<String> {
        self.shared.address.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why there was no answer, as far as it can be told.
    fn late(&self) -> Fault {
        let fault = Fault::from(ClientError::TimedOut);
        let address = self.shared.address.lock().unwrap_or_else(PoisonError::into_inner).take();
        match address {
            Some(address) => {
                let bunker = keep_policy::short(&self.shared.client().remote().to_hex());
                fault.with_hint(format!(
                    "the bunker {bunker} names a page of its own, which is not Keep's: {address} . Open it only if you \
                     trust that bunker, decide there, then try again"
                ))
            }
            None => fault.with_hint(
                "is it running, and on the same relays? It may also wait for its owner; try again",
            ),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Answered, Fault> {
        let random = fresh_random()?;
        let (answer, waiting) = oneshot::channel();
        let event = {
            let (id, event) = self.shared.client().call(ask, &random, now())?;
            self.shared.waiting().insert(id.to_text(), answer);
            event
        };
        // The relay may forward the request and never say so; the answer is what counts.
        let _sent = self.shared.transport.publish(&event, &Relays::All);
        match waiting.await {
            Ok(Ok(answered)) => Ok(answered),
            Ok(Err(ClientError::TimedOut)) => Err(self.late()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Fault::new(ErrorCode::TimedOut, "the connection to the relay has ended")),
        }
    }
}

impl Drop for RemoteSigner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn client(&self) -> MutexGuard<'_, Client> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, effect: ClientEffect) {
        match effect {
            ClientEffect::Done(id, outcome) => {
                if let Some(waiting) = self.waiting().remove(&id.to_text()) {
                    // Whoever asked may have gone.
                    let _ = waiting.send(outcome);
                }
            }
            ClientEffect::OpenAddress(_, address) => {
                // Its host is in ASCII and everything else is percent-encoded; whoever shows it need not trust that.
                let address = keep_types::DisplayText::new(address.as_str()).to_string();
                let bunker = self.client().remote().to_hex();
                tracing::warn!(%bunker, %address, "another bunker wants its user to open a page, which is its own and not Keep's");
                *self.address.lock().unwrap_or_else(PoisonError::into_inner) = Some(address);
            }
        }
    }
}

async fn listen(shared: Arc<Shared>, subscription: Subscription) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            received = subscription.recv() => {
                let Some(received) = received else { return };
                // The machine checks author, encryption, id and signature; the relay's word counts for nothing.
                let Ok(event) = received.event.into_claim() else { continue };
                let effect = shared.client().receive(&event, now());
                effect.into_iter().for_each(|effect| shared.settle(effect));
            }
            _ = second.tick() => {
                let late = shared.client().tick(now());
                late.into_iter().for_each(|effect| shared.settle(effect));
            }
        }
    }
}

/// Says of a failure that the bunker may not have heard of it.
fn still_listed(fault: Fault) -> Fault {
    let hint =
        format!("{}; the other bunker may still list this vault as a client: revoke it there", fault.hint());
    fault.with_hint(hint)
}

fn fresh_random() -> Result<Random, Fault> {
    let mut bytes = [0; 80];
    getrandom::getrandom(&mut bytes).map_err(keep_vault::VaultError::from)?;
    let mut random = Random { id: [0; 16], nonce: [0; 32], aux_rand: [0; 32] };
    random.id.copy_from_slice(&bytes[..16]);
    random.nonce.copy_from_slice(&bytes[16..48]);
    random.aux_rand.copy_from_slice(&bytes[48..]);
    Ok(random)
}

fn unexpected() -> Fault {
    Fault::new(ErrorCode::Peer, "the bunker answered another question than was asked")
}

#[cfg(test)]
mod tests;
