//! What is remembered of a request, so that repeats and restarts get the same answer.

use keep_types::{
    Collection, DecodeError, EndpointId, ErrorCode, Fault, PublicKey, Record, RequestId, Timestamp,
};
use minicbor::{Decode, Encode};

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum RequestState {
    /// It waits for a person.
    #[n(0)]
    Asking,
    /// It is allowed, counted and in the audit log; the answer follows from this row.
    #[n(1)]
    Granted,
    /// It is refused; the answer is the refusal in this row.
    #[n(2)]
    Refused,
    /// It is over and is not answered again: since a restore, or its answer has left (as vaults of older versions say it).
    #[n(3)]
    Done,
}

/// One request of a client.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RequestRow {
    /// The id of the request event.
    #[n(0)]
    pub id: RequestId,
    /// The client's public key (32 bytes).
    #[cbor(n(1), with = "minicbor::bytes")]
    pub client: [u8; 32],
    /// The endpoint that it wrote to.
    #[n(2)]
    pub endpoint: EndpointId,
    /// How far it has come.
    #[n(3)]
    pub state: RequestState,
    /// What was received, decrypted, while it waits for a person. Once it is decided this lies elsewhere, until its answer
    /// has left: see [`Unanswered`](keep_vault::Unanswered).
    #[cbor(n(4), with = "minicbor::bytes")]
    pub received: Vec<u8>,
    /// `created_at` of the request event.
    #[n(5)]
    pub asked_at: Timestamp,
    /// When it was decided; when it began to wait, while it waits.
    #[n(6)]
    pub decided_at: Timestamp,
    /// Its audit entry.
    #[n(7)]
    pub audit_seq: u64,
    /// A hash of client, endpoint, id, method and parameters: a repeat in a new event is the same request.
    #[n(8)]
    pub fingerprint: Option<String>,
    #[n(9)]
    refusal: Option<Refusal>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct Refusal {
    #[n(0)]
    code: String,
    #[n(1)]
    message: String,
}

impl std::fmt::Debug for RequestRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestRow").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Record for RequestRow {
    const COLLECTION: Collection = Collection::Requests;

    fn unique_name(&self) -> Option<&str> {
        self.fingerprint.as_deref()
    }

    fn from_cbor(bytes: &[u8]) -> Result<Self, DecodeError> {
        minicbor::decode(bytes).map_err(|e| Self::error(&e.to_string()))
    }
}

/// A copy in a new event is told from a request that waits for as long as that waits.
const _: () = assert!(RequestRow::REPEAT_SECS <= RequestRow::ASK_SECS);

impl RequestRow {
    /// For how long a repeat of the same request in a new event counts as the same request, in seconds.
    pub const REPEAT_SECS: u64 = 600;
    /// For how long a request may wait for a person, in seconds.
    pub const ASK_SECS: u64 = 600;
    /// How old a request may be that is decided for the first time, in seconds. Rows are kept for longer than this, so that
    /// no event is decided twice.
    pub const ACCEPT_SECS: u64 = 900;
    /// For how long a decided request is kept, in seconds.
    pub const KEEP_SECS: u64 = 1800;

    pub(crate) fn new(
        id: RequestId,
        client: &PublicKey,
        endpoint: EndpointId,
        asked_at: Timestamp,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            client: client.to_bytes(),
            endpoint,
            state: RequestState::Asking,
            received: Vec::new(),
            asked_at,
            decided_at: now,
            audit_seq: 0,
            fingerprint: None,
            refusal: None,
        }
    }

    pub(crate) fn refuse(&mut self, fault: &Fault) {
        self.state = RequestState::Refused;
        self.refusal = Some(Refusal { code: fault.code().as_str().into(), message: fault.message().into() });
    }

    /// The refusal, if it was refused. It stays after the answer has left.
    pub fn refusal(&self) -> Option<Fault> {
        self.refusal.as_ref().map(|refusal| {
            let code = ErrorCode::from_word(&refusal.code).unwrap_or(ErrorCode::RefusedByPolicy);
            Fault::new(code, refusal.message.clone())
        })
    }
}
