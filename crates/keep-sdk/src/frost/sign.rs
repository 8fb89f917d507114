//! Signing with shares that are all in this vault.

use keep_frost::minisign::{PublicKeyFile, Release, SignatureFile};
use keep_frost::sign::Proposal;
use keep_frost::{Index, KeySpec, Message, Signature, Tweak};
use keep_types::{
    Answer, ErrorCode, Event, EventTemplate, Fault, GroupSign, GroupUse, Intent, PublicKey, event_id,
};
use keep_vault::{GroupRecord, group_key_path, group_message};
use rand_core::OsRng;
use serde::{Deserialize, Serialize};

use super::lookup::{group, index};
use super::views::{ReleaseView, SignatureView};
use crate::call::{Call, Class, Host};
use crate::keys::bug;
use crate::views::SignedEvent;

/// What a group is to sign.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToSign {
    /// Bytes as they are, in hexadecimal.
    Raw(String),
    /// A Nostr event in the group's name.
    Event(Box<EventTemplate>),
    /// The BLAKE2b-512 of a file, for minisign: 128 hex digits.
    FileDigest(String),
    /// A trusted comment, bound to the signature over the file (128 hex digits).
    TrustedComment {
        /// The signature over the file.
        signature: String,
        /// The comment.
        comment: String,
    },
}

/// Which key of a group signs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupKey {
    /// Unhardened BIP-32 steps from the group key.
    pub path: Vec<u32>,
    /// `key-path` (BIP-86), or the Merkle root of a script tree in 64 hex digits; none for the key itself.
    pub tweak: Option<String>,
}

impl GroupKey {
    pub(super) fn spec(&self) -> Result<KeySpec, Fault> {
        let tweak = match self.tweak.as_deref() {
            None => Tweak::None,
            Some("key-path") => Tweak::KeyPath,
            Some(root) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(root, &mut bytes).map_err(|_| {
                    Fault::new(ErrorCode::InvalidInput, "this is no Taproot tweak")
                        .with_hint("give key-path, or the Merkle root of the script tree in 64 hex digits")
                })?;
                Tweak::ScriptTree(bytes)
            }
        };
        Ok(KeySpec::new(self.path.clone(), tweak))
    }
}

impl ToSign {
    pub(super) fn message(&self, record: &GroupRecord, spec: &KeySpec) -> Result<Message, Fault> {
        let digits = |text: &str| -> Result<[u8; 64], Fault> {
            let mut bytes = [0; 64];
            hex::decode_to_slice(text, &mut bytes)
                .map_err(|_| Fault::new(ErrorCode::InvalidInput, "expected 128 hex digits"))?;
            Ok(bytes)
        };
        Ok(match self {
            Self::Raw(text) => Message::Raw(
                hex::decode(text)
                    .map_err(|_| Fault::new(ErrorCode::InvalidInput, "the message is no hexadecimal"))?,
            ),
            Self::Event(template) => {
                let author = PublicKey::from_byte_array(record.group.derive_public(spec)?);
                Message::Event(Box::new((**template).clone().into_unsigned(author)?))
            }
            Self::FileDigest(digest) => Message::FileDigest(digits(digest)?),
            Self::TrustedComment { signature, comment } => Message::TrustedComment {
                signature: Signature::from_bytes(digits(signature)?),
                comment: comment.clone(),
            },
        })
    }
}

/// The shares that sign: those that were named, else as many as are needed.
pub(super) fn signers(record: &GroupRecord, named: &[u16]) -> Result<Vec<Index>, Fault> {
    if named.is_empty() {
        let enough = usize::from(record.group.threshold());
        return Ok(record.shares.iter().copied().take(enough).collect());
    }
    let mut indices = named.iter().map(|number| index(*number)).collect::<Result<Vec<_>, _>>()?;
    indices.sort_unstable();
    for index in &indices {
        record.expect_share(*index)?;
    }
    Ok(indices)
}

/// Refuses to begin with too few signers.
pub(super) fn expect_enough(record: &GroupRecord, have: usize) -> Result<(), Fault> {
    let need = record.group.threshold();
    if have < usize::from(need) {
        return Err(Fault::from(keep_frost::FrostError::TooFewSigners { need, have }).with_hint(
            "this vault has too few shares of the group: sign together with the others, with --interactive",
        ));
    }
    Ok(())
}

