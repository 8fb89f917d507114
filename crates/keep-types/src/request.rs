//! A request: who asks, with which key, for what.

use crate::{Intent, KeyId, Origin, RequestId, Timestamp};

/// One request for one use of one secret, as the pipeline carries it.
#[derive(Debug)]
pub struct Request {
    /// What makes this request the same request when it is repeated.
    pub id: RequestId,
    /// Who asks.
    pub origin: Origin,
    /// Which key is to be used.
    pub key: KeyId,
    /// What for.
    pub intent: Intent,
    /// When the asker says it asked (`created_at` of a NIP-46 request event), or when a local caller called.
    pub asked_at: Timestamp,
}
