//! The shared vocabulary of Keep.
//!
//! Every crate of the workspace speaks in these types: who asks ([`Origin`]), for what ([`Intent`]), with which
//! key ([`KeyId`]), at what time ([`Timestamp`], [`Clock`]), and how a failure is named ([`ErrorCode`], [`Blame`]).
//! Nothing here does input or output, and nothing here is asynchronous.
//!
//! ```
//! use keep_types::{DisplayText, ErrorCode, Fault, Timestamp};
//!
//! // Text for people cannot hide what it says.
//! assert_eq!(DisplayText::new("pay\u{202e}eno").as_str(), "pay\\u{202e}eno");
//! // Every failure has a stable code.
//! let fault = Fault::new(ErrorCode::NotFound, "no key is named \"main\"");
//! assert_eq!(fault.code().as_str(), "not_found");
//! assert!(Timestamp::from_secs(10) < Timestamp::from_secs(11));
//! ```
#![forbid(unsafe_code)]

mod answer;
mod count;
mod display;
mod error;
mod event_id;
mod event_json;
mod group;
mod id;
mod intent;
mod name;
mod origin;
mod record;
mod relay_url;
mod request;
mod secret;
mod spend;
mod time;

pub use answer::{Answer, SignedPsbt};
pub use count::{are, counted};
pub use display::DisplayText;
pub use error::{Blame, ErrorCode, Fault};
pub use event_id::{event_id, has_own_id};
pub use event_json::event_json;
pub use group::{
    CeremonyStep, GroupKeyPath, GroupMessage, GroupSign, GroupSpend, GroupTweak, GroupUse, SkippedMessage,
    SpendPart,
};
pub use id::{EndpointId, IdError, JobId, KeyId, RecordId, RequestId, Revision, SessionId, VaultId};
pub use intent::{EventTemplate, Intent, IntentError, Operation, Scheme, V3Use};
pub use name::{Name, NameError};
pub use origin::Origin;
pub use record::{Collection, DecodeError, Record};
pub use relay_url::{RelayUrl, RelayUrlError};
pub use request::Request;
pub use secret::{SecretBytes, SecretKey32, SecretText};
pub use spend::{Destination, InspectedMessage, InspectedSpend, MessageFacts, ScriptMark, SpendFacts};
pub use time::{Clock, SystemClock, Timestamp};

/// The Nostr event types (NIP-01), from the `nostr` crate, in the version that Keep pins.
pub use nostr::{Event, EventId, Kind, PublicKey, Tag, Tags, UnsignedEvent};