/// Signs with these shares, all of which are here: nonces are made, judged and burnt with the record, then used.
pub(super) fn sign_here(
    host: &Host,
    record: &GroupRecord,
    message: &Message,
    spec: &KeySpec,
    signers: &[Index],
) -> Result<Signature, Fault> {
    host.check_intact()?;
    let proposal = Proposal::new(&record.group, spec.clone(), message.clone(), &mut OsRng)?;
    expect_enough(record, signers.len())?;
    let opened = host.vault().open_session(record.id, proposal, signers)?;
    let sign = GroupSign {
        session: *opened.session.as_bytes(),
        message: group_message(message),
        key: group_key_path(spec),
        nonces: opened.burns.iter().map(|burn| *burn.as_bytes()).collect(),
        package: None,
        proposed_by: None,
    };
    let answered = host.answer(record.id, Intent::Group(Box::new(GroupUse::Sign(sign))));
    // Nonces of what was refused are of no use to anybody.
    host.vault().forget_sessions(&[opened.session]);
    match answered? {
        Answer::Signature(signature) => Ok(Signature::from_bytes(*signature)),
        _ => Err(bug("signing gave something else than a signature")),
    }
}

/// Signs with the shares that are here.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sign {
    pub group: Option<String>,
    pub what: ToSign,
    pub key: GroupKey,
    pub signers: Vec<u16>,
}

impl Call for Sign {
    const NAME: &'static str = "frost.sign";
    const CLASS: Class = Class::Use;
    type Reply = SignatureView;

    fn run(self, host: &Host) -> Result<SignatureView, Fault> {
        let record = group(host, self.group.as_deref())?;
        let spec = self.key.spec()?;
        let message = self.what.message(&record, &spec)?;
        let signers = signers(&record, &self.signers)?;
        let signature = sign_here(host, &record, &message, &spec, &signers)?;
        view(&record, &spec, &signature, &signers)
    }
}

pub(super) fn view(
    record: &GroupRecord,
    spec: &KeySpec,
    signature: &Signature,
    signers: &[Index],
) -> Result<SignatureView, Fault> {
    Ok(SignatureView {
        signature: signature.to_string(),
        pubkey: hex::encode(record.group.derive_public(spec)?),
        group: record.name.to_string(),
        suite: record.group.suite().to_string(),
        signers: signers.iter().map(|index| index.get()).collect(),
    })
}

/// Signs a Nostr event in the group's name.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignEvent {
    pub group: Option<String>,
    pub template: EventTemplate,
}

impl Call for SignEvent {
    const NAME: &'static str = "frost.sign_event";
    const CLASS: Class = Class::Use;
    type Reply = SignedEvent;

    fn run(self, host: &Host) -> Result<SignedEvent, Fault> {
        let record = group(host, self.group.as_deref())?;
        let spec = KeySpec::plain();
        let message = ToSign::Event(Box::new(self.template)).message(&record, &spec)?;
        let signature = sign_here(host, &record, &message, &spec, &signers(&record, &[])?)?;
        Ok(SignedEvent(event(message, &signature)?))
    }
}

/// The event with its signature.
pub(super) fn event(message: Message, signature: &Signature) -> Result<Event, Fault> {
    let Message::Event(event) = message else { return Err(bug("not an event")) };
    let id = event_id(&event);
    let signature = secp256k1::schnorr::Signature::from_slice(signature.as_bytes())
        .map_err(|_| bug("the signature has another form"))?;
    Ok(Event::new(id, event.pubkey, event.created_at, event.kind, event.tags, event.content, signature))
}

/// Signs a file, by the BLAKE2b-512 that this side has computed of it. The two rounds are two decisions.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SignFile {
    pub group: Option<String>,
    pub digest: String,
    pub trusted_comment: String,
    pub comment: Option<String>,
}

impl Call for SignFile {
    const NAME: &'static str = "frost.sign_file";
    const CLASS: Class = Class::Use;
    type Reply = ReleaseView;

    fn run(self, host: &Host) -> Result<ReleaseView, Fault> {
        let record = group(host, self.group.as_deref())?;
        let spec = KeySpec::plain();
        let first = ToSign::FileDigest(self.digest.clone()).message(&record, &spec)?;
        let Message::FileDigest(digest) = &first else { return Err(bug("not a digest")) };
        let release = Release::new(&record.group, *digest, self.trusted_comment.as_str(), self.comment)?;
        let signers = signers(&record, &[])?;
        let signed = release.signed(sign_here(host, &record, &first, &spec, &signers)?)?;
        let global = sign_here(host, &record, &signed.message(), &spec, &signers)?;
        finished(&record, signed.signed(global)?, self.digest)
    }
}

pub(super) fn finished(
    record: &GroupRecord,
    file: SignatureFile,
    digest: String,
) -> Result<ReleaseView, Fault> {
    Ok(ReleaseView {
        minisig: file.to_text(),
        public_key: PublicKeyFile::of_group(&record.group)?.to_base64(),
        trusted_comment: file.trusted_comment().to_owned(),
        digest,
    })
}
