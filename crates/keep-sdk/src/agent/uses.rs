//! What an agent asks with its session.

use keep_policy::{Asks, Effect, Reason};
use keep_types::{
    Answer, ErrorCode, EventTemplate, Fault, Intent, Origin, PublicKey, RecordId, Scheme, SecretText,
    SessionId,
};
use keep_vault::{KeyRecord, VaultError};
use nostr::FromBech32;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::owner::{info, sessions};
use super::scope::operation;
use super::views::{ApprovalView, CheckView, Encrypted, SessionInfo, SignedView, Text};
use crate::approvals::{Approvals, PendingView};
use crate::call::{Call, Class, Host, secret};
use crate::keys::bug;
use crate::views::{AuditEntryView, Done, SignedEvent, npub};

/// The session that asks.
pub(crate) fn asker(host: &Host) -> Result<SessionId, Fault> {
    host.session().ok_or_else(|| {
        Fault::new(ErrorCode::Usage, "this is asked with the token of a session, and there was none")
            .with_hint("make a session with `keep agent create`, and give its token as KEEP_SESSION")
    })
}

/// The key of the session.
pub(crate) fn key(host: &Host, id: SessionId) -> Result<(KeyRecord, Asks), Fault> {
    let session = sessions(host).standing(id)?.session;
    let place = RecordId::from_bytes(*session.key.as_bytes());
    let (key, _) = host.vault().submit(move |tx| tx.get::<KeyRecord>(&place)).wait()?;
    Ok((key.ok_or(VaultError::NoSuchKey)?, session.asks))
}

/// An answer, or the question that a person at the agent has to answer first.
enum Outcome {
    Answer(Answer),
    Question(Box<ApprovalView>),
}

/// Uses a key in the session's name. `approved` is what a person at the agent said, where that counts.
fn answer(
    host: &Host,
    approved: Option<bool>,
    intent: impl FnOnce(PublicKey) -> Result<Intent, Fault>,
) -> Result<Outcome, Fault> {
    let host = host.deciding(approved);
    let (key, _) = key(&host, asker(&host)?)?;
    let intent = intent(key.nostr_key())?;
    let content_chars = written(&intent).map(|text| text.chars().count() as u64);
    match (host.answer(key.id, intent), host.take_question()) {
        (Ok(answer), _) => Ok(Outcome::Answer(answer)),
        (Err(_), Some(question)) => {
            Ok(Outcome::Question(Box::new(ApprovalView { content_chars, ..question })))
        }
        (Err(fault), None) => Err(fault),
    }
}

/// What would go out in the user's name.
fn written(intent: &Intent) -> Option<&str> {
    intent.event().map(|event| event.content.as_str()).or_else(|| intent.plaintext())
}

/// Tells the session and what is left of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SessionInfoCall {}

impl Call for SessionInfoCall {
    const NAME: &'static str = "agent.session_info";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = SessionInfo;

    fn run(self, host: &Host) -> Result<SessionInfo, Fault> {
        info(host, &sessions(host).standing(asker(host)?)?)
    }
}

/// Says what can be expected of an operation.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CheckOperation {
    pub operation: String,
    pub kind: Option<u16>,
}

impl Call for CheckOperation {
    const NAME: &'static str = "agent.check_operation";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = CheckView;

    fn run(self, host: &Host) -> Result<CheckView, Fault> {
        let outlook = sessions(host).outlook(asker(host)?, operation(&self.operation)?, self.kind)?;
        let limit = outlook.exceeded.map(|exceeded| Fault::from(Reason::from(exceeded)));
        let (effect, fault) = match outlook.effect {
            Effect::Allow => ("allow", limit),
            Effect::Ask => {
                let fault = Fault::new(ErrorCode::ApprovalUnavailable, "a person has to approve this");
                ("ask", Some(limit.unwrap_or(fault)))
            }
            Effect::Deny => (
                "deny",
                Some(Fault::new(ErrorCode::RefusedByPolicy, "the scope of the session does not cover this")),
            ),
        };
        Ok(CheckView {
            allowed: fault.is_none(),
            effect: effect.to_owned(),
            code: fault.as_ref().map(|fault| fault.code().as_str().to_owned()),
            reason: fault.map(|fault| fault.message().to_owned()),
        })
    }
}

/// Counts something that was done elsewhere.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordRequest {}

impl Call for RecordRequest {
    const NAME: &'static str = "agent.record_request";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = SessionInfo;

    fn run(self, host: &Host) -> Result<SessionInfo, Fault> {
        let id = asker(host)?;
        sessions(host).count(id)?;
        info(host, &sessions(host).standing(id)?)
    }
}

/// Tells the public key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GetPublicKey {}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// In bech32 (NIP-19).
    pub npub: String,
    /// In hexadecimal.
    pub pubkey: String,
}

impl Call for GetPublicKey {
    const NAME: &'static str = "agent.get_public_key";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = Identity;

    fn run(self, host: &Host) -> Result<Identity, Fault> {
        match answer(host, Some(false), |_| Ok(Intent::GetPublicKey))? {
            Outcome::Answer(Answer::PublicKey(key)) => {
                Ok(Identity { npub: npub(&key), pubkey: key.to_hex() })
            }
            Outcome::Answer(_) | Outcome::Question(_) => Err(bug("the public key has another form")),
        }
    }
}

