//! Sessions of agents: a narrow, revocable ability to use a key, and never the key.
//!
//! The owner makes a session ([`Agents::create`]) and gives its token to the agent. Whoever shows the token
//! ([`Keep::for_session`]) is bound by the session's scope, which is enforced where the vault is, outside the agent's
//! process; [`Agent`] is what remains to be done there.

mod bitcoin;
mod failure;
pub(crate) mod interrupt;
mod link;
mod owner;
mod relays;
mod scope;
mod spoken;
mod token;
mod uses;
mod views;

use std::sync::Arc;

use keep_types::{EventTemplate, Fault, PublicKey, RelayUrl, SecretText};

use crate::call::Call;
use crate::{AuditEntryView, Keep, PendingView};

pub use bitcoin::{AccountInput, AgentAddress, AgentAnalysis, AgentMessage, AgentPsbt};
pub use failure::{CodeView, Failure, error_codes, error_codes_json, failure_json};
pub use interrupt::Interrupt;
pub use keep_policy::{Asks, Budget, Effect, SpendLimits};
pub use link::{Link, LinkOptions, Start, bunker_url};
pub use relays::{ChosenRelays, RelayOffer};
pub use scope::{Exceeding, Preset, Rates, SessionScope};
pub use spoken::{parse_budget, parse_duration, parse_kinds, parse_rate, parse_sats};
pub use token::session_token;
pub use views::{ApprovalView, CheckView, Encrypted, MadeSession, SessionInfo, SignedView, Text};

pub(crate) use bitcoin::{AnalyzePsbt, BitcoinAddress, SignMessage, SignPsbt};
pub(crate) use owner::{Begin, Create, List, Revoke, Show};
pub(crate) use relays::ChooseRelays;
pub use uses::Identity;
pub(crate) use uses::{
    AuditTail, CheckOperation, Decrypt, Encrypt, End, GetPublicKey, ListPending, RecordRequest,
    SessionInfoCall, SignEvent,
};

/// The owner's side: makes, lists and revokes sessions.
#[derive(Debug, Clone)]
pub struct Agents {
    keep: Keep,
}

impl Agents {
    pub(crate) const fn new(keep: Keep) -> Self {
        Self { keep }
    }

    /// Makes a session named `name` for the key that `key` means. The token is told here and never again.
    ///
    /// # Errors
    /// When the name is taken, there is no such key, or the scope says something that does not exist.
    pub fn create(
        &self,
        name: &str,
        key: Option<&str>,
        scope: SessionScope,
        asks: Asks,
    ) -> Result<MadeSession, Fault> {
        self.keep.call(Create { name: name.to_owned(), key: key.map(str::to_owned), scope, asks })
    }

    /// A session that `scope` narrows: of the session that asks, or, for the owner, of what the owner allows all agents
    /// (their public key; the rest is asked).
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn begin(&self, key: Option<&str>, scope: SessionScope, asks: Asks) -> Result<MadeSession, Fault> {
        self.keep.call(Begin { key: key.map(str::to_owned), scope, asks })
    }

    /// Every session, by name.
    ///
    /// # Errors
    /// When the vault cannot be read.
    pub fn list(&self) -> Result<Vec<SessionInfo>, Fault> {
        self.keep.call(List {})
    }

    /// The session of this name.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](keep_types::ErrorCode::NotFound).
    pub fn show(&self, name: &str) -> Result<SessionInfo, Fault> {
        self.keep.call(Show { name: name.to_owned() })
    }

    /// Revokes the session of this name, and all that narrow it. Nothing more is signed for it when this returns.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`](keep_types::ErrorCode::NotFound).
    pub fn revoke(&self, name: &str) -> Result<SessionInfo, Fault> {
        self.keep.call(Revoke { name: name.to_owned() })
    }
}

/// The agent's side: what a session may do. Each method is one call over the daemon's socket, or, at a bunker, one request.
#[derive(Debug, Clone)]
pub struct Agent {
    at: At,
}

#[derive(Debug, Clone)]
enum At {
    Vault(Keep),
    Link(Arc<Link>),
}

impl Agent {
    /// The agent that reaches the vault through `keep`, which has a session ([`Keep::for_session`]).
    pub const fn new(keep: Keep) -> Self {
        Self { at: At::Vault(keep) }
    }

    /// The agent that reaches a vault or a bunker through `link`. At a bunker the limits are those of the bunker, and what
    /// NIP-46 has no word for is answered with
    /// [`ErrorCode::UnsupportedMethod`](keep_types::ErrorCode::UnsupportedMethod).
    pub fn linked(link: Link) -> Self {
        Self { at: At::Link(Arc::new(link)) }
    }

    fn call<C: Call>(&self, call: C) -> Result<C::Reply, Fault> {
        match &self.at {
            At::Vault(keep) => keep.call(call),
            At::Link(link) => link.make(&call),
        }
    }

