//! What a person is shown.

use keep_types::{
    DisplayText, Intent, KeyId, MessageFacts, Operation, Origin, PublicKey, Request, RequestId, SpendFacts,
    Tag, Timestamp, V3Use,
};

use crate::judge::in_policy;
use crate::{Approval, Effect, Facts, Grant, Policy, kind_name};

/// What a person is shown before deciding. Decoded from the very bytes that would be signed, and whole: whoever shows less
/// says so, with [`Prompt::cut`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Which request it is about.
    pub request: RequestId,
    /// Since when it waits, by the vault's clock: whoever may approve only since later does not decide it.
    pub asked_at: Timestamp,
    /// Who asks.
    pub origin: Origin,
    /// The key that is to be used.
    pub key: KeyId,
    /// What the asker calls itself. Unauthenticated.
    pub claims: DisplayText,
    /// The name that the owner gave the asker, if any.
    pub name: DisplayText,
    /// What it asks for.
    pub operation: Operation,
    /// The kind of the event.
    pub kind: Option<keep_types::Kind>,
    /// The time that the event claims.
    pub created_at: Option<Timestamp>,
    /// The tags of the event.
    pub tags: Vec<Vec<DisplayText>>,
    /// The content of the event, the text to be encrypted, or what else the shares of a group are used for.
    pub content: DisplayText,
    /// The other side of an encryption or decryption.
    pub peer: Option<PublicKey>,
    /// What a transaction does.
    pub spend: Option<SpendFacts>,
    /// What a message in the name of a Bitcoin address says.
    pub message: Option<MessageFacts>,
    /// Why it is asked: the rule that says so, or that none covers it.
    pub because: String,
    /// Who must approve.
    pub approval: Approval,
}

impl Prompt {
    /// What a person is shown who wants to confirm what a program of the owner asks for.
    pub fn of_owner(request: &Request) -> Self {
        Self::shown(request, "uses over the socket are to be confirmed".to_owned(), Approval::Owner)
    }

    /// The same where the owner made a `policy` for that: it may ask, too, and says why then, and how many persons must approve.
    pub fn of_owner_under(request: &Request, policy: &Policy, identity: &PublicKey, now: Timestamp) -> Self {
        let decided = policy.decide(&Facts::of(&request.intent, identity, &[], now));
        match decided.effect {
            Effect::Ask => Self::of_ruled(request, in_policy(decided.source, policy), decided.approval),
            Effect::Allow | Effect::Deny => Self::of_owner(request),
        }
    }

    pub(crate) fn of_ruled(request: &Request, because: String, approval: Approval) -> Self {
        Self::shown(request, because, approval)
    }

    pub(crate) fn of_session(request: &Request, name: &str, because: String, approval: Approval) -> Self {
        Self { claims: name.into(), ..Self::shown(request, because, approval) }
    }

    pub(crate) fn new(request: &Request, grant: &Grant, because: String, approval: Approval) -> Self {
        let shown = Self::shown(request, because, approval);
        Self {
            claims: grant.claims.as_deref().unwrap_or_default().into(),
            name: grant.name.as_deref().unwrap_or_default().into(),
            ..shown
        }
    }

    fn shown(request: &Request, because: String, approval: Approval) -> Self {
        let event = request.intent.event();
        let text = |tag: &Tag| tag.as_slice().iter().map(|part| DisplayText::new(part)).collect();
        Self {
            request: request.id,
            asked_at: request.asked_at,
            origin: request.origin,
            key: request.key,
            claims: DisplayText::default(),
            name: DisplayText::default(),
            operation: request.intent.operation(),
            kind: request.intent.kind(),
            created_at: event.map(|e| Timestamp::from_secs(e.created_at.as_secs())),
            tags: event.map(|e| e.tags.iter().map(text).collect()).unwrap_or_default(),
            content: match &request.intent {
                Intent::Group(usage) if event.is_none() => DisplayText::new(&usage.describe()),
                // Whoever says yes says it to this text, which goes out in the user's name.
                Intent::Encrypt { plaintext, .. } => DisplayText::new(plaintext.expose()),
                Intent::Nip44V3(usage) => match &**usage {
                    V3Use::Encrypt { kind, scope, plaintext, .. } => {
                        let text = String::from_utf8_lossy(plaintext.expose());
                        DisplayText::new(&format!("{}: {text}", v3_context(*kind, scope)))
                    }
                    V3Use::Decrypt { kind, scope, .. } => DisplayText::new(&v3_context(*kind, scope)),
                },
                _ => DisplayText::new(event.map(|e| e.content.as_str()).unwrap_or_default()),
            },
            peer: request.intent.peer().copied(),
            spend: request.intent.spend().cloned(),
            message: request.intent.message().cloned(),
            because,
            approval,
        }
    }

    /// What events of this kind are, in words.
    pub fn kind_name(&self) -> Option<&'static str> {
        self.kind.and_then(|kind| kind_name(kind.as_u16()))
    }

    /// Whom the event names: the values of its `p` tags.
    pub fn recipients(&self) -> Vec<&DisplayText> {
        self.values("p").collect()
    }

    /// The amount of a zap request (NIP-57, kind 9734) in millisatoshi.
    pub fn zap_millisats(&self) -> Option<u64> {
        self.kind.filter(|kind| kind.as_u16() == 9734)?;
        self.values("amount").next()?.as_str().parse().ok()
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a DisplayText> {
        let of_name = move |tag: &&Vec<DisplayText>| tag.first().is_some_and(|first| first.as_str() == name);
        self.tags.iter().filter(of_name).filter_map(|tag| tag.get(1))
    }
}
/// What a text of NIP-44 version 3 is bound to.
fn v3_context(kind: u32, scope: &str) -> String {
    format!("for kind {kind}, scope {scope:?}")
}
