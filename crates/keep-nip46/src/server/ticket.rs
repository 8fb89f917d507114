//! What stands for a request on its way.

use std::sync::Arc;

use keep_types::{EndpointId, EventId, PublicKey, Scheme, SecretText, Timestamp};

use crate::envelope::Received;
use crate::message::{Call, CallId, Method};

/// Whether the caller knows the client that signed (or claims to have signed) an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It has connected before, and may still.
    Known,
    /// Anybody.
    Stranger,
}

/// An event passed the first gate. Exists once, and is spent at the second.
#[derive(Debug)]
pub struct Admission {
    pub(super) event_id: EventId,
    pub(super) endpoint: EndpointId,
    pub(super) standing: Standing,
}

/// The right and the duty to answer a request. It exists once and cannot be copied; answering takes it away.
///
/// A ticket that is dropped without an answer frees its place at the next tick and is counted as lost.
#[derive(Debug)]
pub struct Ticket {
    /// The event of the request: its identity.
    pub event_id: EventId,
    /// Who asked, and to whom the answer goes.
    pub client: PublicKey,
    /// Which endpoint it was sent to, and whose transport key seals the answer.
    pub endpoint: EndpointId,
    /// The encryption of the request, and so of the answer.
    pub scheme: Scheme,
    /// The id to echo in the answer.
    pub call_id: CallId,
    /// Refused before anything was decided.
    pub(super) refused: bool,
    /// Dies with the ticket, which tells the machine that it is gone.
    #[allow(dead_code, reason = "its end is its use")]
    place: Option<Arc<()>>,
}

impl Ticket {
    pub(super) fn refusal(message: &Received, endpoint: EndpointId, call_id: CallId) -> Self {
        Self::new(message, endpoint, call_id, None)
    }

    fn new(message: &Received, endpoint: EndpointId, call_id: CallId, place: Option<Arc<()>>) -> Self {
        Self {
            event_id: message.event_id,
            client: message.author,
            endpoint,
            scheme: message.scheme,
            call_id,
            refused: place.is_none(),
            place,
        }
    }
}

/// A request to decide and answer.
#[derive(Debug)]
pub struct Job {
    /// What answers it.
    pub ticket: Ticket,
    /// What is asked for.
    pub method: Method,
    /// SHA-256 over method and parameters, to know the same request in a new event.
    pub digest: [u8; 32],
    /// When the client says it asked.
    pub asked_at: Timestamp,
    /// When the request stops to count, if the client says so.
    pub expires: Option<Timestamp>,
    /// Whether the client was known when the event came in.
    pub standing: Standing,
    /// The message as received, for storing it: nobody else keeps it.
    pub plaintext: SecretText,
}

impl Job {
    pub(super) fn new(
        message: Received,
        endpoint: EndpointId,
        standing: Standing,
        call: Call,
        place: Arc<()>,
    ) -> Self {
        Self {
            ticket: Ticket::new(&message, endpoint, call.id, Some(place)),
            method: call.method,
            digest: call.digest,
            asked_at: message.created_at,
            expires: message.expires,
            standing,
            plaintext: message.plaintext,
        }
    }
}