    /// The session, and what is left of its limits.
    ///
    /// # Errors
    /// When it was revoked, or is over.
    pub fn info(&self) -> Result<SessionInfo, Fault> {
        self.call(SessionInfoCall {})
    }

    /// What the session can expect of an operation. Nothing is counted.
    ///
    /// # Errors
    /// When there is no such operation.
    pub fn check(&self, operation: &str, kind: Option<u16>) -> Result<CheckView, Fault> {
        self.call(CheckOperation { operation: operation.to_owned(), kind })
    }

    /// Counts something that was done elsewhere as a use of the session.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn record_request(&self) -> Result<SessionInfo, Fault> {
        self.call(RecordRequest {})
    }

    /// The public key.
    ///
    /// # Errors
    /// When the session may not know it.
    pub fn public_key(&self) -> Result<Identity, Fault> {
        self.call(GetPublicKey {})
    }

    /// Signs an event. Where a person at the agent decides ([`Asks::Client`]) and `approved` is `None`, the question comes
    /// back instead.
    ///
    /// # Errors
    /// When it is refused, or nobody can be asked.
    pub fn sign_event(&self, template: EventTemplate, approved: Option<bool>) -> Result<SignedView, Fault> {
        self.call(SignEvent { template, approved })
    }

    /// Encrypts `plaintext` to `peer` with NIP-44.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub fn encrypt(
        &self,
        peer: PublicKey,
        plaintext: SecretText,
        approved: Option<bool>,
    ) -> Result<Encrypted, Fault> {
        self.call(Encrypt { peer: peer.to_hex(), plaintext, approved })
    }

    /// Decrypts what `peer` sent with NIP-44.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event); when it does not open.
    pub fn decrypt(
        &self,
        peer: PublicKey,
        ciphertext: String,
        approved: Option<bool>,
    ) -> Result<Text, Fault> {
        self.call(Decrypt { peer: peer.to_hex(), ciphertext, approved })
    }

    /// The next Bitcoin address that nobody has got yet.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub fn bitcoin_address(
        &self,
        account: AccountInput,
        approved: Option<bool>,
    ) -> Result<AgentAddress, Fault> {
        self.call(BitcoinAddress { account, change: false, approved })
    }

    /// What a PSBT (base64) would do. It tells something about the account, and counts as seeing an address does.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event); when the PSBT cannot be read.
    pub fn analyze_psbt(
        &self,
        account: AccountInput,
        psbt: String,
        approved: Option<bool>,
    ) -> Result<AgentAnalysis, Fault> {
        self.call(AnalyzePsbt { account, psbt, approved })
    }

    /// Signs a PSBT (base64).
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event); when an amount exceeds a limit.
    pub fn sign_psbt(
        &self,
        account: AccountInput,
        psbt: String,
        finalize: bool,
        approved: Option<bool>,
    ) -> Result<AgentPsbt, Fault> {
        self.call(SignPsbt { account, psbt, finalize, approved })
    }

    /// Signs a message in the name of an address (BIP-322); without one, of the account's first.
    ///
    /// # Errors
    /// As [`sign_event`](Self::sign_event).
    pub fn sign_message(
        &self,
        account: AccountInput,
        address: Option<String>,
        message: String,
        approved: Option<bool>,
    ) -> Result<AgentMessage, Fault> {
        self.call(SignMessage { account, address, message, approved })
    }

    /// Where a note is published: at `named`, if the owner lets the session use them; without any, wherever it may. `offer`
    /// is what the owner lets the agent's server use.
    ///
    /// # Errors
    /// [`ErrorCode::RefusedByPolicy`](keep_types::ErrorCode::RefusedByPolicy) when the session may not use one of them;
    /// [`ErrorCode::Usage`](keep_types::ErrorCode::Usage) when there is no relay.
    pub fn choose_relays(&self, offer: RelayOffer, named: Vec<RelayUrl>) -> Result<Vec<RelayUrl>, Fault> {
        let chosen = self.call(ChooseRelays { offer, named })?.relays;
        let parse = |text: &String| Ok(RelayUrl::parse(text)?);
        chosen.iter().map(parse).collect()
    }

    /// What the session has asked and a person has not decided yet.
    ///
    /// # Errors
    /// When the session was revoked.
    pub fn pending(&self) -> Result<Vec<PendingView>, Fault> {
        self.call(ListPending {})
    }

    /// The last `limit` entries of the audit log that are about this session.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self, limit: usize) -> Result<Vec<AuditEntryView>, Fault> {
        self.call(AuditTail { limit })
    }

    /// Ends the session, if it was made by narrowing another one or by the agent itself. What the owner made stays.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn end(&self) -> Result<(), Fault> {
        self.call(End {}).map(drop)
    }
}
