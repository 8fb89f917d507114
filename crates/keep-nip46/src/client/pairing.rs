//! Waiting for a signer that read our `nostrconnect://` URI.

use std::fmt;

use keep_types::{Event, SecretText};

use super::Client;
use crate::message::{Outcome, Reply};
use crate::secret::same_secret;
use crate::{NostrConnectUri, TransportKey, envelope};

/// A client that showed a `nostrconnect://` URI and does not know its signer yet.
pub struct Pairing {
    transport: TransportKey,
    secret: Option<SecretText>,
}

/// What became of a [`Pairing`] that saw an event.
#[derive(Debug)]
pub enum Paired {
    /// The signer answered with our secret: its key is the author of the event.
    Done(Client),
    /// Not yet.
    NotYet(Pairing),
}

impl Pairing {
    /// Waits for the answer to `uri`, whose client key is that of `transport`. Nothing answers one without a secret.
    pub fn new(uri: &NostrConnectUri, transport: TransportKey) -> Self {
        Self { transport, secret: uri.secret().map(|secret| SecretText::new(secret.to_owned())) }
    }

    /// Takes an event from a relay. Only an answer that holds the secret counts: anybody can answer `ack`.
    pub fn receive(self, event: &Event) -> Paired {
        if self.is_answer(event) {
            Paired::Done(Client::resume(event.pubkey, self.transport))
        } else {
            Paired::NotYet(self)
        }
    }

    fn is_answer(&self, event: &Event) -> bool {
        let Ok(message) = envelope::open(event, &self.transport).and_then(envelope::Opened::verify) else {
            return false;
        };
        match Reply::parse(message.plaintext.expose()).map(|reply| reply.outcome) {
            Ok(Outcome::Success(result)) => {
                self.secret.as_ref().is_some_and(|secret| same_secret(result.expose(), secret.expose()))
            }
            Ok(Outcome::Failure(_) | Outcome::Challenge(_)) | Err(_) => false,
        }
    }
}

impl fmt::Debug for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pairing({:?})", self.transport)
    }
}
