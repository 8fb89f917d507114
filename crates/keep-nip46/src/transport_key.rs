//! The key with which a bunker or a client speaks on relays.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keep_cipher::{CipherError, ConversationKey, SharedX};
use keep_types::{Event, PublicKey, SecretKey32, UnsignedEvent, event_id};
use secp256k1::{Keypair, Message, SECP256K1, SecretKey, XOnlyPublicKey};

use crate::EnvelopeError;

/// How many conversations stay at hand in each of the two generations of the cache.
const GENERATION: usize = 1_024;

/// A transport key: random, one for each bunker URL, never the user's identity.
///
/// Keeps the expanded key pair, because rebuilding it doubles the cost of a signature, and the conversation keys of
/// recent peers, because deriving one costs more than everything else in an envelope. All of it is wiped on drop;
/// `Debug` shows the public key only. May be shared between threads.
pub struct TransportKey {
    keypair: Box<Keypair>,
    public: PublicKey,
    public_hex: String,
    conversations: Mutex<Generations>,
}

/// The secrets of one conversation.
pub(crate) struct Conversation {
    /// For NIP-44.
    pub(crate) key: ConversationKey,
    /// For NIP-04.
    pub(crate) shared: SharedX,
    /// The peer's key as a point, for verifying: decompressing it takes a tenth of the time of a verification.
    pub(crate) peer: XOnlyPublicKey,
}

/// Two generations of conversations: a full young one becomes the old one, and what is used again becomes young. So
/// the memory is bounded, every step is quick, and what is in use stays.
#[derive(Default)]
struct Generations {
    young: HashMap<PublicKey, Arc<Conversation>>,
    old: HashMap<PublicKey, Arc<Conversation>>,
}

impl TransportKey {
    /// The transport key with this secret.
    ///
    /// # Errors
    /// [`EnvelopeError::TransportKey`] when it is zero or not below the order of the curve.
    pub fn new(secret: &SecretKey32) -> Result<Self, EnvelopeError> {
        let keypair = Keypair::from_seckey_slice(SECP256K1, secret.expose())
            .map(Box::new)
            .map_err(|_| EnvelopeError::TransportKey)?;
        let public = PublicKey::from(keypair.x_only_public_key().0);
        Ok(Self { keypair, public, public_hex: public.to_hex(), conversations: Mutex::default() })
    }

    /// The public key: the `remote-signer-pubkey` or `client-pubkey` of NIP-46.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    pub(crate) fn public_hex(&self) -> &str {
        &self.public_hex
    }

    /// Wipes the keys of every conversation, as far as no thread is using one this moment.
    pub fn forget_conversations(&self) {
        let mut conversations = self.lock();
        conversations.young = HashMap::new();
        conversations.old = HashMap::new();
    }

    /// Wipes the keys of the conversation with `peer`.
    pub fn forget(&self, peer: &PublicKey) {
        let mut conversations = self.lock();
        conversations.young.remove(peer);
        conversations.old.remove(peer);
    }

    /// How many conversations are at hand.
    pub fn conversations(&self) -> usize {
        let conversations = self.lock();
        conversations.young.len() + conversations.old.len()
    }

    /// Signs an event of its own, such as the answer to a relay that asks who is there (NIP-42).
    ///
    /// # Errors
    /// [`EnvelopeError::TransportKey`] when the event names another author.
    pub fn sign(&self, event: UnsignedEvent, aux_rand: &[u8; 32]) -> Result<Event, EnvelopeError> {
        if event.pubkey != self.public {
            return Err(EnvelopeError::TransportKey);
        }
        let id = event_id(&event);
        let message = Message::from_digest(id.to_bytes());
        let signature = SECP256K1.sign_schnorr_with_aux_rand(&message, &self.keypair, aux_rand);
        let tags = event.tags.to_vec();
        Ok(Event::new(id, event.pubkey, event.created_at, event.kind, tags, event.content, signature))
    }

    pub(crate) const fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The conversation with `peer`, from the cache or derived, and whether it has to be kept by [`Self::keep`].
    pub(crate) fn conversation(&self, peer: &PublicKey) -> Result<(Arc<Conversation>, bool), EnvelopeError> {
        if let Some(known) = self.lock().get(peer) {
            return Ok((known, false));
        }
        let mut secret = SecretKey::from_keypair(&self.keypair);
        let shared = SharedX::derive(&secret, peer);
        secret.non_secure_erase();
        let shared = shared?;
        let peer = peer.xonly().map_err(|_| CipherError::PeerKey)?;
        Ok((Arc::new(Conversation { key: ConversationKey::from_shared(&shared), shared, peer }), true))
    }

    /// Puts a conversation into the cache.
    pub(crate) fn keep(&self, peer: PublicKey, conversation: Arc<Conversation>) {
        self.lock().put(peer, conversation);
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, peer: &PublicKey) -> Option<Arc<Conversation>> {
        if let Some(known) = self.young.get(peer) {
            return Some(Arc::clone(known));
        }
        let known = self.old.remove(peer)?;
        self.put(*peer, Arc::clone(&known));
        Some(known)
    }

    fn put(&mut self, peer: PublicKey, conversation: Arc<Conversation>) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(peer, conversation);
    }
}

impl Drop for TransportKey {
    fn drop(&mut self) {
        self.keypair.non_secure_erase();
    }
}

impl fmt::Debug for TransportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransportKey({})", self.public_hex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> PublicKey {
        let mut secret = [1; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        let keypair = Keypair::from_seckey_slice(SECP256K1, &secret).unwrap();
        PublicKey::from(keypair.x_only_public_key().0)
    }

    fn meet(transport: &TransportKey, peer: PublicKey) -> bool {
        let (conversation, is_new) = transport.conversation(&peer).unwrap();
        if is_new {
            transport.keep(peer, conversation);
        }
        is_new
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let transport = TransportKey::new(&SecretKey32::take(&mut [7; 32])).unwrap();
        let friend = peer(0);
        assert!(meet(&transport, friend));
        for number in 1..=3_000 {
            meet(&transport, peer(number));
            if number % 500 == 0 {
                assert!(!meet(&transport, friend), "forgotten after {number}");
            }
        }
        assert!(transport.conversations() <= 2 * GENERATION);
        transport.forget(&friend);
        assert!(meet(&transport, friend));
        transport.forget_conversations();
        assert_eq!(transport.conversations(), 0);
    }

    #[test]
    fn bad_secrets_are_refused_and_debug_is_silent() {
        for bytes in [[0; 32], [0xff; 32]] {
            let secret = SecretKey32::take(&mut bytes.clone());
            assert_eq!(TransportKey::new(&secret).unwrap_err(), EnvelopeError::TransportKey);
        }
        let transport = TransportKey::new(&SecretKey32::take(&mut [7; 32])).unwrap();
        assert_eq!(format!("{transport:?}"), format!("TransportKey({})", transport.public_key().to_hex()));
    }
}
