//! The client's side: asking another signer, and believing it no more than necessary.
//!
//! [`Client`] is a state machine like [`Server`](crate::server::Server): it holds the client's transport key, reads no
//! clock, draws no random numbers and does no input or output. [`Pairing`] is the state before it on the way through a
//! `nostrconnect://` URI.

mod ask;
mod pairing;

pub use ask::{Answered, Ask, V3Context};
pub use pairing::{Paired, Pairing};

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use keep_types::{DisplayText, ErrorCode, Event, Fault, PublicKey, Scheme, SecretText, Timestamp};
use url::{Host, Url};

use crate::envelope::{self, Seal};
use crate::message::{CallId, Outcome, Reply, write_call};
use crate::{BunkerUri, EnvelopeError, TransportKey};
use ask::Expected;

/// The most calls that wait for an answer at the same time.
const MAX_CALLS: usize = 1_024;

/// How long to wait once the person was asked to open an address.
const CHALLENGE_TIMEOUT: Duration = Duration::from_secs(300);

/// The longest address that a person may be sent to, in bytes.
const MAX_ADDRESS: usize = 2_048;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The signer answered with an error.
    #[error("the signer answered: {0}")]
    Remote(DisplayText),
    /// No answer in time.
    #[error("the signer did not answer in time")]
    TimedOut,
    /// The answer is not one that the call can have.
    #[error("the signer's answer to {method} is not valid: {reason}")]
    BadAnswer {
        /// The method.
        method: &'static str,
        /// What does not fit.
        reason: &'static str,
    },
    /// Too many calls wait already.
    #[error("{MAX_CALLS} calls wait for an answer already")]
    TooManyCalls,
    /// The request could not be sealed.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
}

impl From<ClientError> for Fault {
    fn from(error: ClientError) -> Self {
        let code = match error {
            ClientError::Envelope(error) => return error.into(),
            ClientError::Remote(_) | ClientError::BadAnswer { .. } => ErrorCode::Peer,
            ClientError::TimedOut => ErrorCode::TimedOut,
            ClientError::TooManyCalls => ErrorCode::RateLimited,
        };
        Self::new(code, error.to_string())
    }
}

/// The random bytes that one request uses up. Fresh from the operating system, never used twice.
pub struct Random {
    /// For the request's id.
    pub id: [u8; 16],
    /// For the encryption.
    pub nonce: [u8; 32],
    /// For the signature.
    pub aux_rand: [u8; 32],
}

/// What a call came to.
#[derive(Debug)]
pub enum ClientEffect {
    /// The call is over.
    Done(CallId, Result<Answered, ClientError>),
    /// The person has to open this address (https, or on this machine) first; the answer comes later. Told once for each call.
    OpenAddress(CallId, Url),
}

struct Pending {
    expected: Expected,
    deadline: Timestamp,
    challenged: bool,
}

/// A client of one remote signer.
pub struct Client {
    transport: TransportKey,
    remote: PublicKey,
    secret: Option<SecretText>,
    timeout: Duration,
    /// By the text of the id, which is ours and random.
    pending: BTreeMap<String, Pending>,
}

impl Client {
    /// How long a call waits for its answer unless [`Client::with_timeout`] says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// A client of the signer that a `bunker://` URI names. The first call must be [`Ask::Connect`].
    pub fn new(uri: &BunkerUri, transport: TransportKey) -> Self {
        let secret = uri.secret().map(|secret| SecretText::new(secret.to_owned()));
        Self::with_remote(*uri.remote(), secret, transport)
    }

    /// A client that has connected before, or was paired.
    pub fn resume(remote: PublicKey, transport: TransportKey) -> Self {
        Self::with_remote(remote, None, transport)
    }

    fn with_remote(remote: PublicKey, secret: Option<SecretText>, transport: TransportKey) -> Self {
        Self { transport, remote, secret, timeout: Self::TIMEOUT, pending: BTreeMap::new() }
    }

    /// Waits this long for each answer.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The signer's public key, to which requests go and from which answers must come.
    pub const fn remote(&self) -> &PublicKey {
        &self.remote
    }

    /// The client's own public key: subscribe to kind 24133 with this key in a `p` tag.
    pub const fn public_key(&self) -> &PublicKey {
        self.transport.public_key()
    }