/// Signs an event.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignEvent {
    pub template: EventTemplate,
    #[serde(default)]
    pub approved: Option<bool>,
}

impl Call for SignEvent {
    const NAME: &'static str = "agent.sign_event";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = SignedView;

    fn run(self, host: &Host) -> Result<SignedView, Fault> {
        let Self { template, approved } = self;
        match answer(host, approved, |author| Ok(Intent::SignEvent(template.into_unsigned(author)?)))? {
            Outcome::Answer(Answer::Event(event)) => {
                Ok(SignedView { event: Some(SignedEvent(*event)), question: None })
            }
            Outcome::Question(question) => Ok(SignedView { event: None, question: Some(*question) }),
            Outcome::Answer(_) => Err(bug("signing gave something else than an event")),
        }
    }
}

/// Encrypts a text (NIP-44).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Encrypt {
    pub peer: String,
    #[serde(with = "secret::text")]
    pub plaintext: SecretText,
    #[serde(default)]
    pub approved: Option<bool>,
}

impl Call for Encrypt {
    const NAME: &'static str = "agent.encrypt";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = Encrypted;

    fn run(self, host: &Host) -> Result<Encrypted, Fault> {
        let Self { peer, plaintext, approved } = self;
        let peer = public_key(&peer)?;
        match answer(host, approved, |_| Ok(Intent::Encrypt { scheme: Scheme::Nip44, peer, plaintext }))? {
            Outcome::Answer(Answer::Ciphertext(text)) => {
                Ok(Encrypted { ciphertext: Some(text), question: None })
            }
            Outcome::Question(question) => Ok(Encrypted { ciphertext: None, question: Some(*question) }),
            Outcome::Answer(_) => Err(bug("encrypting gave something else than a payload")),
        }
    }
}

/// Decrypts a text (NIP-44).
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Decrypt {
    pub peer: String,
    pub ciphertext: String,
    #[serde(default)]
    pub approved: Option<bool>,
}

impl Call for Decrypt {
    const NAME: &'static str = "agent.decrypt";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = Text;

    fn run(self, host: &Host) -> Result<Text, Fault> {
        let Self { peer, ciphertext, approved } = self;
        let peer = public_key(&peer)?;
        match answer(host, approved, |_| Ok(Intent::Decrypt { scheme: Scheme::Nip44, peer, ciphertext }))? {
            Outcome::Answer(Answer::Plaintext(text)) => Ok(Text { plaintext: Some(text), question: None }),
            Outcome::Question(question) => Ok(Text { plaintext: None, question: Some(*question) }),
            Outcome::Answer(_) => Err(bug("decrypting gave something else than a text")),
        }
    }
}

/// The latest entries of the audit log that are about the session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AuditTail {
    pub limit: usize,
}

/// How many entries of the log are looked through for a session's own.
const LOOKED_THROUGH: usize = 10_000;

impl Call for AuditTail {
    const NAME: &'static str = "agent.audit";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = Vec<AuditEntryView>;

    fn run(self, host: &Host) -> Result<Vec<AuditEntryView>, Fault> {
        let (key, _) = key(host, asker(host)?)?;
        let session = sessions(host).standing(asker(host)?)?.session;
        let origin = format!("agent:{}", session.name);
        let entries = host.vault().audit_tail(LOOKED_THROUGH)?;
        let own: Vec<_> = entries
            .iter()
            // What came before is of an earlier session of this name.
            .filter(|entry| entry.origin == origin && entry.time >= session.created_at)
            .collect();
        let skipped = own.len().saturating_sub(self.limit);
        Ok(own[skipped..]
            .iter()
            .map(|entry| AuditEntryView::new(entry, Some(key.name.to_string())))
            .collect())
    }
}

/// Lists what the session waits for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListPending {}

impl Call for ListPending {
    const NAME: &'static str = "agent.pending";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = Vec<PendingView>;

    fn run(self, host: &Host) -> Result<Vec<PendingView>, Fault> {
        let id = asker(host)?;
        let (key, _) = key(host, id)?;
        // What others ask is none of its business.
        let own = host.state::<Approvals>().each(|waiting| {
            let is_own = waiting.prompt.origin == Origin::Agent { session: id };
            is_own.then(|| PendingView::new(waiting, key.name.to_string(), crate::approvals::MAX_SHOWN))
        });
        Ok(own.into_iter().flatten().collect())
    }
}

/// Ends the session, unless the owner made it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct End {}

impl Call for End {
    const NAME: &'static str = "agent.end";
    const CLASS: Class = Class::Use;
    const OPEN_TO_SESSIONS: bool = true;
    type Reply = Done;

    fn run(self, host: &Host) -> Result<Done, Fault> {
        let session = sessions(host).standing(asker(host)?)?.session;
        if session.self_made || session.parent.is_some() {
            sessions(host).revoke(session.id, Origin::Agent { session: session.id })?;
        }
        Ok(Done {})
    }
}

/// A public key as people write it.
pub(crate) fn public_key(text: &str) -> Result<PublicKey, Fault> {
    PublicKey::from_hex(text).or_else(|_| PublicKey::from_bech32(text)).map_err(|_| {
        let shown = keep_types::DisplayText::truncated(text, 80);
        Fault::new(ErrorCode::InvalidKey, format!("\"{shown}\" is no public key"))
            .with_hint("give an npub1… or 64 hex digits")
    })
}