    /// How many calls wait for an answer.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// The event that asks the signer, and the id under which its answer comes back.
    ///
    /// # Errors
    /// When too many calls wait already, or the request cannot be sealed.
    pub fn call(
        &mut self,
        ask: Ask,
        random: &Random,
        now: Timestamp,
    ) -> Result<(CallId, Event), ClientError> {
        if self.pending.len() >= MAX_CALLS {
            return Err(ClientError::TooManyCalls);
        }
        let id = CallId::from_random(&random.id);
        let (params, expected) = ask.into_params(&self.remote, self.secret.as_ref());
        let params: Vec<&str> = params.iter().map(SecretText::expose).collect();
        let json = write_call(&id, expected.method(), &params);
        let seal = Seal {
            to: self.remote,
            scheme: Scheme::Nip44,
            created_at: now,
            nonce: random.nonce,
            aux_rand: random.aux_rand,
        };
        let event = envelope::seal(&self.transport, json.expose(), &seal)?;
        let pending = Pending { expected, deadline: now.plus(self.timeout), challenged: false };
        self.pending.insert(id.to_text(), pending);
        Ok((id, event))
    }

    /// Takes an event from a relay. What is not the signer's, does not open or answers nothing of ours changes nothing:
    /// a call ends by its own answer or by time.
    pub fn receive(&mut self, event: &Event, now: Timestamp) -> Option<ClientEffect> {
        if event.pubkey != self.remote || self.pending.is_empty() {
            return None;
        }
        let message = envelope::open(event, &self.transport).ok()?.verify().ok()?;
        let reply = Reply::parse(message.plaintext.expose()).ok()?;
        let pending = self.pending.get_mut(&reply.id.to_text())?;
        match reply.outcome {
            Outcome::Challenge(address) => {
                if pending.challenged {
                    return None;
                }
                match safe_address(&address) {
                    Some(address) => {
                        pending.challenged = true;
                        pending.deadline = now.plus(CHALLENGE_TIMEOUT);
                        Some(ClientEffect::OpenAddress(reply.id, address))
                    }
                    None => Some(self.end(reply.id, |expected| {
                        Err(expected
                            .bad("the address to open is too long, or neither https nor on this machine"))
                    })),
                }
            }
            Outcome::Failure(error) => {
                let error = ClientError::Remote(DisplayText::truncated(&error, 400));
                Some(self.end(reply.id, |_| Err(error)))
            }
            Outcome::Success(result) => Some(self.end(reply.id, |expected| expected.read(result))),
        }
    }

    /// Ends the calls whose time is over. Call it about once a second.
    pub fn tick(&mut self, now: Timestamp) -> Vec<ClientEffect> {
        let is_late = |pending: &Pending| pending.deadline <= now;
        let late: Vec<String> =
            self.pending.iter().filter(|(_, pending)| is_late(pending)).map(|(id, _)| id.clone()).collect();
        late.iter()
            .filter_map(|id| {
                self.pending.remove(id)?;
                Some(ClientEffect::Done(CallId::from_text(id)?, Err(ClientError::TimedOut)))
            })
            .collect()
    }

    fn end(
        &mut self,
        id: CallId,
        result: impl FnOnce(Expected) -> Result<Answered, ClientError>,
    ) -> ClientEffect {
        let outcome = match self.pending.remove(&id.to_text()) {
            Some(pending) => result(pending.expected),
            None => Err(ClientError::TimedOut),
        };
        ClientEffect::Done(id, outcome)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({:?} of {})", self.transport, self.remote.to_hex())
    }
}

/// An address that a person may be sent to: https, or http on this very machine, where the bunker runs then; a host, nobody's
/// name or password in it.
fn safe_address(address: &str) -> Option<Url> {
    if address.len() > MAX_ADDRESS {
        return None;
    }
    let url = Url::parse(address).ok().filter(|url| url.as_str().len() <= MAX_ADDRESS)?;
    let is_here = match url.host()? {
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
        Host::Domain(name) => name == "localhost",
    };
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_here);
    (is_safe && url.username().is_empty() && url.password().is_none()).then_some(url)
}
